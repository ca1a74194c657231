//! The process ends at every named place of the way of an event, of a change of definitions and of a start, one after the
//! other, under load. In the end nothing is lost, nothing is counted twice, and each qualification is sent once.

use crate::slow_crash::webhooks;
use crate::support::client::{ADMIN_TOKEN, As, Client};
use crate::support::compare;
use crate::support::kafka::Broker;
use crate::support::load::Load;
use crate::support::oracle;
use crate::support::receiver::{Receiver, secret};
use crate::support::server::{Process, Site};
use crate::support::traffic::{SHOP, Traffic, seed, triggers};
use crate::support::wait::eventually;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use tributary_connectors::crash::{Place, VARIABLE};

const LONG: Duration = Duration::from_secs(120);
const SIGABRT: i32 = 6;

/// A segment with an aggregate of its own, which is defined and deleted while all else goes on.
const NEW: &str = "count(*) FILTER (WHERE event = 'Order Completed' AND properties.total > 5) > 2";

#[test]
fn at_every_place_with_the_embedded_log() {
    let broker = Broker::shared();
    crash(broker, |site| site.with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers));
}

#[test]
fn at_every_place_with_the_log_in_kafka() {
    let broker = Broker::shared();
    let topic = broker.topic("crash-places-events", 4);
    crash(broker, |site| site.on_kafka(&broker.bootstrap_servers, &topic));
}

fn crash(broker: &Broker, place: impl FnOnce(Site) -> Site) {
    let now = jiff::Timestamp::now().as_millisecond();
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut traffic = Traffic::new(seed, 300, now);
    let receiver = Receiver::start();
    let out = broker.topic("crash-places-triggers", 4);
    let hook = format!("type: webhook, url: \"{}\", secret: \"env:CRM_SECRET\", allow_private: true", receiver.url);
    let definitions = SHOP.to_owned() + &triggers(&[("out", format!("type: kafka, topic: {out}")), ("hook", hook)]);
    let site = place(Site::new(&definitions).with("CRM_SECRET", &secret()));

    let prelude = traffic.prelude();
    let server = site.start();
    server.client.batches(&prelude);
    eventually("the prelude is in", LONG, || compare::state(&server.client, &oracle::profiles(&prelude, now)));
    server.kill();

    let sent = traffic.take(Place::ALL.len() * 1_000);
    let load = Load::new(&sent, 4, &mut rng);
    for place in Place::ALL {
        let times = match place {
            Place::Fed | Place::Reconciled | Place::BackfillBegun | Place::BackfillEnding => 1,
            Place::DefinitionsWritten | Place::GatheringNoted | Place::Gathering => 1,
            Place::Sweeping | Place::DroppingNoted | Place::Dropping => 1,
            _ => rng.random_range(1..4),
        };
        if matches!(place, Place::BackfillBegun | Place::BackfillEnding) {
            // Other aggregates than those of the last start.
            let one_more = format!("\n  {}: count(properties.{})\n", place.name(), place.name());
            site.define(&definitions.replace("\ntraits:\n", &format!("\ntraits:{one_more}")));
        }
        let mut process = site.spawn_with(&[(VARIABLE, &format!("{}:{times}", place.name()))]);
        match process.listening(Duration::from_secs(60)) {
            Ok(base) => {
                let client = Client::new(base);
                load.run_while(&client, 1, || wait_for_the_end(&mut process, *place, &client));
            }
            // Some places are reached before it listens.
            Err(_) => wait_for_the_end(&mut process, *place, &Client::new("http://127.0.0.1:1")),
        }
    }
    site.define(&definitions);
    let server = site.start();
    load.run_until(&server.client, usize::MAX / 2, || {});
    assert!(load.is_through(), "all is sent in the end");
    let events = [prelude, sent].concat();
    let expected = oracle::profiles(&events, now);
    eventually("the state is the oracle's", LONG, || compare::state(&server.client, &expected));
    let fired = oracle::fired(&events, now);
    eventually("the Kafka topic has each qualification", LONG, || {
        let records = broker.read_committed(&out);
        let bodies: Vec<Value> =
            records.iter().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect();
        compare::messages(&bodies, &fired)
    });
    eventually("the webhook has each qualification", LONG, || webhooks(&receiver, &fired));
    server.stop();
}

/// Waits until the process has ended at its place, and changes definitions meanwhile if that is what leads there.
fn wait_for_the_end(process: &mut Process, place: Place, client: &Client) {
    let changes = matches!(
        place,
        Place::DefinitionsWritten
            | Place::GatheringNoted
            | Place::Gathering
            | Place::Sweeping
            | Place::DroppingNoted
            | Place::Dropping
    );
    let mut is_defined = false;
    let status = eventually(&format!("the process ends at {}", place.name()), LONG, || {
        if let Some(status) = process.ended() {
            return Ok(status);
        }
        if changes {
            // Defined and deleted in turn; the process may end before it answers.
            let path = "/v1/segments/dear";
            let (method, body) = match is_defined {
                false => (Method::PUT, json!({ "where": NEW }).to_string()),
                true => (Method::DELETE, String::new()),
            };
            client.request(method, path, As::Bearer(ADMIN_TOKEN), &[], body.into_bytes()).ok();
            let live = client.request(Method::GET, path, As::Bearer(ADMIN_TOKEN), &[], Vec::new());
            is_defined = live.is_ok_and(|answer| answer.status == 200 && answer.json()["state"] == "live");
        }
        Err(process.last_words())
    });
    assert_eq!(status.signal(), Some(SIGABRT), "{}: {}", place.name(), process.last_words());
}
