//! Finds the topic's partitions, and where to start in each, so that no reader ever waits for the broker's answers.

use super::config::{KafkaConfig, OnTruncated};
use super::context::Context;
use super::topic::{self, ANSWER_TIMEOUT};
use crate::log::LogError;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How often added partitions are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// A partition and where to start in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) partition: i32,
    pub(super) offset: Offset,
}

/// What the reader sees of the scout. The scout ends when this is dropped.
pub(super) struct Scout {
    found: Receiver<Result<Vec<Start>, LogError>>,
    again: Sender<BTreeMap<i32, i64>>,
}

impl Scout {
    /// Starts looking, with the next offset to read for each partition that has one.
    pub(super) fn start(
        config: &KafkaConfig,
        consumer: &Arc<BaseConsumer<Context>>,
        next: BTreeMap<i32, i64>,
    ) -> Result<Self, LogError> {
        let (finds, found) = bounded(1);
        let (again, asked) = bounded(1);
        let search = Search {
            config: config.clone(),
            consumer: consumer.clone(),
            next,
            known: BTreeSet::new(),
            ends: BTreeMap::new(),
        };
        std::thread::Builder::new().name("kafka-scout".to_owned()).spawn(move || search.run(&finds, &asked))?;
        Ok(Self { found, again })
    }

    /// Partitions to start with, or what is wrong; waits at most so long.
    pub(super) fn found(&self, timeout: Duration) -> Option<Result<Vec<Start>, LogError>> {
        self.found.recv_timeout(timeout).ok()
    }

    /// Looks at all partitions again, as if none were known.
    pub(super) fn again(&self, next: BTreeMap<i32, i64>) {
        // Where this is asked already, that answer will do.
        drop(self.again.try_send(next));
    }
}

struct Search {
    config: KafkaConfig,
    consumer: Arc<BaseConsumer<Context>>,
    next: BTreeMap<i32, i64>,
    known: BTreeSet<i32>,
    /// Where each partition ended when it was last looked at.
    ends: BTreeMap<i32, i64>,
}

impl Search {
    fn run(mut self, finds: &Sender<Result<Vec<Start>, LogError>>, asked: &Receiver<BTreeMap<i32, i64>>) {
        let mut missed = false;
        loop {
            let found = self.look();
            let nothing = found.as_ref().is_ok_and(Vec::is_empty);
            if nothing && self.known.is_empty() && !missed {
                missed = true;
                tracing::warn!(topic = self.config.topic, "there is no such topic yet; it is read as soon as there is");
            }
            if !nothing && finds.send(found).is_err() {
                return;
            }
            match asked.recv_timeout(LOOK_EVERY) {
                Ok(next) => (self.next, self.known) = (next, BTreeSet::new()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The partitions that were not known before, and where to start in them.
    fn look(&mut self) -> Result<Vec<Start>, LogError> {
        let partitions = topic::partitions(self.consumer.client(), &self.config)?;
        if let Some((partition, wanted)) = self
            .next
            .iter()
            .find(|(partition, wanted)| **wanted > 0 && !partitions.is_empty() && !partitions.contains(partition))
        {
            // The topic was made anew with fewer partitions.
            self.gone(*partition, *wanted, 0, 0)?;
        }
        for partition in self.known.clone() {
            self.check_end(partition)?;
        }
        let mut starts = Vec::new();
        for partition in partitions.into_iter().filter(|partition| !self.known.contains(partition)) {
            let offset = match self.next.get(&partition) {
                Some(next) => Offset::Offset(self.checked(partition, *next)?),
                None => Offset::Beginning,
            };
            starts.push(Start { partition, offset });
        }
        self.known.extend(starts.iter().map(|start| start.partition));
        Ok(starts)
    }

    /// A partition never becomes shorter at its end, unless the topic is deleted and made anew: then what is read at an
    /// offset is not what stood behind it before.
    fn check_end(&mut self, partition: i32) -> Result<(), LogError> {
        let watermarks = self.consumer.fetch_watermarks(&self.config.topic, partition, ANSWER_TIMEOUT);
        let (_, end) = watermarks.map_err(|error| self.config.error(error))?;
        let before = self.ends.insert(partition, end).unwrap_or(0);
        if end < before { self.gone(partition, before, 0, end) } else { Ok(()) }
    }

    /// Where to go on in a partition: at `next`, if the topic still has it.
    fn checked(&self, partition: i32, next: i64) -> Result<i64, LogError> {
        let watermarks = self.consumer.fetch_watermarks(&self.config.topic, partition, ANSWER_TIMEOUT);
        let (earliest, end) = watermarks.map_err(|error| self.config.error(error))?;
        if (earliest..=end).contains(&next) {
            return Ok(next);
        }
        self.gone(partition, next, earliest, end)?;
        Ok(earliest)
    }

    /// What to do when `wanted` is not there: what the configuration says of records that are cut off. A topic that is
    /// shorter is another one, whose records would be taken for read.
    fn gone(&self, partition: i32, wanted: i64, earliest: i64, end: i64) -> Result<(), LogError> {
        let stream = format!("Kafka topic {}", self.config.topic);
        if wanted >= earliest {
            return Err(LogError::Shorter { stream, partition, end, wanted });
        }
        let error = LogError::Truncated { stream, partition, wanted, earliest };
        match self.config.on_truncated {
            OnTruncated::Stop => Err(error),
            OnTruncated::Earliest => {
                tracing::warn!(%error, "records are lost; going on from the earliest there is");
                Ok(())
            }
        }
    }
}
