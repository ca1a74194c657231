//! The durable log: everything that was accepted, in order, before anything is computed.

mod error;
mod record;
mod gate;
mod embedded;
mod kafka;

pub use embedded::{EmbeddedConfig, EmbeddedLog};
pub use error::{AppendError, LogError};
pub use kafka::{KafkaConfig, KafkaLog, KafkaSource, OnTruncated};
pub use record::{Entry, Record};

use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tributary_model::Position;

/// One poll gives about so many bytes at most: a few times what a reader works on at once.
const POLL_BYTES: usize = 16 << 20;

/// A future that a trait object can give.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where accepted events are made durable, and read from.
pub trait Log: Debug + Send + Sync + 'static {
    /// Makes records durable, and gives the position just after them.
    ///
    /// # Errors
    /// [`AppendError`]: nothing was promised, and the caller may send all of them again. Some, or all, may stand in the
    /// log nevertheless; the ids of their messages tell them from new ones.
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>>;

    /// Reads on from a position; a partition that it does not name is read from its beginning.
    ///
    /// # Errors
    /// If the log cannot be read, or is known not to have that position.
    fn reader(&self, from: &Position) -> Result<Box<dyn LogReader>, LogError>;

    /// Says that the engine has committed everything below: retention may delete it, and nothing else.
    fn committed(&self, position: &Position);

    /// While what this gives is held, nothing is deleted from the log.
    fn keep(&self) -> Option<MutexGuard<'_, ()>> {
        None
    }

    /// Copies the log as it is now to a folder that is not there yet; one that is kept elsewhere is not copied.
    ///
    /// # Errors
    /// If the copy cannot be made.
    fn copy(&self, _to: &Path) -> Result<(), LogError> {
        Ok(())
    }

    /// How many records wait to be made durable.
    fn queued(&self) -> usize;

    /// Whether the last append could be made durable.
    ///
    /// # Errors
    /// What stands in the way, in one line.
    fn health(&self) -> Result<(), String>;

    /// Makes durable what waits, and ends: appends and readers get errors from then on. Blocks.
    fn close(&self);
}

/// Reads a log in order.
pub trait LogReader: Send {
    /// Waits at most `timeout` for a first entry, then takes what is there: at most `max` entries and about 16 MB.
    ///
    /// # Errors
    /// [`LogError::is_transient`] tells whether it is worth asking again. No entry is lost by an error.
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<Entry>, LogError>;

    /// How many records are in the log and not read; `None` where that is not known.
    fn lag(&self) -> Option<i64>;
}

/// Locks what holds plain values: they are right whatever happened to the thread that held it before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
