//! A log up to a position, whose records tell what time it is.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tributary_connectors::log::{AppendError, BoxFuture, Entry, Log, LogError, LogReader, Record};
use tributary_model::{Millis, Position};

/// The records of a log below a position. Nothing is appended to it.
#[derive(Debug)]
pub(super) struct Until {
    log: Arc<dyn Log>,
    end: Position,
    clock: Arc<AtomicI64>,
    latest: Millis,
    failure: Arc<Mutex<Option<String>>>,
}

impl Until {
    /// Whenever a record is read, `clock` is brought to when it was received, but never past `latest`.
    pub(super) fn new(log: Arc<dyn Log>, end: Position, clock: Arc<AtomicI64>, latest: Millis) -> Self {
        Self { log, end, clock, latest, failure: Arc::default() }
    }

    /// Where it ends.
    pub(super) fn end(&self) -> &Position {
        &self.end
    }

    /// Whether the log has everything from a position on.
    pub(super) fn has_all_from(&self, from: &Position) -> Result<(), LogError> {
        self.log.reader(&self.from(from)).map(drop)
    }

    /// The same position with every partition that is to be read, those it does not name from their beginning.
    fn from(&self, from: &Position) -> Position {
        let offset = |partition: &i32| (*partition, from.0.get(partition).copied().unwrap_or(0));
        Position(self.end.0.keys().map(offset).collect())
    }

    /// Why it cannot be read any more.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Log for Until {
    fn append(&self, _records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async { Err(AppendError::Unavailable("it is only read".to_owned())) })
    }

    fn reader(&self, from: &Position) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(Reader {
            reader: self.log.reader(&self.from(from))?,
            end: self.end.clone(),
            clock: self.clock.clone(),
            latest: self.latest,
            failure: self.failure.clone(),
        }))
    }

    // What is read here may be the log of a server, which deletes by itself.
    fn committed(&self, _position: &Position) {}

    fn queued(&self) -> usize {
        0
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn close(&self) {}
}

struct Reader {
    reader: Box<dyn LogReader>,
    end: Position,
    clock: Arc<AtomicI64>,
    latest: Millis,
    failure: Arc<Mutex<Option<String>>>,
}

impl LogReader for Reader {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<Entry>, LogError> {
        let read = self.reader.poll(max, timeout);
        if let Err(error) = &read
            && !error.is_transient()
        {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        let mut entries = read?;
        entries.retain(|entry| self.end.0.get(&entry.partition).is_some_and(|end| entry.offset < *end));
        if let Some(received_at) = entries.iter().map(|entry| entry.record.received_at).max() {
            self.clock.fetch_max(received_at.min(self.latest), Ordering::Relaxed);
        }
        Ok(entries)
    }

    fn lag(&self) -> Option<i64> {
        None
    }
}
