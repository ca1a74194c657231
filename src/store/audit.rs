//! Table `audit`: number → what somebody asked for who may change things.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::Millis;

/// The table's name.
pub const TABLE: &str = "audit";
/// How long it is kept.
pub const KEPT_MS: i64 = 2 * 366 * 24 * 60 * 60 * 1_000;

/// Who asked for what, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// When; first, so that compaction need not read on.
    pub at: Millis,
    /// The name of the token.
    pub who: String,
    /// The address that the request came from.
    pub from: String,
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

/// When it was asked for, for compaction.
pub(super) fn asked_at(_key: &[u8], value: &[u8]) -> Option<Millis> {
    super::codec::decode::<Audited>(value).ok().map(|audited| audited.at)
}

impl View<'_> {
    /// At most `limit` entries, latest first, numbered; only those with a number below `before`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn audited(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Audited)>, StoreError> {
        let before = before.map(|number| Key::new().number(number).done());
        let entries = self.prefix_backwards::<Audited>(TABLE, &[], before.as_deref())?;
        let audited = |entry: Result<(Box<[u8]>, Audited), StoreError>| {
            let (key, audited) = entry?;
            Ok((Parts(&key).number().ok_or(StoreError::Damaged(TABLE))?, audited))
        };
        entries.take(limit).map(audited).collect()
    }
}

impl Batch<'_> {
    /// Keeps an entry under a number.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_audited(&mut self, number: u64, audited: &Audited) -> Result<(), StoreError> {
        self.put(TABLE, &Key::new().number(number).done(), audited)
    }
}
