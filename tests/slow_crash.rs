//! Twenty times `kill -9` under load, some of them during start-up, on both logs. Nothing that was answered 200 is lost,
//! nothing is counted twice, and each qualification is sent once: to Kafka exactly, to the webhook under one id.

use crate::support::compare;
use crate::support::kafka::Broker;
use crate::support::load::Load;
use crate::support::oracle::{self, Fired};
use crate::support::receiver::{Receiver, secret};
use crate::support::server::Site;
use crate::support::traffic::{SHOP, Traffic, seed, triggers};
use crate::support::wait::eventually;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const ROUNDS: usize = 20;
const LONG: Duration = Duration::from_secs(120);

#[test]
fn the_embedded_log_survives_twenty_kills() {
    let broker = Broker::shared();
    crash(broker, |site| site.with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers));
}

#[test]
fn the_kafka_log_survives_twenty_kills() {
    let broker = Broker::shared();
    let topic = broker.topic("crash-events", 4);
    crash(broker, |site| site.on_kafka(&broker.bootstrap_servers, &topic));
}

fn crash(broker: &Broker, place: impl FnOnce(Site) -> Site) {
    let now = jiff::Timestamp::now().as_millisecond();
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut traffic = Traffic::new(seed, 400, now);
    let receiver = Receiver::start();
    let out = broker.topic("crash-triggers", 4);
    let hook = format!("type: webhook, url: \"{}\", secret: \"env:CRM_SECRET\", allow_private: true", receiver.url);
    let destinations = [("out", format!("type: kafka, topic: {out}")), ("hook", hook)];
    let definitions = SHOP.to_owned() + &triggers(&destinations);
    let site = place(Site::new(&definitions).with("CRM_SECRET", &secret()).with("TRIBUTARY_WORKERS", "2"));

    let prelude = traffic.prelude();
    let server = site.start();
    server.client.batches(&prelude);
    eventually("the prelude is in", LONG, || compare::state(&server.client, &oracle::profiles(&prelude, now)));
    server.kill();

    let sent = traffic.take(ROUNDS * 400);
    let load = Load::new(&sent, 60, &mut rng);
    for round in 0..ROUNDS {
        match round % 4 {
            // During start-up: before it listens, at any moment of it.
            1 => {
                let process = site.spawn();
                // The moment of the fault is what is random here; nothing waits for something to be done by then.
                std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
                process.kill();
            }
            // While the dataflow is being re-fed and events come in already.
            3 => {
                let server = site.start_listening();
                let client = server.client.clone();
                load.run_until(&client, rng.random_range(0..3), || server.kill());
            }
            _ => {
                let server = site.start();
                let client = server.client.clone();
                load.run_until(&client, rng.random_range(5..25), || server.kill());
            }
        }
    }

    let server = site.start();
    load.run_until(&server.client, usize::MAX / 2, || {});
    assert!(load.is_through(), "all is sent in the end");
    let events = [prelude, sent].concat();
    let expected = oracle::profiles(&events, now);
    eventually("the state is the oracle's", LONG, || compare::state(&server.client, &expected));

    let fired = oracle::fired(&events, now);
    assert!(fired.loyal.len() > 20 && fired.refunds.len() > 20, "the traffic has much to fire");
    eventually("the Kafka topic has each qualification", LONG, || {
        let records = broker.read_committed(&out);
        let bodies: Vec<Value> =
            records.iter().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect();
        compare::messages(&bodies, &fired)
    });
    eventually("the webhook has each qualification", LONG, || webhooks(&receiver, &fired));
    receiver.assert_faultless();
    server.stop();
}

/// Deliveries may repeat, but only with the same id and the same content.
pub(crate) fn webhooks(receiver: &Receiver, fired: &Fired) -> Result<(), String> {
    let mut bodies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for delivery in receiver.accepted() {
        bodies.entry(delivery.id).or_default().insert(delivery.body.to_string());
    }
    if let Some((id, bodies)) = bodies.iter().find(|(_, bodies)| bodies.len() > 1) {
        return Err(format!("{id} had different bodies: {bodies:?}"));
    }
    let bodies: Vec<Value> = bodies.values().flatten().map(|body| serde_json::from_str(body).unwrap()).collect();
    compare::messages(&bodies, fired)
}
