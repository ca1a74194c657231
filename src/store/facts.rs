//! Table `facts`: identifier id → all that is kept of it.
//!
//! What an epoch adds to many facts may be written alone; RocksDB merges it when the facts are read or compacted.

use super::{Batch, Store, StoreError, View};
use tributary_dataflows::profile::IdentifierFacts;
use tributary_model::IdentifierId;

/// The table's name.
pub const TABLE: &str = "facts";

/// Merges what was added to facts into them, for RocksDB; `None` tells it that the state is damaged.
pub(super) fn merge(_key: &[u8], held: Option<&[u8]>, added: &rocksdb::MergeOperands) -> Option<Vec<u8>> {
    let mut all = held.into_iter().chain(added).map(super::codec::decode::<IdentifierFacts>);
    let merged = all.next()?.and_then(|first| {
        all.try_fold(first, |mut facts, more| {
            facts.merge(more?);
            Ok(facts)
        })
    });
    let merged = merged.and_then(|facts| super::codec::encode(&facts));
    merged.inspect_err(|error| tracing::error!(%error, table = TABLE, "facts cannot be merged")).ok()
}

fn keys(identifiers: &[IdentifierId]) -> Vec<[u8; 16]> {
    identifiers.iter().map(|id| id.to_bytes()).collect()
}

/// Facts as they are stored: who has made them works on with what these bytes were made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFacts(Vec<u8>);

impl StoredFacts {
    /// The stored form of facts.
    ///
    /// # Errors
    /// If they cannot be encoded.
    pub fn of(facts: &IdentifierFacts) -> Result<Self, StoreError> {
        super::encode(TABLE, facts).map(Self)
    }

    /// The facts.
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn read(&self) -> Result<IdentifierFacts, StoreError> {
        super::decode(TABLE, &self.0)
    }
}

impl Store {
    /// Facts of many identifiers, in their order, as last committed.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn facts(&self, identifiers: &[IdentifierId]) -> Result<Vec<Option<IdentifierFacts>>, StoreError> {
        self.get_many(TABLE, &keys(identifiers), false)
    }

    /// Every identifier's facts, in the order of their ids.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_facts(
        &self,
        mut each: impl FnMut(IdentifierId, IdentifierFacts) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(TABLE, |key, facts| {
            let bytes = key.try_into().map_err(|_| StoreError::Damaged(TABLE))?;
            each(IdentifierId::from_bytes(bytes), facts)
        })
    }
}

impl View<'_> {
    /// Facts of many identifiers, in their order.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn facts(&self, identifiers: &[IdentifierId]) -> Result<Vec<Option<IdentifierFacts>>, StoreError> {
        self.get_many(TABLE, &keys(identifiers))
    }

    /// What identifiers are called, in their order: `namespace:value`, or the id of one that is not there.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn names(&self, identifiers: &[IdentifierId]) -> Result<Vec<String>, StoreError> {
        let facts = self.facts(identifiers)?.into_iter().zip(identifiers);
        let name = |(facts, id): (Option<IdentifierFacts>, &IdentifierId)| {
            facts.map_or_else(|| id.to_string(), |facts| facts.identifier.to_string())
        };
        Ok(facts.map(name).collect())
    }
}

impl Batch<'_> {
    /// Stores an identifier's facts.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn put_facts(&mut self, id: IdentifierId, facts: &StoredFacts) -> Result<(), StoreError> {
        self.batch.put_cf(self.store.family(TABLE)?, id.to_bytes(), &facts.0);
        Ok(())
    }

    /// Adds to an identifier's stored facts what other events say of it.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn merge_facts(&mut self, id: IdentifierId, added: &StoredFacts) -> Result<(), StoreError> {
        self.batch.merge_cf(self.store.family(TABLE)?, id.to_bytes(), &added.0);
        Ok(())
    }

    /// Forgets an identifier's facts.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_facts(&mut self, id: IdentifierId) -> Result<(), StoreError> {
        self.delete(TABLE, &id.to_bytes())
    }
}
