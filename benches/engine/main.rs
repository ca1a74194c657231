//! `make bench`: how fast, how late, how big; beside a plain loop over hash maps that does the same without keeping it.
//!
//! `BENCH_EVENTS` sets how many events are sent at full speed (a million if not set); `REQUIRE_KAFKA=1` makes it an
//! error that there is no broker. Clients, server, receiver and broker share this machine's processors, so the numbers
//! are those of all of them together.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod latency;

use latency::{Latencies, Numbers, Receiver};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::broker::Broker;
use support::events::{CUSTOMERS, Events};
use support::server::{Server, Site};
use support::{DEFINITIONS, load, percentile, yardstick};

/// How long each rate is held while latencies are taken.
const HOLD: Duration = Duration::from_secs(10);
const SHARES: [f64; 3] = [0.1, 0.5, 0.9];
/// Events that are sent again under new ids while latencies are taken.
const POOL: usize = 20_000;

/// What was measured of the plain loop, in events/s.
#[derive(Debug)]
struct Yardstick {
    rate: f64,
    slowest: f64,
}

/// What was measured of one log.
#[derive(Debug)]
struct Measured {
    name: &'static str,
    rate: f64,
    latencies: Vec<Latencies>,
}

/// What was measured of a state of [`CUSTOMERS`] customers.
#[derive(Debug)]
struct Weight {
    profiles: f64,
    memory_empty: u64,
    memory: u64,
    disk: u64,
    restart: Duration,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let count = std::env::var("BENCH_EVENTS").map_or(1_000_000, |text| text.parse().expect("BENCH_EVENTS is a number"));
    let now = jiff::Timestamp::now().as_millisecond();
    let events = Events::generate(count, now);
    eprintln!("{count} events of {} bytes in the mean", events.mean_bytes());

    let (answer, took) = yardstick::run(events.all(), now);
    let rate = |took: &Duration| count as f64 / took.as_secs_f64();
    let yardstick = Yardstick { rate: rate(&took[0]), slowest: rate(&took[took.len() - 1]) };
    eprintln!("plain loop: {:.0} events/s; {} profiles", yardstick.rate, answer.profiles);

    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let receiver = Receiver::start().await;
    let mut bench = Bench {
        client,
        receiver,
        pool: Events::generate(POOL.min(count), now),
        events,
        now,
        numbers: Numbers::default(),
        answer,
    };

    let definitions = DEFINITIONS.replace("RECEIVER", &bench.receiver.url);
    let site = Site::new(&definitions);
    let (embedded, weight) = bench.embedded(&site).await;
    let mut measured = vec![embedded];
    let broker = Broker::find();
    if let Some(broker) = &broker {
        let topic = format!("tributary-bench-{now}");
        let site = Site::new(&definitions).on_kafka(&broker.bootstrap_servers, &topic);
        let server = site.start();
        measured.push(bench.measure("Kafka", &server).await);
    }
    report(&yardstick, bench.events.mean_bytes(), count, &measured, &weight);
    if broker.is_none() {
        println!("\nKafka was not measured: install default-jre-headless and maven, or set KAFKA_BOOTSTRAP_SERVERS");
    }
    let lost: usize = measured.iter().flat_map(|log| &log.latencies).map(|latencies| latencies.lost).sum();
    if lost > 0 {
        eprintln!("{lost} triggers never came");
    }
    let is_required = std::env::var("REQUIRE_KAFKA").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    if (is_required && broker.is_none()) || lost > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

struct Bench {
    client: reqwest::Client,
    receiver: Receiver,
    events: Events,
    pool: Events,
    now: i64,
    numbers: Numbers,
    answer: yardstick::Answer,
}

impl Bench {
    async fn embedded(&mut self, site: &Site) -> (Measured, Weight) {
        let server = site.start();
        server.ready(&self.client).await;
        let memory_empty = server.memory_bytes();
        let measured = self.measure("embedded log", &server).await;

        eprintln!("filling up to {CUSTOMERS} customers");
        let everybody = Events::everybody(self.numbers.message, 0..CUSTOMERS, self.now);
        self.numbers.message += CUSTOMERS;
        load::run(&self.client, &server, everybody.batches()).await;
        let profiles = server.metric(&self.client, "tributary_profiles").await;
        let (memory, disk) = (server.memory_bytes(), site.disk_bytes());
        drop(server);
        let started = Instant::now();
        let server = site.start();
        server.ready(&self.client).await;
        let restart = started.elapsed();
        let again = server.metric(&self.client, "tributary_profiles").await;
        assert_eq!(again, profiles, "profiles after kill -9");
        (measured, Weight { profiles, memory_empty, memory, disk, restart })
    }

