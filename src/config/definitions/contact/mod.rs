//! `contact`: when customers may be contacted; and what of it each trigger has of its own.

use super::NameRule;
use crate::config::decode::{Entry, Field, Table};
use crate::config::mistake::suggestion;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tributary_model::{Cap, Channel, ContactPolicy, Holdout, Millis, Purpose, QuietHours, TriggerPolicy};

/// The longest span of a cap or a cool-down: what was sent is remembered a little longer.
const LONGEST_SPAN: Duration = Duration::from_secs(365 * 86_400);

/// Purposes stand in SQL as `traits."consent.marketing"`, and are sent by consent tools, which write them with capitals and
/// spaces.
const PURPOSE: NameRule =
    NameRule { allowed: Purpose::is_name, mend: "a purpose is made of letters, digits, spaces and `_-/.`" };

pub(super) fn decode(sections: &[Field<'_>]) -> ContactPolicy {
    let mut policy = ContactPolicy::default();
    let tables: Vec<Table<'_>> = sections.iter().filter_map(Field::table).collect();
    let all = |name| tables.iter().filter_map(|table| table.get(name)).collect::<Vec<_>>();
    for entry in super::named(&all("purposes"), "purpose", &PURPOSE) {
        policy.purposes.extend(decode_purpose(&entry).map(|purpose| (entry.name.to_owned(), purpose)));
    }
    policy.caps = all("caps").iter().flat_map(|field| decode_caps(field, true)).collect();
    policy.holdout = only(all("holdout"), "holdout").and_then(|field| decode_holdout(&field, "all"));
    policy.quiet_hours = only(all("quiet_hours"), "quiet_hours").and_then(|field| decode_quiet_hours(&field));
    tables.into_iter().for_each(Table::finish);
    policy
}

/// What may stand once in all files.
pub(super) fn only<'a>(fields: Vec<Field<'a>>, name: &str) -> Option<Field<'a>> {
    let mut fields = fields.into_iter();
    let first = fields.next()?;
    for further in fields {
        further.wrong(format!("`{name}` stands already at {}; remove one", first.node.location));
    }
    Some(first)
}

fn decode_purpose(entry: &Entry<'_>) -> Option<Purpose> {
    let table = entry.field.table()?;
    let name = table.get("name").and_then(|field| field.text()).unwrap_or(entry.name).to_owned();
    let words = [("granted", true), ("denied", false)];
    let by_default = table.get("default").map_or(Some(false), |field| field.one_of(&words));
    table.finish();
    Some(Purpose { name, is_granted_by_default: by_default? })
}

fn decode_caps(field: &Field<'_>, have_channels: bool) -> Vec<Cap> {
    let cap = |field: Field<'_>| {
        let table = field.table()?;
        let most = table.require("most", "most: 3").and_then(|field| field.integer(1..=100_000));
        let within = table.require("per", "per: 7 days").and_then(|field| span(&field));
        let channel = match table.get("channel").filter(|_| have_channels) {
            Some(field) => decode_channel(&field).map(Some),
            None => Some(None),
        };
        table.finish();
        Some(Cap { channel: channel?, most: most?, within_ms: within? })
    };
    field.list().into_iter().filter_map(cap).collect()
}

fn span(field: &Field<'_>) -> Option<Millis> {
    Millis::try_from(field.duration(Duration::from_secs(1)..=LONGEST_SPAN)?.as_millis()).ok()
}

fn decode_channel(field: &Field<'_>) -> Option<Channel> {
    field.one_of(&Channel::ALL.map(|channel| (channel.name(), channel)))
}

fn decode_holdout(field: &Field<'_>, whose: &str) -> Option<Holdout> {
    let table = field.table()?;
    let percent = table.require("percent", "percent: 5").and_then(|field| field.integer(0..=100u32));
    let name = table.get("name").and_then(|field| field.text()).unwrap_or(whose).to_owned();
    table.finish();
    Some(Holdout { basis_points: percent? * 100, name })
}

fn decode_quiet_hours(field: &Field<'_>) -> Option<QuietHours> {
    let table = field.table()?;
    let from = table.require("from", "from: \"21:00\"").and_then(|field| time_of_day(&field));
    let to = table.require("to", "to: \"08:00\"").and_then(|field| time_of_day(&field));
    if from.is_some() && from == to {
        field.wrong("quiet hours that end where they begin are none, or all; write another time");
    }
    let channels: BTreeSet<Channel> = match table.get("channels") {
        Some(field) => field.list().iter().filter_map(decode_channel).collect(),
        None => Channel::ALL.into_iter().filter(|channel| channel.reaches_people()).collect(),
    };
    let zone = table.get("time_zone").map_or(Some("timezone"), |field| {
        let text = field.text()?;
        let name = text.strip_prefix("traits.");
        if name.is_none_or(str::is_empty) {
            field.wrong(format!("`{text}` is no trait; write where the customer's time zone stands: traits.timezone"));
        }
        name
    });
    let otherwise = table.get("otherwise").map_or(Some("UTC"), |field| {
        let text = field.text()?;
        if TimeZone::get(text).is_err() {
            field.wrong(format!("`{text}` is no time zone; write one such as Europe/Berlin"));
            return None;
        }
        Some(text)
    });
    table.finish();
    Some(QuietHours { from: from?, to: to?, channels, time_zone: zone?.to_owned(), otherwise: otherwise?.to_owned() })
}

/// Minutes after midnight.
fn time_of_day(field: &Field<'_>) -> Option<u16> {
    let text = field.text()?;
    let parts = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2);
    let parts = parts.and_then(|(hour, minute)| hour.parse::<u16>().ok().zip(minute.parse::<u16>().ok()));
    let minutes = parts.filter(|(hour, minute)| *hour < 24 && *minute < 60).map(|(hour, minute)| hour * 60 + minute);
    if minutes.is_none() {
        field.wrong(format!("`{text}` is no time of day; write hours and minutes in quotes, such as \"21:00\""));
    }
    minutes
}

/// What a trigger has of its own.
pub(super) fn decode_trigger(
    table: &Table<'_>,
    trigger: &str,
    purposes: &BTreeMap<String, Purpose>,
) -> Option<TriggerPolicy> {
    let purpose = table.get("purpose").map_or(Some(None), |field| {
        let name = field.text()?;
        if !purposes.contains_key(name) {
            let known = suggestion(name, purposes.keys().map(String::as_str));
            field.wrong(format!("there is no purpose `{name}` below contact.purposes{known}"));
            return None;
        }
        Some(Some(name.to_owned()))
    });
    let transactional = table.get("transactional");
    let is_transactional = transactional.as_ref().map_or(Some(false), Field::bool);
    let fields = ["purpose", "holdout", "cooldown", "caps"];
    let [_, holdout, cooldown, caps] = fields.map(|name| table.get(name));
    if let (Some(true), Some(field)) = (is_transactional, &transactional)
        && fields.iter().any(|name| table.get(name).is_some())
    {
        let names = fields.map(|name| format!("`{name}`")).join(", ");
        field.wrong(format!("what a customer has asked for is not held back: leave out {names}, or this"));
    }
    let holdout = holdout.map_or(Some(None), |field| decode_holdout(&field, trigger).map(Some));
    let cooldown = cooldown.map_or(Some(None), |field| span(&field).map(Some));
    let caps = caps.map_or(Vec::new(), |field| decode_caps(&field, false));
    Some(TriggerPolicy {
        purpose: purpose?,
        is_transactional: is_transactional?,
        holdout: holdout?,
        cooldown_ms: cooldown?,
        caps,
    })
}

#[cfg(test)]
mod tests;
