//! The database under the log, and where the log ends; what appender, readers and retention share.

use super::block::{self, Head};
use super::{EmbeddedConfig, STREAM};
use crate::log::{LogError, lock};
use rocksdb::{DB, DBCompressionType, DBRawIterator, DBRecoveryMode, ErrorKind, LogLevel, Options, ReadOptions};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard};
use tributary_model::Millis;

/// Room on the disk, besides that for the write-ahead log, without which a failed database is not opened again.
const ROOM_BYTES: u64 = 4 << 20;

/// Where the log ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    /// The offset after the last durable record.
    pub(super) end: i64,
    /// The length of all blocks that were ever written.
    pub(super) bytes: u64,
    /// When the last block was written.
    pub(super) written_at: Millis,
    /// Whether it can be read.
    pub(super) state: State,
}

/// Whether the log can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Yes.
    Open,
    /// Not until the database could be opened again.
    Broken,
    /// Never again.
    Closed,
}

/// What appender, readers and callers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: EmbeddedConfig,
    pub(super) stream: Arc<str>,
    database: RwLock<Option<DB>>,
    pub(super) tail: Mutex<Tail>,
    /// Told whenever the tail changes.
    pub(super) changed: Condvar,
    /// The first offset that is kept.
    pub(super) earliest: AtomicI64,
    /// What lies below may be deleted.
    pub(super) committed: AtomicI64,
    /// Held by whoever deletes, and by whoever wants that nothing is.
    pub(super) deleting: Mutex<()>,
    /// Why appends fail, if they do.
    pub(super) trouble: Mutex<Option<String>>,
}

/// A block's key; they sort as the offsets do.
pub(super) fn key(offset: i64) -> [u8; 8] {
    offset.to_be_bytes()
}

impl Shared {
    pub(super) fn open(config: EmbeddedConfig) -> Result<Self, LogError> {
        let database = open(&config.dir)?;
        let (earliest, tail) = ends(&database)?;
        Ok(Self {
            config,
            stream: Arc::from(STREAM),
            database: RwLock::new(Some(database)),
            tail: Mutex::new(tail),
            changed: Condvar::new(),
            earliest: AtomicI64::new(earliest),
            committed: AtomicI64::new(0),
            deleting: Mutex::new(()),
            trouble: Mutex::new(None),
        })
    }

    /// The database, if it is open; it stays so while this is held.
    pub(super) fn database(&self) -> RwLockReadGuard<'_, Option<DB>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the appender from writing while this is held.
    #[cfg(test)]
    pub(super) fn hold(&self) -> std::sync::RwLockWriteGuard<'_, Option<DB>> {
        self.database.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the database again after a write failed, once there is room; until then it can still be read. RocksDB
    /// refuses all writes after one has failed, and what of that one is on the disk only opening tells.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        find_room(&self.config.dir)?;
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        lock(&self.tail).state = State::Broken;
        *database = None;
        let opened = open(&self.config.dir)?;
        // The block whose write failed may be whole after all. Nobody was promised it, and nothing takes its place.
        let (earliest, tail) = ends(&opened)?;
        *database = Some(opened);
        drop(database);
        self.earliest.store(earliest, Ordering::Release);
        *lock(&self.tail) = tail;
        self.changed.notify_all();
        Ok(())
    }

    /// Closes the database; readers are told.
    pub(super) fn close(&self) {
        lock(&self.tail).state = State::Closed;
        self.changed.notify_all();
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn open(dir: &Path) -> Result<DB, LogError> {
    // A file that ends within a record is what a crash leaves. Damage anywhere else is the disk's, and is to be heard of.
    match open_with(dir, DBRecoveryMode::TolerateCorruptedTailRecords) {
        Err(LogError::RocksDb(error)) if error.kind() == ErrorKind::Corruption => {
            let opened = open_with(dir, DBRecoveryMode::PointInTime)?;
            tracing::error!(%error, "the log's newest file is damaged: what stands behind the damage is lost");
            Ok(opened)
        }
        opened => opened,
    }
}

fn open_with(dir: &Path, recovery: DBRecoveryMode) -> Result<DB, LogError> {
    let mut options = Options::default();
    options.create_if_missing(true);
    // Blocks come compressed.
    options.set_compression_type(DBCompressionType::None);
    // Blocks come in order and are never changed: large memtables, and files that only move down the levels.
    options.set_write_buffer_size(64 << 20);
    // At once, since retention drops whole files, but not those of level 0.
    options.set_level_zero_file_num_compaction_trigger(1);
    options.set_max_total_wal_size(256 << 20);
    options.set_bytes_per_sync(1 << 20);
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options.set_keep_log_file_num(3);
    options.set_log_level(LogLevel::Warn);
    options.set_wal_recovery_mode(recovery);
    Ok(DB::open(&options, dir)?)
}

/// An iterator over blocks that are read once: they would only push each other out of the cache.
pub(super) fn blocks(database: &DB) -> DBRawIterator<'_> {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    database.raw_iterator_opt(options)
}

/// The block that an iterator stands at, and its bytes; none at the end.
pub(super) fn current<'a>(iterator: &'a DBRawIterator<'_>) -> Result<Option<(Head, &'a [u8])>, LogError> {
    let Some((key, block)) = iterator.item() else {
        iterator.status()?;
        return Ok(None);
    };
    let first = key.try_into().ok().map(i64::from_be_bytes).filter(|first| *first >= 0);
    let reason = || format!("its key has {} bytes or is negative", key.len());
    let first = first.ok_or_else(|| LogError::Block { offset: 0, reason: reason() })?;
    Ok(Some((block::head(first, block)?, block)))
}

/// The first offset, and the end.
fn ends(database: &DB) -> Result<(i64, Tail), LogError> {
    let mut iterator = blocks(database);
    iterator.seek_to_first();
    let earliest = current(&iterator)?.map_or(0, |(head, _)| head.first);
    iterator.seek_to_last();
    let tail = match current(&iterator)? {
        Some((head, block)) => Tail {
            end: head.next(),
            bytes: head.bytes_before.saturating_add(block.len() as u64),
            written_at: head.written_at,
            state: State::Open,
        },
        None => Tail { end: 0, bytes: 0, written_at: Millis::MIN, state: State::Open },
    };
    Ok((earliest, tail))
}

/// Writes a file as large as what opening the database writes, and deletes it: the only way to know that it fits.
fn find_room(dir: &Path) -> io::Result<()> {
    let mut needed = ROOM_BYTES;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            needed = needed.saturating_add(entry.metadata()?.len());
        }
    }
    let path = dir.join("room.tmp");
    let fill = || {
        let mut file = File::create(&path)?;
        let piece = vec![1; 1 << 20];
        for _ in 0..needed.div_ceil(piece.len() as u64) {
            file.write_all(&piece)?;
        }
        file.sync_all()
    };
    let filled = fill();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => filled.and(Err(error)),
        _ => filled,
    }
}
