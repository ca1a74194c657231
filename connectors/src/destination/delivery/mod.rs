//! From the outbox to a destination that takes one message at a time: at least once, in order per profile, a bounded number
//! at once.
//!
//! A slow destination holds up only itself, a failing profile only its own later messages. The look-ahead is bounded:
//! when all of it waits for retries, the rest waits in the outbox.

use super::breaker::Breaker;
use super::lanes::Lanes;
use super::pace::Pace;
use super::{Admission, Blame, Message, Observer, Outbox, OutboxError, Outcome, Settled, backoff};
use crate::crash::{self, Place};
use crate::log::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tributary_model::{DeliveryPolicy, Millis};

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
    /// How it may be called.
    pub policy: DeliveryPolicy,
    /// Where messages wait.
    pub outbox: Arc<dyn Outbox>,
    /// Learns what happens.
    pub observer: Arc<dyn Observer>,
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

/// An attempt that has ended.
type Ended = Result<(Message, Outcome), JoinError>;

/// What a delivery holds while it runs.
struct Running {
    lanes: Lanes,
    sending: JoinSet<(Message, Outcome)>,
    pace: Pace,
    breaker: Breaker,
    /// Times in a row that the receiver found us too quick.
    too_quick: u32,
}

impl Running {
    /// When the next message may be sent; `None` if something else has to happen first.
    fn next(&mut self, now: Instant, concurrency: usize) -> Option<Instant> {
        if self.sending.len() >= concurrency {
            return None;
        }
        let of_lanes = self.lanes.next_due(now)?;
        let of_breaker = self.breaker.next(now, self.sending.len())?;
        Some(of_lanes.max(of_breaker).max(self.pace.next(now)))
    }

    /// All that may be sent now, each of another profile.
    fn take(&mut self, now: Instant, concurrency: usize) -> Vec<Message> {
        let mut taken = Vec::new();
        while self.sending.len() + taken.len() < concurrency {
            let may_try = self.breaker.next(now, self.sending.len() + taken.len()).is_some_and(|at| at <= now);
            if !may_try || self.pace.next(now) > now {
                break;
            }
            let Some(message) = self.lanes.next(now) else { break };
            self.pace.take();
            taken.push(message);
        }
        taken
    }
}

impl Delivery {
    /// Delivers until it is told to end; what is under way then gets a while longer, and the rest stays in the outbox.
    pub async fn run(self, mut wake: Wake, end: CancellationToken) {
        let this = Arc::new(self);
        let mut running = Running {
            lanes: Lanes::default(),
            sending: JoinSet::new(),
            pace: Pace::new(this.policy.rate, Instant::now()),
            breaker: Breaker::new(),
            too_quick: 0,
        };
        let mut read_to = None;
        let mut may_have_more = true;
        loop {
            if may_have_more && running.lanes.len() < LOOK_AHEAD / 2 {
                wake.mark_unchanged();
                let limit = LOOK_AHEAD - running.lanes.len();
                match this.read(read_to, limit).await {
                    Ok(messages) => {
                        may_have_more = messages.len() == limit;
                        read_to = messages.last().map(|message| message.sequence).or(read_to);
                        messages.into_iter().for_each(|message| running.lanes.push(message));
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
            let taken = running.take(Instant::now(), this.policy.concurrency);
            if !taken.is_empty() {
                this.send(taken, &mut running).await;
            }
            this.observer.in_flight(&this.destination, running.sending.len());
            let next = running.next(Instant::now(), this.policy.concurrency);
            let until_next = async move {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end.cancelled() => break,
                Some(first) = running.sending.join_next() => {
                    let mut ended = vec![first];
                    ended.extend(std::iter::from_fn(|| running.sending.try_join_next()));
                    this.settle(ended, &mut running).await;
                }
                () = until_next => {}
                changed = wake.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    may_have_more = true;
                }
            }
        }
        let last = async {
            while let Some(ended) = running.sending.join_next().await {
                this.settle(vec![ended], &mut running).await;
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

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&this)).await;
        done.unwrap_or_else(|error| Err(OutboxError(error.to_string())))
    }

    /// Begins an attempt at each of the messages that may go.
    async fn send(self: &Arc<Self>, messages: Vec<Message>, running: &mut Running) {
        let asked = messages.clone();
        let admitted = self.blocking(move |this| this.outbox.admit(&asked, (this.clock)())).await;
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::warn!(destination = self.destination, %error, "cannot ask the outbox");
                let due = Instant::now() + OUTBOX_PAUSE;
                messages.iter().for_each(|message| running.lanes.repeat(message.profile, due));
                return;
            }
        };
        for (message, admission) in messages.into_iter().zip(admitted) {
            match admission {
                Admission::Gone => running.lanes.settle(message.profile),
                Admission::Send => {
                    let this = self.clone();
                    running.sending.spawn(async move {
                        let outcome = this.target.send(&message).await;
                        (message, outcome)
                    });
                }
            }
        }
    }

