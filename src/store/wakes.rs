//! Table `wakes`: (due time, profile): when what is said of a customer changes although nothing happens.

use super::keys::{Key, Parts};
use super::{Batch, Store, StoreError, View};
use tributary_model::{Millis, ProfileId};

/// The table's name.
pub const TABLE: &str = "wakes";

fn key(due: Millis, profile: ProfileId) -> Vec<u8> {
    Key::new().millis(due).id(profile.to_bytes()).done()
}

fn read(key: &[u8]) -> Result<(Millis, ProfileId), StoreError> {
    let mut parts = Parts(key);
    let (due, id) = parts.millis().zip(parts.id()).ok_or(StoreError::Damaged(TABLE))?;
    Ok((due, ProfileId::from_bytes(id)))
}

impl View<'_> {
    /// The earliest, at most `limit`, none before `from`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn wakes(&self, from: Millis, limit: usize) -> Result<Vec<(Millis, ProfileId)>, StoreError> {
        let entries = self.prefix::<()>(TABLE, &[], &Key::new().millis(from).done())?;
        entries.take(limit).map(|entry| read(&entry?.0)).collect()
    }
}

impl Store {
    /// All of them.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_wake(
        &self,
        mut each: impl FnMut(Millis, ProfileId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan::<()>(TABLE, |key, ()| {
            let (due, profile) = read(key)?;
            each(due, profile)
        })
    }
}

impl Batch<'_> {
    /// Sets one, or takes it back.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_wake(&mut self, due: Millis, profile: ProfileId, is_set: bool) -> Result<(), StoreError> {
        let key = key(due, profile);
        if is_set { self.put(TABLE, &key, &()) } else { self.delete(TABLE, &key) }
    }
}
