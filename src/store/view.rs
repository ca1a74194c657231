//! How the state is read: a snapshot of it, whole epochs only.

use super::{Store, StoreError, decode, keys};
use rocksdb::{DB, IteratorMode, ReadOptions, SnapshotWithThreadMode};
use serde::de::DeserializeOwned;

/// A snapshot of the state.
pub struct View<'a> {
    pub(super) store: &'a Store,
    pub(super) snapshot: SnapshotWithThreadMode<'a, DB>,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View of {:?}", self.store)
    }
}

/// A key and its value, as read.
type Entry<T> = (Box<[u8]>, T);

impl View<'_> {
    pub(super) fn get<T: DeserializeOwned>(&self, table: &'static str, key: &[u8]) -> Result<Option<T>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        let found = self.store.db.get_pinned_cf_opt(self.store.family(table)?, key, &options)?;
        found.map(|bytes| decode(table, &bytes)).transpose()
    }

    pub(super) fn get_many<T: DeserializeOwned>(
        &self,
        table: &'static str,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<T>>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        let family = self.store.family(table)?;
        let found = self.store.db.batched_multi_get_cf_opt(family, keys.iter(), false, &options);
        found.into_iter().map(|value| value?.map(|bytes| decode(table, &bytes)).transpose()).collect()
    }

    /// Entries whose key begins with `prefix`, from `start` on (inclusive; it may lie past the prefix's begin).
    pub(super) fn prefix<'v, T: DeserializeOwned + 'v>(
        &'v self,
        table: &'static str,
        prefix: &[u8],
        start: &[u8],
    ) -> Result<impl Iterator<Item = Result<Entry<T>, StoreError>> + 'v, StoreError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        if let Some(end) = keys::after_prefix(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let mode = IteratorMode::From(start, rocksdb::Direction::Forward);
        let entries = self.store.db.iterator_cf_opt(self.store.family(table)?, options, mode);
        Ok(entries.map(move |entry| {
            let (key, value) = entry?;
            let value = decode(table, &value)?;
            Ok((key, value))
        }))
    }

    /// Entries from `start` on, before `end` if it is named.
    pub(super) fn range<'v, T: DeserializeOwned + 'v>(
        &'v self,
        table: &'static str,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<Entry<T>, StoreError>> + 'v, StoreError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options.set_readahead_size(2 << 20);
        end.into_iter().for_each(|end| options.set_iterate_upper_bound(end.to_vec()));
        let mode = IteratorMode::From(start, rocksdb::Direction::Forward);
        let entries = self.store.db.iterator_cf_opt(self.store.family(table)?, options, mode);
        Ok(entries.map(move |entry| {
            let (key, value) = entry?;
            let value = decode(table, &value)?;
            Ok((key, value))
        }))
    }

    /// Entries whose key begins with `prefix`, last first.
    pub(super) fn prefix_backwards<'v, T: DeserializeOwned + 'v>(
        &'v self,
        table: &'static str,
        prefix: &[u8],
        before: Option<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<Entry<T>, StoreError>> + 'v, StoreError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options.set_iterate_lower_bound(prefix.to_vec());
        let end = before.map(<[u8]>::to_vec).or_else(|| keys::after_prefix(prefix));
        if let Some(end) = &end {
            options.set_iterate_upper_bound(end.clone());
        }
        let entries = self.store.db.iterator_cf_opt(self.store.family(table)?, options, IteratorMode::End);
        Ok(entries.map(move |entry| {
            let (key, value) = entry?;
            let value = decode(table, &value)?;
            Ok((key, value))
        }))
    }
}
