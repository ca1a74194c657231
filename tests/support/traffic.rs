//! Random shop traffic from a seed: the same seed gives the same events, at least as far apart from each other.
//!
//! It has visitors who log in later, families with one tablet, kiosks that everybody uses, e-mail addresses given
//! before any account, events that come late or twice, and user ids that identify nobody. Only events that carry a
//! user id count for triggers, and at most one person of a family orders: so how often each trigger must fire does
//! not depend on how events fall into epochs, and the oracle can say it.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What the traffic is about; [`super::oracle`] knows the same rules as plain loops.
pub(crate) const SHOP: &str = r#"
identity:
  namespaces:
    user_id:      { priority: 1 }
    email:        { priority: 2, normalise: email, from: [traits.email, context.traits.email] }
    anonymous_id: { priority: 9, shared_after: { user_id: 3 } }
  block: ["null", "anonymous", "re:^[0-]*$"]
traits:
  orders: count(*) FILTER (WHERE event = 'Order Completed')
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
  smallest_order: min(properties.total) FILTER (WHERE event = 'Order Completed')
  largest_order: max(properties.total) FILTER (WHERE event = 'Order Completed')
  first_viewed: first(properties.product) FILTER (WHERE event = 'Product Viewed')
  last_viewed: last(properties.product) FILTER (WHERE event = 'Product Viewed')
segments:
  buyers:        { name: Bought once, where: orders >= 1 }
  loyal:         { name: Bought thrice, where: "count(*) FILTER (WHERE event = 'Order Completed') >= 3" }
  big_spenders:  { where: ltv > 500 }
  germans:       { where: traits.country = 'DE' }
  german_buyers: { where: in_segment('germans') AND in_segment('buyers') }
  browsers:      { where: "count(*) FILTER (WHERE event = 'Product Viewed') >= 5 AND NOT in_segment('buyers')" }
  lately: { where: "count(*) FILTER (WHERE event = 'Product Viewed' AND timestamp > now() - INTERVAL '30 days') >= 2" }
"#;

/// The destinations and triggers that go with [`SHOP`], to a destination with these fields.
pub(crate) fn triggers(destinations: &[(&str, String)]) -> String {
    let mut yaml = "destinations:\n".to_owned();
    for (name, fields) in destinations {
        yaml += &format!("  {name}: {{ {fields} }}\n");
    }
    yaml += "triggers:\n";
    for (name, _) in destinations {
        yaml += &format!(
            r#"  loyal_{name}:
    on: {{ enter: loyal }}
    send: {{ to: {name}, body: '{{"trigger": "loyal", "profile": {{{{ profile.id | tojson }}}}, "identifiers": {{{{ profile.identifiers | tojson }}}}}}' }}
  refund_{name}:
    on: {{ event: Refund Requested }}
    send: {{ to: {name}, body: '{{"trigger": "refund", "refund": {{{{ event.properties.refund_id | tojson }}}}}}' }}
"#
        );
    }
    yaml
}

/// An order of a user, now.
pub(crate) fn order(user: &str, total: i64) -> Value {
    let at = jiff::Timestamp::now().to_string();
    json!({ "timestamp": at, "type": "track", "userId": user, "event": "Order Completed", "properties": { "total": total } })
}

/// A new seed, or that of `E2E_SEED`. It is printed, and shown if the test fails.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("E2E_SEED").ok().map(|text| text.parse().expect("E2E_SEED is a number"));
    let seed = given.unwrap_or_else(rand::random);
    eprintln!("to repeat this test: E2E_SEED={seed}");
    seed
}

const DAY: i64 = 24 * 60 * 60 * 1000;
const KIOSKS: usize = 3;
/// One more than `shared_after`.
const STAFF: usize = 4;

/// A stream of events; each call of a method goes on where the last ended.
#[derive(Debug)]
pub(crate) struct Traffic {
    rng: StdRng,
    now: i64,
    people: usize,
    used: BTreeSet<i64>,
    messages: usize,
    sent: Vec<Value>,
}

