//! Tables `history` and `timeline`: events as they were sent.
//!
//! `history`: (epoch, block) → the events of an epoch, compressed together: what a new definition is computed from.
//! `timeline`: (identifier, time, message) → where in the history that event stands: a profile's latest events.
//! Compaction drops events past the retention from the timeline, and a block once all its events are past it.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use bytes::{Buf, BufMut, Bytes};
use rocksdb::IteratorMode;
use std::collections::BTreeMap;
use tributary_connectors::lz4;
use tributary_model::{Epoch, IdentifierId, MessageId, Millis};

/// Blocks of events.
pub const TABLE: &str = "history";
/// Where the events of an identifier stand.
pub const TIMELINE: &str = "timeline";

/// A block closes at about so many bytes before compression: a timeline decompresses one for each event at worst.
const BLOCK_BYTES: usize = 64 << 10;

/// One event of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// The identifier that it belongs to.
    pub identifier: IdentifierId,
    /// When, corrected.
    pub at: Millis,
    /// Which message.
    pub message_id: MessageId,
    /// The event's JSON, as it was sent.
    pub body: Bytes,
}

/// Where an event stands: epoch, block, place.
type Place = (Epoch, u64, u64);

fn block_key(epoch: Epoch, block: u64) -> Vec<u8> {
    Key::new().number(epoch).number(block).done()
}

fn timeline_key(identifier: IdentifierId, at: Millis, message: MessageId) -> Vec<u8> {
    Key::new().id(identifier.to_bytes()).millis(at).id(message.to_bytes()).done()
}

/// When the event of a timeline's entry happened, for compaction.
pub(super) fn happened_at(key: &[u8], _value: &[u8]) -> Option<Millis> {
    let mut parts = Parts(key);
    parts.id().and_then(|_| parts.millis())
}

/// When the latest event of a block happened, for compaction.
pub(super) fn latest_at(_key: &[u8], mut block: &[u8]) -> Option<Millis> {
    block.try_get_i64().ok()
}

/// A block as it grows: the latest time, then the events, compressed.
#[derive(Default)]
struct Block {
    latest: Option<Millis>,
    events: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn push(&mut self, event: &Happened) {
        self.latest = self.latest.max(Some(event.at));
        self.events += 1;
        self.bytes.put_u128(event.identifier.0);
        self.bytes.put_i64(event.at);
        self.bytes.put_u128(event.message_id.0);
        // An event has at most some kilobytes.
        self.bytes.put_u32(u32::try_from(event.body.len()).unwrap_or(u32::MAX));
        self.bytes.put_slice(&event.body);
    }

    fn close(&mut self) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.bytes.len() / 2);
        block.put_i64(self.latest.unwrap_or(Millis::MIN));
        lz4::compress(&self.bytes, &mut block);
        *self = Self::default();
        block
    }
}

/// The events of a block; their bodies share its memory.
pub fn events_of(block: &[u8]) -> Result<Vec<Happened>, StoreError> {
    let plain = block.get(size_of::<Millis>()..).and_then(lz4::decompress);
    let mut rest = Bytes::from(plain.ok_or(StoreError::Damaged(TABLE))?);
    let mut events = Vec::new();
    while !rest.is_empty() {
        events.push(event_of(&mut rest).ok_or(StoreError::Damaged(TABLE))?);
    }
    Ok(events)
}

fn event_of(rest: &mut Bytes) -> Option<Happened> {
    let identifier = IdentifierId(rest.try_get_u128().ok()?);
    let at = rest.try_get_i64().ok()?;
    let message_id = MessageId(rest.try_get_u128().ok()?);
    let length = rest.try_get_u32().ok()? as usize;
    let body = (rest.len() >= length).then(|| rest.split_to(length))?;
    Some(Happened { identifier, at, message_id, body })
}

