//! Tables `history` and `timeline`: events as they were sent.
//!
//! `history`: (epoch, block) → the events of an epoch, compressed together: what a new definition is computed from.
//! `timeline`: (identifier, time, epoch, block) → where in that block the identifier's events stand, by the time of the latest
//! of them: a profile's latest events.
//! Compaction drops from the timeline what has no event within the retention, and a block once all its events are past it.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use bytes::{Buf, BufMut, Bytes};
use rocksdb::IteratorMode;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
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

/// Where events of an identifier stand.
#[derive(Debug)]
struct Place {
    /// When the latest of them happened.
    latest: Millis,
    epoch: Epoch,
    block: u64,
    /// Which ones of the block.
    events: Range<usize>,
}

fn block_key(epoch: Epoch, block: u64) -> Vec<u8> {
    Key::new().number(epoch).number(block).done()
}

fn timeline_key(identifier: IdentifierId, latest: Millis, epoch: Epoch, block: u64) -> Vec<u8> {
    Key::new().id(identifier.to_bytes()).millis(latest).number(epoch).number(block).done()
}

/// When the latest event of a timeline's entry happened, for compaction.
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
    number: u64,
    latest: Option<Millis>,
    events: usize,
    bytes: Vec<u8>,
    compressed: Vec<u8>,
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

    /// The block as it is stored.
    fn closed(&mut self) -> &[u8] {
        self.compressed.clear();
        self.compressed.put_i64(self.latest.unwrap_or(Millis::MIN));
        lz4::compress(&self.bytes, &mut self.compressed);
        &self.compressed
    }

    /// The next one, in the same memory.
    fn next(&mut self) {
        self.number += 1;
        (self.latest, self.events) = (None, 0);
        self.bytes.clear();
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

/// What an entry of a timeline says.
fn place_of(key: &[u8], first: u64, count: u64) -> Option<Place> {
    let mut parts = Parts(key);
    let (_identifier, latest, epoch, block) = (parts.id()?, parts.millis()?, parts.number()?, parts.number()?);
    let events = usize::try_from(first).ok()?..usize::try_from(first.checked_add(count)?).ok()?;
    Some(Place { latest, epoch, block, events })
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
        let mut places = Vec::new();
        for identifier in identifiers {
            // Each has one event at least that is as late as all in those after it.
            let entries = self.prefix_backwards::<(u64, u64)>(TIMELINE, &identifier.to_bytes(), None)?;
            for entry in entries.take(limit) {
                let (key, (first, count)) = entry?;
                places.push(place_of(&key, first, count).ok_or(StoreError::Damaged(TIMELINE))?);
            }
        }
        places.sort_unstable_by_key(|place| std::cmp::Reverse(place.latest));
        let mut blocks = BTreeMap::new();
        let mut latest: BTreeMap<(Millis, MessageId), Happened> = BTreeMap::new();
        for Place { latest: at, epoch, block, events } in places {
            let has_all = latest.len() >= limit && latest.first_key_value().is_none_or(|((oldest, _), _)| *oldest > at);
            if has_all {
                break;
            }
            let held = match blocks.entry((epoch, block)) {
                Entry::Occupied(held) => held.into_mut(),
                Entry::Vacant(room) => room.insert(self.block(epoch, block)?),
            };
            // A block that compaction dropped before its timeline is past its age.
            for event in held.get(events).into_iter().flatten() {
                latest.insert((event.at, event.message_id), event.clone());
                if latest.len() > limit {
                    latest.pop_first();
                }
            }
        }
        Ok(latest.into_values().rev().collect())
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
    /// Adds an epoch's events to the history, those of an identifier one after the other. At most once an epoch.
    ///
    /// # Errors
    /// If a table is missing.
    pub fn put_events(&mut self, epoch: Epoch, events: impl IntoIterator<Item = Happened>) -> Result<(), StoreError> {
        let mut block = Block::default();
        let mut run: Option<(IdentifierId, Place)> = None;
        for event in events {
            if block.bytes.len() >= BLOCK_BYTES {
                self.put_place(run.take())?;
                self.put_block(epoch, &mut block)?;
            }
            if run.as_ref().is_some_and(|(identifier, _)| *identifier != event.identifier) {
                self.put_place(run.take())?;
            }
            let place = block.events;
            let (_, Place { latest, events, .. }) = run.get_or_insert_with(|| {
                let events = place..place;
                (event.identifier, Place { latest: event.at, epoch, block: block.number, events })
            });
            *latest = event.at.max(*latest);
            events.end += 1;
            block.push(&event);
        }
        self.put_place(run)?;
        if block.events > 0 {
            self.put_block(epoch, &mut block)?;
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

    fn put_place(&mut self, run: Option<(IdentifierId, Place)>) -> Result<(), StoreError> {
        let Some((identifier, Place { latest, epoch, block, events })) = run else { return Ok(()) };
        let key = timeline_key(identifier, latest, epoch, block);
        self.put(TIMELINE, &key, &(events.start as u64, events.len() as u64))
    }

    fn put_block(&mut self, epoch: Epoch, block: &mut Block) -> Result<(), StoreError> {
        self.batch.put_cf(self.store.family(TABLE)?, block_key(epoch, block.number), block.closed());
        block.next();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;
    use crate::store::tests::OPTIONS;

    fn event(identifier: u128, at: Millis) -> Happened {
        let body = Bytes::from(format!(r#"{{"type":"track","event":"Signed Up","userId":"{identifier}","at":{at}}}"#));
        Happened { identifier: IdentifierId(identifier), at, message_id: MessageId(at as u128), body }
    }

    #[test]
    fn a_timeline_is_latest_first_across_identifiers_epochs_and_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), OPTIONS).unwrap();
        let mut all: Vec<Happened> = (0..3_000).map(|at| event(at as u128 % 3, at)).collect();
        for (epoch, events) in all.chunks_mut(1_000).enumerate() {
            events.sort_by_key(|event| event.identifier);
            let mut batch = store.batch();
            batch.put_events(epoch as Epoch, events.iter().cloned()).unwrap();
            store.write(batch, false).unwrap();
        }
        let mut walked = Vec::new();
        let walk = |_epoch, event| {
            walked.push(event);
            Ok(true)
        };
        store.view().each_event(walk).unwrap();
        assert_eq!(walked, all);

        all.sort_by_key(|event| std::cmp::Reverse(event.at));
        let events = |identifiers: &[u128], limit| {
            let identifiers: Vec<_> = identifiers.iter().copied().map(IdentifierId).collect();
            store.view().events(&identifiers, limit).unwrap()
        };
        let of = |identifiers: &'static [u128]| all.iter().filter(|event| identifiers.contains(&event.identifier.0));
        for limit in [1, 20, 1_500, 5_000] {
            assert_eq!(events(&[0, 2], limit), of(&[0, 2]).take(limit).cloned().collect::<Vec<_>>());
            assert_eq!(events(&[1], limit), of(&[1]).take(limit).cloned().collect::<Vec<_>>());
        }
        assert_eq!(events(&[9], 10), []);
    }

    #[test]
    fn what_comes_late_stands_in_a_timeline_by_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), OPTIONS).unwrap();
        // Each epoch has something new and something old.
        let epochs = [[10, 1], [20, 12], [15, 3], [30, 2]];
        for (epoch, times) in epochs.iter().enumerate() {
            let mut batch = store.batch();
            batch.put_events(epoch as Epoch, times.map(|at| event(7, at))).unwrap();
            store.write(batch, false).unwrap();
        }
        let times = |limit| {
            let events = store.view().events(&[IdentifierId(7)], limit).unwrap();
            events.iter().map(|event| event.at).collect::<Vec<_>>()
        };
        let mut all: Vec<Millis> = epochs.concat();
        all.sort_by_key(|at| std::cmp::Reverse(*at));
        for limit in 0..=9 {
            assert_eq!(times(limit), all.iter().copied().take(limit).collect::<Vec<_>>());
        }
    }
}