impl Traffic {
    /// Traffic of so many people, all of it before `now` (in milliseconds).
    pub(crate) fn new(seed: u64, people: usize, now: i64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, now, people, used: BTreeSet::new(), messages: 0, sent: Vec::new() }
    }

    /// What makes the kiosks known as shared. To be committed before anything else is sent: while a kiosk is not
    /// shared yet it merges its users, and whoever qualifies as part of such a merge has fired for all of them.
    pub(crate) fn prelude(&mut self) -> Vec<Value> {
        let pairs = (0..KIOSKS).flat_map(|kiosk| (0..STAFF).map(move |staff| (kiosk, staff)));
        let events: Vec<_> = pairs
            .map(|(kiosk, staff)| {
                let who = json!({ "userId": format!("staff{kiosk}-{staff}"), "anonymousId": format!("kiosk{kiosk}") });
                self.event("page", who, json!({ "name": "Log in" }))
            })
            .collect();
        self.sent.extend(events.iter().cloned());
        events
    }

    /// The next events.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            let event = self.next();
            events.push(event.clone());
            self.sent.push(event);
        }
        events
    }

    fn next(&mut self) -> Value {
        if self.sent.len() > 10 && self.rng.random_bool(0.05) {
            let again = self.rng.random_range(0..self.sent.len());
            return self.sent[again].clone();
        }
        let person = self.rng.random_range(0..self.people);
        let user = json!(format!("u{person}"));
        let device = json!(self.device(person));
        let email = json!(format!("Person{person}@Example.com "));
        match self.rng.random_range(0..100) {
            0..35 => self.view(json!({ "anonymousId": device })),
            35..50 => self.view(json!({ "userId": user, "anonymousId": device })),
            50..58 => self.event("page", json!({ "anonymousId": device }), json!({ "name": "Home" })),
            58..63 => {
                let body = json!({ "traits": { "email": email, "newsletter": true } });
                self.event("identify", json!({ "anonymousId": device }), body)
            }
            63..73 => self.log_in(json!({ "userId": user, "anonymousId": device }), &email),
            73..85 if orders(person) => {
                let total = f64::from(self.rng.random_range(100..40_000)) / 100.0;
                let mut body = json!({ "event": "Order Completed", "properties": { "total": total } });
                if self.rng.random_bool(0.3) {
                    body["context"] = json!({ "traits": { "email": email } });
                }
                let mut who = json!({ "userId": user });
                if self.rng.random_bool(0.5) {
                    who["anonymousId"] = device;
                }
                self.event("track", who, body)
            }
            85..88 => {
                let refund = format!("r{}", self.messages);
                let body = json!({ "event": "Refund Requested", "properties": { "refund_id": refund } });
                self.event("track", json!({ "userId": user }), body)
            }
            88..93 => {
                let kiosk = format!("kiosk{}", self.rng.random_range(0..KIOSKS));
                self.view(json!({ "userId": user, "anonymousId": kiosk }))
            }
            93..96 => self.view(json!({ "userId": "null", "anonymousId": device })),
            96..98 => self.event("screen", json!({ "userId": user }), json!({ "name": "Cart" })),
            _ => {
                let body = json!({ "groupId": format!("g{}", person % 5), "traits": { "plan": "team" } });
                self.event("group", json!({ "userId": user }), body)
            }
        }
    }

    fn view(&mut self, who: Value) -> Value {
        let product = format!("p{}", self.rng.random_range(0..50));
        self.event("track", who, json!({ "event": "Product Viewed", "properties": { "product": product } }))
    }

    fn log_in(&mut self, who: Value, email: &Value) -> Value {
        let mut traits = json!({ "email": email });
        traits["country"] = json!(["DE", "FR", "AT"][self.rng.random_range(0..3)]);
        match self.rng.random_range(0..4) {
            0 => traits["plan"] = json!("gold"),
            1 => traits["plan"] = Value::Null,
            2 => traits["address"] = json!({ "city": "Köln", "lines": [1, 2] }),
            _ => {}
        }
        self.event("identify", who, json!({ "traits": traits }))
    }

    /// One of a person's own devices, or the family's tablet.
    fn device(&mut self, person: usize) -> String {
        let family = person / 2;
        match self.rng.random_range(0..10) {
            0 | 1 if has_tablet(family) => format!("tablet{family}"),
            2..6 => format!("a{person}-phone"),
            _ => format!("a{person}-laptop"),
        }
    }

    fn event(&mut self, kind: &str, who: Value, body: Value) -> Value {
        self.messages += 1;
        let at = jiff::Timestamp::from_millisecond(self.instant()).unwrap();
        let mut event = json!({
            "type": kind,
            "messageId": format!("m{}", self.messages),
            "timestamp": format!("{at:.3}"),
        });
        for part in [who, body] {
            for (name, value) in part.as_object().unwrap() {
                event[name] = value.clone();
            }
        }
        event
    }

    /// An instant that no other event has: mostly of the last weeks, some of long before, none within days of the
    /// edge of the 30-day window.
    fn instant(&mut self) -> i64 {
        loop {
            let days = if self.rng.random_bool(0.8) { 0..20 } else { 40..60 };
            let at = self.now - self.rng.random_range(days.start * DAY + 60_000..days.end * DAY);
            if self.used.insert(at) {
                return at;
            }
        }
    }
}

/// Every third family shares a tablet.
fn has_tablet(family: usize) -> bool {
    family.is_multiple_of(3)
}

/// Of a family with a tablet only one person orders.
fn orders(person: usize) -> bool {
    !has_tablet(person / 2) || person.is_multiple_of(2)
}
