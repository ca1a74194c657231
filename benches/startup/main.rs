//! `make bench-startup`: how soon after `kill -9` state is served, events are taken and the dataflow has caught up, and what a
//! profile weighs; at three sizes.
//!
//! `BENCH_PROFILES` sets the sizes (`100000,1000000,3000000` if not set). A profile has three identifiers, the ten aggregates
//! and the twenty segments of the other bench, and four events, one of each kind that those aggregates are about.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

use serde_json::json;
use std::time::{Duration, Instant};
use support::server::{Server, Site};
use support::{load, quiet_definitions};

const SIZES: &str = "100000,1000000,3000000";
/// Profiles whose events are made and committed at once.
const PORTION: usize = 50_000;
const BATCH_EVENTS: usize = 400;
const DAY: i64 = 86_400_000;
const EVENTS_EACH: usize = 4;

/// What was measured at one size.
#[derive(Debug)]
struct Measured {
    profiles: f64,
    /// From the start of the process, after `kill -9`.
    listens: Duration,
    profile_read: Duration,
    event_taken: Duration,
    ready: Duration,
    /// Of the process that took the events, and of the one that was started again.
    memory: u64,
    memory_again: u64,
    empty: u64,
    disk: u64,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let sizes = std::env::var("BENCH_PROFILES").unwrap_or_else(|_| SIZES.to_owned());
    let sizes: Vec<usize> = sizes.split(',').map(|size| size.parse().expect("BENCH_PROFILES are numbers")).collect();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let mut all = Vec::new();
    for size in sizes {
        let measured = measure(&client, size).await;
        eprintln!("{measured:?}");
        all.push(measured);
    }
    println!(
        "\nStart after kill -9, seconds until; memory of the process, bytes a profile (without what an empty one holds)"
    );
    println!("  profiles  listens  a profile is read  an event is taken  caught up  memory grown  started again  disk");
    for at in &all {
        let each = |bytes: u64| bytes.saturating_sub(at.empty) as f64 / at.profiles;
        println!(
            "{:>10} {:>8.2} {:>18.2} {:>18.2} {:>10.2} {:>13.0} {:>14.0} {:>5.0}",
            at.profiles,
            at.listens.as_secs_f64(),
            at.profile_read.as_secs_f64(),
            at.event_taken.as_secs_f64(),
            at.ready.as_secs_f64(),
            each(at.memory),
            each(at.memory_again),
            at.disk as f64 / at.profiles
        );
    }
    for at in all {
        println!(
            "{} profiles: {} MB of memory, {} MB started again",
            at.profiles,
            at.memory >> 20,
            at.memory_again >> 20
        );
    }
}

async fn measure(client: &reqwest::Client, size: usize) -> Measured {
    let site = Site::new(&quiet_definitions());
    let server = site.start();
    server.ready(client).await;
    let empty = server.memory_bytes();
    let now = jiff::Timestamp::now().as_millisecond();
    for first in (0..size).step_by(PORTION) {
        let batches = batches(first..size.min(first + PORTION), now);
        load::run(client, &server, batches).await;
    }
    let profiles = server.metric(client, "tributary_profiles").await;
    assert_eq!(profiles, size as f64, "profiles");
    let (memory, disk) = (server.memory_bytes(), site.disk_bytes());
    drop(server);

    let started = Instant::now();
    let server = site.start();
    let listens = started.elapsed();
    let read = format!("{}/v1/profiles/user_id:user-{:08}", server.base, size / 2);
    let answer = client.get(&read).send().await.unwrap();
    assert_eq!(answer.status(), 200, "GET {read}");
    let profile_read = started.elapsed();
    let event = event(&json!({ "type": "track", "event": "Product Viewed", "userId": "user-00000000" }), "after", now);
    let url = format!("{}/v1/batch", server.base);
    load::send(client, &url, format!("{{\"batch\":[{event}]}}").into()).await;
    let event_taken = started.elapsed();
    server.ready(client).await;
    let ready = started.elapsed();
    assert_eq!(server.metric(client, "tributary_profiles").await, profiles, "profiles after kill -9");
    let memory_again = settled(&server).await;
    Measured { profiles, listens, profile_read, event_taken, ready, memory, memory_again, empty, disk }
}

/// The memory that the process holds once it is done with what it gives back.
async fn settled(server: &Server) -> u64 {
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.memory_bytes()
}

/// The events of some customers, each with its bodies of `/v1/batch`.
fn batches(customers: std::ops::Range<usize>, now: i64) -> Vec<(Vec<u8>, usize)> {
    let events: Vec<String> = customers.flat_map(|customer| events(customer, now)).collect();
    let body = |events: &[String]| (format!("{{\"batch\":[{}]}}", events.join(",")).into_bytes(), events.len());
    events.chunks(BATCH_EVENTS).map(body).collect()
}

/// Four events, spread over the last days by the customer's number.
fn events(customer: usize, now: i64) -> [String; EVENTS_EACH] {
    let (user, device) = (format!("user-{customer:08}"), format!("5f0c2a9e-77d1-4f6b-8a11-{customer:012}"));
    let at = |days: usize| now - (((customer + days) % 20) as i64) * DAY - 60_000;
    let ends = json!({ "userId": user, "anonymousId": device });
    let with = |mut body: serde_json::Value, number: usize| {
        body.as_object_mut().unwrap().extend(ends.as_object().unwrap().clone());
        event(&body, &format!("{customer}-{number}"), at(7 * number))
    };
    [
        with(
            json!({ "type": "identify", "traits": { "email": format!("customer{customer}@example.com"), "country": "DE" } }),
            0,
        ),
        with(
            json!({ "type": "track", "event": "Product Viewed", "properties": { "product_id": "SKU-1000", "price": 20 } }),
            1,
        ),
        with(json!({ "type": "track", "event": "Checkout Started", "properties": { "value": 20 } }), 2),
        with(json!({ "type": "track", "event": "Order Completed", "properties": { "total": 20.5 } }), 3),
    ]
}

fn event(body: &serde_json::Value, id: &str, at: i64) -> String {
    let mut body = body.clone();
    body["messageId"] = json!(id);
    body["timestamp"] = json!(tributary_model::format_millis(at));
    body.to_string()
}
