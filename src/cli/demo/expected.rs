//! What must come out of the traffic, recomputed from its full list of events by plain loops that share no code with
//! the engine. It knows the rules of `config/definitions/shop.yaml` by heart.

use super::traffic::Traffic;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// The segments of the sample shop.
pub(super) const SEGMENTS: [&str; 7] =
    ["vip", "repeat_buyers", "big_spenders_7d", "cart_abandoners", "newcomers", "german_customers", "win_back"];

/// A customer as it must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    /// `namespace:value` of every identifier.
    pub(super) identifiers: BTreeSet<String>,
    /// The segments it is in.
    pub(super) segments: BTreeSet<&'static str>,
    /// How often it has ordered.
    pub(super) orders: usize,
    /// What it has spent in all, in cents.
    pub(super) cents: i64,
}

impl Profile {
    /// What it is called in [`Expected::triggers`] and in messages.
    pub(super) fn key(&self) -> &str {
        self.identifiers.last().map_or("nobody", String::as_str)
    }
}

/// Everything that must come out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Every customer.
    pub(super) profiles: Vec<Profile>,
    /// Members of each segment.
    pub(super) counts: BTreeMap<&'static str, i64>,
    /// What fires, each once: a trigger, and the key of the customer that it is about, or the order's id.
    pub(super) triggers: BTreeSet<(&'static str, String)>,
}

/// One message as it counts.
struct Counted<'a> {
    body: &'a Value,
    at: i64,
    /// Best first; the first is whom the event belongs to.
    identifiers: Vec<String>,
}

impl Expected {
    /// What must come out of this traffic at `now`.
    pub(super) fn of(traffic: &Traffic, now: i64) -> Self {
        let events = count(traffic);
        let mut expected = Self::default();
        expected.counts.extend(SEGMENTS.map(|segment| (segment, 0)));
        for (identifiers, own) in customers(&events) {
            let profile = profile(identifiers, &own, now);
            for segment in &profile.segments {
                *expected.counts.entry(segment).or_default() += 1;
            }
            for (segment, trigger) in [("vip", "vip_welcome"), ("cart_abandoners", "cart_reminder")] {
                if profile.segments.contains(segment) {
                    expected.triggers.insert((trigger, profile.key().to_owned()));
                }
            }
            expected.profiles.push(profile);
        }
        for order in events.iter().filter(|event| is(event, "Order Completed") && cents(event) > 10_000) {
            let id = order.body.pointer("/properties/order_id").and_then(Value::as_str).unwrap_or_default();
            expected.triggers.insert(("order_thanks", id.to_owned()));
        }
        expected
    }
}

/// Each message once, with the identifiers that identify somebody.
fn count(traffic: &Traffic) -> Vec<Counted<'_>> {
    let mut seen = BTreeSet::new();
    let mut counted = Vec::new();
    for sample in traffic.prelude.iter().chain(&traffic.events) {
        let body = &sample.body;
        let text = |at: &str| body.pointer(at).and_then(Value::as_str);
        if !seen.insert(text("/messageId")) {
            continue;
        }
        let mut identifiers = Vec::new();
        let email = text("/traits/email").or(text("/properties/email"));
        for (namespace, value) in
            [("user_id", text("/userId")), ("email", email), ("anonymous_id", text("/anonymousId"))]
        {
            let Some(value) = value.filter(|value| !["null", "undefined", "0"].contains(value)) else { continue };
            let value = if namespace == "email" { value.to_lowercase() } else { value.to_owned() };
            identifiers.push(format!("{namespace}:{value}"));
        }
        let at = text("/timestamp").and_then(|at| at.parse::<jiff::Timestamp>().ok());
        counted.push(Counted { body, at: at.map_or(0, |at| at.as_millisecond()), identifiers });
    }
    counted
}

