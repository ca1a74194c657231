//! Table `history`: (identifier, time, message) → the event as it was sent. A profile's timeline, and what a new
//! definition is computed from. Compaction drops events past the retention.

use super::keys::{Key, Parts};
use super::{Batch, Store, StoreError, View};
use rocksdb::IteratorMode;
use tributary_model::{IdentifierId, MessageId, Millis};

/// The table's name.
pub const TABLE: &str = "history";

/// One event of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When, corrected.
    pub at: Millis,
    /// Which message.
    pub message_id: MessageId,
    /// The event's JSON, as it was sent.
    pub body: Vec<u8>,
}

fn key(identifier: IdentifierId, at: Millis, message: MessageId) -> Vec<u8> {
    Key::new().id(identifier.to_bytes()).millis(at).id(message.to_bytes()).done()
}

/// When the event of this entry happened, for compaction.
pub(super) fn happened_at(key: &[u8], _value: &[u8]) -> Option<Millis> {
    let mut parts = Parts(key);
    parts.id().and_then(|_| parts.millis())
}

fn parse(key: &[u8], body: &[u8]) -> Result<(IdentifierId, Happened), StoreError> {
    let mut parts = Parts(key);
    let id = parts.id().ok_or(StoreError::Damaged(TABLE))?;
    let (at, message) = parts.millis().zip(parts.id()).ok_or(StoreError::Damaged(TABLE))?;
    let message_id = MessageId::from_bytes(message);
    Ok((IdentifierId::from_bytes(id), Happened { at, message_id, body: body.to_vec() }))
}

impl Store {
    /// Every event, by identifier and time.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_event(
        &self,
        mut each: impl FnMut(IdentifierId, Happened) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for entry in self.db.iterator_cf(self.family(TABLE)?, IteratorMode::Start) {
            let (key, body) = entry?;
            let (identifier, happened) = parse(&key, &body)?;
            each(identifier, happened)?;
        }
        Ok(())
    }
}

impl View<'_> {
    /// At most `limit` events of an identifier, latest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn events(&self, identifier: IdentifierId, limit: usize) -> Result<Vec<Happened>, StoreError> {
        let mut options = rocksdb::ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        let prefix = identifier.to_bytes();
        options.set_iterate_lower_bound(prefix.to_vec());
        if let Some(end) = super::keys::after_prefix(&prefix) {
            options.set_iterate_upper_bound(end);
        }
        let entries = self.store.db.iterator_cf_opt(self.store.family(TABLE)?, options, IteratorMode::End);
        let mut events = Vec::new();
        for entry in entries.take(limit) {
            let (key, body) = entry?;
            events.push(parse(&key, &body)?.1);
        }
        Ok(events)
    }
}

impl Batch<'_> {
    /// Adds an event to an identifier's history.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn put_event(
        &mut self,
        identifier: IdentifierId,
        at: Millis,
        message: MessageId,
        body: &[u8],
    ) -> Result<(), StoreError> {
        self.batch.put_cf(self.store.family(TABLE)?, key(identifier, at, message), body);
        Ok(())
    }
}
