//! How much may wait: a queue bounded by records and by bytes, whatever the queue itself is made of.

use super::{AppendError, Record};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what waits and lets no more in than there is room for.
#[derive(Debug)]
pub(super) struct Gate {
    max_records: usize,
    max_bytes: usize,
    records: AtomicUsize,
    bytes: AtomicUsize,
}

/// The right to wait; room is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Gate {
    pub(super) fn new(max_records: usize, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { max_records, max_bytes, records: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// How many records wait.
    pub(super) fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    /// Lets records in, all or none. One append always fits where nothing waits, however large it is.
    pub(super) fn enter(self: &Arc<Self>, entering: &[Record]) -> Result<Pass, AppendError> {
        let (records, bytes) = (entering.len(), entering.iter().map(Record::weight).sum());
        let waiting = self.records.fetch_add(records, Ordering::Relaxed);
        let waiting_bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let pass = Pass { gate: self.clone(), records, bytes };
        let fits = waiting + records <= self.max_records && waiting_bytes + bytes <= self.max_bytes;
        if waiting == 0 || fits { Ok(pass) } else { Err(AppendError::Busy) }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.records.fetch_sub(self.records, Ordering::Relaxed);
        self.gate.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn records(count: usize) -> Vec<Record> {
        let body = Bytes::from_static(b"{}");
        vec![Record { source: "web".to_owned(), received_at: 0, sent_at: None, body, key: None }; count]
    }

    #[test]
    fn what_does_not_fit_is_refused_whole_until_there_is_room() {
        let gate = Gate::new(10, 1_000_000);
        let six = gate.enter(&records(6)).unwrap();
        assert_eq!(gate.enter(&records(5)).unwrap_err(), AppendError::Busy);
        assert_eq!(gate.records(), 6, "a refused append takes no room");
        let four = gate.enter(&records(4)).unwrap();
        drop(six);
        assert_eq!(gate.records(), 4);
        assert!(gate.enter(&records(6)).is_ok());
        drop(four);
    }

    #[test]
    fn bytes_are_bounded_too_but_one_append_always_fits_alone() {
        let gate = Gate::new(1_000, 100);
        let alone = gate.enter(&records(50)).unwrap();
        assert!(alone.bytes > 100);
        assert_eq!(gate.enter(&records(1)).unwrap_err(), AppendError::Busy);
        drop(alone);
        assert!(gate.enter(&records(1)).is_ok());
    }
}