/// Who is one customer: the identifiers that links join, but for links of shared devices; each with its events.
fn customers<'a>(events: &'a [Counted<'a>]) -> Vec<(BTreeSet<String>, Vec<&'a Counted<'a>>)> {
    let mut links: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut own: BTreeMap<&str, Vec<&Counted<'_>>> = BTreeMap::new();
    for event in events {
        let Some((best, others)) = event.identifiers.split_first() else { continue };
        own.entry(best).or_default().push(event);
        links.entry(best).or_default();
        for other in others {
            links.entry(best).or_default().insert(other);
            links.entry(other).or_default().insert(best);
        }
    }
    let is_shared = |identifier: &str, linked: &BTreeSet<&str>| {
        identifier.starts_with("anonymous_id:") && linked.iter().filter(|to| to.starts_with("user_id:")).count() > 3
    };
    let shared: BTreeSet<&str> =
        links.iter().filter(|(identifier, linked)| is_shared(identifier, linked)).map(|(shared, _)| *shared).collect();

    let mut found = Vec::new();
    let mut placed = BTreeSet::new();
    for start in links.keys() {
        let mut identifiers = BTreeSet::new();
        let mut to_visit = vec![*start];
        while let Some(identifier) = to_visit.pop() {
            if !placed.insert(identifier) {
                continue;
            }
            identifiers.insert(identifier.to_owned());
            if !shared.contains(identifier) {
                let linked = links.get(identifier).into_iter().flatten();
                to_visit.extend(linked.filter(|linked| !shared.contains(*linked)));
            }
        }
        if !identifiers.is_empty() {
            let events = identifiers.iter().filter_map(|identifier| own.get(identifier.as_str())).flatten();
            let events = events.copied().collect();
            found.push((identifiers, events));
        }
    }
    found
}

