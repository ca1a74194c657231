//! From the outbox to a topic, exactly once.
//!
//! Messages go out in transactions, and with each goes a progress record: the outbox number after its last message,
//! committed in the same transaction. After a crash, or a transaction whose end was not heard of, the committed progress
//! says what is already there; it is never sent again.

use super::{Message, Observer, Outbox, OutboxError};
use std::time::Duration;
use tributary_model::Millis;

/// Messages in one transaction.
const BATCH: usize = 1_000;

/// A topic that takes messages in transactions, and remembers with each how far they go.
pub trait Topic {
    /// Why it does not.
    type Error: From<OutboxError>;

    /// The outbox number after the last message that a committed transaction has sent.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn progress(&self) -> Result<Option<u64>, Self::Error>;

    /// Sends messages and the progress after them in one transaction; gives the places of those that it will never take, with
    /// why.
    ///
    /// # Errors
    /// If it is not known that all is there: it may be.
    fn publish(&self, messages: &[Message], next: u64) -> Result<Vec<(usize, String)>, Self::Error>;
}

/// Carries messages from the outbox to a topic. After any error begin anew with [`settle`](Carrier::settle).
pub struct Carrier<'a> {
    /// The destination's id.
    pub destination: &'a str,
    /// Where messages wait.
    pub outbox: &'a dyn Outbox,
    /// Learns what happens.
    pub observer: &'a dyn Observer,
    /// What time it is.
    pub clock: fn() -> Millis,
}

impl std::fmt::Debug for Carrier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carrier to {}", self.destination)
    }
}

impl Carrier<'_> {
    /// Takes out of the outbox what an earlier run has sent.
    ///
    /// # Errors
    /// Those of the topic and of the outbox.
    pub fn settle<T: Topic>(&self, topic: &T) -> Result<(), T::Error> {
        if let Some(last) = topic.progress()?.and_then(|next| next.checked_sub(1)) {
            self.outbox.delivered_through(self.destination, last, (self.clock)())?;
        }
        Ok(())
    }

    /// Sends what waits, as much as fits into a transaction; gives how many messages that were.
    ///
    /// # Errors
    /// Those of the topic and of the outbox.
    pub fn carry<T: Topic>(&self, topic: &T) -> Result<usize, T::Error> {
        let messages = self.outbox.pending(self.destination, None, BATCH)?;
        let Some(last) = messages.last() else { return Ok(0) };
        self.observer.in_flight(self.destination, messages.len());
        let refused = topic.publish(&messages, last.sequence + 1)?;
        let now = (self.clock)();
        for (message, reason) in refused.iter().filter_map(|(place, reason)| Some((messages.get(*place)?, reason))) {
            self.outbox.dead(message, reason, now)?;
        }
        self.outbox.delivered_through(self.destination, last.sequence, now)?;
        for (place, message) in messages.iter().enumerate() {
            let is_refused = refused.iter().any(|(refused, _)| *refused == place);
            let since = u64::try_from(now.saturating_sub(message.created_at)).unwrap_or(0);
            let outcome = if is_refused { "dead" } else { "delivered" };
            self.observer.attempted(self.destination, outcome, Duration::from_millis(since));
        }
        self.observer.in_flight(self.destination, 0);
        Ok(messages.len())
    }
}
