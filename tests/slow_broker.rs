//! The broker is killed, parted from its clients and refuses them, under load, with the log in it and triggers going to it. In
//! the end nothing is lost, nothing is counted twice, and each qualification is sent once.

use crate::support::client::{As, Client, WRITE_KEY};
use crate::support::crash::CrashingShop;
use crate::support::kafka::OwnBroker;
use crate::support::wait::eventually;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);

/// Waits until events are refused, since they cannot be made durable.
fn await_refusal(client: &Client) {
    let event = json!({ "userId": "staff0-0", "messageId": "asked", "event": "Asked" }).to_string();
    eventually("events are refused", LONG, || {
        let body = event.clone().into_bytes();
        match client.request(Method::POST, "/v1/track", As::Basic(WRITE_KEY), &[], body).unwrap().status {
            429 | 503 => Ok(()),
            status => Err(status),
        }
    });
}

#[test]
fn a_broker_that_is_killed_parted_and_refuses_loses_nothing() {
    let mut own = OwnBroker::start();
    let broker = own.broker.clone();
    let topic = broker.topic("broker-events", 2);
    let mut shop =
        CrashingShop::new(&broker, |site| site.on_kafka(&broker.bootstrap_servers, &topic), 200, (4_000, 20));
    let CrashingShop { site, load, .. } = &mut shop;
    let mut server = site.start();
    let client = server.client.clone();
    for round in 0..4 {
        load.run_until(&client, 20, || {
            match round {
                0 => own.kill(),
                1 => own.part(),
                2 => own.refuse(),
                // Gone, and the server is killed as well before it comes back.
                _ => own.kill(),
            }
            await_refusal(&client);
            match round {
                0 => own.start_again(),
                _ => own.join(),
            }
        });
        server.assert_alive();
    }
    server.kill();
    own.start_again();
    shop.judge();
}