fn profile(identifiers: BTreeSet<String>, own: &[&Counted<'_>], now: i64) -> Profile {
    let orders: Vec<_> = own.iter().filter(|event| is(event, "Order Completed")).collect();
    let checkouts = own.iter().filter(|event| is(event, "Checkout Started"));
    let spent: i64 = orders.iter().map(|order| cents(order)).sum();
    let since = |days: i64| move |event: &Counted<'_>| event.at > now - days * DAY;
    let spent_lately: i64 = orders.iter().filter(|order| since(7)(order)).map(|order| cents(order)).sum();
    let last_order = orders.iter().map(|order| order.at).max().unwrap_or(0);
    let last_checkout = checkouts.map(|checkout| checkout.at).max();
    let identified = own.iter().filter(|event| event.body.pointer("/traits/country").is_some());
    let country = identified.max_by_key(|event| event.at).and_then(|event| event.body.pointer("/traits/country"));

    let rules = [
        ("vip", spent > 50_000),
        ("repeat_buyers", orders.iter().filter(|order| since(30)(order)).count() >= 3),
        ("big_spenders_7d", spent_lately > 30_000),
        ("cart_abandoners", last_checkout.is_some_and(|at| at > last_order)),
        ("newcomers", own.iter().all(|event| since(7)(event))),
        ("german_customers", country.is_some_and(|country| country == "DE") && !orders.is_empty()),
        ("win_back", !orders.is_empty() && !orders.iter().any(|order| since(90)(order))),
    ];
    let segments = rules.into_iter().filter(|(_, is_in)| *is_in).map(|(segment, _)| segment).collect();
    Profile { identifiers, segments, orders: orders.len(), cents: spent }
}

fn is(event: &Counted<'_>, name: &str) -> bool {
    event.body.get("event").is_some_and(|event| event == name)
}

fn cents(order: &Counted<'_>) -> i64 {
    let total = order.body.pointer("/properties/total").and_then(Value::as_f64).unwrap_or(0.0);
    (total * 100.0).round() as i64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::SEED;
    use super::super::traffic::Sample;
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_780_000_000_000;

    fn traffic(bodies: impl IntoIterator<Item = Value>) -> Traffic {
        let events = bodies.into_iter().enumerate().map(|(message, mut body)| {
            if body.get("messageId").is_none() {
                body["messageId"] = json!(format!("m{message}"));
            }
            let ago = body["days_ago"].as_i64().unwrap_or(0);
            body["timestamp"] = json!(tributary_model::format_millis(NOW - ago * DAY - 5 * 3_600_000));
            Sample { visitor: 0, body }
        });
        Traffic { prelude: Vec::new(), events: events.collect() }
    }

    fn order(user: &str, id: &str, total: f64, days_ago: i64) -> Value {
        let properties = json!({ "order_id": id, "total": total });
        json!({ "userId": user, "event": "Order Completed", "properties": properties, "days_ago": days_ago })
    }

    #[test]
    fn the_same_traffic_expects_the_same_and_every_segment_and_trigger_occurs() {
        let traffic = Traffic::generate(SEED, NOW);
        let expected = Expected::of(&traffic, NOW);
        assert_eq!(expected, Expected::of(&traffic, NOW));
        assert!((2_000..3_200).contains(&expected.profiles.len()), "{}", expected.profiles.len());
        for (segment, count) in &expected.counts {
            assert!(*count >= 20, "{segment}: {count}");
        }
        for trigger in ["vip_welcome", "cart_reminder", "order_thanks"] {
            let fired = expected.triggers.iter().filter(|(fired, _)| *fired == trigger).count();
            assert!(fired >= 100, "{trigger}: {fired}");
        }
    }

    #[test]
    fn no_sum_lies_on_a_threshold() {
        let traffic = Traffic::generate(SEED, NOW);
        for profile in Expected::of(&traffic, NOW).profiles {
            assert!(profile.cents != 50_000 && profile.cents != 30_000, "{profile:?}");
        }
    }

    #[test]
    fn a_visitor_who_logs_in_is_one_customer_and_a_shared_tablet_joins_nobody() {
        let mut bodies = vec![json!({ "anonymousId": "a" }), json!({ "anonymousId": "a", "userId": "u" })];
        bodies.extend((0..4).map(|user| json!({ "anonymousId": "tablet", "userId": format!("f{user}") })));
        let expected = Expected::of(&traffic(bodies), NOW);
        let keys: Vec<&str> = expected.profiles.iter().map(Profile::key).collect();
        assert_eq!(keys, ["user_id:u", "anonymous_id:tablet", "user_id:f0", "user_id:f1", "user_id:f2", "user_id:f3"]);
        assert_eq!(expected.profiles[0].identifiers.len(), 2);
    }

    #[test]
    fn a_retry_changes_nothing() {
        let mut body = order("u", "o1", 300.0, 1);
        body["messageId"] = json!("same");
        let expected = Expected::of(&traffic([body.clone(), body]), NOW);
        assert_eq!(expected.profiles[0].orders, 1);
        assert_eq!(expected.counts["vip"], 0);
    }

    #[test]
    fn spending_repeating_and_staying_away_put_into_segments_and_fire() {
        let bodies = [
            order("u", "o1", 300.0, 1),
            order("u", "o2", 300.5, 2),
            order("u", "o3", 20.0, 29),
            order("w", "o4", 9.0, 95),
        ];
        let expected = Expected::of(&traffic(bodies), NOW);
        assert_eq!(expected.profiles[0].segments, ["big_spenders_7d", "repeat_buyers", "vip"].into());
        assert_eq!(expected.profiles[1].segments, ["win_back"].into());
        let fired = [("order_thanks", "o1"), ("order_thanks", "o2"), ("vip_welcome", "user_id:u")];
        assert_eq!(expected.triggers, fired.map(|(trigger, of)| (trigger, of.to_owned())).into());
    }

    #[test]
    fn a_cart_is_left_behind_unless_an_order_came_after_it() {
        let checkout =
            |user: &str, days_ago: i64| json!({ "userId": user, "event": "Checkout Started", "days_ago": days_ago });
        let bodies = [checkout("left", 1), checkout("bought", 3), order("bought", "o", 5.0, 2)];
        let expected = Expected::of(&traffic(bodies), NOW);
        assert_eq!(expected.counts["cart_abandoners"], 1);
        assert_eq!(expected.triggers, [("cart_reminder", "user_id:left".to_owned())].into());
    }
}
