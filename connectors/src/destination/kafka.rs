//! A Kafka topic, written exactly once.
//!
//! Messages go out in transactions, and with each goes a progress record: the outbox number after its last message,
//! committed as a consumer group's offset in the same transaction. After a crash the committed progress says what is
//! already there; it is never sent again. The names of the transaction and of the group hold the state's own random
//! id, so that a fresh state never takes an old one's progress for its own, and a second process on a copied state is
//! fenced by the broker.
//!
//! Bound: brokers forget the offsets of a group that was idle for `offsets.retention.minutes` (7 days by default).
//! Progress matters only between a transaction and the outbox's own note of it, so a repeat takes a crash in that moment
//! and a pause of a week after it.

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

/// Messages in one transaction.
const BATCH: usize = 1_000;
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
struct Connection {
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
        loop {
            wake.mark_unchanged();
            let messages = self.outbox.pending(&self.target.destination, None, BATCH)?;
            if !messages.is_empty() {
                self.send(&connection, &messages)?;
                *pause = FIRST_PAUSE;
            }
            if end.is_cancelled() {
                return Ok(());
            }
            if messages.is_empty() {
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

    /// Takes over the transaction's name, and settles what an earlier run has sent.
    fn connect(&self) -> Result<Connection, DeliveryError> {
        let KafkaTarget { kafka, destination, .. } = &self.target;
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
        // Ends what a crashed run has left open: after this, the progress says exactly what is there.
        producer.init_transactions(STEP_TIMEOUT)?;
        let fixed = [("group.id", name.as_str()), ("enable.auto.commit", "false")];
        let consumer = kafka.client(&[], &fixed).create()?;
        let connection = Connection { producer, consumer };
        if let Some(last) = self.progress(&connection)?.and_then(|next| next.checked_sub(1)) {
            self.outbox.delivered_through(destination, last, (self.clock)())?;
        }
        Ok(connection)
    }

    /// The outbox number after the last message that a committed transaction has sent.
    fn progress(&self, connection: &Connection) -> Result<Option<u64>, DeliveryError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.target.kafka.topic, 0);
        let committed = connection.consumer.committed_offsets(asked, STEP_TIMEOUT)?;
        let found = committed.find_partition(&self.target.kafka.topic, 0);
        Ok(match found.map(|partition| partition.offset()) {
            Some(Offset::Offset(next)) => u64::try_from(next).ok(),
            _ => None,
        })
    }

    /// Sends messages and the progress after them in one transaction, and then settles them.
    fn send(&self, connection: &Connection, messages: &[Message]) -> Result<(), DeliveryError> {
        let Some(last) = messages.last() else { return Ok(()) };
        let KafkaTarget { kafka, destination, .. } = &self.target;
        let producer = &connection.producer;
        self.observer.in_flight(destination, messages.len());
        producer.begin_transaction()?;
        let mut dead = Vec::new();
        for message in messages {
            match self.produce(producer, message) {
                Ok(()) => {}
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    dead.push((message, error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut progress = TopicPartitionList::new();
        let next = i64::try_from(last.sequence + 1).unwrap_or(i64::MAX);
        progress.add_partition_offset(&kafka.topic, 0, Offset::Offset(next))?;
        let group = connection.consumer.group_metadata().ok_or(DeliveryError::NoGroup)?;
        producer.send_offsets_to_transaction(&progress, &group, STEP_TIMEOUT)?;
        // Waits for all messages first; if one was not taken, nothing is committed.
        producer.commit_transaction(STEP_TIMEOUT)?;

        let now = (self.clock)();
        for (message, reason) in &dead {
            self.outbox.dead(message, reason, now)?;
            self.note(message, "dead", now);
        }
        self.outbox.delivered_through(destination, last.sequence, now)?;
        let is_dead = |message: &Message| dead.iter().any(|(dead, _)| dead.sequence == message.sequence);
        messages.iter().filter(|message| !is_dead(message)).for_each(|message| self.note(message, "delivered", now));
        self.observer.in_flight(destination, 0);
        Ok(())
    }

    fn note(&self, message: &Message, outcome: &'static str, now: Millis) {
        let since = Duration::from_millis(u64::try_from(now.saturating_sub(message.created_at)).unwrap_or(0));
        self.observer.attempted(&self.target.destination, outcome, since);
    }

    fn produce(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        message: &Message,
    ) -> Result<(), KafkaError> {
        let key = message.profile.to_string();
        loop {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "id", value: Some(&message.id) })
                .insert(Header { key: "trigger", value: Some(&message.trigger) });
            let record = BaseRecord::to(&self.target.kafka.topic).key(&key).payload(&message.body[..]).headers(headers);
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => producer.flush(STEP_TIMEOUT)?,
                Err((error, _)) => return Err(error),
            }
        }
    }
}
