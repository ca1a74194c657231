//! Table `meta`: where the state stands. Written with every epoch, so it is never ahead of or behind the rest.

use super::counts::Row;
use super::{Batch, Store, StoreError, View};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{Epoch, Millis, Position};

/// The table's name.
pub const TABLE: &str = "meta";

const META: &[u8] = b"meta";
const UNSETTLED: &[u8] = b"unsettled";
const LINK_KEY: &[u8] = b"link_key";

/// What links in messages are signed with. Whoever knows it can unsubscribe everybody.
pub type LinkKey = [u8; 32];

/// Where the state stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// A random name of this state, made once: destinations that count what they got know whose count it is.
    pub state_id: String,
    /// How often a process has begun to work on this state.
    pub run: u64,
    /// The last committed epoch.
    pub epoch: Epoch,
    /// That epoch's clock.
    pub clock: Millis,
    /// What has been read of each stream.
    pub positions: BTreeMap<String, Position>,
    /// Members of each segment, by id.
    pub counts: BTreeMap<String, i64>,
    /// What happened to segments in the last minute in which something did, with when it began.
    pub minutes: BTreeMap<String, (Millis, Row)>,
    /// Profiles there are.
    pub profiles: i64,
    /// The next number in the outbox.
    pub next_message: u64,
    /// The next number of a rejected event.
    pub next_rejected: u64,
    /// The next number of a statement.
    pub next_statement: u64,
    /// The names of those who have sent events, by the place that links know them by.
    pub sources: Vec<String>,
    /// Conflicts there are, by kind.
    pub conflicts: BTreeMap<String, i64>,
    /// The aggregates that the facts hold, by stable id, sorted.
    pub aggregates: Vec<u64>,
}

impl View<'_> {
    /// Where the state stands; `None` in a new one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn meta(&self) -> Result<Option<Meta>, StoreError> {
        self.get(TABLE, META)
    }

    /// The aggregates, by stable id, of which facts may hold some and lack some: they are being gathered or dropped.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn unsettled(&self) -> Result<BTreeSet<u64>, StoreError> {
        Ok(self.get(TABLE, UNSETTLED)?.unwrap_or_default())
    }

    /// What links in messages are signed with; `None` before any was.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn link_key(&self) -> Result<Option<LinkKey>, StoreError> {
        self.get(TABLE, LINK_KEY)
    }
}

impl Store {
    /// Stores where the state stands, alone and durably.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn write_meta(&self, meta: &Meta) -> Result<(), StoreError> {
        let mut batch = self.batch();
        batch.put_meta(meta)?;
        self.write(batch, true)
    }
}

impl Store {
    /// Keeps durably what links in messages are signed with from now on.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn write_link_key(&self, key: &LinkKey) -> Result<(), StoreError> {
        let mut batch = self.batch();
        batch.put(TABLE, LINK_KEY, key)?;
        self.write(batch, true)
    }

    /// Notes durably, before the facts of some aggregates begin to change, that they are not to be relied on.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn write_unsettled(&self, aggregates: &BTreeSet<u64>) -> Result<(), StoreError> {
        let mut batch = self.batch();
        batch.put_unsettled(aggregates)?;
        self.write(batch, true)
    }
}

impl Batch<'_> {
    /// Notes which aggregates' facts are not to be relied on.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_unsettled(&mut self, aggregates: &BTreeSet<u64>) -> Result<(), StoreError> {
        self.put(TABLE, UNSETTLED, aggregates)
    }

    /// Stores where the state stands with this batch.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_meta(&mut self, meta: &Meta) -> Result<(), StoreError> {
        self.clock = Some(meta.clock);
        self.put(TABLE, META, meta)
    }
}
