//! `triggers`: when to say what to whom.

use super::template;
use crate::config::decode::{Entry, Field};
use crate::config::mistake::suggestion;
use std::collections::BTreeSet;
use tributary_model::{On, Send, Trigger, limits};

/// What triggers may refer to.
pub(super) struct Known<'a> {
    pub(super) traits: BTreeSet<&'a str>,
    segments: BTreeSet<&'a str>,
    destinations: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    pub(super) fn new(traits: &[Entry<'a>], segments: &[Entry<'a>], destinations: &[Entry<'a>]) -> Self {
        let names = |entries: &[Entry<'a>]| entries.iter().map(|entry| entry.name).collect();
        Self { traits: names(traits), segments: names(segments), destinations: names(destinations) }
    }
}

/// A trigger, and where its SQL condition stands if it has one.
pub(super) fn decode<'a>(field: &Field<'a>, known: &Known<'_>) -> Option<(Trigger, Option<Field<'a>>)> {
    let table = field.table()?;
    let on = table.require("on", "on: { enter: vip }").map(|field| decode_on(&field, known));
    let send = table.require("send", "send: { to: crm, body: '{{ profile | tojson }}' }");
    let send = send.map(|field| decode_send(&field, known));
    let backfill_field = table.get("fire_on_backfill");
    let backfill = backfill_field.as_ref().map_or(Some(false), Field::bool);
    table.finish();
    let (on, condition) = on??;
    if let (On::Event { .. }, Some(field)) = (&on, backfill_field) {
        field.wrong("a definition that changes sets off no event; only triggers on `enter` and `exit` take this");
        return None;
    }
    Some((Trigger { on, send: send??, fire_on_backfill: backfill? }, condition))
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
    let to = table.require("to", "to: crm").and_then(|field| refer(&field, "destination", &known.destinations));
    let body = table.require("body", "body: '{\"profile\": {{ profile.id | tojson }}}'");
    table.finish();
    let body = body.and_then(|field| template::decode(&field, &known.traits));
    Some(Send { to: to?, body: body? })
}

/// The id of something that is defined.
fn refer(field: &Field<'_>, what: &str, known: &BTreeSet<&str>) -> Option<String> {
    let id = field.text()?;
    if known.contains(id) {
        return Some(id.to_owned());
    }
    field.wrong(format!("there is no {what} `{id}`{}", suggestion(id, known.iter().copied())));
    None
}
