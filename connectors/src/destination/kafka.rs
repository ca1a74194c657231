//! A Kafka topic, written exactly once, by [transactions](super::transactions).
//!
//! The progress record is a consumer group's offset. The names of the transaction and of the group hold the state's own
//! random id, so that a fresh state never takes an old one's progress for its own, and a second process on a copied
//! state is fenced by the broker.
//!
//! Bound: brokers forget the offsets of a group that was idle for `offsets.retention.minutes` (7 days by default).
//! Progress matters only between a transaction and the outbox's own note of it, so a repeat takes a crash in that moment
//! and a pause of a week after it.

use super::transactions::{Carrier, Topic};
use super::{Message, Observer, Outbox, OutboxError, Wake};
use crate::log::{KafkaConfig, LogError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tributary_model::Millis;

/// How long the broker may take for each step of a transaction.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait after a failure, growing up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Which topic, and whose.
#[derive(Clone, Debug)]
pub struct KafkaTarget {
    /// The topic and its cluster.
    pub kafka: KafkaConfig,
    /// The destination's id.
    pub destination: String,
    /// The random name of the state that the outbox belongs to.
    pub state_id: String,
}

/// Carries messages from the outbox to a topic.
pub struct KafkaDelivery {
    /// Where to.
    pub target: KafkaTarget,
    /// Where messages wait.
    pub outbox: Arc<dyn Outbox>,
    /// Learns what happens.
    pub observer: Arc<dyn Observer>,
    /// What time it is.
    pub clock: fn() -> Millis,
}

impl std::fmt::Debug for KafkaDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KafkaDelivery to {:?}", self.target)
    }
}

#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Topic(#[from] LogError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("the client gives no group metadata")]
    NoGroup,
}

/// A producer that owns the transaction's name, and the group that progress is kept with.
struct Connection<'a> {
    topic: &'a str,
    producer: ThreadedProducer<DefaultProducerContext>,
    consumer: BaseConsumer,
}

impl KafkaDelivery {
    /// Delivers until it is told to end. Blocks: give it a thread of its own.
    ///
    /// A broker that is away is waited for; what fails is begun anew from the committed progress, since only that says
    /// whether a transaction whose end was not heard of had come to its end.
    pub fn run(self, runtime: &Handle, mut wake: Wake, end: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !end.is_cancelled() {
            let Err(error) = self.connect_and_send(runtime, &mut wake, end, &mut pause) else { return };
            tracing::warn!(destination = self.target.destination, %error, "cannot deliver, trying again");
            let destination = &self.target.destination;
            self.observer.attempted(destination, "retried", Duration::ZERO);
            runtime.block_on(async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = end.cancelled() => {}
                }
            });
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn connect_and_send(
        &self,
        runtime: &Handle,
        wake: &mut Wake,
        end: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), DeliveryError> {
        let connection = self.connect()?;
        let carrier = Carrier {
            destination: &self.target.destination,
            outbox: &*self.outbox,
            observer: &*self.observer,
            clock: self.clock,
        };
        carrier.settle(&connection)?;
        loop {
            wake.mark_unchanged();
            let carried = carrier.carry(&connection)?;
            if carried > 0 {
                *pause = FIRST_PAUSE;
            }
            if end.is_cancelled() {
                return Ok(());
            }
            if carried == 0 {
                let changed = runtime.block_on(async {
                    tokio::select! {
                        changed = wake.changed() => changed.is_ok(),
                        () = end.cancelled() => false,
                    }
                });
                if !changed {
                    return Ok(());
                }
            }
        }
    }

    fn name(&self) -> String {
        format!("tributary-{}-{}", self.target.state_id, self.target.destination)
    }

    /// Takes over the transaction's name, and ends what a crashed run has left open.
    fn connect(&self) -> Result<Connection<'_>, DeliveryError> {
        let KafkaTarget { kafka, .. } = &self.target;
        kafka.create_topic()?;
        let name = self.name();
        let fixed = [
            ("transactional.id", name.as_str()),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("transaction.timeout.ms", "60000"),
        ];
        let defaults = [("compression.type", "lz4"), ("partitioner", "murmur2_random"), ("linger.ms", "1")];
        let producer: ThreadedProducer<DefaultProducerContext> = kafka.client(&defaults, &fixed).create()?;
        // After this, the progress says exactly what is there.
        producer.init_transactions(STEP_TIMEOUT)?;
        let fixed = [("group.id", name.as_str()), ("enable.auto.commit", "false")];
        let consumer = kafka.client(&[], &fixed).create()?;
        Ok(Connection { topic: &kafka.topic, producer, consumer })
    }
}

impl Topic for Connection<'_> {
    type Error = DeliveryError;

    fn progress(&self) -> Result<Option<u64>, DeliveryError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(self.topic, 0);
        let committed = self.consumer.committed_offsets(asked, STEP_TIMEOUT)?;
        let found = committed.find_partition(self.topic, 0);
        Ok(match found.map(|partition| partition.offset()) {
            Some(Offset::Offset(next)) => u64::try_from(next).ok(),
            _ => None,
        })
    }

    fn publish(&self, messages: &[Message], next: u64) -> Result<Vec<(usize, String)>, DeliveryError> {
        self.producer.begin_transaction()?;
        let mut refused = Vec::new();
        for (place, message) in messages.iter().enumerate() {
            match self.produce(message) {
                Ok(()) => {}
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    refused.push((place, error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut progress = TopicPartitionList::new();
        progress.add_partition_offset(self.topic, 0, Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX)))?;
        let group = self.consumer.group_metadata().ok_or(DeliveryError::NoGroup)?;
        self.producer.send_offsets_to_transaction(&progress, &group, STEP_TIMEOUT)?;
        // Waits for all messages first; if one was not taken, nothing is committed.
        self.producer.commit_transaction(STEP_TIMEOUT)?;
        Ok(refused)
    }
}

impl Connection<'_> {
    fn produce(&self, message: &Message) -> Result<(), KafkaError> {
        let key = message.profile.to_string();
        loop {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "id", value: Some(&message.id) })
                .insert(Header { key: "trigger", value: Some(&message.trigger) });
            let record = BaseRecord::to(self.topic).key(&key).payload(&message.body[..]).headers(headers);
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.flush(STEP_TIMEOUT)?;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}
