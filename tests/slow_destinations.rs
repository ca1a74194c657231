//! Destinations that fail, stall, want to be left alone or are not there, beside one that is well, while the server is
//! killed again and again. Nothing is lost, nothing comes under two ids, each customer's messages come in order, and
//! those to the destination that is well come as if the others were not there.

use crate::support::chaos::{
    Customers, Fired, Latencies, PEOPLE, assert_in_order, definitions, numbers, outcomes, taken,
};
use crate::support::client::Client;
use crate::support::endpoint::{Endpoint, Mood};
use crate::support::kafka::Broker;
use crate::support::server::Site;
use crate::support::wait::{SOON, equal, eventually};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How late messages to a destination that is well are at most, from when their events were due, however others are: 99
/// of a hundred of them, and any.
const P99: Duration = Duration::from_millis(500);
const MAX: Duration = Duration::from_secs(2);
/// So often that is tried: the machine may be busy with other tests, but a destination that holds others up does so
/// each time.
const TRIES: usize = 3;
/// Events by which it is measured.
const MEASURED: u32 = 200;

/// How often the server is killed.
const ROUNDS: u64 = 8;
/// Events between two of its starts.
const SLICE: u64 = 100;

/// Deliveries under way at once where a definition says nothing else.
const CONCURRENCY: f64 = 8.0;
/// Where all fails, a destination is left alone for up to a minute.
const LONG: Duration = Duration::from_secs(180);

/// One server's destinations.
struct Destinations {
    well: Endpoint,
    failing: Endpoint,
    stalling: Endpoint,
    limiting: Endpoint,
    absent: Endpoint,
    topic: String,
}

impl Destinations {
    fn new(broker: &Broker) -> Self {
        Self {
            well: Endpoint::start(Mood::Accepts),
            failing: Endpoint::start(Mood::Fails),
            stalling: Endpoint::start(Mood::Stalls),
            limiting: Endpoint::start(Mood::Limits),
            absent: Endpoint::absent(),
            topic: broker.topic("chaos", 4),
        }
    }

    fn site(&self, broker: &Broker) -> Site {
        let webhook = |endpoint: &Endpoint, fields: &str| {
            format!("type: webhook, url: \"{}/hook\", allow_private: true{fields}", endpoint.base)
        };
        let definitions = definitions(&[
            ("well", webhook(&self.well, "")),
            ("failing", webhook(&self.failing, ", max_attempts: 100")),
            // One that has not answered is not asked again: the message is a dead letter.
            ("stalling", webhook(&self.stalling, ", timeout: 2 s, max_attempts: 1")),
            // To be asked to wait is no failed attempt.
            ("limiting", webhook(&self.limiting, ", max_attempts: 1")),
            ("absent", webhook(&self.absent, ", max_attempts: 100")),
            ("topic", format!("type: kafka, topic: {}", self.topic)),
        ]);
        Site::new(&definitions).with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers)
    }
}

#[test]
fn bad_destinations_lose_nothing_repeat_nothing_and_hold_up_no_other() {
    let broker = Broker::shared();
    let destinations = Destinations::new(broker);
    let Destinations { well, failing, stalling, limiting, absent, topic } = &destinations;
    let site = destinations.site(broker);
    let mut customers = Customers::new();

    let server = site.start();
    customers.send(&server.client, 2 * PEOPLE);
    let stalled = || equal(&under_way(&server.client, "stalling"), &CONCURRENCY);
    eventually("as many calls stall as there may be, and no more", SOON, stalled);
    let beside_bad_ones = measured(&mut customers, &server.client, well);
    assert_bad_ones_are_told(&server.client);
    server.kill();

    for round in 0..ROUNDS {
        match round {
            2 => absent.arrive(),
            4 => limiting.set(Mood::Accepts),
            6 => stalling.set(Mood::Accepts),
            _ => {}
        }
        let server = site.start();
        let (client, before) = (server.client.clone(), customers.accepted());
        let enough = before + rand::random_range(10..SLICE / 2);
        std::thread::scope(|scope| {
            scope.spawn(|| customers.send(&client, before + SLICE));
            eventually("messages come as long as the server runs", LONG, || {
                let there = taken(&well.calls()).len() as u64;
                if there >= enough { Ok(()) } else { Err(format!("{there} of {enough}")) }
            });
            server.kill();
        });
    }

    let server = site.start();
    let client = &server.client;
    customers.send(client, customers.accepted() + SLICE);
    let all: BTreeSet<u64> = (0..customers.accepted()).collect();
    for (name, endpoint) in [("well", well), ("failing", failing), ("limiting", limiting), ("absent", absent)] {
        eventually(&format!("all messages are at the one that is, or was, {name}"), LONG, || there(endpoint, &all));
        let calls = endpoint.calls();
        assert_in_order(&numbers(&calls));
        assert_in_order(&numbers(calls.iter().filter(|call| call.is_accepted)));
    }
    eventually("each message is in the topic, once", LONG, || {
        let records = broker.read_committed(topic);
        let numbers: Vec<u64> = records.iter().map(|record| Fired::of(&record.payload).number).collect();
        assert_in_order(&numbers);
        equal(&numbers.len(), &all.len())?;
        equal(&numbers.iter().collect::<BTreeSet<_>>().len(), &all.len())
    });

    let dead = eventually("nothing is under way", LONG, || ended(client, all.len() as u64));
    assert!(dead > 0, "what stalled has made dead letters");
    assert_eq!(taken(&stalling.calls()).len() as u64, all.len() as u64 - dead, "and the others came once it recovered");
    assert_in_order(&numbers(stalling.calls().iter().filter(|call| call.is_accepted)));
    let letters = client.get("/v1/dead_letters?destination=stalling&limit=1000").ok();
    assert_eq!(letters["dead_letters"].as_array().unwrap().len() as u64, dead);
    let replayed = client.admin("/v1/dead_letters/replay", &json!({ "destination": "stalling" })).ok();
    assert_eq!(replayed["replayed"], dead);
    eventually("dead letters are there too, under their ids", LONG, || there(stalling, &all));

    failing.set(Mood::Accepts);
    let beside_good_ones = measured(&mut customers, client, well);
    assert!(is_prompt(beside_bad_ones), "{beside_bad_ones:?} beside bad ones, {beside_good_ones:?} beside good ones");
    eventually("nobody is left alone any more", SOON, || {
        let names = ["well", "failing", "stalling", "limiting", "absent"];
        equal(&names.map(|name| (is_left_alone(client, name), under_way(client, name))), &[(0.0, 0.0); 5])
    });
}

