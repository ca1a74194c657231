//! `make bench-segments`: what a segment costs among 10, 100 and 1,000 of them, how long a preview takes and how long a segment
//! that is defined meanwhile, and what timers cost.
//!
//! `BENCH_EVENTS` sets how many events are sent to each number of segments (300,000 if not set), `BENCH_PROFILES` the
//! larger number of customers that are previewed (a million if not set; the smaller one is a tenth), `BENCH_BURST` how many are
//! due at once (100,000 if not set).

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod prober;
mod redefine;
mod timers;

use serde_json::{Value, json};
use std::time::Duration;
use support::conditions::{SHARED, definitions, own, shared};
use support::events::Events;
use support::load;
use support::server::{Server, Site};

const COUNTS: [usize; 3] = [10, 100, 1_000];
/// Each is measured so often, and the best counts.
const RUNS: usize = 2;
/// A preview is asked so often.
const PREVIEWS: usize = 5;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let events = Events::generate(number("BENCH_EVENTS", 300_000), now);
    println!("{} events: segments, seconds, ratio to {}, memberships at the end", events.all().len(), COUNTS[0]);
    for (name, definitions) in [("over ten aggregates", shared as fn(usize) -> String), ("each with its own", own)] {
        let mut took = [Duration::MAX; COUNTS.len()];
        let mut members = [0; COUNTS.len()];
        // By turns, so that what else the machine does strikes all of them.
        for _ in 0..RUNS {
            for ((took, members), count) in took.iter_mut().zip(&mut members).zip(COUNTS) {
                let site = Site::new(&definitions(count));
                let server = site.start();
                server.ready(&client).await;
                *took = (*took).min(load::run(&client, &server, events.batches()).await);
                *members = memberships(&client, &server).await;
            }
        }
        let least = took[0].as_secs_f64();
        for ((took, members), count) in took.iter().zip(members).zip(COUNTS) {
            let ratio = took.as_secs_f64() / least;
            println!("  {name:<20} {count:>6} {:>8.2} {ratio:>8.2} {members:>9}", took.as_secs_f64());
        }
    }
    let profiles = number("BENCH_PROFILES", 1_000_000);
    println!("milliseconds of a preview, the median of {PREVIEWS}");
    let site = Site::new(&definitions(10, |at| format!("{} > 2", SHARED[at])));
    let server = site.start();
    server.ready(&client).await;
    let mut sent = 0;
    for profiles in [profiles / 10, profiles] {
        load::run(&client, &server, Events::everybody(sent, 0..profiles, now).batches()).await;
        sent += profiles;
        let there = server.metric(&client, "tributary_profiles").await;
        for (name, condition, from) in [
            ("of what is kept", format!("{} >= 1 AND {} > 300", SHARED[0], SHARED[1]), "facts"),
            ("of history", "max(properties.quantity) >= 3".to_owned(), "history"),
        ] {
            let (took, count) = preview(&client, &server, &condition, from).await;
            println!("  {there:>9} profiles, {name:<16} {took:>7} ({count} meet it)");
        }
    }
    println!("a segment that is defined meanwhile; median and 99th percentile from a single event to its commit");
    let there = server.metric(&client, "tributary_profiles").await;
    let kept = format!("{} >= 1 AND {} > 300", SHARED[0], SHARED[1]);
    redefine::run(&client, &server, there, &kept, "max(properties.quantity) >= 3").await;
    drop(server);
    timers::run(&client, profiles, &events, now).await;
}

/// How many members all segments have together.
async fn memberships(client: &reqwest::Client, server: &Server) -> u64 {
    let answer = client.get(format!("{}/v1/segments", server.base)).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["segments"].as_array().unwrap().iter().map(|segment| segment["count"].as_u64().unwrap()).sum()
}

/// How long a preview takes, in milliseconds, and how many it counts.
async fn preview(client: &reqwest::Client, server: &Server, condition: &str, from: &str) -> (u64, u64) {
    let mut took = Vec::new();
    let mut count = 0;
    for _ in 0..PREVIEWS {
        let request =
            client.post(format!("{}/v1/segments/preview", server.base)).body(json!({ "where": condition }).to_string());
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        let text = answer.text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["from"], from, "{text}");
        took.push(answer["took_ms"].as_u64().unwrap());
        count = answer["count"].as_u64().unwrap();
    }
    took.sort_unstable();
    (took[took.len() / 2], count)
}
