//! Table `facts`: identifier id → all that is kept of it.

use super::{Batch, Store, StoreError, View};
use tributary_dataflows::profile::IdentifierFacts;
use tributary_model::IdentifierId;

/// The table's name.
pub const TABLE: &str = "facts";

fn keys(identifiers: &[IdentifierId]) -> Vec<Vec<u8>> {
    identifiers.iter().map(|id| id.to_bytes().to_vec()).collect()
}

impl Store {
    /// Facts of many identifiers, in their order, as last committed.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn facts(&self, identifiers: &[IdentifierId]) -> Result<Vec<Option<IdentifierFacts>>, StoreError> {
        self.get_many(TABLE, &keys(identifiers))
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
}

impl Batch<'_> {
    /// Stores an identifier's facts.
    ///
    /// # Errors
    /// If they cannot be encoded.
    pub fn put_facts(&mut self, id: IdentifierId, facts: &IdentifierFacts) -> Result<(), StoreError> {
        self.put(TABLE, &id.to_bytes(), facts)
    }
}
