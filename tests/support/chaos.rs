//! Customers whose every event goes to each of several destinations: what is sent, and what must be so of what comes.

use super::client::{As, Client, WRITE_KEY};
use super::endpoint::{Call, Endpoint};
use super::wait::eventually;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Customers; events are theirs in turn.
pub(crate) const PEOPLE: u64 = 25;
/// Events in one request, where it does not matter when each is sent.
const BATCH: u64 = 5;
/// Between two events where it does: so many a second that each destination is busy, and none that is well is ever
/// behind.
const PERIOD: Duration = Duration::from_millis(25);
const LONG: Duration = Duration::from_secs(120);

/// What each trigger says: [`Fired`].
const BODY: &str =
    r#"{"number": {{ event.properties.number | tojson }}, "due_us": {{ event.properties.due_us | tojson }}}"#;

/// A message about one event.
#[derive(Debug, Deserialize)]
pub(crate) struct Fired {
    /// The event's number.
    pub(crate) number: u64,
    /// When it was due, in microseconds since the customers came.
    due_us: u64,
}

impl Fired {
    #[track_caller]
    pub(crate) fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
    }
}

/// Definitions by which each event is told to each of these destinations, given by their fields.
pub(crate) fn definitions(destinations: &[(&str, String)]) -> String {
    let mut yaml = "destinations:\n".to_owned();
    for (name, fields) in destinations {
        yaml += &format!("  {name}: {{ {fields} }}\n");
    }
    yaml += "triggers:\n";
    for (name, _) in destinations {
        yaml += &format!("  to_{name}: {{ on: {{ event: Fired }}, send: {{ to: {name}, body: '{BODY}' }} }}\n");
    }
    yaml
}

/// A customer by number.
pub(crate) fn user(person: u64) -> String {
    format!("u{person}")
}

/// What the ways of some messages took, from when their events were due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latencies {
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

/// Those who do something.
#[derive(Debug)]
pub(crate) struct Customers {
    since: Instant,
    /// Events that were accepted, which are those with smaller numbers.
    accepted: u64,
}

impl Customers {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), accepted: 0 }
    }

    /// How many of their events were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    fn event(&self, number: u64, due: Instant) -> Value {
        let due_us = due.saturating_duration_since(self.since).as_micros() as u64;
        json!({ "type": "track", "event": "Fired", "userId": user(number % PEOPLE), "messageId": format!("fired-{number}"),
            "properties": { "number": number, "due_us": due_us } })
    }

    /// Sends events in their order, until so many are accepted in all or the server is gone. What was not answered is
    /// sent again by the next call, as every client does.
    pub(crate) fn send(&mut self, client: &Client, in_all: u64) {
        while self.accepted < in_all {
            let next = in_all.min(self.accepted + BATCH);
            let batch: Vec<Value> = (self.accepted..next).map(|number| self.event(number, Instant::now())).collect();
            let body = json!({ "batch": batch }).to_string().into_bytes();
            match client.request(Method::POST, "/v1/batch", As::Basic(WRITE_KEY), &[], body) {
                Ok(answer) if answer.status == 200 => self.accepted = next,
                Ok(answer) => {
                    assert!(matches!(answer.status, 429 | 503), "{}", answer.text());
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(_) => return,
            }
        }
    }

    /// Sends so many events by the clock, whatever becomes of those before, and waits until their messages are at an
    /// endpoint.
    pub(crate) fn send_by_the_clock(&mut self, client: &Client, count: u32, endpoint: &Endpoint) -> Latencies {
        let (first, start) = (self.accepted, Instant::now());
        for place in 0..count {
            let due = start + PERIOD * place;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            client.batch(&[self.event(self.accepted, due)]);
            self.accepted += 1;
        }
        let mut took = eventually("all messages are at the destination that is well", LONG, || {
            let mut took: BTreeMap<u64, Duration> = BTreeMap::new();
            for call in endpoint.calls().iter().filter(|call| call.is_accepted) {
                let Fired { number, due_us } = Fired::of(&call.body);
                let due = self.since + Duration::from_micros(due_us);
                took.entry(number).or_insert(call.at.saturating_duration_since(due));
            }
            let took: Vec<_> = took.range(first..).map(|(_, took)| *took).collect();
            if took.len() == count as usize { Ok(took) } else { Err(format!("{} of {count} are", took.len())) }
        });
        took.sort_unstable();
        Latencies { p99: took[took.len() * 99 / 100], max: took[took.len() - 1] }
    }
}

/// The events whose messages an endpoint has taken.
///
/// # Panics
/// If a message came under two ids, or an id with two bodies.
#[track_caller]
pub(crate) fn taken(calls: &[Call]) -> BTreeSet<u64> {
    let (mut bodies, mut ids) = (BTreeMap::new(), BTreeMap::new());
    let mut taken = BTreeSet::new();
    for call in calls {
        let (id, number) = (call.header("webhook-id"), Fired::of(&call.body).number);
        let body = *bodies.entry(id).or_insert(&call.body);
        assert_eq!(*body, call.body, "{id} has come with two bodies");
        let first = *ids.entry(number).or_insert(id);
        assert_eq!(first, id, "the message about event {number} has come under two ids");
        taken.extend(call.is_accepted.then_some(number));
    }
    taken
}

/// The events that calls are about, call by call.
pub(crate) fn numbers<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Vec<u64> {
    calls.into_iter().map(|call| Fired::of(&call.body).number).collect()
}

/// Checks that events came in the order in which their customers caused them, where only the first coming of each
/// counts.
#[track_caller]
pub(crate) fn assert_in_order(numbers: &[u64]) {
    let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
    for number in numbers {
        if seen.insert(number)
            && let Some(last) = last.insert(number % PEOPLE, number)
        {
            assert!(last < number, "{last} has come before {number}, which is of the same customer");
        }
    }
}

/// What has become of all messages: how many of each destination have each status, by what is told of each customer.
///
/// # Panics
/// If two messages have the same id.
#[track_caller]
pub(crate) fn outcomes(client: &Client) -> BTreeMap<(String, String), u64> {
    let mut outcomes = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for person in 0..PEOPLE {
        let answer = client.get(&format!("/v1/profiles/user_id:{}/messages?limit=1000", user(person))).ok();
        assert_eq!(answer["next"], Value::Null, "they fit into one page");
        for message in answer["messages"].as_array().unwrap() {
            let word = |field: &str| message[field].as_str().unwrap().to_owned();
            assert!(ids.insert(word("id")), "two messages have the id {}", word("id"));
            *outcomes.entry((word("destination"), word("status"))).or_default() += 1;
        }
    }
    outcomes
}