fn is_prompt(latencies: Latencies) -> bool {
    latencies.p99 <= P99 && latencies.max <= MAX
}

/// How late the messages to a destination are.
fn measured(customers: &mut Customers, client: &Client, endpoint: &Endpoint) -> Latencies {
    let mut latencies = customers.send_by_the_clock(client, MEASURED, endpoint);
    for _ in 1..TRIES {
        if !is_prompt(latencies) {
            latencies = customers.send_by_the_clock(client, MEASURED, endpoint);
        }
    }
    latencies
}

/// Whether an endpoint has taken all messages, each under one id.
fn there(endpoint: &Endpoint, all: &BTreeSet<u64>) -> Result<(), String> {
    let taken = taken(&endpoint.calls());
    if taken == *all { Ok(()) } else { Err(format!("{} of {}", taken.len(), all.len())) }
}

/// Whether all messages are delivered but those that died of the one that stalled; gives how many did.
fn ended(client: &Client, all: u64) -> Result<u64, String> {
    let mut outcomes = outcomes(client);
    let mut take = |destination: &str, status: &str| {
        outcomes.remove(&(destination.to_owned(), status.to_owned())).unwrap_or_default()
    };
    let (delivered, dead) = (take("stalling", "delivered"), take("stalling", "dead"));
    equal(&(delivered + dead), &all)?;
    let others = ["absent", "failing", "limiting", "topic", "well"];
    let expected = others.map(|name| ((name.to_owned(), "delivered".to_owned()), all));
    equal(&outcomes, &BTreeMap::from(expected)).map(|()| dead)
}

fn under_way(client: &Client, destination: &str) -> f64 {
    client.metric("tributary_deliveries_in_flight", &[&format!("destination=\"{destination}\"")])
}

fn is_left_alone(client: &Client, destination: &str) -> f64 {
    client.metric("tributary_destination_circuit_open", &[&format!("destination=\"{destination}\"")])
}

/// `/metrics` says how each destination is.
#[track_caller]
fn assert_bad_ones_are_told(client: &Client) {
    eventually("those where all fails are left alone", SOON, || {
        let names = ["well", "limiting", "stalling", "absent"];
        equal(&names.map(|name| is_left_alone(client, name)), &[0.0, 0.0, 1.0, 1.0])
    });
    let outcomes = ["delivered", "retried", "postponed", "dead"];
    for (name, expected) in [
        ("well", [true, false, false, false]),
        ("failing", [true, true, false, false]),
        ("stalling", [false, false, false, true]),
        ("limiting", [false, false, true, false]),
        ("absent", [false, true, false, false]),
    ] {
        let destination = format!("destination=\"{name}\"");
        let count =
            |outcome| client.metric("tributary_deliveries_total", &[&destination, &format!("outcome=\"{outcome}\"")]);
        assert_eq!(outcomes.map(|outcome| count(outcome) > 0.0), expected, "{name}: {outcomes:?}");
    }
}
