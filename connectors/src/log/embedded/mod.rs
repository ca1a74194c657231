//! The log in RocksDB: no broker needed, one fsync for all that waits.
//!
//! One thread appends. It takes all that callers have queued, writes it as *one* value (a block; its key is the first
//! offset) and syncs once: the more callers there are, the more events share an fsync. Blocks are written once and read
//! in order, so the database is tuned for nothing else.

mod block;
mod database;
mod appender;
mod retention;
mod reader;
#[cfg(test)]
mod tests;

use super::gate::Gate;
use super::{AppendError, BoxFuture, Log, LogError, LogReader, Record, lock};
use appender::{Append, Appender};
use crossbeam_channel::{Sender, TrySendError, bounded};
use database::Shared;
use reader::EmbeddedReader;
use rocksdb::checkpoint::Checkpoint;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tributary_model::Position;

/// How the embedded log is called in its entries and errors.
const STREAM: &str = "log";
/// Its only partition.
const PARTITION: i32 = 0;
/// Appends waiting at once; each may be many records, which have their own bounds.
const QUEUE_APPENDS: usize = 8_192;
/// An event's bytes at most. Front doors take far less; this keeps one value within what RocksDB takes.
const RECORD_BYTES: usize = 64 << 20;

/// How an embedded log is kept.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// The log's folder, for nothing else.
    pub dir: PathBuf,
    /// What is committed and older may go.
    pub retention_age: Duration,
    /// What is committed and makes the log larger than this many bytes (as compressed) may go, oldest first.
    pub retention_bytes: u64,
    /// How often it is looked what may go.
    pub retention_every: Duration,
    /// Records waiting to be written before an append is refused.
    pub queue_records: usize,
    /// Bytes waiting to be written before an append is refused.
    pub queue_bytes: usize,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("data/log"),
            retention_age: Duration::from_secs(7 * 24 * 3600),
            retention_bytes: 10 << 30,
            retention_every: Duration::from_secs(30),
            queue_records: 50_000,
            queue_bytes: 64 << 20,
        }
    }
}

/// The embedded log. It has one partition, zero.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    queue: Mutex<Option<Sender<Append>>>,
    appender: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddedLog in {}", self.shared.config.dir.display())
    }
}

impl EmbeddedLog {
    /// Opens the log, which is made if it is not there. Blocks.
    ///
    /// # Errors
    /// If the folder cannot be written, another process has it open, or what is there is no log of this version.
    pub fn open(config: EmbeddedConfig) -> Result<Self, LogError> {
        std::fs::create_dir_all(&config.dir)?;
        let gate = Gate::new(config.queue_records, config.queue_bytes);
        let shared = Arc::new(Shared::open(config)?);
        let (queue, waiting) = bounded(QUEUE_APPENDS);
        let appender = Appender::new(shared.clone(), waiting);
        let appender = std::thread::Builder::new().name("log-append".to_owned()).spawn(move || appender.run())?;
        Ok(Self { shared, gate, queue: Mutex::new(Some(queue)), appender: Mutex::new(Some(appender)) })
    }

    /// Puts an append into the queue; the position comes through the receiver.
    fn enqueue(&self, records: Vec<Record>) -> Result<oneshot::Receiver<Answer>, AppendError> {
        if let Some(record) = records.iter().find(|record| record.body.len() > RECORD_BYTES) {
            let bytes = record.body.len();
            return Err(AppendError::Unavailable(format!("an event of {bytes} bytes is beyond its {RECORD_BYTES}")));
        }
        let pass = self.gate.enter(&records)?;
        let (answer, answered) = oneshot::channel();
        let queue = lock(&self.queue);
        let queue = queue.as_ref().ok_or_else(closed)?;
        match queue.try_send(Append { records, pass, answer }) {
            Ok(()) => Ok(answered),
            Err(TrySendError::Full(_)) => Err(AppendError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(closed()),
        }
    }
}

/// What the appender says to a caller.
type Answer = Result<Position, AppendError>;

fn closed() -> AppendError {
    AppendError::Unavailable(LogError::Closed.to_string())
}

impl Log for EmbeddedLog {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if records.is_empty() {
                return Ok(Position::single(lock(&self.shared.tail).end));
            }
            let answered = self.enqueue(records)?;
            answered.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    fn reader(&self, from: &Position) -> Result<Box<dyn LogReader>, LogError> {
        let (stream, partition) = (STREAM.to_owned(), PARTITION);
        let earliest = self.shared.earliest.load(Ordering::Acquire);
        let end = lock(&self.shared.tail).end;
        let wanted = from.0.get(&PARTITION).copied().unwrap_or(earliest);
        if wanted > end {
            return Err(LogError::Shorter { stream, partition, end, wanted });
        }
        if wanted < earliest {
            return Err(LogError::Truncated { stream, partition, wanted, earliest });
        }
        Ok(Box::new(EmbeddedReader::new(self.shared.clone(), wanted)))
    }

    fn committed(&self, position: &Position) {
        let next = position.0.get(&PARTITION).copied().unwrap_or(0);
        self.shared.committed.fetch_max(next, Ordering::Relaxed);
    }

    fn keep(&self) -> Option<MutexGuard<'_, ()>> {
        Some(lock(&self.shared.deleting))
    }

    fn copy(&self, to: &Path) -> Result<(), LogError> {
        let database = self.shared.database();
        let database = database.as_ref().ok_or(LogError::Closed)?;
        Ok(Checkpoint::new(database)?.create_checkpoint(to)?)
    }

    fn queued(&self) -> usize {
        self.gate.records()
    }

    fn health(&self) -> Result<(), String> {
        lock(&self.shared.trouble).clone().map_or(Ok(()), Err)
    }

    fn close(&self) {
        // The appender writes what is queued, and ends because nobody can queue any more.
        drop(lock(&self.queue).take());
        if let Some(appender) = lock(&self.appender).take()
            && appender.join().is_err()
        {
            tracing::error!("the log's appender has panicked; what it had not answered is not promised");
        }
        self.shared.close();
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}
