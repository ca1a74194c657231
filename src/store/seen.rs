//! Table `seen`: message id → when it was first committed, so that a client's retry changes nothing.

use super::{Batch, Store, StoreError};
use tributary_model::{MessageId, Millis};

/// The table's name.
pub const TABLE: &str = "seen";

/// When the message of this entry was first committed, for compaction.
pub(super) fn stored_at(_key: &[u8], value: &[u8]) -> Option<Millis> {
    super::codec::decode(value).ok()
}

impl Store {
    /// When each of these messages was first committed; compaction forgets what is past the horizon. Quickest in the order
    /// of their ids.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn seen(&self, messages: &[MessageId]) -> Result<Vec<Option<Millis>>, StoreError> {
        let keys: Vec<_> = messages.iter().map(|id| id.to_bytes()).collect();
        self.get_many(TABLE, &keys, messages.is_sorted())
    }
}

impl Batch<'_> {
    /// Remembers a message.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_seen(&mut self, message: MessageId, at: Millis) -> Result<(), StoreError> {
        self.put(TABLE, &message.to_bytes(), &at)
    }
}
