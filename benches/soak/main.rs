//! `make bench-soak`: more than the server can take, for long: what it refuses, what memory it holds, and what is left of it
//! afterwards.
//!
//! First the rate that it sustains is taken, then half as much again is sent by a clock for `SOAK_SECONDS` (600 if not set).
//! Clients, server and receiver share this machine's processors.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::events::{Batch, Events};
use support::server::{Server, Site};
use support::{load, quiet_definitions};
use tokio::sync::Semaphore;
use tributary_model::Position;

/// Events by which the sustained rate is taken, once some others have warmed everything up.
const WARM: usize = 400_000;
const SUSTAINED: usize = 1_000_000;
/// How much of that rate is sent.
const SHARE: f64 = 1.5;
const BATCH: usize = 250;
const TICK: Duration = Duration::from_millis(10);
/// Requests under way at most: clients have a number too. A tick that finds no room is counted as refused.
const UNDER_WAY: usize = 256;
/// Events that are sent again and again under new ids.
const POOL: usize = 100_000;
const SAMPLES: u64 = 20;

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    unsent: AtomicUsize,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(600, |text| text.parse().expect("SOAK_SECONDS is a number"));
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let site = Site::new(&quiet_definitions());
    let server = site.start();
    server.ready(&client).await;
    let empty = server.memory_bytes();

    let mut soak = Soak { pool: Arc::new(Events::generate(POOL, now)), number: 0, client, server };
    soak.full_speed(WARM).await;
    let took = soak.full_speed(SUSTAINED).await;
    let rate = SUSTAINED as f64 / took.as_secs_f64();
    let before = soak.server.memory_bytes();
    println!("sustained: {rate:.0} events/s; memory {} MB empty, {} MB now", empty >> 20, before >> 20);
    let sent_before = soak.number;

    println!("{:.0} events/s for {seconds} s", rate * SHARE);
    println!("  second   memory MB   accepted/s   refused/s   not read, millions   applied/s");
    let counts = Arc::new(Counts::default());
    let (most, last) = soak.overload(rate * SHARE, seconds, &counts).await;
    let accepted = counts.accepted.load(Ordering::Relaxed);
    let after = Instant::now();
    load::committed(&soak.client, &soak.server.base, &last).await;
    let recovered = after.elapsed();
    let applied = soak.server.metric(&soak.client, "tributary_events_total").await as usize;
    println!(
        "accepted {accepted} ({:.0}/s), refused {} for want of room, {} for want of requests",
        accepted as f64 / seconds as f64,
        counts.refused.load(Ordering::Relaxed),
        counts.unsent.load(Ordering::Relaxed)
    );
    println!("most memory {} MB, {:.2} of that before", most >> 20, most as f64 / before as f64);
    println!("all that was accepted is applied {:.0} s after the end", recovered.as_secs_f64());
    assert_eq!(applied, sent_before + accepted, "events applied, and events accepted");

    // Back to normal: single events are committed as they were before.
    let mut waits = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        let position = soak.send_one().await;
        load::committed(&soak.client, &soak.server.base, &position).await;
        waits.push(started.elapsed());
    }
    waits.sort();
    println!("then single events are committed after {:?} (median), {:?} (p99)", waits[100], waits[197]);
    println!("memory at the end: {} MB", soak.server.memory_bytes() >> 20);
}

struct Soak {
    pool: Arc<Events>,
    /// The next message's.
    number: usize,
    client: reqwest::Client,
    server: Server,
}

impl Soak {
    fn batch(&mut self, events: usize) -> Vec<u8> {
        let mut batch = Batch::new();
        for _ in 0..events {
            batch.push(&self.pool.renumbered(self.number, self.number));
            self.number += 1;
        }
        batch.close().0
    }

    async fn full_speed(&mut self, events: usize) -> Duration {
        let batches = (0..events / BATCH).map(|_| (self.batch(BATCH), BATCH)).collect();
        load::run(&self.client, &self.server, batches).await
    }

    async fn send_one(&mut self) -> Position {
        let body = self.batch(1);
        load::send(&self.client, &format!("{}/v1/batch", self.server.base), body.into()).await
    }

    /// Sends by the clock, whatever comes back; gives the most memory that was seen and the last position that was given.
    async fn overload(&mut self, rate: f64, seconds: u64, counts: &Arc<Counts>) -> (u64, Position) {
        let room = Arc::new(Semaphore::new(UNDER_WAY));
        let last = Arc::new(std::sync::Mutex::new(Position::default()));
        let (started, mut due) = (Instant::now(), 0.0);
        let applied = self.server.metric(&self.client, "tributary_events_total").await;
        let (mut most, mut sampled) = (0, (0, 0, 0, applied));
        let mut ticks = tokio::time::interval(TICK);
        let url = format!("{}/v1/batch", self.server.base);
        while started.elapsed() < Duration::from_secs(seconds) {
            ticks.tick().await;
            let wanted = rate * started.elapsed().as_secs_f64();
            while due + BATCH as f64 <= wanted {
                due += BATCH as f64;
                let Ok(place) = room.clone().try_acquire_owned() else {
                    counts.unsent.fetch_add(BATCH, Ordering::Relaxed);
                    continue;
                };
                let body = Bytes::from(self.batch(BATCH));
                let (client, url, counts, last) = (self.client.clone(), url.clone(), counts.clone(), last.clone());
                tokio::spawn(async move {
                    let _place = place;
                    let request = client.post(&url).header("content-type", "application/json").body(body);
                    let answer = request.send().await.unwrap();
                    let status = answer.status().as_u16();
                    if status == 200 {
                        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
                        let position: Position = answer["position"].as_str().unwrap().parse().unwrap();
                        let mut last = last.lock().unwrap();
                        position.0.into_iter().for_each(|(partition, offset)| last.advance(partition, offset));
                        counts.accepted.fetch_add(BATCH, Ordering::Relaxed);
                    } else {
                        assert!(status == 429 || status == 503, "{status}");
                        assert!(answer.headers().contains_key("retry-after"), "it says when to come again");
                        counts.refused.fetch_add(BATCH, Ordering::Relaxed);
                    }
                });
            }
            let second = started.elapsed().as_secs();
            let memory = self.server.memory_bytes();
            most = most.max(memory);
            if second >= sampled.0 + SAMPLES {
                let (accepted, refused) =
                    (counts.accepted.load(Ordering::Relaxed), counts.refused.load(Ordering::Relaxed));
                let applied = self.server.metric(&self.client, "tributary_events_total").await;
                let lag = self.server.metric(&self.client, "tributary_log_lag_records{stream=\"log\"}").await;
                let every = (second - sampled.0) as f64;
                println!(
                    "{second:>8} {:>11} {:>12.0} {:>11.0} {:>20.2} {:>11.0}",
                    memory >> 20,
                    (accepted - sampled.1) as f64 / every,
                    (refused - sampled.2) as f64 / every,
                    lag / 1e6,
                    (applied - sampled.3) / every
                );
                sampled = (second, accepted, refused, applied);
            }
        }
        // Those under way come to their end.
        drop(room.acquire_many(UNDER_WAY as u32).await.unwrap());
        let last = last.lock().unwrap().clone();
        (most, last)
    }
}
