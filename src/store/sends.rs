//! Table `sends`: (identifier, when, number of the message) → what was sent, as far as it counts for caps and cool-downs. By
//! identifier, so that it follows the customer through merges.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::{IdentifierId, Millis};

/// The table's name.
pub const TABLE: &str = "sends";
/// How long a message counts at most, in milliseconds: longer than any cap or cool-down may be.
pub const KEPT_MS: i64 = 400 * 86_400_000;

/// A message that was sent, or is being sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// Its trigger's id.
    pub trigger: String,
    /// The name of its channel.
    pub channel: String,
    /// Whether it counts to the caps of all triggers.
    pub is_counted: bool,
}

/// When it was sent, for compaction.
pub(super) fn sent_at(key: &[u8], _value: &[u8]) -> Option<Millis> {
    let mut parts = Parts(key);
    parts.id().and_then(|_| parts.millis())
}

fn key(identifier: IdentifierId, at: Millis, number: u64) -> Vec<u8> {
    Key::new().id(identifier.to_bytes()).millis(at).number(number).done()
}

impl View<'_> {
    /// What an identifier was sent from `since` on, each with when.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn sends(&self, identifier: IdentifierId, since: Millis) -> Result<Vec<(Millis, SentMessage)>, StoreError> {
        let prefix = identifier.to_bytes();
        let entries = self.prefix::<SentMessage>(TABLE, &prefix, &key(identifier, since, 0))?;
        let sent = |entry: Result<(Box<[u8]>, SentMessage), StoreError>| {
            let (key, sent) = entry?;
            Ok((sent_at(&key, &[]).ok_or(StoreError::Damaged(TABLE))?, sent))
        };
        entries.map(sent).collect()
    }
}

impl Batch<'_> {
    /// Notes that a message is sent.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_send(
        &mut self,
        identifier: IdentifierId,
        at: Millis,
        number: u64,
        sent: &SentMessage,
    ) -> Result<(), StoreError> {
        self.put(TABLE, &key(identifier, at, number), sent)
    }

    /// It was not sent after all.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_send(&mut self, identifier: IdentifierId, at: Millis, number: u64) -> Result<(), StoreError> {
        self.delete(TABLE, &key(identifier, at, number))
    }

    /// Forgets what an identifier was sent.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_sends_of(&mut self, identifier: IdentifierId) -> Result<(), StoreError> {
        self.delete_prefix(TABLE, &identifier.to_bytes())
    }
}
