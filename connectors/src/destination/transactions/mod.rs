//! From the outbox to a topic, exactly once.
//!
//! Messages go out in transactions, and with each goes a progress record: the number and id of its last message, committed
//! in the same transaction. After a crash, or a transaction whose end was not heard of, the committed progress says what is
//! already there; it is never sent again.
//!
//! A state that was restored from a backup gives numbers anew, to other messages. Its progress record is that of another
//! history then, which shows by the id or by a number that was never given: nothing is skipped, and what was sent after the
//! backup is sent again.

use super::{Admission, Message, Observer, Outbox, OutboxError, Settled};
use crate::crash::{self, Place};
use std::time::Duration;
use tributary_model::Millis;

/// Messages in one transaction.
const BATCH: usize = 1_000;

/// How far a topic has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number in the outbox of the last message that a committed transaction has sent.
    pub last: u64,
    /// That message's id.
    pub id: String,
}

/// A message that a topic will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its number in the outbox.
    pub sequence: u64,
    /// Why.
    pub reason: String,
}

/// A topic that takes messages in transactions, and remembers with each how far they go.
pub trait Topic {
    /// Why it does not.
    type Error: From<OutboxError>;

    /// How far committed transactions have got.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn progress(&self) -> Result<Option<Progress>, Self::Error>;

    /// Sends messages and the progress after them in one transaction.
    ///
    /// # Errors
    /// If it is not known that all is there: it may be.
    fn publish(&self, messages: &[Message], progress: &Progress) -> Result<(), Self::Error>;

    /// Whether an error says that a message, or all of them together, are larger than the topic takes.
    fn is_too_large(error: &Self::Error) -> bool;

    /// The messages that an error says will never be taken. Nothing of the transaction is there then; without them, the
    /// others may be taken.
    fn refused(_: &Self::Error) -> &[Refused] {
        &[]
    }
}

/// Carries messages from the outbox to a topic. After any error begin anew with [`settle`](Carrier::settle).
pub struct Carrier<'a> {
    destination: &'a str,
    outbox: &'a dyn Outbox,
    next_at_start: u64,
    observer: &'a dyn Observer,
    clock: fn() -> Millis,
    /// Bytes of bodies in one transaction at most, unless it is one message alone; fewer once the topic has refused as many.
    most_bytes: usize,
    /// All up to here is settled: what the outbox has had there need not be passed over each time.
    after: Option<u64>,
}

impl std::fmt::Debug for Carrier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carrier to {}", self.destination)
    }
}

impl<'a> Carrier<'a> {
    /// A carrier from an outbox to a destination, by its id. The outbox had given all numbers before `next_at_start` when the
    /// process started.
    pub fn new(
        destination: &'a str,
        outbox: &'a dyn Outbox,
        next_at_start: u64,
        observer: &'a dyn Observer,
        clock: fn() -> Millis,
    ) -> Self {
        Self { destination, outbox, next_at_start, observer, clock, most_bytes: usize::MAX, after: None }
    }

    /// Takes out of the outbox what an earlier run has sent.
    ///
    /// # Errors
    /// Those of the topic and of the outbox.
    pub fn settle<T: Topic>(&mut self, topic: &T) -> Result<(), T::Error> {
        let before = self.after.take();
        let Some(Progress { last, id }) = topic.progress()? else { return Ok(()) };
        let waiting = self.outbox.pending(self.destination, last.checked_sub(1), 1)?;
        let is_ours = match waiting.first().filter(|message| message.sequence == last) {
            Some(message) => message.id == id,
            // It is settled already, by this run or an earlier one; or its number was never given.
            None => before == Some(last) || last < self.next_at_start,
        };
        if is_ours {
            self.outbox.delivered_through(self.destination, None, last, (self.clock)())?;
            self.after = Some(last);
        } else {
            tracing::warn!(
                destination = self.destination,
                "the topic has got further than this state, or elsewhere, as after a restored backup: all that waits is sent"
            );
        }
        Ok(())
    }

    /// Sends what waits and may go, as much as fits into a transaction; gives how many messages were looked at.
    ///
    /// # Errors
    /// Those of the topic and of the outbox. What is too large for the topic is sent in ever fewer messages at once; one that
    /// is too large alone goes to the dead letters, and so does what the topic refuses.
    pub fn carry<T: Topic>(&mut self, topic: &T) -> Result<usize, T::Error> {
        let waiting = self.outbox.pending(self.destination, self.after, BATCH)?;
        let admitted = self.outbox.admit(&waiting, (self.clock)())?;
        let found = waiting.len();
        let mut messages: Vec<Message> =
            waiting.into_iter().zip(admitted).filter(|(_, may)| *may == Admission::Send).map(|(one, _)| one).collect();
        let mut bytes = 0usize;
        let fits = |message: &&Message| {
            bytes = bytes.saturating_add(message.body.len());
            bytes <= self.most_bytes
        };
        let fitting = messages.iter().take_while(fits).count();
        messages.truncate(fitting.max(1));
        let Some(last) = messages.last() else { return Ok(found) };
        self.observer.in_flight(self.destination, messages.len());
        let progress = Progress { last: last.sequence, id: last.id.clone() };
        let published = topic.publish(&messages, &progress);
        let now = (self.clock)();
        match published {
            Ok(()) => {
                crash::at(Place::TransactionCommitted);
                self.outbox.delivered_through(self.destination, self.after, last.sequence, now)?;
                self.after = Some(last.sequence);
                messages.iter().for_each(|message| self.note(message, "delivered", now));
            }
            Err(error) => {
                let refused = T::refused(&error).iter().filter_map(|one| {
                    let message = messages.iter().find(|message| message.sequence == one.sequence)?;
                    Some((message.clone(), Settled::Dead(one.reason.clone())))
                });
                let refused: Vec<_> = refused.collect();
                if !refused.is_empty() {
                    self.outbox.settle(&refused, now)?;
                    refused.iter().for_each(|(message, _)| self.note(message, "dead", now));
                }
                if T::is_too_large(&error) {
                    if messages.len() == 1 {
                        let dead = Settled::Dead("larger than the topic takes (max.message.bytes)".to_owned());
                        self.outbox.settle(&[(last.clone(), dead)], now)?;
                        self.note(last, "dead", now);
                    } else {
                        self.most_bytes = messages.iter().map(|message| message.body.len()).sum::<usize>() / 2;
                    }
                }
                self.observer.in_flight(self.destination, 0);
                return Err(error);
            }
        }
        self.observer.in_flight(self.destination, 0);
        Ok(messages.len())
    }

    fn note(&self, message: &Message, outcome: &'static str, now: Millis) {
        let since = u64::try_from(now.saturating_sub(message.created_at)).unwrap_or(0);
        self.observer.attempted(self.destination, outcome, Duration::from_millis(since));
    }
}

#[cfg(test)]
mod tests;
