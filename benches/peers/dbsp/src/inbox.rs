//! Events that are read and not yet in the circuit, and what is asked for meanwhile: what the two other threads tell the
//! one that runs the circuit. The longer its step takes, the more there is for the next one.

use crate::event::Event;
use dbsp::ZWeight;
use dbsp::utils::Tup2;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most events of a step: enough that what a step costs by itself does not count, and a fraction of a second.
const MOST: usize = 20_000;

/// A row as the circuit takes it.
pub(crate) type Row = Tup2<String, Tup2<Event, ZWeight>>;

/// All that a step is to take in.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    /// By partition, where its next event is after these, if there are any.
    pub(crate) next: Vec<Option<i64>>,
    /// Where members are to be written.
    pub(crate) asked: Vec<PathBuf>,
    /// Whether all is to end, and with what error.
    pub(crate) end: Option<anyhow::Result<()>>,
}

#[derive(Default)]
pub(crate) struct Inbox {
    batch: Mutex<Batch>,
    came: Condvar,
    taken: Condvar,
}

impl Inbox {
    /// Adds events of a partition; waits while there are too many.
    pub(crate) fn add(&self, rows: &mut Vec<Row>, partition: usize, next: i64) {
        let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.taken.wait_while(batch, |batch| batch.rows.len() >= MOST);
        let mut batch = waited.unwrap_or_else(PoisonError::into_inner);
        batch.rows.append(rows);
        if batch.next.len() <= partition {
            batch.next.resize(partition + 1, None);
        }
        batch.next[partition] = Some(next);
        self.came.notify_one();
    }

    pub(crate) fn ask(&self, path: PathBuf) {
        self.lock().asked.push(path);
        self.came.notify_one();
    }

    pub(crate) fn end(&self, how: anyhow::Result<()>) {
        self.lock().end.get_or_insert(how);
        self.came.notify_one();
    }

    /// What has come, which may be nothing after that time.
    pub(crate) fn take(&self, within: Duration) -> Batch {
        let nothing = |batch: &mut Batch| batch.rows.is_empty() && batch.asked.is_empty() && batch.end.is_none();
        let waited = self.came.wait_timeout_while(self.lock(), within, nothing);
        let (mut batch, _) = waited.unwrap_or_else(PoisonError::into_inner);
        self.taken.notify_all();
        std::mem::take(&mut *batch)
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
