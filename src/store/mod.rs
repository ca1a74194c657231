//! The state of one process in RocksDB: base facts and what follows from them, each epoch whole.
//!
//! One column family a table, one file a table with its key, value and functions. All writes of an epoch go through
//! one [`Batch`]; all reads of an answer go through one [`View`], which is a snapshot: whole epochs only.

mod error;
pub mod codec;
pub mod keys;
mod tables;
mod view;
mod copies;
pub mod facts;
pub mod links;
pub mod statements;
pub mod owners;
pub mod groups;
pub mod moves;
pub mod conflicts;
pub mod members;
pub mod counts;
pub mod timers;
pub mod wakes;
pub mod seen;
pub mod history;
pub mod rejected;
pub mod outbox;
pub mod waiting;
pub mod sends;
pub mod suppressions;
pub mod mirrored;
pub mod audit;
pub mod definitions;
pub mod meta;

pub use codec::CodecError;
pub use copies::Difference;
pub use error::StoreError;
pub use links::LinkFacts;
pub use meta::Meta;
pub use rejected::Rejected;
pub use view::View;

use rocksdb::{ColumnFamily, DB, IteratorMode, Options, WriteBatch, WriteOptions};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tributary_model::Millis;

/// How the state is kept.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Bytes of cache for blocks read from disk.
    pub block_cache_bytes: usize,
    /// How long events stay in the history, in milliseconds of event time.
    pub history_retention_ms: i64,
    /// How long a message id is remembered, in milliseconds.
    pub dedupe_horizon_ms: i64,
    /// How long rejected events and notes of messages are kept, in milliseconds.
    pub rejected_retention_ms: i64,
}

/// Learns each write before it is made, and whether it is to be durable on return; may refuse it.
pub type Tap = Arc<dyn Fn(&[u8], bool) -> std::io::Result<()> + Send + Sync>;

/// How often the state of a server that works on it is opened, if that outruns the opening.
const OPENINGS: usize = 20;

/// The open state.
pub struct Store {
    db: DB,
    tap: Option<Tap>,
    /// The committed clock, by which compaction drops what is past its age.
    clock: Arc<AtomicI64>,
    options: StoreOptions,
    /// Why nothing can be written any more, once that is so.
    failed: watch::Sender<Option<String>>,
    /// Held by whoever looks at a message and then writes what became of it.
    outbox: Mutex<()>,
    /// When the next message that waits is due; the end of time if none does.
    next_waiting: AtomicI64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store at {}", self.db.path().display())
    }
}

