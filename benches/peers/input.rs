//! The input topic: what is in it, and what is sent into it later.
//!
//! Made so that a system without recursive identity comes to the same answers: the first event of each device carries the
//! user's id. And so that the clock does not change the answers while a run lasts: no event is near the edge of a window.

use crate::support::events::{self, CUSTOMERS, Zipf};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Partitions of the input topic; a device's events are in one, in order.
pub(crate) const PARTITIONS: i32 = 4;
/// Events at an end of a phase, in each partition: a system that re-partitions by customer has some behind all others in
/// each of its own.
const MARKS: usize = 64;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// How long ago events happened. The windows of `definitions.yaml` end at 1, 7 and 30 days.
const AGES: [(i64, i64); 4] =
    [(HOUR / 10, 20 * HOUR), (26 * HOUR, 6 * DAY + DAY / 2), (7 * DAY + DAY / 2, 29 * DAY), (31 * DAY, 40 * DAY)];

/// A record of the input topic.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    /// The device.
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
    /// Whose event it is.
    customer: usize,
    is_order: bool,
}

/// An event that fires the trigger, and what the trigger has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) number: usize,
    /// Orders that the customer has by then.
    pub(crate) orders: u32,
}

/// Makes records, and knows what came of those that were made.
#[derive(Debug)]
pub(crate) struct Input {
    /// The next message's number.
    message: usize,
    /// The next probe's.
    probe: usize,
    /// Orders of each customer, of all records made so far.
    orders: Vec<u32>,
    now: i64,
    /// The events of the first phases, which are sent again under new ids when latencies are taken.
    pool: Vec<Record>,
}

impl Input {
    /// So many events of Zipf-distributed customers. `now` is in milliseconds since 1970.
    pub(crate) fn generate(count: usize, now: i64) -> Self {
        let mut rng = StdRng::seed_from_u64(42);
        let zipf = Zipf::new(CUSTOMERS);
        let mut devices = HashSet::new();
        let mut orders = vec![0; CUSTOMERS];
        let pool = (0..count).map(|number| {
            let customer = zipf.draw(&mut rng);
            let mut body = events::event(customer, now - age(&mut rng), &mut rng);
            let key = body["anonymousId"].as_str().unwrap().to_owned();
            if devices.insert(key.clone()) {
                body["userId"] = json!(events::user(customer));
            }
            let is_order = body["event"] == "Order Completed";
            orders[customer] += u32::from(is_order);
            Record { partition: partition(&key), key, body: events::encode(number, &body), customer, is_order }
        });
        let pool: Vec<_> = pool.collect();
        Self { message: count, probe: 0, orders, now, pool }
    }

    /// All events of the first phases.
    pub(crate) fn pool(&self) -> &[Record] {
        &self.pool
    }

    /// One of them under a new id; `which` goes round.
    pub(crate) fn again(&mut self, which: usize) -> Record {
        let mut record = self.pool[which % self.pool.len()].clone();
        record.body = events::renumbered(&record.body, self.message);
        self.message += 1;
        self.orders[record.customer] += u32::from(record.is_order);
        record
    }

    /// An event of some customer that fires the trigger.
    pub(crate) fn probe(&mut self) -> (Record, Probe) {
        let customer = self.probe * 7 % CUSTOMERS;
        let key = format!("5f0c2a9e-77d1-4f6b-8a11-{customer:08}0000");
        self.probe_of(customer, partition(&key), key)
    }

    /// Events behind all others: when their triggers have come, all before them has been done. Their orders are not
    /// compared, since another partition may be read later.
    pub(crate) fn marks(&mut self) -> Vec<(Record, Probe)> {
        let places = (0..PARTITIONS).flat_map(|partition| (0..MARKS).map(move |mark| (partition, mark)));
        let mut marks = Vec::new();
        for (partition, mark) in places {
            let key = format!("mark-{:08}-{partition}", self.probe);
            marks.push(self.probe_of(mark * 1009 % CUSTOMERS, partition, key));
        }
        marks
    }

    fn probe_of(&mut self, customer: usize, partition: i32, key: String) -> (Record, Probe) {
        let probe = Probe { number: self.probe, orders: self.orders[customer] };
        let body = json!({ "type": "track", "event": "Probe", "userId": events::user(customer), "anonymousId": key,
            "timestamp": tributary_model::format_millis(self.now - 60_000), "properties": { "probe": probe.number } });
        let body = events::encode(self.message, &body);
        self.message += 1;
        self.probe += 1;
        (Record { partition, key, body, customer, is_order: false }, probe)
    }
}

/// What a trigger said: `{"probe":n,"orders":k}`.
pub(crate) fn read(trigger: &[u8]) -> Probe {
    let body: Value = serde_json::from_slice(trigger).unwrap();
    let number = |field: &str| body[field].as_u64().unwrap_or_else(|| panic!("no number `{field}` in {body}"));
    Probe { number: number("probe") as usize, orders: number("orders") as u32 }
}

fn age(rng: &mut StdRng) -> i64 {
    let whole: i64 = AGES.iter().map(|(from, to)| to - from).sum();
    let mut at = rng.random_range(0..whole);
    for (from, to) in AGES {
        if at < to - from {
            return from + at;
        }
        at -= to - from;
    }
    AGES[0].0
}

/// FNV-1a: any hash does, as long as a device stays in its partition.
fn partition(key: &str) -> i32 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash % PARTITIONS as u32) as i32
}
