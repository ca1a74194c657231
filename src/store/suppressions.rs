//! Table `suppressions`: (channel, address) → why nothing goes to it any more.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::{MessageId, Millis};

/// The table's name.
pub const TABLE: &str = "suppressions";

/// The latest word on an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// When it was said, and what breaks a tie: the latest word stands, in whatever order they are read.
    pub made: (Millis, MessageId),
    /// Whether nothing goes there; else it may again.
    pub is_suppressed: bool,
    /// Who says so.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A channel's name, and an address of it.
pub type Address = (String, String);

fn key(channel: &str, address: &str) -> Vec<u8> {
    let mut key = Key::new().text(channel).done();
    key.extend_from_slice(address.as_bytes());
    key
}

impl View<'_> {
    /// The latest word on an address.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn suppression(&self, channel: &str, address: &str) -> Result<Option<Suppression>, StoreError> {
        self.get(TABLE, &key(channel, address))
    }

    /// At most `limit` addresses of a channel that get nothing, in their order, those after `after`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn suppressions(
        &self,
        channel: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Suppression)>, StoreError> {
        let prefix = Key::new().text(channel).done();
        let mut start = key(channel, after.unwrap_or_default());
        // The next key that there can be.
        after.into_iter().for_each(|_| start.push(0));
        let entries = self.prefix::<Suppression>(TABLE, &prefix, &start)?;
        let address = |entry: Result<(Box<[u8]>, Suppression), StoreError>| {
            let (key, suppression) = entry?;
            let mut parts = Parts(&key);
            parts.text().ok_or(StoreError::Damaged(TABLE))?;
            let address = String::from_utf8(parts.0.to_vec()).map_err(|_| StoreError::Damaged(TABLE))?;
            Ok((address, suppression))
        };
        let stands = |entry: &Result<(String, Suppression), StoreError>| {
            entry.as_ref().map_or(true, |(_, suppression)| suppression.is_suppressed)
        };
        entries.map(address).filter(stands).take(limit).collect()
    }
}

impl Batch<'_> {
    /// Stores the latest word on an address.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_suppression(
        &mut self,
        (channel, address): &Address,
        suppression: &Suppression,
    ) -> Result<(), StoreError> {
        self.put(TABLE, &key(channel, address), suppression)
    }
}
