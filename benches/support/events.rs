//! The events that everything is measured with: generated before any clock runs, from a fixed seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::ops::Range;

/// Customers there are.
pub(crate) const CUSTOMERS: usize = 100_000;
/// Digits of a message's number.
const DIGITS: usize = 12;
/// What every event begins with, so that its number can be changed in place.
const HEAD: &[u8] = b"{\"messageId\":\"m-";
/// A request may have 500 KB, and clients rarely put more than so many events into one.
const BATCH_BYTES: usize = 490_000;
const BATCH_EVENTS: usize = 500;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Events as clients send them.
#[derive(Debug)]
pub(crate) struct Events(Vec<Vec<u8>>);

impl Events {
    /// So many events of Zipf-distributed customers, over the last forty days up to `now` (milliseconds).
    pub(crate) fn generate(count: usize, now: i64) -> Self {
        Self::of(CUSTOMERS, count, now)
    }

    /// The same of so many customers.
    pub(crate) fn of(customers: usize, count: usize, now: i64) -> Self {
        let mut rng = StdRng::seed_from_u64(42);
        let zipf = Zipf::new(customers);
        let events = (0..count).map(|number| {
            let customer = zipf.draw(&mut rng);
            encode(number, &event(customer, now - rng.random_range(MINUTE..40 * DAY), &mut rng))
        });
        Self(events.collect())
    }

    /// One event for each of these customers, who is known by it; messages are numbered from `first` on, by customer.
    pub(crate) fn everybody(first: usize, customers: Range<usize>, now: i64) -> Self {
        let mut rng = StdRng::seed_from_u64(43);
        let events = customers.map(|customer| {
            let mut body = event(customer, now - rng.random_range(MINUTE..40 * DAY), &mut rng);
            body["userId"] = json!(user(customer));
            encode(first + customer, &body)
        });
        Self(events.collect())
    }

    /// An event that a trigger fires on, whose message tells its number.
    pub(crate) fn probe(number: usize, probe: usize, at: i64) -> Vec<u8> {
        let customer = probe % CUSTOMERS;
        let body = json!({ "type": "track", "event": "Probe", "userId": user(customer),
            "timestamp": tributary_model::format_millis(at), "properties": { "probe": probe } });
        encode(number, &body)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Mean size in bytes.
    pub(crate) fn mean_bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum::<usize>() / self.0.len().max(1)
    }

    /// Bodies of `/v1/batch` with all of them, each with the number of its events.
    pub(crate) fn batches(&self) -> Vec<(Vec<u8>, usize)> {
        batches(self.0.iter().map(Vec::as_slice))
    }

    /// The same of so many of them (they are gone through again and again), under new message ids from `first` on.
    pub(crate) fn renumbered_batches(&self, first: usize, count: usize) -> Vec<(Vec<u8>, usize)> {
        batches((first..first + count).map(|number| self.renumbered(number, number)))
    }

    /// A copy of one of them (they are gone through again and again), under a new message id.
    pub(crate) fn renumbered(&self, which: usize, number: usize) -> Vec<u8> {
        renumbered(&self.0[which % self.0.len()], number)
    }
}

pub(crate) fn batches<B: AsRef<[u8]>>(events: impl Iterator<Item = B>) -> Vec<(Vec<u8>, usize)> {
    let mut batches = Vec::new();
    let mut batch = Batch::new();
    for event in events {
        let event = event.as_ref();
        if batch.events == BATCH_EVENTS || batch.bytes.len() + event.len() + 3 > BATCH_BYTES {
            batches.push(std::mem::replace(&mut batch, Batch::new()).close());
        }
        batch.push(event);
    }
    batches.push(batch.close());
    batches
}

/// The body of a batch as it grows.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    events: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { bytes: b"{\"batch\":[".to_vec(), events: 0 }
    }

    pub(crate) fn push(&mut self, event: &[u8]) {
        if self.events > 0 {
            self.bytes.push(b',');
        }
        self.bytes.extend_from_slice(event);
        self.events += 1;
    }

    pub(crate) fn close(mut self) -> (Vec<u8>, usize) {
        self.bytes.extend_from_slice(b"]}");
        (self.bytes, self.events)
    }
}

