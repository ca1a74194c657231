//! Copies of the whole state: made while it is written, and compared table by table.

use super::{Store, StoreError, decode};
use rocksdb::IteratorMode;
use rocksdb::checkpoint::Checkpoint;
use serde::de::DeserializeOwned;
use std::cmp::Ordering;
use std::path::Path;

/// Bytes that are written at once.
const PORTION: usize = 8 << 20;

/// A key that two states have different things at: what the one has, and the other.
pub type Difference<T> = (Box<[u8]>, Option<T>, Option<T>);

impl Store {
    /// Copies the state of the last committed epoch to a folder that is not there yet. What is on disk already is not
    /// written again but linked, if the folder is on the same file system.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn copy(&self, to: &Path) -> Result<(), StoreError> {
        Ok(Checkpoint::new(&self.db)?.create_checkpoint(to)?)
    }

    /// Has in a table what another state has in it, and nothing else.
    ///
    /// # Errors
    /// If that cannot be read, or the disk does not take it.
    pub fn take_over(&self, other: &Self, table: &'static str) -> Result<(), StoreError> {
        let mut batch = self.batch();
        for entry in self.db.iterator_cf(self.family(table)?, IteratorMode::Start) {
            batch.delete(table, &entry?.0)?;
        }
        for entry in other.db.iterator_cf(other.family(table)?, IteratorMode::Start) {
            let (key, value) = entry?;
            batch.batch.put_cf(self.family(table)?, key, value);
            if batch.size() > PORTION {
                self.write(std::mem::replace(&mut batch, self.batch()), false)?;
            }
        }
        self.write(batch, true)
    }

    /// The first key of a table, in their order, at which two states differ, once `level` has taken from the values what may
    /// differ.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn first_difference<T: DeserializeOwned + PartialEq>(
        &self,
        other: &Self,
        table: &'static str,
        level: impl Fn(&mut T),
    ) -> Result<Option<Difference<T>>, StoreError> {
        let mut ones = self.db.iterator_cf(self.family(table)?, IteratorMode::Start);
        let mut others = other.db.iterator_cf(other.family(table)?, IteratorMode::Start);
        let read = |bytes: Box<[u8]>| -> Result<T, StoreError> {
            let mut value = decode(table, &bytes)?;
            level(&mut value);
            Ok(value)
        };
        let (mut one, mut two) = (ones.next().transpose()?, others.next().transpose()?);
        loop {
            let order = match (&one, &two) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((one, _)), Some((two, _))) => one.cmp(two),
            };
            match (order, one.take(), two.take()) {
                (Ordering::Equal, Some((key, one)), Some((_, two))) => {
                    // The same bytes need no second look.
                    if one != two {
                        let (one, two) = (read(one)?, read(two)?);
                        if one != two {
                            return Ok(Some((key, Some(one), Some(two))));
                        }
                    }
                }
                (Ordering::Less, Some((key, one)), _) => return Ok(Some((key, Some(read(one)?), None))),
                (_, _, Some((key, two))) => return Ok(Some((key, None, Some(read(two)?)))),
                (_, _, None) => return Ok(None),
            }
            (one, two) = (ones.next().transpose()?, others.next().transpose()?);
        }
    }
}
