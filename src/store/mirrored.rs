//! Table `mirrored`: (destination, profile) → what a destination that is kept in step with a segment was last told of a
//! customer; and under no profile, by which definition.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use tributary_model::ProfileId;

/// The table's name.
pub const TABLE: &str = "mirrored";

/// A hash of what was told: the same for the same columns.
pub type Told = u64;

fn key(destination: &str, profile: Option<ProfileId>) -> Vec<u8> {
    let key = Key::new().text(destination);
    match profile {
        Some(profile) => key.id(profile.to_bytes()).done(),
        None => key.done(),
    }
}

impl View<'_> {
    /// What a destination was last told of a customer; `None` if it has no row of them.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn mirrored(&self, destination: &str, profile: ProfileId) -> Result<Option<Told>, StoreError> {
        self.get(TABLE, &key(destination, Some(profile)))
    }

    /// The hash of the definition by which a destination was filled.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn mirrored_by(&self, destination: &str) -> Result<Option<Told>, StoreError> {
        self.get(TABLE, &key(destination, None))
    }

    /// At most `limit` customers that a destination has rows of, in the order of their ids, after `after`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn all_mirrored(
        &self,
        destination: &str,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<Vec<ProfileId>, StoreError> {
        let prefix = key(destination, None);
        let mut start = key(destination, after);
        // The next key that there can be; the one without a profile is not asked for.
        start.push(0);
        let entries = self.prefix::<Told>(TABLE, &prefix, &start)?;
        let profile = |entry: Result<(Box<[u8]>, Told), StoreError>| {
            let (key, _) = entry?;
            let mut parts = Parts(&key);
            let id = parts.text().and_then(|_| parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            Ok(ProfileId::from_bytes(id))
        };
        entries.take(limit).map(profile).collect()
    }
}

impl Batch<'_> {
    /// A destination is told this of a customer; `None` that it has no row of them any more.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_mirrored(
        &mut self,
        destination: &str,
        profile: ProfileId,
        told: Option<Told>,
    ) -> Result<(), StoreError> {
        let key = key(destination, Some(profile));
        match told {
            Some(told) => self.put(TABLE, &key, &told),
            None => self.delete(TABLE, &key),
        }
    }

    /// A destination is filled by the definition of this hash.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_mirrored_by(&mut self, destination: &str, definition: Told) -> Result<(), StoreError> {
        self.put(TABLE, &key(destination, None), &definition)
    }
}
