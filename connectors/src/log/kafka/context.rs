//! What the Kafka client tells while it works: log lines, and how far behind a reader is.

use crate::log::lock;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::statistics::{Partition, Statistics};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Listens to a client of one topic.
#[derive(Debug)]
pub(super) struct Context {
    topic: String,
    /// As of the client's last statistics, about a second ago.
    extents: Mutex<Vec<Extent>>,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    partition: i32,
    earliest: i64,
    /// The offset after the last record; negative until the broker has told.
    end: i64,
    /// Everything up to the end was fetched and taken. The marks of transactions, which no reader sees, may stand
    /// between the last record and the end.
    read: bool,
}

impl Context {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), extents: Mutex::new(Vec::new()) }
    }

    /// How many records the topic has that do not lie before `next`; `None` until that is known.
    pub(super) fn lag(&self, next: &BTreeMap<i32, i64>) -> Option<i64> {
        let extents = lock(&self.extents);
        let lags = extents.iter().map(|extent| extent.lag(next.get(&extent.partition).copied()));
        if extents.is_empty() { None } else { lags.sum() }
    }
}

impl Extent {
    fn of(partition: &Partition) -> Self {
        let end = if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
        Self {
            partition: partition.partition,
            earliest: partition.lo_offset.max(0),
            end,
            read: partition.next_offset >= end && partition.fetchq_cnt == 0,
        }
    }

    fn lag(&self, next: Option<i64>) -> Option<i64> {
        let left = self.end.saturating_sub(next.unwrap_or(0).max(self.earliest)).max(0);
        (self.end >= 0).then_some(if self.read { 0 } else { left })
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        let topic = &self.topic;
        match level {
            // The client goes on by itself, whatever it calls an error.
            Emerg | Alert | Critical | Error | Warning => tracing::warn!(topic, facility, "Kafka client: {message}"),
            Notice | Info => tracing::info!(topic, facility, "Kafka client: {message}"),
            Debug => tracing::debug!(topic, facility, "Kafka client: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // What matters comes back to the caller, or has been logged.
        tracing::debug!(topic = self.topic, %error, "Kafka client: {reason}");
    }

    fn stats(&self, statistics: Statistics) {
        let topic = statistics.topics.get(&self.topic);
        let partitions = topic.into_iter().flat_map(|topic| topic.partitions.values());
        // Partition -1 is the client's own, for records without a partition.
        *lock(&self.extents) = partitions.filter(|partition| partition.partition >= 0).map(Extent::of).collect();
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(end: i64, fetched: i64, waiting: i64) -> Partition {
        Partition {
            hi_offset: end,
            ls_offset: -1001,
            next_offset: fetched,
            fetchq_cnt: waiting,
            ..Partition::default()
        }
    }

    #[track_caller]
    fn check(partition: &Partition, next: Option<i64>, lag: Option<i64>) {
        assert_eq!(Extent::of(partition).lag(next), lag);
    }

    #[test]
    fn what_is_not_read_counts_fetched_or_not() {
        check(&partition(100, 60, 10), Some(50), Some(50));
        check(&partition(100, 100, 50), Some(50), Some(50));
        check(&partition(100, 100, 50), Some(100), Some(0));
    }

    #[test]
    fn marks_of_transactions_are_no_records() {
        check(&partition(101, 101, 0), Some(100), Some(0));
    }

    #[test]
    fn a_partition_that_is_not_read_yet_lags_by_all_it_has() {
        check(&Partition { lo_offset: 40, ..partition(100, -1001, 0) }, None, Some(60));
    }

    #[test]
    fn nothing_is_claimed_before_the_broker_has_told() {
        check(&partition(-1001, -1001, 0), Some(3), None);
        assert_eq!(Context::new("events").lag(&BTreeMap::new()), None);
    }
}
