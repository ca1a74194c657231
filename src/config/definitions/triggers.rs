//! `triggers`: when to say what to whom.

use super::{contact, template};
use crate::activation::content::{Content, FieldRule};
use crate::config::decode::{Entry, Field, Table};
use crate::config::mistake::suggestion;
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{Destination, On, Purpose, Send, Trigger, limits};

/// Bodies that need not be written: names below `send.template`.
const TEMPLATES: [(&str, &str); 1] = [("audience", include_str!("../../activation/templates/audience.json"))];

/// What triggers may refer to.
pub(super) struct Known<'a> {
    pub(super) traits: BTreeSet<&'a str>,
    pub(super) segments: BTreeSet<&'a str>,
    /// Keys of texts.
    pub(super) texts: BTreeSet<String>,
    /// What messages to each are made of; `None` where the destination is mistaken itself.
    destinations: BTreeMap<&'a str, Option<Content>>,
    /// Whether messages can have links to this server.
    pub(super) has_links: bool,
}

impl<'a> Known<'a> {
    pub(super) fn new(traits: &[Entry<'a>], segments: &[Entry<'a>], has_links: bool) -> Self {
        let names = |entries: &[Entry<'a>]| entries.iter().map(|entry| entry.name).collect();
        let (traits, segments) = (names(traits), names(segments));
        Self { traits, segments, texts: BTreeSet::new(), destinations: BTreeMap::new(), has_links }
    }

    /// What templates may refer to.
    pub(super) fn templates(&self) -> template::Known<'_> {
        template::Known { traits: &self.traits, texts: &self.texts, has_links: self.has_links }
    }

    /// There is this destination.
    pub(super) fn add_destination(&mut self, id: &'a str, destination: Option<&Destination>) {
        self.destinations.insert(id, destination.map(|destination| Content::of(&destination.kind)));
    }
}

/// A trigger, and where its SQL condition stands if it has one.
pub(super) fn decode<'a>(
    entry: &Entry<'a>,
    known: &Known<'_>,
    purposes: &BTreeMap<String, Purpose>,
) -> Option<(Trigger, Option<Field<'a>>)> {
    let table = entry.field.table()?;
    let on = table.require("on", "on: { enter: vip }").map(|field| decode_on(&field, known));
    let send = table.require("send", "send: { to: crm, body: '{{ profile | tojson }}' }");
    let send = send.map(|field| decode_send(&field, known));
    let policy = contact::decode_trigger(&table, entry.name, purposes);
    let backfill_field = table.get("fire_on_backfill");
    let backfill = backfill_field.as_ref().map_or(Some(false), Field::bool);
    let void = table.get("on_void");
    let words = [("keep", false), ("retract", true)];
    let retracts = void.as_ref().map_or(Some(false), |field| field.one_of(&words));
    table.finish();
    let (on, condition) = on??;
    if let (On::Event { .. }, Some(field)) = (&on, backfill_field) {
        field.wrong("a definition that changes sets off no event; only triggers on `enter` and `exit` take this");
        return None;
    }
    let send = send??;
    if let (Some(true), Some(field)) = (retracts, void) {
        let is_read_by_programs = matches!(known.destinations.get(send.to.as_str()), Some(Some(Content::Body)));
        if !matches!(on, On::Enter { .. }) || !is_read_by_programs {
            field.wrong("only a trigger on `enter` that sends to a webhook or a topic can take back what it said");
            return None;
        }
    }
    let trigger = Trigger { on, send, fire_on_backfill: backfill?, retracts: retracts?, policy: policy? };
    Some((trigger, condition))
}

fn decode_on<'a>(field: &Field<'a>, known: &Known<'_>) -> Option<(On, Option<Field<'a>>)> {
    let table = field.table()?;
    let (enter, exit, event) = (table.get("enter"), table.get("exit"), table.get("event"));
    let condition = table.get("where");
    table.finish();
    if [&enter, &exit, &event].into_iter().flatten().count() != 1 {
        field.wrong("write exactly one of `enter`, `exit` and `event`, such as `on: { enter: vip }`");
        return None;
    }
    if let (Some(condition), None) = (&condition, &event) {
        condition.wrong("only `event` takes a condition; put this one into the segment");
        return None;
    }
    let segment = |field: Field<'_>| refer(&field, "segment", &known.segments);
    match (enter, exit, event) {
        (Some(enter), _, _) => Some((On::Enter { segment: segment(enter)? }, None)),
        (_, Some(exit), _) => Some((On::Exit { segment: segment(exit)? }, None)),
        (_, _, event) => {
            let event = decode_event_name(&event?);
            let text = condition.as_ref().map(Field::text);
            let text = text.map_or(Some(None), |text| text.map(|text| Some(text.to_owned())));
            Some((On::Event { event: event?, condition: text? }, condition))
        }
    }
}

