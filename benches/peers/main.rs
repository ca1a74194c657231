//! `make bench-peers`: the same job in Tributary and in what people would take instead, one after the other, on the same
//! Apache Kafka with the same events on the same processors; and a plain loop that keeps nothing.
//!
//! `PEERS=tributary,flink` measures some only, `BENCH_EVENTS` sets how many events the input topic has (a million if not
//! set), `FLAMEGRAPH=file.svg` draws where Tributary spends its time at full rate. Every system has to come to the memberships
//! of the plain loop, or there are no figures.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod input;
mod topics;
mod peer;
mod ours;
mod kafka_alone;
mod latency;
mod flame;
mod measure;
mod report;

use input::Input;
use peer::System;
use std::process::ExitCode;
use support::broker::Broker;
use support::yardstick;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [kafka_alone::WORD, bootstrap_servers, input, output] =
        words.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        kafka_alone::run(bootstrap_servers, input, output);
        return ExitCode::SUCCESS;
    }
    let count = std::env::var("BENCH_EVENTS").map_or(1_000_000, |text| text.parse().expect("BENCH_EVENTS is a number"));
    let wanted = std::env::var("PEERS").unwrap_or_default();
    let names: Vec<_> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let slug = |system: &System| system.name().to_lowercase().replace(' ', "-");
    let unknown = names.iter().find(|name| !System::ALL.iter().any(|system| slug(system) == **name));
    if let Some(unknown) = unknown {
        let all: Vec<_> = System::ALL.iter().map(slug).collect();
        eprintln!("PEERS: nobody is called {unknown}; there are {}", all.join(", "));
        return ExitCode::FAILURE;
    }

    let now = jiff::Timestamp::now().as_millisecond();
    let input = Input::generate(count, now);
    let bodies: Vec<_> = input.pool().iter().map(|record| record.body.clone()).collect();
    let (answer, took) = yardstick::run(&bodies, now);
    let looped = count as f64 / took[0].as_secs_f64();
    let expected = yardstick::memberships(bodies.iter().map(Vec::as_slice), now);
    let bytes = bodies.iter().map(Vec::len).sum::<usize>() / count;
    drop((bodies, input));
    eprintln!("plain loop: {looped:.0} events/s, {} profiles", answer.profiles);

    let broker = Broker::start().expect("a broker can be started: its words are above");
    let mut measured = Vec::new();
    for system in System::ALL {
        if names.is_empty() || names.contains(&slug(&system).as_str()) {
            measured.push(measure::run(system, &broker, Input::generate(count, now), &expected).await);
        }
    }
    report::print(&report::Run { events: count, bytes, profiles: answer.profiles, looped, measured: &measured });
    ExitCode::SUCCESS
}
