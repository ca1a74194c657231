//! A topic that Tributary fills: a record counts when all in-sync replicas have it.

use super::config::{DELIVERY_TIMEOUT, KafkaConfig, QUEUE_BYTES, QUEUE_RECORDS};
use super::context::Context;
use super::reader::KafkaReader;
use super::{message, topic};
use crate::crash::{self, Place};
use crate::log::gate::Gate;
use crate::log::{AppendError, BoxFuture, Log, LogError, LogReader, Record, lock};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, Producer};
use rdkafka::util::Timeout;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary_model::Position;

/// How long closing waits for what is being produced.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A topic that Tributary fills and reads.
pub struct KafkaLog {
    config: KafkaConfig,
    gate: Arc<Gate>,
    producer: Mutex<FutureProducer<Context>>,
    /// Why the last append failed, if it did.
    trouble: Mutex<Option<String>>,
    closed: AtomicBool,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KafkaLog in {:?}", self.config)
    }
}

impl KafkaLog {
    /// Connects, and makes the topic if it is not there. Blocks, for at most some ten seconds an answer.
    ///
    /// # Errors
    /// If the broker cannot be reached or refuses, or a property is none of librdkafka's.
    pub fn open(config: KafkaConfig) -> Result<Self, LogError> {
        topic::create(&config)?;
        let producer = Mutex::new(config.producer()?);
        let gate = Gate::new(QUEUE_RECORDS, QUEUE_BYTES);
        Ok(Self { config, gate, producer, trouble: Mutex::new(None), closed: AtomicBool::new(false) })
    }

    async fn produce(&self, producer: &FutureProducer<Context>, records: &[Record]) -> Result<Position, KafkaError> {
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            let sent = producer.send_result(message::from_record(&self.config.topic, record));
            deliveries.push(sent.map_err(|(error, _)| error)?);
        }
        let mut position = Position::default();
        for delivery in deliveries {
            let delivered = delivery.await.map_err(|_| KafkaError::Canceled)?.map_err(|(error, _)| error)?;
            position.advance(delivered.partition, delivered.offset + 1);
        }
        Ok(position)
    }

    /// A producer that lost its way among sequence numbers says so for ever; another one takes its place.
    fn replace_if_dead(&self) {
        let mut producer = lock(&self.producer);
        if producer.client().fatal_error().is_none() {
            return;
        }
        match self.config.producer() {
            Ok(fresh) => {
                tracing::warn!(topic = self.config.topic, "the Kafka producer had to be made anew");
                *producer = fresh;
            }
            Err(error) => tracing::error!(%error, "the Kafka producer has failed and cannot be made anew"),
        }
    }

    fn refused(&self, error: &KafkaError) -> AppendError {
        if matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
            return AppendError::Busy;
        }
        let reason = match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut) => {
                format!("Kafka has not confirmed it within {} s", DELIVERY_TIMEOUT.as_secs())
            }
            _ => format!("Kafka: {error}").replace('\n', " "),
        };
        let before = lock(&self.trouble).replace(reason.clone());
        if before.is_none() {
            tracing::error!(topic = self.config.topic, reason, "the log cannot be written: events are refused");
        }
        self.replace_if_dead();
        AppendError::Unavailable(reason)
    }
}

impl Log for KafkaLog {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async move {
            if self.closed.load(Ordering::Acquire) {
                return Err(AppendError::Unavailable(LogError::Closed.to_string()));
            }
            let _pass = self.gate.enter(&records)?;
            let producer = lock(&self.producer).clone();
            crash::at(Place::LogReceived);
            let position = self.produce(&producer, &records).await.map_err(|error| self.refused(&error))?;
            crash::at(Place::LogWritten);
            if lock(&self.trouble).take().is_some() {
                tracing::info!(topic = self.config.topic, "the log can be written again");
            }
            Ok(position)
        })
    }

    fn reader(&self, from: &Position) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(KafkaReader::new(&self.config, from)?))
    }

    /// Kafka's own retention decides what goes.
    fn committed(&self, _position: &Position) {}

    fn queued(&self) -> usize {
        self.gate.records()
    }

    fn health(&self) -> Result<(), String> {
        lock(&self.trouble).clone().map_or(Ok(()), Err)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let producer = lock(&self.producer).clone();
        if let Err(error) = producer.flush(Timeout::After(CLOSE_TIMEOUT)) {
            // Who sent it was not answered.
            tracing::warn!(topic = self.config.topic, %error, "some events were not confirmed before the end");
        }
    }
}