fn decode_event_name(field: &Field<'_>) -> Option<String> {
    let name = field.text()?;
    let chars = name.chars().count();
    if chars > limits::EVENT_NAME_CHARS {
        let most = limits::EVENT_NAME_CHARS;
        field.wrong(format!("this name has {chars} characters; events' names have at most {most}"));
        return None;
    }
    Some(name.to_owned())
}

fn decode_send(field: &Field<'_>, known: &Known<'_>) -> Option<Send> {
    let table = field.table()?;
    let to = table.require("to", "to: crm");
    let to = to.and_then(|field| {
        let id = refer(&field, "destination", known.destinations.keys())?;
        if let Some(Some(Content::None)) = known.destinations.get(id.as_str()) {
            field.wrong(format!("`{id}` is kept in step with its segment by itself; no trigger sends there"));
            return None;
        }
        Some(id)
    })?;
    // What a mistaken destination takes is not known: nothing more can be told.
    let content = (*known.destinations.get(to.as_str())?)?;
    let ready = table.get("template").map(|field| decode_template(&field, content));
    let texts = match ready {
        Some(ready) => ready.map(|text| BTreeMap::from([("body".to_owned(), text)])),
        None => decode_fields(&table, content.fields(), known),
    };
    table.finish();
    Some(Send { to, content: texts? })
}

fn decode_template(field: &Field<'_>, content: Content) -> Option<String> {
    let text = field.one_of(&TEMPLATES)?;
    if !matches!(content, Content::Body) {
        field.wrong("this is a body for a webhook or a topic; write the fields of this destination instead");
        return None;
    }
    Some(text.to_owned())
}

fn decode_fields(
    table: &Table<'_>,
    rules: &'static [FieldRule],
    known: &Known<'_>,
) -> Option<BTreeMap<String, String>> {
    let example = |name| match name {
        "address" => "address: \"{{ traits.email }}\"".to_owned(),
        "body" => "body: '{\"profile\": {{ profile.id | tojson }}}'".to_owned(),
        name => format!("{name}: \"Hello {{{{ traits.name }}}}\""),
    };
    let mut texts = BTreeMap::new();
    let mut good = true;
    for FieldRule { name, is_required, .. } in rules {
        let field = if *is_required { table.require(name, &example(name)) } else { table.get(name) };
        match field.as_ref().map(|field| template::decode(field, known.templates())) {
            Some(Some(text)) => drop(texts.insert((*name).to_owned(), text)),
            Some(None) => good = false,
            None => good &= !is_required,
        }
    }
    // An e-mail has a text, or HTML, or both.
    let may_say = rules.iter().filter(|rule| matches!(rule.name, "text" | "html" | "title" | "data"));
    let says_something = rules.iter().all(|rule| rule.is_required)
        || may_say.clone().any(|rule| table.get(rule.name).is_some())
        || may_say.clone().next().is_none();
    if !says_something {
        let names: Vec<_> = may_say.map(|rule| format!("`{}`", rule.name)).collect();
        table.field.wrong(format!("there is nothing to say; write one of {}", names.join(", ")));
        good = false;
    }
    good.then_some(texts)
}

/// The id of something that is defined.
pub(super) fn refer<'k>(field: &Field<'_>, what: &str, known: impl IntoIterator<Item = &'k &'k str>) -> Option<String> {
    let id = field.text()?;
    let known: Vec<&str> = known.into_iter().copied().collect();
    if known.contains(&id) {
        return Some(id.to_owned());
    }
    field.wrong(format!("there is no {what} `{id}`{}", suggestion(id, known.iter().copied())));
    None
}
