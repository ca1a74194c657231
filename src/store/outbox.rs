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
    /// When it was let out, where that counts for caps and cool-downs.
    pub sent_at: Option<Millis>,
    /// Whether it takes back an earlier one: then nothing but lists of addresses holds it back.
    pub retracts: bool,
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
    /// See [`Status`].
    pub status: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// Stable over retries and restarts.
    pub id: String,
    /// Until when it waits, if it does.
    pub until: Option<Millis>,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It stands in the outbox.
    Pending,
    /// An attempt has failed; there will be others.
    Retrying,
    /// The destination takes no more for now.
    Postponed,
    /// It waits for its time.
    Waiting(Millis),
    /// It is there.
    Delivered,
    /// It may be there: nobody has said so, and it is not sent again.
    MaybeSent,
    /// It was not sent, and will not be.
    Held,
    /// It is given up.
    Dead,
    /// It is given up, and so is its address.
    Unreachable,
}

impl Status {
    /// Its name in HTTP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Postponed => "postponed",
            Self::Waiting(_) => "waiting",
            Self::Delivered => "delivered",
            Self::MaybeSent => "maybe_sent",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Unreachable => "unreachable",
        }
    }
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

    /// A message of a table of messages, if it still stands there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn message(
        &self,
        table: &'static str,
        destination: &str,
        number: u64,
    ) -> Result<Option<StoredMessage>, StoreError> {
        self.get(table, &key(destination, number))
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
        self.put_note(destination, number, message, Status::Pending, None, message.created_at)
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

    /// Takes a message out of the dead.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_dead(&mut self, destination: &str, number: u64) -> Result<(), StoreError> {
        self.delete(DEAD, &key(destination, number))
    }

    /// Forgets an identifier's messages: what became of them, those still to be sent, and the dead ones.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn delete_messages_of(&mut self, view: &View<'_>, identifier: IdentifierId) -> Result<(), StoreError> {
        for ((_, number), note) in view.notes(identifier, None, usize::MAX)? {
            if note.status != Status::Delivered.name() {
                self.delete(TABLE, &key(&note.destination, number))?;
                self.delete(DEAD, &key(&note.destination, number))?;
            }
            if let Some(until) = note.until {
                self.delete_waiting((until, number))?;
            }
        }
        self.delete_sends_of(identifier)?;
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
        status: Status,
        reason: Option<&str>,
        at: Millis,
    ) -> Result<(), StoreError> {
        let note = Note {
            at,
            trigger: message.trigger.clone(),
            destination: destination.to_owned(),
            status: status.name().to_owned(),
            reason: reason.map(str::to_owned),
            id: message.id.clone(),
            until: if let Status::Waiting(until) = status { Some(until) } else { None },
        };
        self.put(MESSAGES, &note_key(message, number), &note)
    }

    /// Takes back what was noted of a message under a number that it no longer has.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_note(&mut self, number: u64, message: &StoredMessage) -> Result<(), StoreError> {
        self.delete(MESSAGES, &note_key(message, number))
    }
}

impl Store {
    /// How many messages are among the dead of all destinations, as RocksDB estimates.
    pub fn dead_estimate(&self) -> u64 {
        self.property(DEAD, "rocksdb.estimate-num-keys").unwrap_or(0)
    }
}
