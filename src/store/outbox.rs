//! Tables `outbox`: (destination, number) → a message to send; `dead`: the same for what could not be sent; and
//! `messages`: (identifier, time, number) → what became of each message, for whoever asks.

use super::keys::{Key, Parts};
use super::{Batch, Store, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::{IdentifierId, Millis, ProfileId};

/// Messages to send.
pub const TABLE: &str = "outbox";
/// Messages that were given up.
pub const DEAD: &str = "dead";
/// What became of messages, by identifier.
pub const MESSAGES: &str = "messages";

/// A message as it is stored; its destination and number are its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// Stable over retries and restarts.
    pub id: String,
    /// Which trigger it comes from.
    pub trigger: String,
    /// Whom it is about.
    pub profile: ProfileId,
    /// The identifier whose event set it off, with which it goes through merges and their undoing; else the profile's.
    pub about: IdentifierId,
    /// What is sent.
    pub body: Vec<u8>,
    /// The clock of the epoch that caused it.
    pub created_at: Millis,
    /// Attempts made.
    pub attempts: u32,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When this was noted; first, so that compaction need not read on.
    pub at: Millis,
    /// Which trigger it comes from.
    pub trigger: String,
    /// Where it was to go.
    pub destination: String,
    /// `pending`, `retrying`, `delivered` or `dead`.
    pub status: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// Stable over retries and restarts.
    pub id: String,
}

/// Where a message stands among those of its profile: when it was made, and its number in the outbox.
pub type Place = (Millis, u64);

/// When the note was made, for compaction.
pub(super) fn noted_at(_key: &[u8], value: &[u8]) -> Option<Millis> {
    super::codec::decode::<Note>(value).ok().map(|note| note.at)
}

fn key(destination: &str, number: u64) -> Vec<u8> {
    Key::new().text(destination).number(number).done()
}

fn note_key(message: &StoredMessage, number: u64) -> Vec<u8> {
    Key::new().id(message.about.to_bytes()).millis(message.created_at).number(number).done()
}

impl View<'_> {
    /// At most `limit` messages to a destination, in order, with numbers above `after`, from a table of messages.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn messages_to(
        &self,
        table: &'static str,
        destination: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, StoredMessage)>, StoreError> {
        let prefix = Key::new().text(destination).done();
        let start = key(destination, after.map_or(0, |after| after.saturating_add(1)));
        let entries = self.prefix::<StoredMessage>(table, &prefix, &start)?;
        let message = |entry: Result<(Box<[u8]>, StoredMessage), StoreError>| {
            let (key, message) = entry?;
            let mut parts = Parts(&key);
            let number = parts.text().and_then(|_| parts.number()).ok_or(StoreError::Damaged(TABLE))?;
            Ok((number, message))
        };
        entries.take(limit).map(message).collect()
    }

    /// Whether a message still stands in the outbox.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_to_send(&self, destination: &str, number: u64) -> Result<bool, StoreError> {
        Ok(self.get::<StoredMessage>(TABLE, &key(destination, number))?.is_some())
    }

    /// At most `limit` notes of an identifier's messages, latest message first, each with its place; only those before
    /// `before`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn notes(
        &self,
        identifier: IdentifierId,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Vec<(Place, Note)>, StoreError> {
        let prefix = identifier.to_bytes();
        let before = before.map(|(at, number)| Key::new().id(prefix).millis(at).number(number).done());
        let entries = self.prefix_backwards::<Note>(MESSAGES, &prefix, before.as_deref())?;
        let note = |entry: Result<(Box<[u8]>, Note), StoreError>| {
            let (key, note) = entry?;
            let mut parts = Parts(&key);
            let place = parts.id().and_then(|_| parts.millis().zip(parts.number()));
            Ok((place.ok_or(StoreError::Damaged(MESSAGES))?, note))
        };
        entries.take(limit).map(note).collect()
    }
}

impl Batch<'_> {
    /// Puts a message into the outbox.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_message(&mut self, destination: &str, number: u64, message: &StoredMessage) -> Result<(), StoreError> {
        self.put(TABLE, &key(destination, number), message)?;
        self.put_note(destination, number, message, "pending", None, message.created_at)
    }

    /// Takes a message out of the outbox.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_message(&mut self, destination: &str, number: u64) -> Result<(), StoreError> {
        self.delete(TABLE, &key(destination, number))
    }

    /// Keeps a message for another attempt.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn keep_message(&mut self, destination: &str, number: u64, message: &StoredMessage) -> Result<(), StoreError> {
        self.put(TABLE, &key(destination, number), message)
    }

    /// Puts a message among the dead.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_dead(&mut self, destination: &str, number: u64, message: &StoredMessage) -> Result<(), StoreError> {
        self.put(DEAD, &key(destination, number), message)
    }

    /// Forgets an identifier's messages: what became of them, those still to be sent, and the dead ones.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn delete_messages_of(&mut self, view: &View<'_>, identifier: IdentifierId) -> Result<(), StoreError> {
        for ((_, number), note) in view.notes(identifier, None, usize::MAX)? {
            if note.status != "delivered" {
                self.delete(TABLE, &key(&note.destination, number))?;
                self.delete(DEAD, &key(&note.destination, number))?;
            }
        }
        self.delete_prefix(MESSAGES, &identifier.to_bytes())
    }

    /// Notes what became of a message.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_note(
        &mut self,
        destination: &str,
        number: u64,
        message: &StoredMessage,
        status: &str,
        reason: Option<&str>,
        at: Millis,
    ) -> Result<(), StoreError> {
        let note = Note {
            at,
            trigger: message.trigger.clone(),
            destination: destination.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            id: message.id.clone(),
        };
        self.put(MESSAGES, &note_key(message, number), &note)
    }
}

impl Store {
    /// How many messages are among the dead of all destinations, as RocksDB estimates.
    pub fn dead_estimate(&self) -> u64 {
        self.property(DEAD, "rocksdb.estimate-num-keys").unwrap_or(0)
    }
}
