//! How long from an event to its message, at a given rate. The load is open: what is to be sent is sent at its time,
//! however slow the answers to what came before, so a stall counts for every event that falls into it.

use super::Bench;
use crate::support::events::Batch;
use crate::support::load;
use crate::support::server::Server;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Between two requests; each carries its share of the events.
const TICK: Duration = Duration::from_millis(5);
/// How long a rate is held.
const HOLD: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// The event that fires.
    pub(crate) event: &'static str,
    /// Events a second.
    pub(crate) rate: f64,
    /// How many of those in a request fire; all of them if there are fewer.
    pub(crate) firing: usize,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// Messages a second.
    pub(crate) messages: f64,
    /// From when an event was due until its message had come; sorted.
    pub(crate) times: Vec<Duration>,
    /// Messages that never came.
    pub(crate) lost: usize,
}

/// Sends at a rate for a while, and measures.
pub(crate) async fn run(bench: &mut Bench, server: &Server, wish: Wish) -> Latencies {
    let url = format!("{}/v1/batch", server.base);
    let ticks = (HOLD.as_secs_f64() / TICK.as_secs_f64()) as usize;
    let first = bench.messages;
    let start = Instant::now() + Duration::from_millis(50);
    let (mut sending, mut due_at) = (JoinSet::new(), Vec::new());
    let mut owed = 0.0;
    for tick in 0..ticks {
        owed += wish.rate * TICK.as_secs_f64();
        let events = owed as usize;
        owed -= events as f64;
        let intended = start + TICK * tick as u32;
        let mut batch = Batch::new();
        for place in 0..events {
            if place < wish.firing {
                due_at.push(bench.receiver.at(intended));
                batch.push(&bench.firing(wish.event));
            } else {
                batch.push(&bench.quiet());
            }
        }
        let (body, _) = batch.close();
        tokio::time::sleep_until(intended.into()).await;
        let (client, url) = (bench.client.clone(), url.clone());
        sending.spawn(async move { load::send(&client, &url, body.into()).await });
    }
    sending.join_all().await;
    let all = first..bench.messages;
    let lost = bench.receiver.await_all(all.clone()).await;
    let came = all.map(|message| bench.receiver.arrived(message)).zip(due_at).filter(|(came, _)| *came > 0);
    let mut times: Vec<Duration> = came.map(|(came, due)| Duration::from_nanos(came.saturating_sub(due))).collect();
    times.sort_unstable();
    Latencies { messages: (times.len() + lost) as f64 / HOLD.as_secs_f64(), times, lost }
}
