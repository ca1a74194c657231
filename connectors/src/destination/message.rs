//! What is sent, where it waits, and what can come of it.

use bytes::Bytes;
use serde::de::DeserializeOwned;
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

impl Message {
    /// The fields that the trigger's templates have made: the body of all destinations but webhooks and topics.
    ///
    /// # Errors
    /// What comes of a message that has other fields than its destination needs: it will never be taken.
    pub fn fields<T: DeserializeOwned>(&self) -> Result<T, Outcome> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Outcome::Dead { reason: format!("the message's fields cannot be read: {error}") })
    }
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
        /// What has to change until then.
        blame: Blame,
    },
    /// It may be there: nobody has said so, and sending it again might have it come twice.
    MaybeSent {
        /// Why it is not known.
        reason: String,
    },
    /// It will never be taken.
    Dead {
        /// Why.
        reason: String,
    },
    /// Nothing can reach this address any more: a token that is no longer registered, a mailbox that is not there, a person
    /// who wants nothing.
    Unreachable {
        /// Why.
        reason: String,
    },
}

/// What stands in the way of a message that may be taken later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The destination itself: it is not there, has trouble, or does not know us. Others would fare the same.
    Destination,
    /// Only this message, only now.
    Message,
    /// Too many came too quickly. That is no failed attempt.
    Pace,
}

/// Whether a message may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Send,
    /// It has left the outbox: whom it is about was deleted; or it is held back, or waits for its time, which is noted.
    Gone,
}

/// What is noted of a message after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is there, and leaves the outbox.
    Delivered,
    /// It may be there, and leaves the outbox.
    MaybeSent(String),
    /// An attempt has failed; it stays.
    Failed(String),
    /// Too many came too quickly; it stays, and no attempt is counted.
    Postponed(String),
    /// It is given up, and goes to the dead letters.
    Dead(String),
    /// The same; and nothing can reach its address any more.
    Unreachable(String),
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

    /// Whether each of some messages may go now, in their order.
    ///
    /// # Errors
    /// If the outbox cannot be read or written.
    fn admit(&self, messages: &[Message], at: Millis) -> Result<Vec<Admission>, OutboxError>;

    /// Notes what came of attempts, all or nothing.
    ///
    /// # Errors
    /// If it cannot be written; what was delivered is then sent again.
    fn settle(&self, settled: &[(Message, Settled)], at: Millis) -> Result<(), OutboxError>;

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
    /// An attempt has ended: `delivered`, `retried`, `postponed`, `maybe_sent`, `unreachable` or `dead`; and how long after
    /// the message's epoch.
    fn attempted(&self, destination: &str, outcome: &'static str, since_created: Duration);
    /// So many deliveries are under way.
    fn in_flight(&self, destination: &str, count: usize);
    /// Whether the destination is left alone for a while, because all fails there.
    fn broken(&self, destination: &str, is_open: bool);
}

/// Learns nothing.
#[derive(Clone, Copy, Debug)]
pub struct NullObserver;

impl Observer for NullObserver {
    fn attempted(&self, _destination: &str, _outcome: &'static str, _since_created: Duration) {}
    fn in_flight(&self, _destination: &str, _count: usize) {}
    fn broken(&self, _destination: &str, _is_open: bool) {}
}