    /// Notes what came of attempts, and lets their lanes go on.
    async fn settle(self: &Arc<Self>, ended: Vec<Ended>, running: &mut Running) {
        let now = (self.clock)();
        let mut settled = Vec::with_capacity(ended.len());
        let mut waits = Vec::with_capacity(ended.len());
        for ended in ended {
            let (message, outcome) = match ended {
                Ok(ended) => ended,
                Err(error) => {
                    // The lane stands still until the next start, which sends the message again.
                    tracing::error!(destination = self.destination, %error, "a delivery ended in a defect");
                    continue;
                }
            };
            if outcome == Outcome::Delivered {
                crash::at(Place::WebhookAnswered);
            }
            waits.push(self.learn(&message, &outcome, running));
            let note = self.note(&message, outcome, now);
            let since = Duration::from_millis(u64::try_from(now.saturating_sub(message.created_at)).unwrap_or(0));
            self.observer.attempted(&self.destination, word(&note), since);
            settled.push((message, note));
        }
        self.observer.broken(&self.destination, running.breaker.is_open());
        let settled = Arc::new(settled);
        let noted = {
            let settled = settled.clone();
            self.blocking(move |this| this.outbox.settle(&settled, now)).await
        };
        if let Err(error) = &noted {
            tracing::warn!(destination = self.destination, %error, "cannot note deliveries; they are made again");
        }
        for ((message, note), wait) in settled.iter().zip(waits) {
            let profile = message.profile;
            match note {
                _ if noted.is_err() => running.lanes.repeat(profile, Instant::now() + OUTBOX_PAUSE),
                Settled::Failed(_) => running.lanes.retry(profile, Instant::now() + wait),
                Settled::Postponed(_) => running.lanes.repeat(profile, Instant::now() + wait),
                _ => running.lanes.settle(profile),
            }
            if noted.is_ok() && *note == Settled::Delivered {
                crash::at(Place::WebhookNoted);
            }
        }
    }

    /// Learns from an attempt how the destination is. Gives how long its message waits, if it is tried again.
    fn learn(&self, message: &Message, outcome: &Outcome, running: &mut Running) -> Duration {
        let now = Instant::now();
        let Outcome::Retry { after, blame, .. } = outcome else {
            match outcome {
                // It has not said that it took it: all may fare so.
                Outcome::MaybeSent { .. } => running.breaker.failed(now),
                _ => running.breaker.answered(),
            }
            running.too_quick = 0;
            return Duration::ZERO;
        };
        let attempts = match blame {
            Blame::Pace => {
                // What was under way when it asked to be left alone says nothing new.
                if !running.pace.is_paused(now) {
                    running.too_quick = running.too_quick.saturating_add(1);
                }
                running.too_quick
            }
            Blame::Message | Blame::Destination => message.attempts.saturating_add(1),
        };
        let wait = backoff::wait(attempts, *after, (self.jitter)());
        match blame {
            Blame::Destination => running.breaker.failed(now),
            Blame::Message => running.breaker.answered(),
            Blame::Pace => {
                running.breaker.answered();
                running.pace.pause(now + wait);
            }
        }
        wait
    }

    /// What is noted of an attempt.
    fn note(&self, message: &Message, outcome: Outcome, now: Millis) -> Settled {
        let age_ms = u64::try_from(now.saturating_sub(message.created_at)).unwrap_or(0);
        let attempts = message.attempts.saturating_add(1);
        match outcome {
            Outcome::Delivered => Settled::Delivered,
            Outcome::MaybeSent { reason } => Settled::MaybeSent(reason),
            Outcome::Dead { reason } => Settled::Dead(reason),
            Outcome::Unreachable { reason } => Settled::Unreachable(reason),
            Outcome::Retry { reason, .. } if age_ms >= self.policy.give_up_after_ms => {
                Settled::Dead(format!("{reason}; given up after {} s", age_ms / 1_000))
            }
            Outcome::Retry { reason, blame: Blame::Pace, .. } => Settled::Postponed(reason),
            Outcome::Retry { reason, .. } if attempts >= self.policy.max_attempts => {
                Settled::Dead(format!("{reason}; given up after {attempts} attempts"))
            }
            Outcome::Retry { reason, .. } => Settled::Failed(reason),
        }
    }
}

fn word(settled: &Settled) -> &'static str {
    match settled {
        Settled::Delivered => "delivered",
        Settled::MaybeSent(_) => "maybe_sent",
        Settled::Failed(_) => "retried",
        Settled::Postponed(_) => "postponed",
        Settled::Dead(_) => "dead",
        Settled::Unreachable(_) => "unreachable",
    }
}

#[cfg(test)]
mod tests;
