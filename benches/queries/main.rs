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
use support::{DEFINITIONS, load};

/// Requests a second.
const RATE: f64 = 5_000.0;
const HOLD: Duration = Duration::from_secs(15);
/// Events that are sent while profiles are read, again and again under new ids.
const PORTION: usize = 200_000;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let now = jiff::Timestamp::now().as_millisecond();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let site = Site::new(&DEFINITIONS.replace("RECEIVER", "http://127.0.0.1:9"));
    let server = site.start();
    server.ready(&client).await;
    load::run(&client, &server, Events::everybody(0, CUSTOMERS, now).batches()).await;
    let events = Events::generate(PORTION, now);

    let read = || {
        let base = server.base.clone();
        tokio::task::spawn_blocking(move || readers::run(&base, RATE, HOLD))
    };
    let idle = read().await.unwrap();
    let reading = read();
    let rate = ingest(&client, &server, &events, Instant::now() + HOLD).await;
    let busy = reading.await.unwrap();
    let alone = ingest(&client, &server, &events, Instant::now() + HOLD).await;

    println!("\nGET /v1/profiles/user_id:…, {RATE:.0} requests/s of {CUSTOMERS} customers, ms from when each was due");
    println!("                                p50      p99    p99.9      max");
    for (name, times) in [("no events meanwhile", &idle), ("events as fast as it goes", &busy)] {
        let ms = |share: f64| readers::percentile(times, share).as_secs_f64() * 1e3;
        println!("  {name:<26} {:>7.2} {:>8.2} {:>8.2} {:>8.2}", ms(0.5), ms(0.99), ms(0.999), ms(1.0));
    }
    println!("events/s meanwhile: {rate:.0}, {:.2} of those without any queries", rate / alone);
}

/// Sends events, as fast as they are taken, until then; gives the events/s that were committed.
async fn ingest(client: &reqwest::Client, server: &Server, events: &Events, until: Instant) -> f64 {
    static SENT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(CUSTOMERS);
    let started = Instant::now();
    let mut count = 0;
    while Instant::now() < until {
        let first = SENT.fetch_add(PORTION / 4, std::sync::atomic::Ordering::Relaxed);
        let batches = events.renumbered_batches(first, PORTION / 4);
        load::run(client, server, batches).await;
        count += PORTION / 4;
    }
    count as f64 / started.elapsed().as_secs_f64()
}
