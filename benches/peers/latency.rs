//! How long from an event to its trigger at a given rate. The load is open: an event is due at its time, however late the
//! answers to earlier ones, and its trigger is counted from then on, so that a stall counts for all that fall into it.

use crate::input::{Input, Probe};
use crate::support::percentile;
use crate::topics::{Sender, Triggers};
use std::time::{Duration, Instant};

/// Between two sends; each has its share of the events, the last of which is a probe.
const TICK: Duration = Duration::from_millis(5);
/// What is not counted: compilers compile, caches fill.
const WARM: Duration = Duration::from_secs(5);
const HOLD: Duration = Duration::from_secs(15);
const LAST_CALL: Duration = Duration::from_secs(60);

/// Times from when events were due until their triggers had come, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    /// Events a second.
    pub(crate) rate: f64,
    times: Vec<Duration>,
}

impl Latencies {
    /// The time that so much of all is at most, in milliseconds.
    pub(crate) fn milliseconds(&self, share: f64) -> f64 {
        percentile(&self.times, share).as_secs_f64() * 1e3
    }
}

/// Sends at a rate and measures; `None` if the triggers have not all come a minute after the last was sent: the rate is
/// more than can be held.
pub(crate) fn run(sender: &Sender, triggers: &Triggers, input: &mut Input, rate: f64) -> Option<Latencies> {
    let ticks = (WARM + HOLD).as_millis() / TICK.as_millis();
    let start = Instant::now() + TICK;
    let (mut due, mut which) = (0.0, 0);
    let mut sent: Vec<(Probe, u64)> = Vec::new();
    for tick in 0..ticks as u32 {
        due += rate * TICK.as_secs_f64();
        let mut records = Vec::new();
        while due >= 2.0 {
            records.push(input.again(which));
            which += 1;
            due -= 1.0;
        }
        let (record, probe) = input.probe();
        records.push(record);
        due -= 1.0;
        let intended = start + TICK * tick;
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        records.iter().for_each(|record| sender.send(record));
        sender.poll();
        sent.push((probe, triggers.at(intended)));
    }
    sender.flush();
    let probes: Vec<_> = sent.iter().map(|(probe, _)| *probe).collect();
    triggers.wait(&probes, LAST_CALL)?;
    let counted = sent.iter().filter(|(_, intended)| *intended >= triggers.at(start + WARM));
    let times = counted.filter_map(|(probe, intended)| {
        let (at, _) = triggers.came(*probe)?;
        Some(Duration::from_nanos(at.saturating_sub(*intended)))
    });
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    Some(Latencies { rate, times })
}
