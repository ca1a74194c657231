//! Table `moves`: (profile, epoch, identifier) → an identifier came to this profile, or left it: the history of merges.
//! Compaction drops what is past the retention of the history.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::{Epoch, IdentifierId, Millis, ProfileId};

/// The table's name.
pub const TABLE: &str = "moves";

/// An identifier that went from one profile to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The epoch's clock; first, so that compaction need not read on.
    pub at: Millis,
    /// Whose it was.
    pub from: ProfileId,
    /// Whose it is since.
    pub to: ProfileId,
}

/// When a move was made, for compaction.
pub(super) fn made_at(_key: &[u8], value: &[u8]) -> Option<Millis> {
    super::codec::decode::<Move>(value).ok().map(|made| made.at)
}

impl View<'_> {
    /// At most `limit` moves from or to a profile, latest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn moves(&self, profile: ProfileId, limit: usize) -> Result<Vec<(Epoch, IdentifierId, Move)>, StoreError> {
        let entries = self.prefix_backwards::<Move>(TABLE, &profile.to_bytes(), None)?;
        let made = |entry: Result<(Box<[u8]>, Move), StoreError>| {
            let (key, made) = entry?;
            let mut parts = Parts(&key);
            let place = parts.id().and_then(|_| parts.number().zip(parts.id()));
            let (epoch, identifier) = place.ok_or(StoreError::Damaged(TABLE))?;
            Ok((epoch, IdentifierId::from_bytes(identifier), made))
        };
        entries.take(limit).map(made).collect()
    }
}

impl Batch<'_> {
    /// Notes that an identifier has moved.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_move(&mut self, epoch: Epoch, identifier: IdentifierId, made: &Move) -> Result<(), StoreError> {
        for profile in [made.from, made.to] {
            let key = Key::new().id(profile.to_bytes()).number(epoch).id(identifier.to_bytes()).done();
            self.put(TABLE, &key, made)?;
        }
        Ok(())
    }
}
