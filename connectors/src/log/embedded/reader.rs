//! Reads blocks in order, and waits for new ones.

use super::database::{Shared, State, blocks, current, key};
use super::{PARTITION, block};
use crate::log::{Entry, LogError, LogReader, POLL_BYTES, lock};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Blocks are read until there are so many bytes; fewer where they end.
const FILL_BYTES: usize = 1 << 20;

pub(super) struct EmbeddedReader {
    shared: Arc<Shared>,
    /// The first offset that was not read from the database.
    next: i64,
    /// What was read and not asked for yet.
    ready: VecDeque<Entry>,
}

impl EmbeddedReader {
    pub(super) fn new(shared: Arc<Shared>, from: i64) -> Self {
        Self { shared, next: from, ready: VecDeque::new() }
    }

    /// Waits at most so long until the log goes on; says where it ends, if it does go on.
    fn wait(&self, timeout: Duration) -> Result<Option<i64>, LogError> {
        let tail = lock(&self.shared.tail);
        let idle = |tail: &mut super::database::Tail| match tail.state {
            State::Open => tail.end <= self.next,
            State::Broken => true,
            State::Closed => false,
        };
        let waited = self.shared.changed.wait_timeout_while(tail, timeout, idle);
        let (tail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match tail.state {
            State::Open => Ok((tail.end > self.next).then_some(tail.end)),
            State::Broken => Ok(None),
            State::Closed => Err(LogError::Closed),
        }
    }

    /// Reads blocks up to `end`, as many as make a good piece.
    fn fill(&mut self, end: i64) -> Result<(), LogError> {
        let guard = self.shared.database();
        let Some(database) = &*guard else { return Ok(()) };
        let mut iterator = blocks(database);
        // The block that holds the next record begins at it or, for a reader that starts within a block, before it.
        iterator.seek_for_prev(key(self.next));
        match current(&iterator)? {
            Some((head, _)) if head.next() > self.next => {}
            Some(_) => iterator.next(),
            None => iterator.seek_to_first(),
        }
        let mut bytes = 0;
        while self.next < end && bytes < FILL_BYTES {
            let wanted = self.next;
            let Some((head, block)) = current(&iterator)? else {
                return Err(LogError::Block { offset: wanted, reason: "it is missing".to_owned() });
            };
            if head.first > wanted {
                let stream = self.shared.stream.to_string();
                return Err(LogError::Truncated { stream, partition: PARTITION, wanted, earliest: head.first });
            }
            bytes += block.len();
            let records = block::decode(head.first, block)?;
            let stream = &self.shared.stream;
            let entries = (head.first..).zip(records).filter(|(offset, _)| *offset >= wanted);
            self.ready.extend(entries.map(|(offset, record)| Entry {
                stream: stream.clone(),
                partition: PARTITION,
                offset,
                record,
            }));
            self.next = head.next();
            iterator.next();
        }
        Ok(())
    }
}

impl LogReader for EmbeddedReader {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<Entry>, LogError> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < max && bytes < POLL_BYTES {
            if let Some(entry) = self.ready.pop_front() {
                bytes += entry.record.weight();
                entries.push(entry);
                continue;
            }
            let wait = if entries.is_empty() { timeout } else { Duration::ZERO };
            let read = self.wait(wait).and_then(|end| match end {
                Some(end) => self.fill(end).map(|()| !self.ready.is_empty()),
                None => Ok(false),
            });
            match read {
                Ok(true) => {}
                Ok(false) => break,
                // What was read comes first; the error comes again.
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn lag(&self) -> Option<i64> {
        let end = lock(&self.shared.tail).end;
        Some(end.saturating_sub(self.next).max(0) + self.ready.len() as i64)
    }
}
