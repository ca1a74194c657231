//! `identity`: which identifiers there are, and which values identify nobody.

use super::{TRAIT_NAME, matching, named};
use crate::config::decode::{Entry, Field, Table};
use crate::config::mistake::suggestion;
use crate::config::node::Kind;
use regex::Regex;
use tributary_model::{IdentityRules, Namespace, Normalise, Region};

/// More identifiers of one kind than any person has; a bound that keeps a mistyped number from meaning "no bound".
const MOST_PER_PROFILE: u32 = 10_000;
/// A component of more links takes longer to resolve than an epoch should.
const MOST_LINKS: u32 = 1_000_000;
/// Limited namespaces that are told apart when a customer is split.
const MOST_LIMITED: usize = 63;
/// The parts of an event in which an identifier may stand.
const PLACES: [&str; 3] = ["traits.", "properties.", "context."];

pub(super) fn decode(sections: &[Field<'_>]) -> IdentityRules {
    let mut rules = IdentityRules::default();
    let tables: Vec<_> = sections.iter().filter_map(Field::table).collect();
    let namespaces: Vec<_> = tables.iter().filter_map(|table| table.get("namespaces")).collect();
    let namespaces = named(&namespaces, "namespace", &TRAIT_NAME);
    for entry in &namespaces {
        let built_in = rules.namespaces.remove(entry.name);
        // One with mistakes stays known, so that what refers to it is not called mistaken too.
        let namespace = decode_namespace(&entry.field, built_in).unwrap_or_default();
        rules.namespaces.insert(entry.name.to_owned(), namespace);
    }
    let limited = namespaces.iter().filter(|entry| entry.field.get("max_per_profile").is_some());
    if let Some(one_more) = limited.clone().nth(MOST_LIMITED) {
        one_more.field.wrong(format!("at most {MOST_LIMITED} namespaces may have `max_per_profile`"));
    }
    for (index, entry) in namespaces.iter().enumerate() {
        let later: Vec<&str> = namespaces.iter().skip(index + 1).map(|other| other.name).collect();
        check_priority(entry, &rules, &later);
        check_shared_after(entry, &rules);
    }
    for table in tables {
        for field in table.get("block").map(|field| field.list()).unwrap_or_default() {
            rules.block.extend(decode_blocked(&field));
        }
        if let Some(field) = table.get("previous_id") {
            let words: Vec<_> = rules.namespaces.keys().map(|name| (name.as_str(), name)).collect();
            rules.previous_id = field.one_of(&words).cloned().unwrap_or(rules.previous_id);
        }
        if let Some(most) = table.get("max_links").and_then(|field| field.integer(1..=MOST_LINKS)) {
            rules.max_links = most;
        }
        if let Some(field) = table.get("suggestions") {
            if rules.suggestions.is_some() {
                field.wrong("there are `suggestions` in another file already; write them in one place");
            }
            rules.suggestions = matching::decode(&field);
        }
        table.finish();
    }
    rules
}

fn decode_namespace(field: &Field<'_>, built_in: Option<Namespace>) -> Option<Namespace> {
    let table = field.table()?;
    let from = table.get("from");
    let priority = match &built_in {
        Some(_) => table.get("priority"),
        None => table.require("priority", "priority: 2"),
    };
    if built_in.is_none() && from.is_none() {
        field.wrong(
            "`from` is missing: where in an event do its values stand? write for example `from: [traits.email]`",
        );
    }
    let priority = priority.map(|field| field.integer(1..=u8::MAX));
    let max_per_profile = table.get("max_per_profile").map(|field| field.integer(1..=MOST_PER_PROFILE));
    let normalise = decode_normalise(&table);
    let shared = table.get("shared_after").map(|field| field.entries()).unwrap_or_default();
    let shared_after: Vec<_> =
        shared.iter().map(|entry| Some((entry.name.to_owned(), entry.field.integer(1..=1_000_000)?))).collect();
    let paths: Vec<_> = from.map(|field| field.list()).unwrap_or_default().iter().map(decode_path).collect();
    table.finish();
    let built_in = built_in.unwrap_or_default();
    Some(Namespace {
        priority: priority.unwrap_or(Some(built_in.priority))?,
        max_per_profile: max_per_profile.map_or(Some(built_in.max_per_profile), |most| most.map(Some))?,
        shared_after: shared_after.into_iter().collect::<Option<_>>()?,
        normalise: normalise.unwrap_or(Some(built_in.normalise))?,
        from: paths.into_iter().collect::<Option<_>>()?,
    })
}

/// `normalise` with what goes with some of them.
fn decode_normalise(table: &Table<'_>) -> Option<Option<Normalise>> {
    let words = Normalise::NAMES.map(|name| (name, Normalise::from_name(name)));
    let mut normalise = table.get("normalise").map(|field| field.one_of(&words).flatten());
    for (name, of_email) in [("drop_plus_tag", true), ("drop_gmail_dots", true), ("region", false)] {
        let Some(field) = table.get(name) else { continue };
        match (&mut normalise, name) {
            (Some(Some(Normalise::Email { drop_plus_tag, .. })), "drop_plus_tag") => {
                *drop_plus_tag = field.bool().unwrap_or_default();
            }
            (Some(Some(Normalise::Email { drop_gmail_dots, .. })), "drop_gmail_dots") => {
                *drop_gmail_dots = field.bool().unwrap_or_default();
            }
            (Some(Some(Normalise::Phone { region })), "region") => {
                *region = field.text().and_then(Region::new);
                if region.is_none() {
                    field.wrong("no country has this code; write two capital letters, for example DE");
                }
            }
            // A `normalise` that is wrong itself has been told.
            (Some(None), _) => {}
            _ => {
                let of = if of_email { "email" } else { "phone" };
                field.wrong(format!("`{name}` goes with `normalise: {of}` only"));
            }
        }
    }
    normalise
}

fn decode_path(field: &Field<'_>) -> Option<String> {
    let path = field.text()?;
    let in_event = PLACES.iter().any(|place| path.starts_with(place));
    if !in_event || path.split('.').any(|part| part.trim().is_empty()) {
        let mend = "write a path below traits, properties or context, such as `context.traits.email`";
        field.wrong(format!("`{path}` is no place in an event; {mend}"));
        return None;
    }
    Some(path.to_owned())
}

/// Of two namespaces of one priority the later one is told. Priority 0 marks one whose mistakes were told already.
fn check_priority(entry: &Entry<'_>, rules: &IdentityRules, later: &[&str]) {
    let Some(Namespace { priority: mine @ 1.., .. }) = rules.namespaces.get(entry.name) else { return };
    let is_twin =
        |name: &str, other: &Namespace| other.priority == *mine && name != entry.name && !later.contains(&name);
    if let Some((twin, _)) = rules.namespaces.iter().find(|(name, other)| is_twin(name, other)) {
        let mend = "which of them is better must be clear, so give each its own";
        entry.field.wrong(format!("`{twin}` has priority {mine} too; {mend}"));
    }
}

/// `shared_after` counts links to better namespaces.
fn check_shared_after(entry: &Entry<'_>, rules: &IdentityRules) {
    let Some(namespace) = rules.namespaces.get(entry.name) else { return };
    let Some(shared) = entry.field.get("shared_after") else { return };
    // A wrong kind was told when the numbers were read.
    if !matches!(shared.node.kind, Kind::Map(_)) {
        return;
    }
    for limit in shared.entries() {
        match rules.namespaces.get(limit.name) {
            None => {
                let mend = suggestion(limit.name, rules.namespaces.keys().map(String::as_str));
                limit.field.wrong_at(limit.name_at, format!("there is no namespace `{}`{mend}", limit.name));
            }
            Some(other) if other.priority >= namespace.priority && namespace.priority != 0 && other.priority != 0 => {
                let message = format!(
                    "`{}` (priority {}) is no better than `{}` (priority {}); name one with a smaller priority",
                    limit.name, other.priority, entry.name, namespace.priority
                );
                limit.field.wrong_at(limit.name_at, message);
            }
            Some(_) => {}
        }
    }
}

fn decode_blocked(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let pattern = text.strip_prefix("re:");
    if let Some(Err(error)) = pattern.map(Regex::new) {
        // The crate draws the pattern with a marker over several lines; its last line says what is wrong.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        field.wrong(format!("`{}` is no regular expression: {reason}", pattern.unwrap_or_default()));
        return None;
    }
    Some(text.to_owned())
}