impl Store {
    /// Opens the state in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be written, another process has it open, or it holds another format.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_as(dir, options, false)
    }

    /// Opens the state to read what it is now, also while a server works on it. Nothing can be written.
    ///
    /// # Errors
    /// If there is none, or it holds another format.
    pub fn open_read_only(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let open = || Self::open_as(dir, options, true);
        let is_told = |opened: &Result<Self, StoreError>| !opened.as_ref().is_err_and(|error| error.is_outrun());
        std::iter::repeat_with(open).take(OPENINGS).find(is_told).unwrap_or_else(open)
    }

    /// A state in memory, made of the writes of an earlier one in their order; a tap learns each further one. What a disk
    /// has kept of them is for the caller to say: simulations lose power, and lose writes, in ways that disks do.
    ///
    /// # Errors
    /// If a write is none of an earlier state.
    pub fn simulated(writes: &[Vec<u8>], options: StoreOptions, tap: Tap) -> Result<Self, StoreError> {
        let env = rocksdb::Env::mem_env()?;
        let mut db_options = Options::default();
        db_options.set_env(&env);
        let store = Self::open_with(db_options, Path::new("/simulated"), options, false)?;
        for write in writes {
            store.db.write(WriteBatch::from_data(write))?;
        }
        let clock = store.view().meta()?.map_or(Millis::MIN, |meta| meta.clock);
        store.clock.store(clock, Ordering::Relaxed);
        store.look_who_waits()?;
        Ok(Self { tap: Some(tap), ..store })
    }

    fn open_as(dir: &Path, options: StoreOptions, read_only: bool) -> Result<Self, StoreError> {
        let mut env = rocksdb::Env::new()?;
        // What waits for an answer goes before what only tidies up.
        env.lower_thread_pool_cpu_priority();
        let mut db_options = Options::default();
        db_options.set_env(&env);
        Self::open_with(db_options, dir, options, read_only)
    }

    fn open_with(
        mut db_options: Options,
        dir: &Path,
        options: StoreOptions,
        read_only: bool,
    ) -> Result<Self, StoreError> {
        let clock = Arc::new(AtomicI64::new(Millis::MIN));
        db_options.create_if_missing(!read_only);
        db_options.create_missing_column_families(!read_only);
        db_options.set_max_total_wal_size(512 << 20);
        db_options.set_max_background_jobs(2);
        db_options.set_bytes_per_sync(1 << 20);
        db_options.set_enable_pipelined_write(false);
        // All tables reach their files together. Else a process that ends while RocksDB recovers from a full disk, which
        // flushes them one by one, would find a batch that had failed in some tables and not in others.
        db_options.set_atomic_flush(true);
        db_options.set_keep_log_file_num(3);
        let families = tables::families(options, &clock)?;
        let db = match read_only {
            true => DB::open_cf_descriptors_read_only(&db_options, dir, families, false)?,
            false => DB::open_cf_descriptors(&db_options, dir, families)?,
        };
        let (failed, next_waiting) = (watch::Sender::new(None), AtomicI64::new(Millis::MAX));
        let store = Self { db, tap: None, clock, options, failed, outbox: Mutex::new(()), next_waiting };
        if let Some(meta) = store.view().meta()? {
            store.clock.store(meta.clock, Ordering::Relaxed);
        }
        store.look_who_waits()?;
        Ok(store)
    }

    /// The clock of the last committed epoch.
    pub fn clock(&self) -> Millis {
        self.clock.load(Ordering::Relaxed)
    }

    /// How the state is kept.
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// A consistent view of the last committed epoch.
    pub fn view(&self) -> View<'_> {
        View { store: self, snapshot: self.db.snapshot() }
    }

    /// Writes a batch as one; durable on return if `sync`.
    ///
    /// # Errors
    /// If the disk does not take it; then nothing of it is there.
    pub fn write(&self, batch: Batch<'_>, sync: bool) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.tap.as_ref().map_or(Ok(()), |tap| tap(batch.batch.data(), sync))?;
        if let Err(error) = self.db.write_opt(batch.batch, &options).map_err(StoreError::from) {
            if !error.may_pass() {
                self.failed.send_replace(Some(error.to_string()));
            }
            return Err(error);
        }
        if let Some(clock) = batch.clock {
            self.clock.store(clock, Ordering::Relaxed);
        }
        Ok(())
    }

    /// When the next message that waits is due, as of the last look; the time may have come.
    pub fn next_waiting(&self) -> Option<Millis> {
        Some(self.next_waiting.load(Ordering::Relaxed)).filter(|due| *due < Millis::MAX)
    }

    /// Looks when the next message that waits is due. Only who [holds the outbox](Self::hold_outbox) may, so that none comes
    /// in between.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn look_who_waits(&self) -> Result<(), StoreError> {
        let first = self.view().waiting(1)?.first().map(|((due, _), _)| *due);
        self.next_waiting.store(first.unwrap_or(Millis::MAX), Ordering::Relaxed);
        Ok(())
    }

    /// Keeps others from noting what became of a message: between a look at the outbox and the write that follows from it,
    /// else a message that is deleted in between would be there again.
    pub fn hold_outbox(&self) -> MutexGuard<'_, ()> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be written until the state is opened anew, once that is so, whoever has come upon it.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.subscribe()
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch<'_> {
        self.batch_of(0)
    }

    /// An empty batch with room for so many bytes.
    pub fn batch_of(&self, bytes: usize) -> Batch<'_> {
        Batch { store: self, batch: WriteBatch::with_capacity_bytes(bytes), clock: None, taken: BTreeSet::new() }
    }

    /// Writes what is in memory to disk: a quick next start.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.db.flush_wal(true)?;
        Ok(())
    }

    fn family(&self, table: &'static str) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(table).ok_or(StoreError::Damaged(table))
    }

    /// A number that RocksDB keeps about a table.
    pub fn property(&self, table: &'static str, name: &str) -> Option<u64> {
        self.db.property_int_value_cf(self.family(table).ok()?, name).ok().flatten()
    }

    /// Values of many keys of a table, in the order of the keys, which is ascending if so said.
    fn get_many<T: DeserializeOwned>(
        &self,
        table: &'static str,
        keys: &[impl AsRef<[u8]>],
        are_sorted: bool,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let found = self.db.batched_multi_get_cf(self.family(table)?, keys.iter(), are_sorted);
        found.into_iter().map(|value| value?.map(|bytes| decode(table, &bytes)).transpose()).collect()
    }

    /// All of a table, oldest key first. A long walk that holds no snapshot of other tables.
    ///
    /// # Errors
    /// If a key or value cannot be read; then the walk ends.
    pub fn scan<T: DeserializeOwned>(
        &self,
        table: &'static str,
        mut each: impl FnMut(&[u8], T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for entry in self.db.iterator_cf(self.family(table)?, IteratorMode::Start) {
            let (key, value) = entry?;
            each(&key, decode(table, &value)?)?;
        }
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode(bytes).map_err(|reason| StoreError::Codec { table, reason })
}

fn encode(table: &'static str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    codec::encode(value).map_err(|reason| StoreError::Codec { table, reason })
}

/// Writes that become visible together.
pub struct Batch<'a> {
    store: &'a Store,
    batch: WriteBatch,
    clock: Option<Millis>,
    /// Messages that wait no longer once this is written.
    taken: BTreeSet<waiting::Due>,
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch of {}", self.batch.len())
    }
}

impl Batch<'_> {
    fn put(&mut self, table: &'static str, key: &[u8], value: &impl Serialize) -> Result<(), StoreError> {
        self.batch.put_cf(self.store.family(table)?, key, encode(table, value)?);
        Ok(())
    }

    fn delete(&mut self, table: &'static str, key: &[u8]) -> Result<(), StoreError> {
        self.batch.delete_cf(self.store.family(table)?, key);
        Ok(())
    }

    fn delete_prefix(&mut self, table: &'static str, prefix: &[u8]) -> Result<(), StoreError> {
        if let Some(end) = keys::after_prefix(prefix) {
            self.batch.delete_range_cf(self.store.family(table)?, prefix.to_vec(), end);
        }
        Ok(())
    }

    /// Bytes that the batch will write.
    pub fn size(&self) -> usize {
        self.batch.size_in_bytes()
    }
}

#[cfg(test)]
mod tests;
