//! The process ends at every named place of the way of an event, of a change of definitions and of a start, one after the
//! other, under load. In the end nothing is lost, nothing is counted twice, and each qualification is sent once.

use crate::support::client::{ADMIN_TOKEN, As, Client};
use crate::support::crash::CrashingShop;
use crate::support::kafka::Broker;
use crate::support::server::{Process, Site};
use crate::support::wait::eventually;
use rand::RngExt;
use reqwest::Method;
use serde_json::json;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use tributary_connectors::crash::{Place, VARIABLE};

const LONG: Duration = Duration::from_secs(120);
const SIGABRT: i32 = 6;

/// A segment with an aggregate of its own, which is defined and deleted while all else goes on.
const NEW: &str = "count(*) FILTER (WHERE event = 'Order Completed' AND properties.total > 5) > 2";
const NEW_PATH: &str = "/v1/segments/dear";

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
    let mut shop = CrashingShop::new(broker, place, 300, (Place::ALL.len() * 1_000, 4));
    for place in Place::ALL {
        let CrashingShop { site, definitions, rng, load, .. } = &mut shop;
        let times = if is_of_events(*place) { rng.random_range(1..4) } else { 1 };
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
    shop.site.define(&shop.definitions);
    forget_the_new_one(&shop.site);
    shop.judge();
}

/// The process may have ended just after the segment was defined once more: then it rightly has it, and the oracle not.
fn forget_the_new_one(site: &Site) {
    let server = site.start();
    let answer = server.client.request(Method::DELETE, NEW_PATH, As::Bearer(ADMIN_TOKEN), &[], Vec::new()).unwrap();
    assert!([204, 404].contains(&answer.status), "{}: {}", answer.status, answer.text());
    server.kill();
}

/// Whether a place is on the way of events, which pass it often.
fn is_of_events(place: Place) -> bool {
    !is_of_definitions(place)
        && !matches!(place, Place::Fed | Place::Reconciled | Place::BackfillBegun | Place::BackfillEnding)
}

/// Whether a place is on the way of definitions that change.
fn is_of_definitions(place: Place) -> bool {
    matches!(
        place,
        Place::DefinitionsWritten
            | Place::GatheringNoted
            | Place::Gathering
            | Place::Sweeping
            | Place::DroppingNoted
            | Place::Dropping
    )
}

/// Waits until the process has ended at its place, and changes definitions meanwhile if that is what leads there.
fn wait_for_the_end(process: &mut Process, place: Place, client: &Client) {
    let mut is_defined = false;
    let status = eventually(&format!("the process ends at {}", place.name()), LONG, || {
        if let Some(status) = process.ended() {
            return Ok(status);
        }
        if is_of_definitions(place) {
            // Defined and deleted in turn; the process may end before it answers.
            let (method, body) = match is_defined {
                false => (Method::PUT, json!({ "where": NEW }).to_string()),
                true => (Method::DELETE, String::new()),
            };
            client.request(method, NEW_PATH, As::Bearer(ADMIN_TOKEN), &[], body.into_bytes()).ok();
            let live = client.request(Method::GET, NEW_PATH, As::Bearer(ADMIN_TOKEN), &[], Vec::new());
            is_defined = live.is_ok_and(|answer| answer.status == 200 && answer.json()["state"] == "live");
        }
        Err(process.last_words())
    });
    assert_eq!(status.signal(), Some(SIGABRT), "{}: {}", place.name(), process.last_words());
}
