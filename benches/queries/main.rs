//! `make bench-queries`: how long a profile takes to be read, at 5,000 requests a second, while nothing else happens and
//! while events are taken in as fast as it goes.
//!
//! The load is open: each request is due at its time, and its answer is timed from then on, whether or not the answers to
//! earlier ones have come. Clients and server share this machine's processors.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod readers;

use std::time::{Duration, Instant};
use support::events::{CUSTOMERS, Events};
use support::server::{Server, Site};
use support::{load, percentile, quiet_definitions};

/// Requests a second.
const RATE: f64 = 5_000.0;
const HOLD: Duration = Duration::from_secs(15);
/// Events that are sent while profiles are read, again and again under new ids; so many at once.
const POOL: usize = 200_000;
const PORTION: usize = 50_000;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let now = jiff::Timestamp::now().as_millisecond();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let site = Site::new(&quiet_definitions());
    let server = site.start();
    server.ready(&client).await;
    load::run(&client, &server, Events::everybody(0, 0..CUSTOMERS, now).batches()).await;
    let events = Events::generate(POOL, now);
    let mut sent = CUSTOMERS;

    let read = || {
        let base = server.base.clone();
        tokio::task::spawn_blocking(move || readers::run(&base, RATE, HOLD))
    };
    let idle = read().await.unwrap();
    let before = answered(&client, &server).await;
    let reading = read();
    let rate = ingest(&client, &server, &events, &mut sent).await;
    let busy = reading.await.unwrap();
    let after = answered(&client, &server).await;
    let alone = ingest(&client, &server, &events, &mut sent).await;

    println!("\nGET /v1/profiles/user_id:…, {RATE:.0} requests/s of {CUSTOMERS} customers, ms from when each was due");
    println!("                                p50      p99    p99.9      max");
    for (name, times) in [("no events meanwhile", &idle), ("events as fast as it goes", &busy)] {
        let ms = |share: f64| percentile(times, share).as_secs_f64() * 1e3;
        println!("  {name:<26} {:>7.2} {:>8.2} {:>8.2} {:>8.2}", ms(0.5), ms(0.99), ms(0.999), ms(1.0));
    }
    let in_time = 100.0 * (after.0 - before.0) / (after.1 - before.1);
    println!("of these, answered within 2 ms of when the server had read them: {in_time:.2} %");
    println!("events/s meanwhile: {rate:.0}, {:.2} of those without any queries", rate / alone);
}

/// Profiles that the server has answered with: within 2 ms by its own clock, and at all.
async fn answered(client: &reqwest::Client, server: &Server) -> (f64, f64) {
    let route = r#"route="/v1/profiles/{profile}""#;
    let in_time = format!("tributary_http_request_seconds_bucket{{{route},le=\"0.002\"}}");
    let all = format!("tributary_http_request_seconds_count{{{route}}}");
    (server.metric(client, &in_time).await, server.metric(client, &all).await)
}

/// Sends events, as fast as they are taken, as long as profiles are read; gives the events/s that were committed.
async fn ingest(client: &reqwest::Client, server: &Server, events: &Events, sent: &mut usize) -> f64 {
    let (started, before) = (Instant::now(), *sent);
    while started.elapsed() < HOLD {
        load::run(client, server, events.renumbered_batches(*sent, PORTION)).await;
        *sent += PORTION;
    }
    (*sent - before) as f64 / started.elapsed().as_secs_f64()
}
