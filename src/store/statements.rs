//! Table `statements`: (identifier, other identifier) → what stands stated of the two, in both directions; `stated`:
//! number → each statement that was ever made; and `deleted`: identifier → up to when it was forgotten.

use super::keys::{Key, Parts};
use super::{Batch, Store, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_connectors::process::Statement;
use tributary_dataflows::identity::{Ends, Stated};
use tributary_model::{Epoch, IdentifierId, MessageId, Millis};

/// What stands.
pub const TABLE: &str = "statements";
/// All that was stated, in order.
pub const ALL: &str = "stated";
/// Identifiers that were deleted.
pub const DELETED: &str = "deleted";

/// The latest statement about two identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// When it was made, and what breaks a tie: the latest stands, in whatever order they are read.
    pub made: (Millis, MessageId),
    /// What it says; `None` where it takes back what was said before.
    pub stated: Option<Stated>,
}

/// A statement as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// When.
    pub at: Millis,
    /// What.
    pub statement: Statement,
}

/// Up to when an identifier is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// What was received up to then does not count.
    pub received_until: Millis,
    /// Nor does what the history has of the identifier up to this epoch.
    pub epoch: Epoch,
}

fn key(one: IdentifierId, other: IdentifierId) -> Vec<u8> {
    Key::new().id(one.to_bytes()).id(other.to_bytes()).done()
}

impl View<'_> {
    /// What stands of two identifiers.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn standing(&self, ends: Ends) -> Result<Option<Standing>, StoreError> {
        self.get(TABLE, &key(ends.0, ends.1))
    }

    /// All that stands of an identifier, by the other one.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn standing_of(&self, identifier: IdentifierId) -> Result<Vec<(IdentifierId, Standing)>, StoreError> {
        let prefix = identifier.to_bytes();
        let entries = self.prefix::<Standing>(TABLE, &prefix, &prefix)?;
        let standing = |entry: Result<(Box<[u8]>, Standing), StoreError>| {
            let (key, standing) = entry?;
            let mut parts = Parts(&key);
            let other = parts.id().and_then(|_| parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            Ok((IdentifierId::from_bytes(other), standing))
        };
        entries.map(standing).collect()
    }

    /// Up to when an identifier is forgotten; `None` if it never was deleted.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn deleted(&self, identifier: IdentifierId) -> Result<Option<Deleted>, StoreError> {
        self.get(DELETED, &identifier.to_bytes())
    }

    /// Every identifier that was deleted.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_deleted(
        &self,
        mut each: impl FnMut(IdentifierId, Deleted) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for entry in self.prefix::<Deleted>(DELETED, &[], &[])? {
            let (key, deleted) = entry?;
            let bytes = key.as_ref().try_into().map_err(|_| StoreError::Damaged(DELETED))?;
            each(IdentifierId::from_bytes(bytes), deleted)?;
        }
        Ok(())
    }

    /// At most `limit` statements, latest first, with numbers below `before`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn statements(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Made)>, StoreError> {
        let before = before.map(|number| Key::new().number(number).done());
        let entries = self.prefix_backwards::<Made>(ALL, &[], before.as_deref())?;
        let made = |entry: Result<(Box<[u8]>, Made), StoreError>| {
            let (key, made) = entry?;
            Ok((Parts(&key).number().ok_or(StoreError::Damaged(ALL))?, made))
        };
        entries.take(limit).map(made).collect()
    }
}

impl Store {
    /// All that stands, each once.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_standing(
        &self,
        mut each: impl FnMut(Ends, Standing) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(TABLE, |key, standing| {
            let mut parts = Parts(key);
            let (one, other) = parts.id().zip(parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            let ends = (IdentifierId::from_bytes(one), IdentifierId::from_bytes(other));
            if ends.0 < ends.1 { each(ends, standing) } else { Ok(()) }
        })
    }
}

impl Batch<'_> {
    /// Stores what stands of two identifiers.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_standing(&mut self, (one, other): Ends, standing: &Standing) -> Result<(), StoreError> {
        self.put(TABLE, &key(one, other), standing)?;
        self.put(TABLE, &key(other, one), standing)
    }

    /// Forgets what stands of two identifiers.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_standing(&mut self, (one, other): Ends) -> Result<(), StoreError> {
        self.delete(TABLE, &key(one, other))?;
        self.delete(TABLE, &key(other, one))
    }

    /// Notes that a statement was made.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_statement(&mut self, number: u64, made: &Made) -> Result<(), StoreError> {
        self.put(ALL, &Key::new().number(number).done(), made)
    }

    /// Notes that an identifier was deleted.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_deleted(&mut self, identifier: IdentifierId, deleted: Deleted) -> Result<(), StoreError> {
        self.put(DELETED, &identifier.to_bytes(), &deleted)
    }
}
