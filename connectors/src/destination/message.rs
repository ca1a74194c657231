//! What is sent, where it waits, and what can come of it.

use bytes::Bytes;
use std::time::Duration;
use tributary_model::{IdentifierId, Millis, ProfileId};

/// One thing to send, as it stands in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in the outbox; a destination gets a profile's messages in this order.
    pub sequence: u64,
    /// The same over retries and restarts: the receiver's idempotency key.
    pub id: String,
    /// The trigger that it comes from.
    pub trigger: String,
    /// The destination's id.
    pub destination: String,
    /// Whom it is about.
    pub profile: ProfileId,
    /// The identifier whose event set it off; else the one that names the profile.
    pub about: IdentifierId,
    /// What is sent.
    pub body: Bytes,
    /// The clock of the epoch that caused it.
    pub created_at: Millis,
    /// Attempts made so far.
    pub attempts: u32,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Delivered,
    /// It may be taken later.
    Retry {
        /// What stood in the way.
        reason: String,
        /// How long the receiver asked to be left alone.
        after: Option<Duration>,
    },
    /// It will never be taken.
    Dead {
        /// Why.
        reason: String,
    },
    /// It no longer stands in the outbox: whom it is about was deleted.
    Withdrawn,
}

/// The outbox cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outbox: {0}")]
pub struct OutboxError(pub String);

/// Where messages wait. Calls block for as long as a disk may take.
pub trait Outbox: Send + Sync + 'static {
    /// At most `limit` messages to a destination in order, with sequences above `after`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn pending(&self, destination: &str, after: Option<u64>, limit: usize) -> Result<Vec<Message>, OutboxError>;

    /// Whether a message that was read still stands there.
    ///
    /// # Errors
    /// If it cannot be read.
    fn is_pending(&self, message: &Message) -> Result<bool, OutboxError>;

    /// The message is there: it leaves the outbox.
    ///
    /// # Errors
    /// If it cannot be written; the message is then sent again.
    fn delivered(&self, message: &Message, at: Millis) -> Result<(), OutboxError>;

    /// An attempt failed: the message stays, with one more attempt.
    ///
    /// # Errors
    /// If it cannot be written.
    fn failed(&self, message: &Message, reason: &str, at: Millis) -> Result<(), OutboxError>;

    /// The message is given up: it goes to the dead letters.
    ///
    /// # Errors
    /// If it cannot be written.
    fn dead(&self, message: &Message, reason: &str, at: Millis) -> Result<(), OutboxError>;

    /// All messages to a destination with sequences above `after`, up to a sequence, are there. Those up to `after` are
    /// settled, and are not looked for.
    ///
    /// # Errors
    /// If it cannot be written.
    fn delivered_through(
        &self,
        destination: &str,
        after: Option<u64>,
        sequence: u64,
        at: Millis,
    ) -> Result<(), OutboxError>;
}

/// Learns what happens, for metrics.
pub trait Observer: Send + Sync + 'static {
    /// An attempt has ended: `delivered`, `retried` or `dead`; and how long after the message's epoch.
    fn attempted(&self, destination: &str, outcome: &'static str, since_created: Duration);
    /// So many deliveries are under way.
    fn in_flight(&self, destination: &str, count: usize);
}

/// Learns nothing.
#[derive(Clone, Copy, Debug)]
pub struct NullObserver;

impl Observer for NullObserver {
    fn attempted(&self, _destination: &str, _outcome: &'static str, _since_created: Duration) {}
    fn in_flight(&self, _destination: &str, _count: usize) {}
}
