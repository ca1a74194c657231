//! One dispatcher a destination: from the outbox to where messages go.

use super::gate::Gate;
use super::outbox::StoreOutbox;
use super::reports::Reports;
use crate::config::Kafka;
use crate::engine::{Committed, clock};
use crate::store::Store;
use crate::telemetry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tributary_connectors::destination::{
    self, Delivery, KafkaDelivery, KafkaTarget, Observer, PostgresDelivery, PostgresTarget,
};
use tributary_connectors::log::{KafkaConfig, Log, OnTruncated};
use tributary_model::{Definitions, Destination, DestinationKind};

/// What destinations tell goes to `/metrics`.
struct Metrics;

impl Observer for Metrics {
    fn attempted(&self, destination: &str, outcome: &'static str, since_created: Duration) {
        telemetry::delivery(destination, outcome, (outcome == "delivered").then_some(since_created));
    }

    fn in_flight(&self, destination: &str, count: usize) {
        telemetry::in_flight(destination, count);
    }

    fn broken(&self, destination: &str, is_open: bool) {
        telemetry::circuit(destination, is_open);
    }
}

/// Every destination's dispatcher.
#[derive(Debug)]
pub struct Dispatchers {
    end: CancellationToken,
    running: Vec<JoinHandle<()>>,
    /// Writes which addresses they have found to be dead.
    reporting: JoinHandle<()>,
    last_deliveries: Duration,
}

impl Dispatchers {
    /// Starts a dispatcher for each destination, woken by each commit that has something to send. The outbox had given all
    /// numbers before `next_at_start` when the process started. What they learn of addresses goes to the log.
    ///
    /// # Errors
    /// If a destination cannot be set up; the message names it.
    pub fn start(
        definitions: &Definitions,
        kafka: &Kafka,
        store: &Arc<Store>,
        log: &Arc<dyn Log>,
        next_at_start: u64,
        committed: watch::Receiver<Committed>,
        last_deliveries: Duration,
    ) -> anyhow::Result<Self> {
        let end = CancellationToken::new();
        let (reports, reporting) = Reports::start(definitions, store.clone(), log.clone(), end.clone());
        let outbox = StoreOutbox::new(store.clone(), Arc::new(Gate::new(definitions))).with_reports(reports);
        let outbox = Arc::new(outbox);
        let state_id = store.view().meta()?.unwrap_or_default().state_id;
        let (grown, wake) = watch::channel(0);
        let mut running = vec![tokio::spawn(wake_up(committed, grown, end.clone()))];
        for (id, Destination { kind, policy, .. }) in &definitions.destinations {
            let outbox = outbox.clone();
            let observer = Arc::new(Metrics);
            let (wake, end, runtime) = (wake.clone(), end.clone(), tokio::runtime::Handle::current());
            let task = match kind {
                DestinationKind::Kafka(definition) => {
                    let servers = definition.bootstrap_servers.clone().or_else(|| kafka.bootstrap_servers.clone());
                    let properties = kafka.properties.iter();
                    let target = KafkaTarget {
                        kafka: KafkaConfig {
                            bootstrap_servers: servers.unwrap_or_default(),
                            topic: definition.topic.clone(),
                            partitions: kafka.partitions,
                            properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                            on_truncated: OnTruncated::Stop,
                        },
                        destination: id.clone(),
                        state_id: state_id.clone(),
                    };
                    let delivery = KafkaDelivery { target, outbox, next_at_start, observer, clock: clock::now };
                    tokio::task::spawn_blocking(move || delivery.run(&runtime, wake, &end))
                }
                DestinationKind::Postgres(settings) => {
                    let target = PostgresTarget {
                        postgres: settings.clone(),
                        policy: policy.clone(),
                        destination: id.clone(),
                        state_id: state_id.clone(),
                    };
                    let delivery = PostgresDelivery { target, outbox, next_at_start, observer, clock: clock::now };
                    tokio::task::spawn_blocking(move || delivery.run(&runtime, wake, &end))
                }
                _ => {
                    let target = destination::target(kind, policy);
                    let delivery = Delivery {
                        destination: id.clone(),
                        target: target.map_err(|error| anyhow::anyhow!("destinations.{id}: {error}"))?,
                        policy: policy.clone(),
                        outbox,
                        observer,
                        last_deliveries,
                        clock: clock::now,
                        jitter: rand::random,
                    };
                    tokio::spawn(delivery.run(wake, end))
                }
            };
            running.push(task);
        }
        Ok(Self { end, running, reporting, last_deliveries })
    }

    /// Ends the dispatchers; what is under way gets a while longer, the rest stays in the outbox.
    pub async fn stop(self) {
        self.end.cancel();
        for task in self.running {
            // Their own bound is `last_deliveries`; a Kafka transaction under way may take longer, and is settled by
            // the next start.
            let ended = tokio::time::timeout(self.last_deliveries + Duration::from_secs(1), task).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::warn!("a dispatcher did not end in time; what it was sending is settled by the next start");
            }
        }
        // Nobody is left who reports: it ends by itself.
        if !matches!(tokio::time::timeout(self.last_deliveries, self.reporting).await, Ok(Ok(()))) {
            tracing::warn!("dead addresses were not noted in time; the next attempts tell them again");
        }
    }
}

/// Wakes the dispatchers when a commit has put something into the outbox.
async fn wake_up(mut committed: watch::Receiver<Committed>, grown: watch::Sender<u64>, end: CancellationToken) {
    loop {
        let next = committed.borrow_and_update().next_message;
        grown.send_if_modified(|last| {
            let has_grown = *last != next;
            *last = next;
            has_grown
        });
        tokio::select! {
            changed = committed.changed() => {
                if changed.is_err() {
                    // The engine has ended; what stands in the outbox is still delivered until the end.
                    end.cancelled().await;
                    return;
                }
            }
            () = end.cancelled() => return,
        }
    }
}
