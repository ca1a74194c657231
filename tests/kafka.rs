//! The log in a real Apache Kafka, topics that others fill, and triggers into a topic.

use crate::support::client::{As, Client, WRITE_KEY};
use crate::support::compare;
use crate::support::kafka::Broker;
use crate::support::oracle;
use crate::support::server::Site;
use crate::support::traffic::{SHOP, Traffic, seed, triggers};
use crate::support::wait::{equal, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// Long enough for a broker and a server on a busy machine.
const LONG: Duration = Duration::from_secs(90);

fn order(user: &str) -> Value {
    json!({ "type": "track", "userId": user, "event": "Order Completed", "properties": { "total": 1 } })
}

#[track_caller]
fn eventually_orders(client: &Client, user: &str, orders: u64) {
    eventually("the profile has its orders", LONG, || {
        let profile = client.get(&format!("/v1/profiles/user_id:{user}")).json();
        equal(&profile["computed"]["orders"].as_u64(), &Some(orders)).map_err(|why| format!("{why}: {profile}"))
    });
}

#[test]
fn profiles_memberships_and_triggers_equal_the_oracles() {
    let broker = Broker::shared();
    let now = jiff::Timestamp::now().as_millisecond();
    let mut traffic = Traffic::new(seed(), 200, now);
    let topic = broker.topic("shop-events", 4);
    let out = broker.topic("shop-triggers", 4);
    let definitions = SHOP.to_owned() + &triggers(&[("out", format!("type: kafka, topic: {out}"))]);
    let site = Site::new(&definitions).on_kafka(&broker.bootstrap_servers, &topic).with("TRIBUTARY_WORKERS", "2");
    let server = site.start();

    let mut events = traffic.prelude();
    server.client.batches(&events);
    eventually("the prelude is in", LONG, || compare::state(&server.client, &oracle::profiles(&events, now)));
    for _ in 0..6 {
        let more = traffic.take(500);
        server.client.batches(&more);
        events.extend(more);
    }
    let expected = oracle::profiles(&events, now);
    eventually("the state is the oracle's", LONG, || compare::state(&server.client, &expected));
    let fired = oracle::fired(&events, now);
    assert!(!fired.loyal.is_empty() && !fired.refunds.is_empty(), "the traffic has something to fire");
    eventually("the topic has each message", LONG, || {
        let records = broker.read_committed(&out);
        let bodies: Vec<Value> =
            records.iter().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect();
        compare::messages(&bodies, &fired)
    });
    let records = broker.read_committed(&out);
    assert!(records.iter().all(|record| record.key.is_some()), "keyed by profile");
    server.stop();
    // The log is in Kafka, and all four partitions hold some of it.
    assert_eq!(broker.partitions(&topic), 4);
    assert!(broker.read_committed(&topic).len() >= events.len());

    // The same topic into an empty state: the same answers.
    let again = Site::new(SHOP).on_kafka(&broker.bootstrap_servers, &topic);
    let server = again.start();
    eventually("a replay gives the same", LONG, || compare::state(&server.client, &expected));
}

#[test]
fn one_reads_ones_own_writes_across_partitions() {
    let broker = Broker::shared();
    let topic = broker.topic("own-writes", 4);
    let server = Site::new(SHOP).on_kafka(&broker.bootstrap_servers, &topic).start();
    for number in 1..=10 {
        let batch: Vec<Value> = (0..8).map(|user| order(&format!("u{user}"))).collect();
        let position = server.client.batch(&batch);
        for user in 0..8 {
            let profile = server.client.profile_at(&format!("user_id:u{user}"), &position);
            assert_eq!(profile["computed"]["orders"], number);
        }
    }
}

#[test]
fn a_topic_is_created_where_there_is_none() {
    let broker = Broker::shared();
    let topic = Broker::name("not-there-yet");
    let server = Site::new(SHOP).on_kafka(&broker.bootstrap_servers, &topic).start();
    let position = server.client.batch(&[order("u1")]);
    assert_eq!(server.client.profile_at("user_id:u1", &position)["computed"]["orders"], 1);
    assert_eq!(broker.partitions(&topic), 4);
}

#[test]
fn binary_rubbish_on_the_topic_is_kept_aside_and_stops_nothing() {
    let broker = Broker::shared();
    let topic = broker.topic("rubbish", 4);
    let server = Site::new(SHOP).on_kafka(&broker.bootstrap_servers, &topic).start();
    let rubbish: Vec<Vec<u8>> = (0..40usize)
        .map(|number| (0..number * 50).map(|byte| (byte * 7919 + number * 104_729) as u8).collect())
        .chain([vec![], vec![0], b"{".to_vec(), b"[]".to_vec(), b"null".to_vec(), vec![0xff; 300_000]])
        .collect();
    for partition in 0..4 {
        let records = rubbish.iter().map(|payload| ("key", payload.as_slice()));
        broker.produce(&topic, Some(partition), records);
    }
    let position = server.client.batch(&(0..8).map(|user| order(&format!("u{user}"))).collect::<Vec<_>>());
    assert_eq!(server.client.count_at("buyers", &position), 8);
    eventually("all of it is among the rejected", LONG, || {
        let rejected = server.client.rejected();
        assert!(rejected.iter().all(|one| one["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
        equal(&rejected.len(), &(rubbish.len() * 4))
    });
    assert_eq!(server.client.metric("tributary_rejected_total", &[]), (rubbish.len() * 4) as f64);
}

#[test]
fn a_topic_that_others_fill_is_a_source() {
    let broker = Broker::shared();
    let foreign = broker.topic("web-events", 3);
    let site = Site::new(SHOP).with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers);
    // Before the server has ever run, and of the kind that /v1/track takes.
    let event = |user: &str| order(user).to_string();
    broker.produce(&foreign, None, [("u1", event("u1").as_bytes()), ("u2", event("u2").as_bytes())]);
    site.configure(&format!("[[sources.kafka]]\ntopic = \"{foreign}\"\nname = \"web\"\n"));
    let server = site.start();
    eventually_orders(&server.client, "u1", 1);
    broker.produce(&foreign, None, [("u1", event("u1").as_bytes()), ("u1", b"rubbish".as_slice())]);
    eventually_orders(&server.client, "u1", 2);
    eventually("rubbish is rejected under its source", LONG, || {
        let rejected = server.client.rejected();
        let named = rejected.iter().filter(|one| one["source"].as_str().is_some_and(|source| source.contains("web")));
        equal(&(named.count(), rejected.len()), &(1, 1))
    });
    // HTTP goes on beside it, and both make one profile.
    let position = server.client.batch(&[order("u1")]);
    server.client.profile_at("user_id:u1", &position);
    eventually_orders(&server.client, "u1", 3);
    server.kill();
    // What was written while nobody listened is read, and nothing twice.
    broker.produce(&foreign, None, [("u2", event("u2").as_bytes())]);
    let server = site.start();
    eventually_orders(&server.client, "u2", 2);
    eventually_orders(&server.client, "u1", 3);
}

#[test]
fn partitions_added_at_run_time_are_read() {
    let broker = Broker::shared();
    let topic = broker.topic("growing", 2);
    let server = Site::new(SHOP).on_kafka(&broker.bootstrap_servers, &topic).start();
    let position = server.client.batch(&[order("u1")]);
    server.client.profile_at("user_id:u1", &position);
    broker.extend_topic(&topic, 5);
    eventually("the broker knows of them", LONG, || equal(&broker.partitions(&topic), &5));
    for partition in 2..5 {
        let event = order(&format!("p{partition}")).to_string();
        broker.produce(&topic, Some(partition), [("key", event.as_bytes())]);
    }
    for partition in 2..5 {
        eventually_orders(&server.client, &format!("p{partition}"), 1);
    }
    let position = server.client.batch(&(0..20).map(|user| order(&format!("n{user}"))).collect::<Vec<_>>());
    assert_eq!(server.client.profile_at("user_id:n19", &position)["computed"]["orders"], 1);
}

#[test]
fn without_the_broker_events_are_refused_and_nothing_is_lost_silently() {
    // Nobody listens there: what cannot be made durable is not answered 200.
    let site = Site::new(SHOP).on_kafka("127.0.0.1:1", "nowhere");
    let process = site.spawn();
    let Ok(base) = process.listening(Duration::from_secs(40)) else {
        // To say so and end is as clear as to wait for the broker.
        assert!(process.last_words().to_lowercase().contains("kafka"), "{}", process.last_words());
        return;
    };
    let body = order("u1").to_string().into_bytes();
    let client = Client::new(base);
    let answer = client.request(reqwest::Method::POST, "/v1/track", As::Basic(WRITE_KEY), &[], body).unwrap();
    assert!(matches!(answer.status, 429 | 503), "{}", answer.text());
    answer.error(answer.status);
}