impl View<'_> {
    /// Every event, in the order of the epochs, until `each` gives false.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_event(
        &self,
        mut each: impl FnMut(Epoch, Happened) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.each_block(|epoch, block| {
            for event in events_of(&block)? {
                if !each(epoch, event)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Every block of the history, as [`events_of`] reads it, in the order of their epochs, until `each` says false.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_block(
        &self,
        mut each: impl FnMut(Epoch, Box<[u8]>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = rocksdb::ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        let family = self.store.family(TABLE)?;
        for entry in self.store.db.iterator_cf_opt(family, options, IteratorMode::Start) {
            let (key, block) = entry?;
            let epoch = Parts(&key).number().ok_or(StoreError::Damaged(TABLE))?;
            if !each(epoch, block)? {
                break;
            }
        }
        Ok(())
    }

    /// At most `limit` events of some identifiers, latest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn events(&self, identifiers: &[IdentifierId], limit: usize) -> Result<Vec<Happened>, StoreError> {
        let mut found: Vec<(Millis, MessageId, Place)> = Vec::new();
        for identifier in identifiers {
            let prefix = identifier.to_bytes();
            let entries = self.prefix_backwards::<Place>(TIMELINE, &prefix, None)?;
            for entry in entries.take(limit) {
                let (key, place) = entry?;
                let mut parts = Parts(&key);
                let (at, message) =
                    parts.id().and_then(|_| parts.millis().zip(parts.id())).ok_or(StoreError::Damaged(TIMELINE))?;
                found.push((at, MessageId::from_bytes(message), place));
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(limit);
        let mut blocks = BTreeMap::new();
        let mut events = Vec::with_capacity(found.len());
        for (_, _, (epoch, block, place)) in found {
            let held = match blocks.entry((epoch, block)) {
                std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
                std::collections::btree_map::Entry::Vacant(room) => room.insert(self.block(epoch, block)?),
            };
            // A block that compaction dropped before its timeline is past its age.
            events.extend(usize::try_from(place).ok().and_then(|place| held.get(place)).cloned());
        }
        Ok(events)
    }

    fn block(&self, epoch: Epoch, block: u64) -> Result<Vec<Happened>, StoreError> {
        let mut options = rocksdb::ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        let family = self.store.family(TABLE)?;
        let found = self.store.db.get_pinned_cf_opt(family, block_key(epoch, block), &options)?;
        found.map_or_else(|| Ok(Vec::new()), |block| events_of(&block))
    }
}

impl Batch<'_> {
    /// Adds an epoch's events to the history. At most once an epoch.
    ///
    /// # Errors
    /// If a table is missing.
    pub fn put_events(&mut self, epoch: Epoch, events: impl IntoIterator<Item = Happened>) -> Result<(), StoreError> {
        let (mut block, mut number) = (Block::default(), 0);
        for event in events {
            let key = timeline_key(event.identifier, event.at, event.message_id);
            self.put(TIMELINE, &key, &(epoch, number, block.events))?;
            block.push(&event);
            if block.bytes.len() >= BLOCK_BYTES {
                self.put_block(epoch, number, &mut block)?;
                number += 1;
            }
        }
        if block.events > 0 {
            self.put_block(epoch, number, &mut block)?;
        }
        Ok(())
    }

    /// Forgets where an identifier's events stand; the blocks go when they are past their age.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_timeline(&mut self, identifier: IdentifierId) -> Result<(), StoreError> {
        self.delete_prefix(TIMELINE, &identifier.to_bytes())
    }

    fn put_block(&mut self, epoch: Epoch, number: u64, block: &mut Block) -> Result<(), StoreError> {
        self.batch.put_cf(self.store.family(TABLE)?, block_key(epoch, number), block.close());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{Store, StoreOptions};

    fn event(identifier: u128, at: Millis) -> Happened {
        let body = Bytes::from(format!(r#"{{"type":"track","event":"Signed Up","userId":"{identifier}","at":{at}}}"#));
        Happened { identifier: IdentifierId(identifier), at, message_id: MessageId(at as u128), body }
    }

    #[test]
    fn a_timeline_is_latest_first_across_identifiers_epochs_and_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            block_cache_bytes: 1 << 20,
            history_retention_ms: Millis::MAX,
            dedupe_horizon_ms: Millis::MAX,
            rejected_retention_ms: Millis::MAX,
        };
        let store = Store::open(folder.path(), options).unwrap();
        let all: Vec<Happened> = (0..3_000).map(|at| event(at as u128 % 3, at)).collect();
        for (epoch, events) in all.chunks(1_000).enumerate() {
            let mut batch = store.batch();
            batch.put_events(epoch as Epoch, events.iter().cloned()).unwrap();
            store.write(batch, false).unwrap();
        }
        let latest = store.view().events(&[IdentifierId(0), IdentifierId(2)], 1_500).unwrap();
        let expected: Vec<_> = all.iter().rev().filter(|event| event.identifier.0 != 1).take(1_500).cloned().collect();
        assert_eq!(latest, expected);
        assert_eq!(store.view().events(&[IdentifierId(9)], 10).unwrap(), []);

        let mut walked = Vec::new();
        let walk = |_epoch, event| {
            walked.push(event);
            Ok(true)
        };
        store.view().each_event(walk).unwrap();
        assert_eq!(walked, all);
    }
}
