//! Table `rejected`: number → what could not be taken in, with its reason and its original bytes.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::Millis;

/// The table's name.
pub const TABLE: &str = "rejected";

/// Something that could not be taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// When it was received; first, so that compaction need not read on.
    pub received_at: Millis,
    /// A word for the kind of reason.
    pub code: String,
    /// What is wrong, for people.
    pub reason: String,
    /// Who sent it.
    pub source: String,
    /// The original bytes.
    pub body: Vec<u8>,
}

/// When the entry was received, for compaction.
pub(super) fn received_at(_key: &[u8], value: &[u8]) -> Option<Millis> {
    super::codec::decode::<Rejected>(value).ok().map(|rejected| rejected.received_at)
}

impl View<'_> {
    /// At most `limit` rejected events, latest first, numbered; only those with a number below `before`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn rejected(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Rejected)>, StoreError> {
        let before = before.map(|number| Key::new().number(number).done());
        let entries = self.prefix_backwards::<Rejected>(TABLE, &[], before.as_deref())?;
        let rejected = |entry: Result<(Box<[u8]>, Rejected), StoreError>| {
            let (key, rejected) = entry?;
            Ok((Parts(&key).number().ok_or(StoreError::Damaged(TABLE))?, rejected))
        };
        entries.take(limit).map(rejected).collect()
    }
}

impl Batch<'_> {
    /// Keeps something that was rejected.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_rejected(&mut self, number: u64, rejected: &Rejected) -> Result<(), StoreError> {
        self.put(TABLE, &Key::new().number(number).done(), rejected)
    }
}
