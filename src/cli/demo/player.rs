//! Plays traffic through the public API: a few connections, batches and single calls, those of a visitor in order.

use super::client::Client;
use super::traffic::Sample;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tributary_model::Position;

/// Connections at once.
const CONNECTIONS: usize = 3;
/// Events in a batch.
const BATCH: usize = 100;
/// One batch of so many is followed by a call with a single event.
const SINGLE_EVERY: usize = 5;

/// Plays, and counts what the server has accepted.
#[derive(Clone, Debug)]
pub(super) struct Player {
    client: Client,
    accepted: Arc<AtomicUsize>,
}

impl Player {
    /// A player that sends to a server.
    pub(super) fn new(client: Client) -> Self {
        Self { client, accepted: Arc::default() }
    }

    /// Events that the server has accepted so far.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Sends all of it, at so many events a second, and gives up to where it covers the log.
    ///
    /// # Errors
    /// If the server refuses something.
    pub(super) async fn play(&self, samples: &[Sample], rate: f64) -> anyhow::Result<Position> {
        let started = Instant::now();
        let mut lanes = vec![Vec::new(); CONNECTIONS];
        for (place, sample) in samples.iter().enumerate() {
            if let Some(lane) = lanes.get_mut(sample.visitor % CONNECTIONS) {
                lane.push((started + Duration::from_secs_f64(place as f64 / rate), sample.clone()));
            }
        }
        let mut playing = JoinSet::new();
        for lane in lanes {
            let player = self.clone();
            playing.spawn(async move { player.lane(lane).await });
        }
        let mut all = Position::default();
        while let Some(lane) = playing.join_next().await {
            for (partition, offset) in lane??.0 {
                all.advance(partition, offset);
            }
        }
        Ok(all)
    }

    async fn lane(&self, samples: Vec<(Instant, Sample)>) -> anyhow::Result<Position> {
        let mut covered = Position::default();
        let mut rest = samples.as_slice();
        let mut sent = 0;
        while let Some((_, first)) = rest.first() {
            let is_single = sent % (SINGLE_EVERY + 1) == SINGLE_EVERY;
            let (now, later) = rest.split_at(if is_single { 1 } else { BATCH.min(rest.len()) });
            if let Some((due, _)) = now.last() {
                tokio::time::sleep_until(*due).await;
            }
            let position = if is_single {
                let kind = first.body.get("type").and_then(serde_json::Value::as_str).unwrap_or("track");
                self.client.send(&format!("/v1/{kind}"), &first.body).await?
            } else {
                let events: Vec<_> = now.iter().map(|(_, sample)| &sample.body).collect();
                self.client.send("/v1/batch", &json!({ "batch": events })).await?
            };
            for (partition, offset) in position.0 {
                covered.advance(partition, offset);
            }
            self.accepted.fetch_add(now.len(), Ordering::Relaxed);
            rest = later;
            sent += 1;
        }
        Ok(covered)
    }
}
