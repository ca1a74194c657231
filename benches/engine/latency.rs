//! How long from an event to its trigger, at a given rate. The load is open: what is to be sent is sent at its time,
//! however slow the answers to what came before, so a stall counts for every event that falls into it.

use crate::support::events::{Batch, Events};
use crate::support::load;
use crate::support::server::Server;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Between two requests; each carries its share of the events, and one that a trigger fires on.
const TICK: Duration = Duration::from_millis(5);
/// For the last triggers to come.
const LAST_CALL: Duration = Duration::from_secs(30);
/// More probes than any run sends.
const MOST_PROBES: usize = 100_000;

/// Takes the triggers, and notes when each came.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    started: Instant,
    /// Nanoseconds since `started` at which each probe was delivered first; 0 for never.
    delivered: Arc<Vec<AtomicU64>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/probe", listener.local_addr().unwrap());
        let delivered = Arc::new((0..MOST_PROBES).map(|_| AtomicU64::new(0)).collect());
        let receiver = Self { url, started: Instant::now(), delivered };
        let routes = Router::new().route("/probe", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    fn since_start(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

async fn take(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let at = receiver.since_start();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let probe = body["probe"].as_u64().unwrap() as usize;
    receiver.delivered[probe].compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed).ok();
    StatusCode::NO_CONTENT
}

/// Times of all probes of one rate, sorted.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// Events a second that were sent, each at its time.
    pub(crate) rate: f64,
    /// From the answer that says "durable" to the trigger; 0 where the trigger came first.
    pub(crate) from_accepted: Vec<Duration>,
    /// From when the event was meant to be sent.
    pub(crate) from_intended: Vec<Duration>,
    /// Probes whose trigger never came.
    pub(crate) lost: usize,
}

/// Counters that go on from one rate to the next: no message id and no probe comes twice.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) message: usize,
    pub(crate) probe: usize,
}

/// Sends at a rate for so long, and measures.
pub(crate) async fn run(
    client: &reqwest::Client,
    server: &Server,
    receiver: &Receiver,
    events: &Events,
    numbers: &mut Numbers,
    rate: f64,
    lasting: Duration,
) -> Latencies {
    let url = format!("{}/v1/batch", server.base);
    let ticks = (lasting.as_secs_f64() / TICK.as_secs_f64()) as usize;
    let (first_message, first_probe) = (numbers.message, numbers.probe);
    let start = Instant::now() + Duration::from_millis(50);
    let mut sending = JoinSet::new();
    let mut due = 0.0;
    for tick in 0..ticks {
        due += rate * TICK.as_secs_f64();
        let mut batch = Batch::new();
        while due >= 2.0 {
            batch.push(&events.renumbered(numbers.message, numbers.message));
            numbers.message += 1;
            due -= 1.0;
        }
        let now = jiff::Timestamp::now().as_millisecond();
        batch.push(&Events::probe(numbers.message, numbers.probe, now));
        due -= 1.0;
        numbers.message += 1;
        numbers.probe += 1;
        let (body, _) = batch.close();
        let intended = start + TICK * tick as u32;
        tokio::time::sleep_until(intended.into()).await;
        let (client, url, receiver) = (client.clone(), url.clone(), receiver.clone());
        sending.spawn(async move {
            load::send(&client, &url, body.into()).await;
            (tick, (intended - receiver.started).as_nanos() as u64, receiver.since_start())
        });
    }
    let sent = sending.join_all().await;
    let deadline = Instant::now() + LAST_CALL;
    let all = &receiver.delivered[first_probe..numbers.probe];
    while all.iter().any(|at| at.load(Ordering::Relaxed) == 0) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Each request has a probe, so a very low rate is not kept.
    let rate = (numbers.message - first_message) as f64 / (TICK * ticks as u32).as_secs_f64();
    let mut latencies = Latencies { rate, from_accepted: Vec::new(), from_intended: Vec::new(), lost: 0 };
    for (tick, intended, accepted) in sent {
        match all[tick].load(Ordering::Relaxed) {
            0 => latencies.lost += 1,
            delivered => {
                latencies.from_accepted.push(Duration::from_nanos(delivered.saturating_sub(accepted)));
                latencies.from_intended.push(Duration::from_nanos(delivered.saturating_sub(intended)));
            }
        }
    }
    latencies.from_accepted.sort_unstable();
    latencies.from_intended.sort_unstable();
    latencies
}
