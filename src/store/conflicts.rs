//! Table `conflicts`: (kind, size, identifier) → what operators should know of identities, the largest of a kind first.

use super::keys::Key;
use super::{Batch, Store, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_dataflows::identity::Conflict;
use tributary_model::{IdentifierId, Millis};

/// The table's name.
pub const TABLE: &str = "conflicts";

/// Every kind of conflict, as it is called in answers and metrics.
pub const KINDS: [&str; 4] = ["shared", "tangled", "split", "large"];

/// A conflict and since when it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// What it is.
    pub conflict: Conflict,
    /// The clock of the epoch in which it came up.
    pub since: Millis,
}

/// What a conflict is called, how large it is, and the identifier that it is about.
pub fn told(conflict: &Conflict) -> (&'static str, u32, IdentifierId) {
    match *conflict {
        Conflict::Shared(identifier) => ("shared", 0, identifier),
        Conflict::Tangled(identifier) => ("tangled", 0, identifier),
        Conflict::Split { component, parts } => ("split", parts, component),
        Conflict::Large { profile, identifiers } => ("large", identifiers, profile),
    }
}

fn key(conflict: &Conflict) -> Vec<u8> {
    let (kind, size, identifier) = told(conflict);
    Key::new().text(kind).number(u64::MAX - u64::from(size)).id(identifier.to_bytes()).done()
}

impl View<'_> {
    /// At most `limit` conflicts of a kind, the largest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn conflicts(&self, kind: &str, limit: usize) -> Result<Vec<Noted>, StoreError> {
        let prefix = Key::new().text(kind).done();
        let entries = self.prefix::<Noted>(TABLE, &prefix, &prefix)?;
        entries.take(limit).map(|entry| Ok(entry?.1)).collect()
    }

    /// Whether there is this conflict.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn has_conflict(&self, conflict: &Conflict) -> Result<bool, StoreError> {
        Ok(self.get::<Noted>(TABLE, &key(conflict))?.is_some())
    }
}

impl Store {
    /// Every conflict.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_conflict(&self, mut each: impl FnMut(Noted) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.scan(TABLE, |_key, noted| each(noted))
    }
}

impl Batch<'_> {
    /// Notes a conflict.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_conflict(&mut self, conflict: Conflict, since: Millis) -> Result<(), StoreError> {
        self.put(TABLE, &key(&conflict), &Noted { conflict, since })
    }

    /// Forgets a conflict that is over.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_conflict(&mut self, conflict: &Conflict) -> Result<(), StoreError> {
        self.delete(TABLE, &key(conflict))
    }
}
