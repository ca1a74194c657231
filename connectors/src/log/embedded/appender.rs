//! The thread that appends: all that waits becomes one block and one sync.

use super::Answer;
use super::block;
use super::database::{Shared, key};
use crate::crash::{self, Place};
use crate::log::gate::Pass;
use crate::log::{AppendError, LogError, Record, lock};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use rocksdb::WriteOptions;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tributary_model::{Millis, Position};

/// A block closes at about this many bytes: enough to make a sync worth it, little enough to be read at once.
const BLOCK_BYTES: usize = 1 << 20;
/// How often it is tried to open a failed log again while nobody appends.
const MEND_EVERY: Duration = Duration::from_secs(1);

/// One caller's records.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) records: Vec<Record>,
    /// Held until the records are written or refused.
    pub(super) pass: Pass,
    pub(super) answer: oneshot::Sender<Answer>,
}

pub(super) struct Appender {
    shared: Arc<Shared>,
    waiting: Receiver<Append>,
    /// Whether a write has failed since the database was opened.
    failed: bool,
    retained: Instant,
}

impl Appender {
    pub(super) fn new(shared: Arc<Shared>, waiting: Receiver<Append>) -> Self {
        Self { shared, waiting, failed: false, retained: Instant::now() }
    }

    /// Works until nobody can append any more and all is written.
    pub(super) fn run(mut self) {
        let every = self.shared.config.retention_every;
        loop {
            let wait = if self.failed { MEND_EVERY } else { every.saturating_sub(self.retained.elapsed()) };
            match self.waiting.recv_timeout(wait) {
                Ok(first) => self.append(first),
                Err(RecvTimeoutError::Timeout) if self.failed => drop(self.mend()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.failed && self.retained.elapsed() >= every {
                if let Err(error) = self.shared.retain(now()) {
                    tracing::warn!(%error, "old blocks of the log cannot be deleted, trying again");
                }
                self.retained = Instant::now();
            }
        }
        self.shared.close();
    }

    /// Makes an append, and those that wait behind it, durable with one sync, and answers each.
    fn append(&mut self, first: Append) {
        let mut bytes = first.pass.bytes;
        let mut group = vec![first];
        while bytes < BLOCK_BYTES {
            let Ok(append) = self.waiting.try_recv() else { break };
            bytes += append.pass.bytes;
            group.push(append);
        }
        crash::at(Place::LogReceived);
        let written = self.mend().and_then(|()| self.write(&group));
        if written.is_ok() {
            crash::at(Place::LogWritten);
        }
        let mut next = written.as_ref().copied().unwrap_or(0);
        for Append { records, pass, answer } in group {
            next += records.len() as i64;
            drop(pass);
            let answered = written.clone().map(|_| Position::single(next)).map_err(AppendError::Unavailable);
            // A caller that has gone away needs no answer.
            drop(answer.send(answered));
        }
    }

    /// Writes a block and gives its first offset.
    fn write(&mut self, group: &[Append]) -> Result<i64, String> {
        let records: Vec<&Record> = group.iter().flat_map(|append| &append.records).collect();
        let mut tail = *lock(&self.shared.tail);
        let first = tail.end;
        tail.written_at = tail.written_at.max(now());
        let block = block::encode(&records, tail.written_at, tail.bytes);
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let written = match &*self.shared.database() {
            Some(database) => database.put_opt(key(first), &block, &options).map_err(LogError::from),
            None => Err(LogError::Closed),
        };
        if let Err(error) = written {
            self.failed = true;
            return Err(self.trouble(&error));
        }
        tail.end += records.len() as i64;
        tail.bytes += block.len() as u64;
        *lock(&self.shared.tail) = tail;
        self.shared.changed.notify_all();
        Ok(first)
    }

    /// Opens the log again if a write has failed.
    fn mend(&mut self) -> Result<(), String> {
        if self.failed {
            self.shared.reopen().map_err(|error| self.trouble(&error))?;
            self.failed = false;
            *lock(&self.shared.trouble) = None;
            tracing::info!("the log can be written again");
        }
        Ok(())
    }

    /// Notes why appends fail. What callers are told names no path.
    fn trouble(&self, error: &LogError) -> String {
        let text = error.to_string();
        let reason = match error {
            LogError::Closed => return text,
            _ if is_full(error, &text) => "the disk is full",
            _ => "the disk does not take it",
        };
        let mut trouble = lock(&self.shared.trouble);
        if trouble.is_none() {
            tracing::error!(error = text, "the log cannot be written: events are refused until it can");
        }
        *trouble = Some(format!("{reason}: {}", text.replace('\n', " ")));
        reason.to_owned()
    }
}

fn is_full(error: &LogError, text: &str) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        LogError::Io(error) => matches!(error.kind(), StorageFull | QuotaExceeded),
        _ => text.contains("No space left") || text.contains("quota exceeded"),
    }
}

/// Wall-clock time, which only retention looks at.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
