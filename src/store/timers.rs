//! Table `timers`: (due time, identifier): when time alone next changes an identifier's facts.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use tributary_model::{IdentifierId, Millis};

/// The table's name.
pub const TABLE: &str = "timers";

fn key(due: Millis, identifier: IdentifierId) -> Vec<u8> {
    Key::new().millis(due).id(identifier.to_bytes()).done()
}

impl View<'_> {
    /// The earliest timers, at most `limit`, none before `from`: everything earlier is known to be gone, and need not
    /// be looked through again.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn timers(&self, from: Millis, limit: usize) -> Result<Vec<(Millis, IdentifierId)>, StoreError> {
        let start = Key::new().millis(from).done();
        let entries = self.prefix::<()>(TABLE, &[], &start)?;
        let timer = |entry: Result<(Box<[u8]>, ()), StoreError>| {
            let (key, ()) = entry?;
            let mut parts = Parts(&key);
            let (due, id) = parts.millis().zip(parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            Ok((due, IdentifierId::from_bytes(id)))
        };
        entries.take(limit).map(timer).collect()
    }
}

impl Batch<'_> {
    /// Sets a timer.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn put_timer(&mut self, due: Millis, identifier: IdentifierId) -> Result<(), StoreError> {
        self.put(TABLE, &key(due, identifier), &())
    }

    /// Removes a timer that has been answered.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_timer(&mut self, due: Millis, identifier: IdentifierId) -> Result<(), StoreError> {
        self.delete(TABLE, &key(due, identifier))
    }
}
