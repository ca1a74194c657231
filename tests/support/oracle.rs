//! The right answers about [`super::traffic::SHOP`], recomputed from the full list of events by plain loops that share
//! no code with the product.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A customer as the rules have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Profile {
    /// `namespace:value` of every identifier.
    pub(crate) identifiers: BTreeSet<String>,
    /// The one that names the profile.
    pub(crate) best: String,
    pub(crate) traits: Map<String, Value>,
    pub(crate) computed: Map<String, Value>,
    pub(crate) segments: BTreeSet<String>,
}

/// What the triggers of [`super::traffic::triggers`] must have sent, each once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fired {
    /// The identifiers of each profile that came to be loyal.
    pub(crate) loyal: Vec<BTreeSet<String>>,
    /// Each `refund_id`.
    pub(crate) refunds: BTreeSet<String>,
}

/// One event as it counts.
struct Counted<'a> {
    event: &'a Value,
    at: i64,
    /// Best first; the first is whom the event belongs to.
    identifiers: Vec<String>,
}

/// All profiles of these events.
pub(crate) fn profiles(events: &[Value], now: i64) -> Vec<Profile> {
    let counted = count(events);
    let groups = components(&counted);
    let mut profiles = Vec::new();
    for identifiers in groups {
        let own: Vec<&Counted<'_>> =
            counted.iter().filter(|event| identifiers.contains(&event.identifiers[0])).collect();
        let computed = computed(&own);
        let traits = traits(&own);
        let segments = segments(&own, &traits, &computed, now);
        let best = best(&identifiers, &counted);
        profiles.push(Profile { identifiers, best, traits, computed, segments });
    }
    profiles
}

/// What must have fired for these events.
pub(crate) fn fired(events: &[Value], now: i64) -> Fired {
    let loyal = profiles(events, now).into_iter().filter(|profile| profile.segments.contains("loyal"));
    let refunds = count(events).into_iter().filter(|counted| counted.event["event"] == "Refund Requested");
    let refund_id = |counted: Counted<'_>| counted.event["properties"]["refund_id"].as_str().unwrap().to_owned();
    Fired { loyal: loyal.map(|profile| profile.identifiers).collect(), refunds: refunds.map(refund_id).collect() }
}

/// Each message once, with the identifiers that identify somebody.
fn count(events: &[Value]) -> Vec<Counted<'_>> {
    let mut seen = BTreeSet::new();
    let mut counted = Vec::new();
    for event in events {
        if !seen.insert(event["messageId"].as_str().unwrap()) {
            continue;
        }
        let email = match &event["traits"]["email"] {
            Value::Null => &event["context"]["traits"]["email"],
            email => email,
        };
        let found = [("user_id", &event["userId"]), ("email", email), ("anonymous_id", &event["anonymousId"])];
        let mut identifiers = Vec::new();
        for (namespace, value) in found {
            let Some(value) = value.as_str().map(str::trim) else { continue };
            let value = if namespace == "email" { value.to_lowercase() } else { value.to_owned() };
            let blocked = value == "null" || value == "anonymous" || value.chars().all(|c| c == '0' || c == '-');
            if !blocked {
                identifiers.push(format!("{namespace}:{value}"));
            }
        }
        let at: jiff::Timestamp = event["timestamp"].as_str().unwrap().parse().unwrap();
        if !identifiers.is_empty() {
            counted.push(Counted { event, at: at.as_millisecond(), identifiers });
        }
    }
    counted
}

