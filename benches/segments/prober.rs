//! How long one event takes to be seen while something else goes on: single events, one after the other.

use crate::support::load;
use crate::support::server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between an event that is seen and the next one.
const PAUSE: Duration = Duration::from_millis(5);

/// Sends single events until it is stopped.
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Duration>>,
}

impl Prober {
    pub(crate) fn start(client: &reqwest::Client, server: &Server) -> Self {
        let (client, base) = (client.clone(), server.base.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut took = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let body = r#"{"userId": "prober", "event": "Probed"}"#;
                let started = Instant::now();
                let position = load::send(&client, &format!("{base}/v1/track"), body.into()).await;
                load::committed(&client, &base, &position).await;
                took.push(started.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            took.sort_unstable();
            took
        });
        Self { stop, task }
    }

    /// For so long.
    pub(crate) async fn during(client: &reqwest::Client, server: &Server, time: Duration) -> Vec<Duration> {
        let prober = Self::start(client, server);
        tokio::time::sleep(time).await;
        prober.stop().await
    }

    /// How long each took, sorted.
    pub(crate) async fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// The median and the 99th percentile in milliseconds, and how many.
pub(crate) fn told(took: &[Duration]) -> String {
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    format!("{:.1} / {:.1} ms of {}", at(0.5), at(0.99), took.len())
}
