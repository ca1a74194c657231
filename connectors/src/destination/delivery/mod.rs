//! From the outbox to an HTTP destination: at least once, in order per profile, a bounded number at a time.
//!
//! A slow destination holds up only itself, a failing profile only its own later messages. The look-ahead is bounded:
//! when all of it waits for retries, the rest waits in the outbox.

use super::lanes::Lanes;
use super::{Message, Observer, Outbox, OutboxError, Outcome, backoff};
use crate::crash::{self, Place};
use crate::log::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tributary_model::Millis;

/// Messages of one destination held in memory at once.
const LOOK_AHEAD: usize = 2_000;
/// How long to wait after the outbox could not be read or written.
const OUTBOX_PAUSE: Duration = Duration::from_secs(1);

/// Tells that the outbox may have grown. The number itself means nothing.
pub type Wake = watch::Receiver<u64>;

/// Something that a message can be sent to.
pub trait Target: Send + Sync + 'static {
    /// Makes one attempt, which ends within the destination's time-out.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome>;
}

/// Carries messages from the outbox to one destination.
pub struct Delivery {
    /// The destination's id.
    pub destination: String,
    /// Where it is.
    pub target: Arc<dyn Target>,
    /// Where messages wait.
    pub outbox: Arc<dyn Outbox>,
    /// Learns what happens.
    pub observer: Arc<dyn Observer>,
    /// Deliveries under way at once.
    pub concurrency: usize,
    /// Attempts before a message is dead.
    pub max_attempts: u32,
    /// How long deliveries under way may go on after the end has come.
    pub last_deliveries: Duration,
    /// What time it is.
    pub clock: fn() -> Millis,
    /// A random number in 0..1, which spreads the waits before further attempts.
    pub jitter: fn() -> f64,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery to {}", self.destination)
    }
}

impl Delivery {
    /// Delivers until it is told to end; what is under way then gets a while longer, and the rest stays in the outbox.
    pub async fn run(self, mut wake: Wake, end: CancellationToken) {
        let this = Arc::new(self);
        let mut lanes = Lanes::default();
        let mut sending: JoinSet<(Message, Outcome)> = JoinSet::new();
        let mut read_to = None;
        let mut may_have_more = true;
        loop {
            if may_have_more && lanes.len() < LOOK_AHEAD / 2 {
                wake.mark_unchanged();
                let limit = LOOK_AHEAD - lanes.len();
                match this.read(read_to, limit).await {
                    Ok(messages) => {
                        may_have_more = messages.len() == limit;
                        read_to = messages.last().map(|message| message.sequence).or(read_to);
                        messages.into_iter().for_each(|message| lanes.push(message));
                    }
                    Err(error) => {
                        tracing::warn!(destination = this.destination, %error, "cannot read the outbox");
                        tokio::select! {
                            () = tokio::time::sleep(OUTBOX_PAUSE) => {}
                            () = end.cancelled() => {}
                        }
                    }
                }
            }
            while sending.len() < this.concurrency {
                let Some(message) = lanes.next(Instant::now()) else { break };
                let this = this.clone();
                sending.spawn(async move {
                    let outcome = match this.is_pending(&message).await {
                        Ok(false) => Outcome::Withdrawn,
                        Ok(true) => this.target.send(&message).await,
                        Err(error) => Outcome::Retry { reason: error.to_string(), after: None },
                    };
                    (message, outcome)
                });
            }
            this.observer.in_flight(&this.destination, sending.len());
            let due = lanes.next_due();
            // A lane that is due but finds no room is looked at when a delivery ends.
            let has_room = sending.len() < this.concurrency;
            let until_due = async move {
                match due {
                    Some(due) if has_room => tokio::time::sleep_until(due).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end.cancelled() => break,
                Some(ended) = sending.join_next() => this.settle(ended, &mut lanes).await,
                () = until_due => {}
                changed = wake.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    may_have_more = true;
                }
            }
        }
        let last = async {
            while let Some(ended) = sending.join_next().await {
                this.settle(ended, &mut lanes).await;
            }
        };
        if tokio::time::timeout(this.last_deliveries, last).await.is_err() {
            tracing::info!(
                destination = this.destination,
                "deliveries were cut off; they are made again after the next start"
            );
        }
    }

    async fn read(self: &Arc<Self>, after: Option<u64>, limit: usize) -> Result<Vec<Message>, OutboxError> {
        self.blocking(move |this| this.outbox.pending(&this.destination, after, limit)).await
    }

    async fn is_pending(self: &Arc<Self>, message: &Message) -> Result<bool, OutboxError> {
        let message = message.clone();
        self.blocking(move |this| this.outbox.is_pending(&message)).await
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&this)).await;
        done.unwrap_or_else(|error| Err(OutboxError(error.to_string())))
    }

    /// Notes what came of an attempt, and lets the lane go on.
    async fn settle(self: &Arc<Self>, ended: Result<(Message, Outcome), tokio::task::JoinError>, lanes: &mut Lanes) {
        let (message, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // The lane stands still until the next start, which sends the message again.
                tracing::error!(destination = self.destination, %error, "a delivery ended in a defect");
                return;
            }
        };
        let now = (self.clock)();
        let since = Duration::from_millis(u64::try_from(now.saturating_sub(message.created_at)).unwrap_or(0));
        let profile = message.profile;
        let attempts = message.attempts + 1;
        let outcome = match outcome {
            Outcome::Retry { reason, .. } if attempts >= self.max_attempts => {
                Outcome::Dead { reason: format!("{reason}; given up after {attempts} attempts") }
            }
            outcome => outcome,
        };
        let word = match &outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retry { .. } => "retried",
            Outcome::Dead { .. } => "dead",
            Outcome::Withdrawn => "withdrawn",
        };
        self.observer.attempted(&self.destination, word, since);
        if outcome == Outcome::Delivered {
            crash::at(Place::WebhookAnswered);
        }
        let noted = {
            let outcome = outcome.clone();
            let note = move |this: &Self| match outcome {
                Outcome::Delivered => this.outbox.delivered(&message, now),
                Outcome::Retry { reason, .. } => this.outbox.failed(&message, &reason, now),
                Outcome::Dead { reason } => this.outbox.dead(&message, &reason, now),
                Outcome::Withdrawn => Ok(()),
            };
            self.blocking(note).await
        };
        if let Err(error) = noted {
            tracing::warn!(destination = self.destination, %error, "cannot note a delivery; it is made again");
            lanes.repeat(profile, Instant::now() + OUTBOX_PAUSE);
            return;
        }
        if outcome == Outcome::Delivered {
            crash::at(Place::WebhookNoted);
        }
        match outcome {
            Outcome::Delivered | Outcome::Dead { .. } | Outcome::Withdrawn => lanes.settle(profile),
            Outcome::Retry { after, .. } => {
                lanes.retry(profile, Instant::now() + backoff::wait(attempts, after, (self.jitter)()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
