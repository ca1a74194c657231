//! One system, measured.

use crate::flame::Recording;
use crate::input::{Input, Probe};
use crate::latency::{self, Latencies};
use crate::peer::{Place, Running, System};
use crate::support::broker::Broker;
use crate::support::process;
use crate::topics::{self, Sender, Triggers};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Of the events, those that warm up compilers and caches before the clock runs.
const WARM: f64 = 0.2;
/// The rate at which all are measured besides half of their own.
const COMMON_RATE: f64 = 10_000.0;
/// For all events; past it something is broken.
const LONGEST: Duration = Duration::from_secs(900);

/// What was measured of a system.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) system: System,
    /// Events/s after a warm-up: produced as fast as the producer can, until the triggers of the last have come.
    pub(crate) rate: f64,
    /// At the common rate, and at half of its own; `None` where it could not keep up.
    pub(crate) latencies: [Option<Latencies>; 2],
    /// The most memory held, in bytes.
    pub(crate) peak_memory: u64,
    /// Memory that has come with the profiles, in bytes each.
    pub(crate) memory_a_profile: f64,
    /// Its folder's size by profiles, in bytes.
    pub(crate) disk_a_profile: f64,
    /// Bytes written to disks for an event: by itself, and by the broker for it.
    pub(crate) written: [f64; 2],
    /// Processor time for an event, in microseconds; what starts and warms up is in it, the broker's is not.
    pub(crate) processor: f64,
    /// From the start after `kill -9` until a trigger came that tells the right number of orders.
    pub(crate) recovery: Duration,
    /// Triggers that came twice.
    pub(crate) doubled: usize,
}

/// Measures a system with topics and a folder of its own.
pub(crate) async fn run(
    system: System,
    broker: &Broker,
    mut input: Input,
    expected: &HashMap<String, u32>,
) -> Measured {
    let name = system.name();
    let slug = name.to_lowercase().replace(' ', "-");
    let place =
        Place::new(&broker.bootstrap_servers, &format!("peers-{slug}-events"), &format!("peers-{slug}-triggers"));
    topics::create(&place.bootstrap_servers, &[&place.input, &place.output]).await;
    let sender = Sender::new(&place.bootstrap_servers, &place.input);
    let triggers = Triggers::read(&place.bootstrap_servers, &place.output);

    let events = input.pool().len();
    let warm = (events as f64 * WARM) as usize;
    input.pool()[..warm].iter().for_each(|record| sender.send(record));
    let warm_marks = send_marks(&sender, &mut input);
    let written_by_broker = broker.written();
    let mut running = Running::start(system, &place);
    let memory_empty = process::memory(running.pid());
    triggers.wait(&warm_marks, LONGEST).expect("the warm-up is through");
    // All at once, and all of it before anything counts as done: a system may read one partition long before another.
    let flame = std::env::var_os("FLAMEGRAPH").filter(|_| system == System::Tributary);
    let flame = flame.map(|to| Recording::start(running.pid(), Path::new(&to)));
    let from = triggers.at(Instant::now());
    input.pool()[warm..].iter().for_each(|record| sender.send(record));
    let last_marks = send_marks(&sender, &mut input);
    let to = triggers.wait(&last_marks, LONGEST).expect("all events are through");
    let processor = process::processor_time(running.pid()).as_secs_f64() * 1e6 / events as f64;
    let rate = (events - warm) as f64 * 1e9 / (to - from) as f64;
    let written = [process::written(running.pid()), broker.written() - written_by_broker];
    let written = written.map(|bytes| bytes as f64 / events as f64);
    flame.into_iter().for_each(Recording::draw);
    eprintln!("{name}: {rate:.0} events/s, {processor:.1} µs of processor time each");

    if system.does_the_job() {
        compare(name, &running.memberships(&place).await, expected);
    }
    let profiles = expected.len() as f64;
    let memory_a_profile = process::memory(running.pid()).saturating_sub(memory_empty) as f64 / profiles;
    let disk_a_profile = process::size_of(&place.state()) as f64 / profiles;

    let latencies = [COMMON_RATE, rate / 2.0].map(|rate| {
        let at = latency::run(&sender, &triggers, &mut input, rate);
        eprintln!(
            "{name} at {rate:.0} events/s: p99 {:.0} ms",
            at.as_ref().map_or(f64::NAN, |at| at.milliseconds(0.99))
        );
        at
    });
    let peak_memory = running.peak_memory();

    running.kill();
    let started = Instant::now();
    let (record, probe) = input.probe();
    sender.send(&record);
    sender.flush();
    let running = Running::start(system, &place);
    let came = triggers.wait(&[probe], LONGEST).expect("the probe is answered after the kill");
    let recovery = Duration::from_nanos(came - triggers.at(started));
    let (_, orders) = triggers.came(probe).unwrap();
    assert!(orders == probe.orders || !system.does_the_job(), "{name}: orders of a customer after kill -9");
    eprintln!("{name}: the first correct answer {recovery:?} after kill -9");
    running.kill();
    let doubled = triggers.doubled();
    assert!(doubled == 0 || !system.is_exactly_once(), "{name}: {doubled} triggers came twice");
    triggers.end();
    Measured {
        system,
        rate,
        latencies,
        peak_memory,
        memory_a_profile,
        disk_a_profile,
        written,
        processor,
        recovery,
        doubled,
    }
}

fn send_marks(sender: &Sender, input: &mut Input) -> Vec<Probe> {
    let marks = input.marks();
    marks.iter().for_each(|(record, _)| sender.send(record));
    sender.flush();
    marks.into_iter().map(|(_, probe)| probe).collect()
}

/// A rate of something else would be no rate.
fn compare(name: &str, memberships: &HashMap<String, u32>, expected: &HashMap<String, u32>) {
    // Who is in no segment need not be told.
    let of = |memberships: &HashMap<String, u32>, user: &String| memberships.get(user).copied().unwrap_or(0);
    let users = expected.keys().chain(memberships.keys());
    let wrong: Vec<_> = users.filter(|user| of(memberships, user) != of(expected, user)).collect();
    if let Some(user) = wrong.first() {
        let (is, should) = (of(memberships, user), of(expected, user));
        panic!("{name}: {} customers' segments are wrong; {user}: {is:020b}, should be {should:020b}", wrong.len());
    }
}
