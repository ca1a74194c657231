//! A log of one partition that others append to: durable at once, cut off as far as the engine says it may be.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tributary_connectors::log::{AppendError, BoxFuture, Entry, Log, LogError, LogReader, Record};
use tributary_model::{Millis, Position};

#[derive(Debug)]
struct Inside {
    records: Vec<(Millis, Value)>,
    /// What is before is deleted.
    earliest: usize,
    rng: StdRng,
    /// Readers meet trouble.
    troubled: bool,
}

/// What of a log outlives its process.
#[derive(Clone, Debug)]
pub(super) struct SimLog(Arc<Mutex<Inside>>);

impl SimLog {
    pub(super) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(Inside { records: Vec::new(), earliest: 0, rng, troubled: true })))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    pub(super) fn put(&self, now: Millis, events: &[Value]) {
        self.inside().records.extend(events.iter().map(|event| (now, event.clone())));
    }

    /// All that was ever appended, up to an offset.
    pub(super) fn events(&self, end: usize) -> Vec<Value> {
        self.inside().records[..end].iter().map(|(_, event)| event.clone()).collect()
    }

    pub(super) fn end(&self) -> usize {
        self.inside().records.len()
    }

    /// The last records are gone, which must not be.
    pub(super) fn forget(&self, count: usize) {
        let mut inside = self.inside();
        let kept = inside.records.len().saturating_sub(count).max(inside.earliest);
        inside.records.truncate(kept);
    }

    /// From now on it can be read without trouble.
    pub(super) fn mend(&self) {
        self.inside().troubled = false;
    }
}

fn offset(position: &Position) -> usize {
    position.0.get(&0).map_or(0, |offset| usize::try_from(*offset).unwrap())
}

impl Log for SimLog {
    fn append(&self, _records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async { Err(AppendError::Busy) })
    }

    fn reader(&self, from: &Position) -> Result<Box<dyn LogReader>, LogError> {
        let (wanted, inside) = (offset(from), self.inside());
        let (end, earliest) = (inside.records.len(), inside.earliest);
        let (stream, partition) = ("log".to_owned(), 0);
        if wanted > end {
            return Err(LogError::Shorter { stream, partition, end: end as i64, wanted: wanted as i64 });
        }
        if wanted < earliest {
            return Err(LogError::Truncated { stream, partition, wanted: wanted as i64, earliest: earliest as i64 });
        }
        Ok(Box::new(Reader { log: self.clone(), next: wanted, stream: stream.into() }))
    }

    fn committed(&self, position: &Position) {
        let mut inside = self.inside();
        inside.earliest = inside.earliest.max(offset(position));
    }

    fn queued(&self) -> usize {
        0
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn close(&self) {}
}

struct Reader {
    log: SimLog,
    next: usize,
    stream: Arc<str>,
}

impl LogReader for Reader {
    fn poll(&mut self, max: usize, _timeout: Duration) -> Result<Vec<Entry>, LogError> {
        let mut inside = self.log.inside();
        if inside.troubled && inside.rng.random_bool(0.05) {
            let source = KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown);
            return Err(LogError::Kafka { topic: self.stream.to_string(), source });
        }
        let few = inside.rng.random_range(1..=30).min(max);
        let end = (self.next + few).min(inside.records.len());
        let entry = |(place, (received_at, event)): (usize, &(Millis, Value))| Entry {
            stream: self.stream.clone(),
            partition: 0,
            offset: (self.next + place) as i64,
            record: Record {
                source: "web".to_owned(),
                received_at: *received_at,
                sent_at: None,
                body: event.to_string().into_bytes().into(),
                key: None,
            },
        };
        let entries = inside.records[self.next..end].iter().enumerate().map(entry).collect();
        self.next = end;
        Ok(entries)
    }

    fn lag(&self) -> Option<i64> {
        None
    }
}