/// A copy of an event under a new message id.
pub(crate) fn renumbered(event: &[u8], number: usize) -> Vec<u8> {
    let mut event = event.to_vec();
    event[HEAD.len()..HEAD.len() + DIGITS].copy_from_slice(format!("{number:0DIGITS$}").as_bytes());
    event
}

/// An event's bytes, under the number of its message.
pub(crate) fn encode(number: usize, body: &Value) -> Vec<u8> {
    let fields = body.to_string();
    let mut event = HEAD.to_vec();
    event.extend_from_slice(format!("{number:0DIGITS$}\",").as_bytes());
    event.extend_from_slice(&fields.as_bytes()[1..]);
    event
}

/// A customer's `userId`.
pub(crate) fn user(customer: usize) -> String {
    format!("user-{customer:06}")
}

/// What a customer does at a time.
pub(crate) fn event(customer: usize, at: i64, rng: &mut StdRng) -> Value {
    let sku = rng.random_range(1000..2000);
    let line = json!({ "product_id": format!("SKU-{sku}"), "name": "Three-season tent, olive", "category": "outdoor",
        "price": f64::from(rng.random_range(500..30_000)) / 100.0, "quantity": rng.random_range(1..4) });
    let total = f64::from(rng.random_range(500..60_000)) / 100.0;
    let (kind, name, properties) = match rng.random_range(0..100) {
        0..60 => ("track", "Product Viewed", line),
        60..75 => (
            "page",
            "Home",
            json!({ "title": "Home - The Outfitters", "path": "/", "referrer": "https://search.example/" }),
        ),
        75..85 => ("track", "Product Added", line),
        85..90 => ("track", "Checkout Started", json!({ "value": total, "currency": "EUR", "items": 3 })),
        90..97 => (
            "track",
            "Order Completed",
            json!({ "order_id": format!("o-{:08}", rng.random_range(0..99_999_999)), "total": total, "currency": "EUR" }),
        ),
        _ => ("identify", "", Value::Null),
    };
    let device = rng.random_range(0..2);
    let mut body = json!({
        "type": kind, "timestamp": tributary_model::format_millis(at),
        "anonymousId": format!("5f0c2a9e-77d1-4f6b-8a11-{customer:08}{device:04}"),
        "context": {
            "library": { "name": "analytics.js", "version": "2.11.1" }, "locale": "de-DE", "ip": "203.0.113.17",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "page": { "path": "/outdoor/tents", "url": "https://shop.example/outdoor/tents", "title": "Tents" },
        },
    });
    match kind {
        "track" => body["event"] = json!(name),
        "page" => body["name"] = json!(name),
        _ => {
            let country = ["DE", "FR", "AT", "NL"][rng.random_range(0..4)];
            body["traits"] =
                json!({ "email": format!("customer{customer}@example.com"), "country": country, "name": "Mira Novak" });
        }
    }
    if properties.is_object() {
        body["properties"] = properties;
    }
    if kind == "identify" || rng.random_bool(0.7) {
        body["userId"] = json!(user(customer));
    }
    body
}

/// Ranks by Zipf's law with exponent 1.
pub(crate) struct Zipf(Vec<f64>);

impl Zipf {
    pub(crate) fn new(ranks: usize) -> Self {
        let mut sum = 0.0;
        Self(
            (1..=ranks)
                .map(|rank| {
                    sum += 1.0 / rank as f64;
                    sum
                })
                .collect(),
        )
    }

    pub(crate) fn draw(&self, rng: &mut StdRng) -> usize {
        let at = rng.random_range(0.0..self.0[self.0.len() - 1]);
        self.0.partition_point(|sum| *sum < at).min(self.0.len() - 1)
    }
}
