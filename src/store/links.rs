//! Table `links`: (smaller identifier, other identifier) → the evidence that they are one customer; and `linked_to`: the
//! same the other way round, without the evidence.

use super::keys::{Key, Parts};
use super::{Batch, Store, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_dataflows::identity::{Ends, Link};
use tributary_model::{IdentifierId, Millis};

/// The table's name.
pub const TABLE: &str = "links";

/// (Other identifier, smaller identifier) → nothing.
pub const LINKED_TO: &str = "linked_to";

/// How often, and when, two identifiers were seen together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFacts {
    /// Events that carried both.
    pub count: u64,
    /// The earliest of them.
    pub first_seen: Millis,
    /// The latest of them.
    pub last_seen: Millis,
    /// Who sent them, a bit for each place among the sources.
    pub sources: u64,
}

impl LinkFacts {
    /// This as what the dataflow is fed.
    pub const fn link(self, ends: Ends) -> Link {
        Link { ends, last_seen: self.last_seen, count: self.count }
    }

    /// Takes in one more event.
    pub fn seen(held: Option<Self>, at: Millis, source: u8) -> Self {
        let sources = 1u64.checked_shl(source.into()).unwrap_or(0);
        match held {
            Some(held) => Self {
                count: held.count + 1,
                first_seen: held.first_seen.min(at),
                last_seen: held.last_seen.max(at),
                sources: held.sources | sources,
            },
            None => Self { count: 1, first_seen: at, last_seen: at, sources },
        }
    }

    /// The places of those who sent them.
    pub fn sources(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |place| self.sources >> place & 1 == 1)
    }
}

fn key((one, other): Ends) -> Vec<u8> {
    Key::new().id(one.to_bytes()).id(other.to_bytes()).done()
}

impl Store {
    /// Evidence of many links, in their order, as last committed.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn links(&self, ends: &[Ends]) -> Result<Vec<Option<LinkFacts>>, StoreError> {
        let keys: Vec<_> = ends.iter().map(|ends| key(*ends)).collect();
        self.get_many(TABLE, &keys, false)
    }

    /// Every link.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_link(&self, mut each: impl FnMut(Ends, LinkFacts) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.scan(TABLE, |key, facts| {
            let mut parts = Parts(key);
            let ends = parts.id().zip(parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            each((IdentifierId::from_bytes(ends.0), IdentifierId::from_bytes(ends.1)), facts)
        })
    }
}

impl View<'_> {
    /// At most `limit` links of an identifier, whichever end it is.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn links_of(&self, identifier: IdentifierId, limit: usize) -> Result<Vec<(Ends, LinkFacts)>, StoreError> {
        let prefix = identifier.to_bytes();
        let other = |key: &[u8]| {
            let mut parts = Parts(key);
            let id = parts.id().and_then(|_| parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            Ok::<_, StoreError>(IdentifierId::from_bytes(id))
        };
        let mut links = Vec::new();
        for entry in self.prefix::<LinkFacts>(TABLE, &prefix, &prefix)?.take(limit) {
            let (key, facts) = entry?;
            links.push(((identifier, other(&key)?), facts));
        }
        for entry in self.prefix::<()>(LINKED_TO, &prefix, &prefix)?.take(limit - links.len()) {
            let ends = (other(&entry?.0)?, identifier);
            links.extend(self.get(TABLE, &key(ends))?.map(|facts| (ends, facts)));
        }
        Ok(links)
    }
}

impl Batch<'_> {
    /// Notes that there is a link, so that it is found from its other end too.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_new_link(&mut self, (smaller, other): Ends) -> Result<(), StoreError> {
        self.put(LINKED_TO, &key((other, smaller)), &())
    }

    /// Stores a link's evidence.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_link(&mut self, ends: Ends, facts: &LinkFacts) -> Result<(), StoreError> {
        self.put(TABLE, &key(ends), facts)
    }

    /// Forgets a link.
    ///
    /// # Errors
    /// If a table is missing.
    pub fn delete_link(&mut self, (smaller, other): Ends) -> Result<(), StoreError> {
        self.delete(TABLE, &key((smaller, other)))?;
        self.delete(LINKED_TO, &key((other, smaller)))
    }
}
