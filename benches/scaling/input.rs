//! Events for the curves, in batches.

use crate::support::events::{self, Events, Zipf};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::ops::Range;

const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;
/// Message numbers of different makers do not meet.
const OF_PROFILES: usize = 1_000_000_000;

/// Bodies of requests, each with the number of its events.
pub(crate) type Batches = Vec<(Vec<u8>, usize)>;

/// All that is sent for a point of a curve.
pub(crate) struct Input(Batches);

impl Input {
    pub(crate) fn of(events: Events) -> Self {
        Self(events.batches())
    }

    pub(crate) fn new(events: impl Iterator<Item = Vec<u8>>) -> Self {
        Self(events::batches(events))
    }

    pub(crate) fn all(self) -> Batches {
        self.0
    }

    /// A seventh, the rest, and how many events are in the rest.
    pub(crate) fn split(self) -> (Batches, Batches, usize) {
        let mut warm = self.0;
        let rest = warm.split_off(warm.len() / 7);
        let count = rest.iter().map(|(_, events)| events).sum();
        (warm, rest, count)
    }
}

/// One event of each of some customers, who is known by it.
pub(crate) fn profiles(customers: Range<usize>, now: i64) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(customers.start as u64);
    customers.map(move |customer| {
        let mut body = events::event(customer, now - rng.random_range(MINUTE..40 * DAY), &mut rng);
        body["userId"] = json!(events::user(customer));
        events::encode(OF_PROFILES + customer, &body)
    })
}

/// So many events of Zipf-distributed customers, of whom there are so many.
pub(crate) fn visits(customers: usize, count: usize, now: i64) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(44);
    let zipf = Zipf::new(customers);
    (0..count).map(move |number| {
        let customer = zipf.draw(&mut rng);
        events::encode(number, &events::event(customer, now - rng.random_range(MINUTE..40 * DAY), &mut rng))
    })
}

/// Views of products with so many properties.
pub(crate) fn properties(properties: usize, count: usize, now: i64) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(45);
    let zipf = Zipf::new(events::CUSTOMERS);
    (0..count).map(move |number| {
        let customer = zipf.draw(&mut rng);
        let all: serde_json::Map<_, _> = (0..properties)
            .map(|at| (format!("property_{at}"), json!(format!("value {}", rng.random_range(0..999)))))
            .collect();
        let body = json!({ "type": "track", "event": "Product Viewed", "userId": events::user(customer),
            "timestamp": tributary_model::format_millis(now - rng.random_range(MINUTE..40 * DAY)), "properties": all });
        events::encode(number, &body)
    })
}
