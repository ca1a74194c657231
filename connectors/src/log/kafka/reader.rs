//! Reads a topic's partitions, whoever filled them.

use super::config::KafkaConfig;
use super::context::Context;
use super::message::to_entry;
use super::scout::{Scout, Start};
use crate::log::{Entry, LogError, LogReader, POLL_BYTES};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::util::Timeout;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tributary_model::Position;

/// Entries that there is room for before more is made.
const FIRST_ROOM: usize = 1 << 12;

pub(super) struct KafkaReader {
    config: KafkaConfig,
    stream: Arc<str>,
    /// Who is said to have sent what others write.
    source: String,
    consumer: Arc<BaseConsumer<Context>>,
    scout: Scout,
    /// The next offset of each partition that was read.
    next: BTreeMap<i32, i64>,
    assigned: BTreeSet<i32>,
    /// Whether a partition no longer has what was to be read next.
    lost: bool,
}

impl KafkaReader {
    pub(super) fn new(config: &KafkaConfig, from: &Position) -> Result<Self, LogError> {
        let consumer = Arc::new(config.consumer()?);
        let scout = Scout::start(config, &consumer, from.0.clone())?;
        Ok(Self {
            stream: Arc::from(config.topic.as_str()),
            source: format!("kafka:{}", config.topic),
            config: config.clone(),
            consumer,
            scout,
            next: from.0.clone(),
            assigned: BTreeSet::new(),
            lost: false,
        })
    }

    /// Starts with the partitions that were found; waits only while there is none to read.
    fn assign_found(&mut self, timeout: Duration) -> Result<(), LogError> {
        let wait = if self.assigned.is_empty() { timeout } else { Duration::ZERO };
        let Some(found) = self.scout.found(wait) else { return Ok(()) };
        let starts = found?.into_iter().filter(|start| !self.assigned.contains(&start.partition));
        let starts: Vec<Start> = starts.collect();
        if let Err(error) = self.assign(&starts) {
            // They are found again.
            self.scout.again(self.next.clone());
            return Err(self.config.error(error));
        }
        self.assigned.extend(starts.iter().map(|start| start.partition));
        Ok(())
    }

    fn assign(&self, starts: &[Start]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for Start { partition, offset } in starts {
            list.add_partition_offset(&self.config.topic, *partition, *offset)?;
            tracing::info!(topic = self.config.topic, partition, ?offset, "reading");
        }
        if starts.is_empty() { Ok(()) } else { self.consumer.incremental_assign(&list) }
    }

    /// Stops reading until it is clear where each partition goes on.
    fn find_out_again(&mut self) -> Result<(), LogError> {
        self.consumer.unassign().map_err(|error| self.config.error(error))?;
        self.assigned.clear();
        self.scout.again(self.next.clone());
        self.lost = false;
        Ok(())
    }
}

impl LogReader for KafkaReader {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<Entry>, LogError> {
        let (mut entries, mut bytes, mut trouble) = (Vec::with_capacity(max.min(FIRST_ROOM)), 0, None);
        if max == 0 {
            return Ok(entries);
        }
        let deadline = Instant::now() + timeout;
        if self.lost {
            self.find_out_again()?;
        }
        self.assign_found(timeout)?;
        while entries.len() < max && bytes < POLL_BYTES {
            // Once something is there, take what else is, and do not wait.
            let is_first = entries.is_empty();
            let left = if is_first { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            match self.consumer.poll(Timeout::After(left)) {
                Some(Ok(message)) => {
                    let entry = to_entry(&self.stream, &self.source, &message);
                    let next = self.next.entry(entry.partition).or_insert(entry.offset);
                    // What was fetched before a new start may come once more.
                    if entry.offset >= *next {
                        *next = entry.offset + 1;
                        bytes += entry.record.weight();
                        entries.push(entry);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                    self.lost = true;
                    break;
                }
                // These stand in the queue before records that came after them.
                Some(Err(error)) if is_of_connection(&error) => {
                    trouble = Some(error);
                    if left.is_zero() {
                        break;
                    }
                }
                // What was read comes first. An error that stays comes again.
                Some(Err(_)) if !entries.is_empty() => break,
                Some(Err(error)) => return Err(self.config.error(error)),
                // Nothing, or an event of the client's own.
                None if left.is_zero() => break,
                None => {}
            }
        }
        match trouble {
            Some(error) if entries.is_empty() => Err(self.config.error(error)),
            _ => Ok(entries),
        }
    }

    fn lag(&self) -> Option<i64> {
        self.consumer.context().lag(&self.next)
    }
}

/// Whether an error only tells that a broker is away: the client goes on looking for it.
fn is_of_connection(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    matches!(error, KafkaError::MessageConsumption(AllBrokersDown | BrokerTransportFailure | Resolve))
}
