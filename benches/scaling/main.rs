//! `make bench-scaling`: what an event costs by the number of workers, of profiles, of definitions, of properties and of events
//! in an epoch. Each is drawn as a curve into this folder.
//!
//! `CURVES=profiles,epochs` measures some only. The cost is the server's processor time, which the clients that share the
//! machine do not change; the rate is that of all of them together.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod input;
mod plot;

use input::views;
use plot::Curve;
use std::time::Duration;
use support::conditions::{own, shared};
use support::events::{self, CUSTOMERS, Events};
use support::server::{Server, Site};
use support::{load, quiet_definitions};

/// Events of one point of a curve, where it takes no fewer.
const EVENTS: usize = 300_000;
/// Events that are sent before, for caches to fill.
const WARM: usize = 50_000;
/// Where the numbers of the messages begin by which profiles come to be.
const OF_PROFILES: usize = 1_000_000_000;

/// Bodies of requests, each with the number of its events.
type Batches = Vec<(Vec<u8>, usize)>;

/// What was measured for one number of something.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: f64,
    /// Microseconds of the server's processor time an event.
    cost: f64,
    /// Events/s.
    rate: f64,
}

struct Bench {
    client: reqwest::Client,
    now: i64,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let bench = Bench { client, now: jiff::Timestamp::now().as_millisecond() };
    let wanted = std::env::var("CURVES").unwrap_or_default();
    let wants = |name: &str| wanted.is_empty() || wanted.split(',').any(|wanted| wanted.trim() == name);
    println!("| | | µs of processor time an event | events/s |\n|---|---|---|---|");
    if wants("workers") {
        draw("workers", "workers of the dataflow", &[("", bench.workers().await)]);
    }
    if wants("profiles") {
        draw("profiles", "profiles", &[("", bench.profiles().await)]);
    }
    if wants("definitions") {
        let all = [("over ten aggregates", shared as fn(usize) -> String), ("each with its own aggregate", own)];
        let mut lines = Vec::new();
        for (name, definitions) in all {
            lines.push((name, bench.definitions(definitions).await));
        }
        draw("definitions", "segments", &lines);
    }
    if wants("properties") {
        draw("properties", "properties of an event", &[("", bench.properties().await)]);
    }
    if wants("epochs") {
        draw("epochs", "events in an epoch, at most", &[("", bench.epochs().await)]);
    }
}

impl Bench {
    async fn workers(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for workers in [1, 2] {
            let site = Site::new(&quiet_definitions()).with_settings(&format!("[engine]\nworkers = {workers}"));
            points.push(self.measure(workers, &site, self.visits(WARM + EVENTS)).await);
        }
        points
    }

    async fn profiles(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for size in [10_000, 100_000, 1_000_000, 3_000_000] {
            let site = Site::new(&quiet_definitions());
            let server = self.start(&site).await;
            for first in (0..size).step_by(CUSTOMERS) {
                let some = first..size.min(first + CUSTOMERS);
                load::run(&self.client, &server, Events::everybody(OF_PROFILES, some, self.now).batches()).await;
            }
            assert_eq!(server.metric(&self.client, "tributary_profiles").await, size as f64, "profiles");
            let visits = Events::of(size, WARM + EVENTS, self.now).batches();
            points.push(self.point(size, &server, visits).await);
        }
        points
    }

    async fn definitions(&self, definitions: fn(usize) -> String) -> Vec<Point> {
        let mut points = Vec::new();
        for count in [10, 100, 1_000] {
            points.push(self.measure(count, &Site::new(&definitions(count)), self.visits(WARM + EVENTS)).await);
        }
        points
    }

    async fn properties(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for count in [1, 10, 100] {
            let views = events::batches(views(count, (WARM + EVENTS) / 2, self.now));
            points.push(self.measure(count, &Site::new(&quiet_definitions()), views).await);
        }
        points
    }

    async fn epochs(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for most in [1, 10, 100, 1_000, 10_000, 100_000] {
            let site = Site::new(&quiet_definitions()).with_settings(&format!("[engine]\nepoch_records = {most}"));
            // Small epochs take as long each as large ones, nearly.
            let visits = self.visits((most * 10_000).clamp(20_000, WARM + EVENTS));
            points.push(self.measure(most, &site, visits).await);
        }
        points
    }

    fn visits(&self, count: usize) -> Batches {
        Events::generate(count, self.now).batches()
    }

    async fn start(&self, site: &Site) -> Server {
        let server = site.start();
        server.ready(&self.client).await;
        server
    }

    /// Starts a server that has nothing, and measures it.
    async fn measure(&self, at: usize, site: &Site, batches: Batches) -> Point {
        self.point(at, &self.start(site).await, batches).await
    }

    /// Sends a seventh to warm up, and measures the rest.
    async fn point(&self, at: usize, server: &Server, mut batches: Batches) -> Point {
        let rest = batches.split_off(batches.len() / 7);
        let count = rest.iter().map(|(_, events)| *events as f64).sum::<f64>();
        load::run(&self.client, server, batches).await;
        let before = server.processor_time();
        let took = load::run(&self.client, server, rest).await;
        let used = server.processor_time() - before;
        let (cost, rate) = (used.as_secs_f64() * 1e6 / count, count / took.as_secs_f64());
        eprintln!("{at}: {cost:.1} µs, {rate:.0} events/s");
        Point { at: at as f64, cost, rate }
    }
}

fn draw(name: &str, what: &str, lines: &[(&str, Vec<Point>)]) {
    for (line, points) in lines {
        for Point { at, cost, rate } in points {
            let line = if line.is_empty() { String::new() } else { format!(", {line}") };
            println!("| {what}{line} | {at} | {cost:.1} | {rate:.0} |");
        }
    }
    let lines = lines.iter().map(|(name, points)| (*name, points.iter().map(|point| (point.at, point.cost)).collect()));
    Curve { name, what, lines: lines.collect() }.draw();
}
