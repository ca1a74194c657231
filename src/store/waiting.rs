//! Table `waiting`: (when it is due, number) → a message that comes to the outbox then: it waits for quiet hours to end, or is
//! a dead letter that is sent again.

use super::keys::{Key, Parts};
use super::outbox::StoredMessage;
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::Millis;

/// The table's name.
pub const TABLE: &str = "waiting";

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingMessage {
    /// The destination's id.
    pub destination: String,
    /// What is sent.
    pub message: StoredMessage,
}

/// When a message is due, and the number that it had in the outbox.
pub type Due = (Millis, u64);

fn key((due, number): Due) -> Vec<u8> {
    Key::new().millis(due).number(number).done()
}

impl View<'_> {
    /// The message that waits there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn waiting_at(&self, due: Due) -> Result<Option<WaitingMessage>, StoreError> {
        self.get(TABLE, &key(due))
    }

    /// At most `limit` messages that wait, earliest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn waiting(&self, limit: usize) -> Result<Vec<(Due, WaitingMessage)>, StoreError> {
        let entries = self.prefix::<WaitingMessage>(TABLE, &[], &[])?;
        let waiting = |entry: Result<(Box<[u8]>, WaitingMessage), StoreError>| {
            let (key, message) = entry?;
            let mut parts = Parts(&key);
            Ok((parts.millis().zip(parts.number()).ok_or(StoreError::Damaged(TABLE))?, message))
        };
        entries.take(limit).map(waiting).collect()
    }
}

impl Batch<'_> {
    /// A message waits.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_waiting(&mut self, due: Due, message: &WaitingMessage) -> Result<(), StoreError> {
        self.put(TABLE, &key(due), message)
    }

    /// It waits no longer.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_waiting(&mut self, due: Due) -> Result<(), StoreError> {
        self.taken.insert(due);
        self.delete(TABLE, &key(due))
    }

    /// Whether this batch has taken a message away that waits in what can be seen.
    pub fn has_taken(&self, due: Due) -> bool {
        self.taken.contains(&due)
    }
}