    /// Full speed from an empty state, then the three shares of it.
    async fn measure(&mut self, name: &'static str, server: &Server) -> Measured {
        server.ready(&self.client).await;
        let took = load::run(&self.client, server, self.events.batches()).await;
        let rate = self.events.all().len() as f64 / took.as_secs_f64();
        eprintln!("{name}: {rate:.0} events/s");
        self.compare(server).await;
        self.numbers.message = self.numbers.message.max(self.events.all().len());
        let mut latencies = Vec::new();
        for share in SHARES {
            let (client, receiver) = (&self.client, &self.receiver);
            let at = latency::run(client, server, receiver, &self.pool, &mut self.numbers, rate * share, HOLD).await;
            eprintln!("{name}, {:.0} %: p99 {:?}", share * 100.0, percentile(&at.from_accepted, 0.99));
            latencies.push(at);
        }
        Measured { name, rate, latencies }
    }

    /// The server has computed what the loop has: a rate of something else would be no rate.
    async fn compare(&self, server: &Server) {
        let profiles = server.metric(&self.client, "tributary_profiles").await;
        assert_eq!(profiles, self.answer.profiles as f64, "profiles, as the plain loop has them");
        let text = self.client.get(format!("{}/v1/segments", server.base)).send().await.unwrap().text().await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let segments = answer["segments"].as_array().unwrap();
        for (id, expected) in yardstick::SEGMENTS.iter().zip(self.answer.counts) {
            let count = segments.iter().find(|segment| segment["id"] == *id).unwrap()["count"].as_i64().unwrap();
            // Windows slide while the server works, so a few memberships may have ended since.
            assert!((count - expected).abs() <= 5 + expected / 100, "{id}: {count}, and {expected} by the plain loop");
        }
    }
}

fn report(yardstick: &Yardstick, bytes: usize, count: usize, measured: &[Measured], weight: &Weight) {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("\n{count} events of {bytes} bytes in the mean, {CUSTOMERS} customers (Zipf), {processors} processors");
    println!("\nratio to the plain loop          events/s");
    let Yardstick { rate: yardstick, slowest } = yardstick;
    println!(
        "  {:<20} {:>8} {yardstick:>12.0}   one thread, in memory, nothing kept; the best of {} runs ({slowest:.0} the worst)",
        "plain loop",
        "1",
        yardstick::RUNS
    );
    for Measured { name, rate, .. } in measured {
        let connections = load::CONNECTIONS;
        println!(
            "  {name:<20} {:>8.3} {rate:>12.0}   HTTP on {connections} connections, durable, committed",
            rate / yardstick
        );
    }
    println!(
        "\nmilliseconds to a delivered trigger     from accepted: p50   p99   p99.9 | from intended: p50   p99   p99.9"
    );
    for Measured { name, latencies, .. } in measured {
        for (share, at) in SHARES.iter().zip(latencies) {
            let ms = |times: &[Duration], share: f64| percentile(times, share).as_secs_f64() * 1e3;
            let three = |times: &[Duration]| {
                format!("{:>7.1} {:>7.1} {:>7.1}", ms(times, 0.5), ms(times, 0.99), ms(times, 0.999))
            };
            println!(
                "  {name:<14} {:>3.0} % {:>9.0} events/s  {} | {}   ({} triggers, {} lost)",
                share * 100.0,
                at.rate,
                three(&at.from_accepted),
                three(&at.from_intended),
                at.from_accepted.len(),
                at.lost
            );
        }
    }
    let Weight { profiles, memory_empty, memory, disk, restart } = weight;
    println!("\nat {profiles:.0} profiles, embedded log");
    let grown = memory.saturating_sub(*memory_empty);
    println!(
        "  memory   {:>7.0} bytes a profile; {:.0} without what the empty server holds",
        *memory as f64 / profiles,
        grown as f64 / profiles
    );
    println!("  disk     {:>7.0} bytes a profile, the log and all events included", *disk as f64 / profiles);
    println!("  restart  {:>7.2} s from start after kill -9 until /readyz is 200", restart.as_secs_f64());
}
