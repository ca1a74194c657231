//! The table: ratios first.

use crate::latency::Latencies;
use crate::measure::Measured;
use crate::peer::System;

/// What was measured in one run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) events: usize,
    /// Mean size of an event.
    pub(crate) bytes: usize,
    pub(crate) profiles: usize,
    /// Events/s of the plain loop.
    pub(crate) looped: f64,
    pub(crate) measured: &'a [Measured],
}

/// Prints Markdown, as `RESULTS.md` has it.
pub(crate) fn print(run: &Run<'_>) {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!(
        "{} events of {} bytes in the mean, {} profiles, {processors} processors. All agree on who is in which segment.\n",
        run.events, run.bytes, run.profiles
    );
    if let Some(ours) = run.measured.iter().find(|measured| measured.system == System::Tributary) {
        println!("Tributary is\n");
        for theirs in run.measured.iter().filter(|measured| measured.system != System::Tributary) {
            compare(ours, theirs);
        }
        println!("- {:.2} x the plain loop (events/s; it keeps nothing, and reads no topic)\n", ours.rate / run.looped);
    }
    table(run);
}

fn compare(ours: &Measured, theirs: &Measured) {
    let name = theirs.system.name();
    let word = if theirs.system.is_exactly_once() { "exactly-once" } else { "they at least once" };
    println!("- {:.1} x {name} (events/s, {word})", ours.rate / theirs.rate);
    for (at, what) in ["at 10,000 events/s", "at half of its own rate"].iter().enumerate() {
        if let (Some(ours), Some(theirs)) = (&ours.latencies[at], &theirs.latencies[at]) {
            let ratio = ours.milliseconds(0.99) / theirs.milliseconds(0.99);
            println!("- {ratio:.2} x {name} (p99 from event to trigger, {what})");
        }
    }
    if !theirs.system.does_the_job() {
        return;
    }
    println!("- {:.2} x {name} (peak memory)", ours.peak_memory as f64 / theirs.peak_memory as f64);
    let written = |measured: &Measured| measured.written.iter().sum::<f64>();
    println!(
        "- {:.2} x {name} (bytes written to disk for an event, the broker's too)",
        written(ours) / written(theirs)
    );
    let recovery = ours.recovery.as_secs_f64() / theirs.recovery.as_secs_f64();
    println!("- {recovery:.2} x {name} (time to the first correct answer after kill -9)");
}

fn table(run: &Run<'_>) {
    println!(
        "| | events/s | p50 / p99 / p99.9 at 10,000/s, ms | at half of its own rate, ms | peak memory, MB | bytes a profile: memory, disk | processor time an event, µs | written an event: itself, broker | answers after kill -9, s | triggers twice |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    println!("| plain loop | {:.0} | | | | | {:.1} | | | |", run.looped, 1e6 / run.looped);
    for measured in run.measured {
        let [common, own] = [0, 1].map(|at| latencies(measured.latencies[at].as_ref()));
        let [itself, broker] = measured.written;
        println!(
            "| {} | {:.0} | {common} | {own} | {} | {:.0}, {:.0} | {:.1} | {itself:.0}, {broker:.0} | {:.1} | {} |",
            measured.system.name(),
            measured.rate,
            measured.peak_memory >> 20,
            measured.memory_a_profile,
            measured.disk_a_profile,
            measured.processor,
            measured.recovery.as_secs_f64(),
            measured.doubled,
        );
    }
}

fn latencies(at: Option<&Latencies>) -> String {
    let Some(at) = at else { return "cannot keep up".to_owned() };
    let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| at.milliseconds(share));
    format!("{half:.0} / {most:.0} / {nearly_all:.0} ({:.0}/s)", at.rate)
}