/// Who is one customer: identifiers joined by links that touch no shared device.
fn components(counted: &[Counted<'_>]) -> Vec<BTreeSet<String>> {
    let mut links = BTreeSet::new();
    let mut group: BTreeMap<&str, usize> = BTreeMap::new();
    for event in counted {
        for identifier in &event.identifiers {
            let next = group.len();
            group.entry(identifier).or_insert(next);
            links.insert((identifier.as_str(), event.identifiers[0].as_str()));
        }
    }
    let shared = |identifier: &str| {
        let users = links.iter().filter(|(from, to)| *from == identifier && to.starts_with("user_id:"));
        identifier.starts_with("anonymous_id:") && users.count() > 3
    };
    let shared: BTreeSet<&str> = group.keys().copied().filter(|identifier| shared(identifier)).collect();
    for (one, other) in &links {
        let (one_group, other_group) = (group[one], group[other]);
        if shared.contains(one) || shared.contains(other) || one_group == other_group {
            continue;
        }
        for held in group.values_mut() {
            if *held == one_group {
                *held = other_group;
            }
        }
    }
    let mut groups: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (identifier, group) in group {
        groups.entry(group).or_default().insert(identifier.to_owned());
    }
    groups.into_values().collect()
}

/// The best namespace, then whoever was seen first.
fn best(identifiers: &BTreeSet<String>, counted: &[Counted<'_>]) -> String {
    let rank = |identifier: &str| match identifier.split_once(':').unwrap().0 {
        "user_id" => 1,
        "email" => 2,
        _ => 9,
    };
    let first_seen = |identifier: &String| {
        counted.iter().filter(|event| event.identifiers.contains(identifier)).map(|event| event.at).min()
    };
    identifiers.iter().min_by_key(|identifier| (rank(identifier), first_seen(identifier))).unwrap().clone()
}

/// The latest word on each trait; a null removes it.
fn traits(own: &[&Counted<'_>]) -> Map<String, Value> {
    let mut latest: BTreeMap<String, (i64, Value)> = BTreeMap::new();
    for event in own.iter().filter(|event| event.event["type"] == "identify") {
        for (name, value) in event.event["traits"].as_object().into_iter().flatten() {
            if latest.get(name).is_none_or(|(at, _)| event.at > *at) {
                latest.insert(name.clone(), (event.at, value.clone()));
            }
        }
    }
    latest.into_iter().filter(|(_, (_, value))| !value.is_null()).map(|(name, (_, value))| (name, value)).collect()
}

fn named<'a>(own: &[&'a Counted<'a>], name: &str) -> Vec<&'a Counted<'a>> {
    let mut named: Vec<_> = own.iter().copied().filter(|event| event.event["event"] == name).collect();
    named.sort_by_key(|event| event.at);
    named
}

fn computed(own: &[&Counted<'_>]) -> Map<String, Value> {
    let orders = named(own, "Order Completed");
    let cents: Vec<i64> = orders
        .iter()
        .map(|order| (order.event["properties"]["total"].as_f64().unwrap() * 100.0).round() as i64)
        .collect();
    let amount = |cents: Option<i64>| cents.map_or(Value::Null, |cents| json!(cents as f64 / 100.0));
    let views = named(own, "Product Viewed");
    let product =
        |event: Option<&&Counted<'_>>| event.map_or(Value::Null, |event| event.event["properties"]["product"].clone());
    let fields = [
        ("orders", json!(orders.len())),
        ("ltv", amount((!cents.is_empty()).then(|| cents.iter().sum()))),
        ("smallest_order", amount(cents.iter().copied().min())),
        ("largest_order", amount(cents.iter().copied().max())),
        ("first_viewed", product(views.first())),
        ("last_viewed", product(views.last())),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn segments(
    own: &[&Counted<'_>],
    traits: &Map<String, Value>,
    computed: &Map<String, Value>,
    now: i64,
) -> BTreeSet<String> {
    let orders = computed["orders"].as_u64().unwrap();
    let views = named(own, "Product Viewed");
    let lately = views.iter().filter(|view| view.at > now - 30 * DAY).count();
    let german = traits.get("country").is_some_and(|country| country == "DE");
    let rules = [
        ("buyers", orders >= 1),
        ("loyal", orders >= 3),
        ("big_spenders", computed["ltv"].as_f64().is_some_and(|ltv| ltv > 500.0)),
        ("germans", german),
        ("german_buyers", german && orders >= 1),
        ("browsers", views.len() >= 5 && orders == 0),
        ("lately", lately >= 2),
    ];
    rules.into_iter().filter(|(_, is_in)| *is_in).map(|(name, _)| name.to_owned()).collect()
}

/// The names of all segments.
pub(crate) const SEGMENTS: [&str; 7] =
    ["buyers", "loyal", "big_spenders", "germans", "german_buyers", "browsers", "lately"];
