//! A Kafka topic, written exactly once, by [transactions](super::transactions).
//!
//! The progress record is a consumer group's offset. The names of the transaction and of the group hold the state's own
//! random id, so that a fresh state never takes an old one's progress for its own, and a second process on a copied
//! state is fenced by the broker.
//!
//! Bound: brokers forget the offsets of a group that was idle for `offsets.retention.minutes` (7 days by default).
//! Progress matters only between a transaction and the outbox's own note of it, so a repeat takes a crash in that moment
//! and a pause of a week after it.

use super::transactions::{Carrier, Progress, Topic};
use super::{Message, Observer, Outbox, OutboxError, Wake};
use crate::crash::{self, Place};
use crate::log::{KafkaConfig, LogError};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tributary_model::Millis;

/// How long the broker may take for each step of a transaction.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at whether messages are answered.
const ANSWER_PAUSE: Duration = Duration::from_millis(1);
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
    /// The first number that the outbox had not given when the process started.
    pub next_at_start: u64,
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
    #[error("the broker takes no messages of that size (max.message.bytes of the topic)")]
    TooLarge,
}

impl DeliveryError {
    /// Kafka's word for it.
    fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::Kafka(error) => error.rdkafka_error_code(),
            _ => None,
        }
    }

    /// Whether another client has taken over the transaction's name.
    fn is_fenced(&self) -> bool {
        use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
        matches!(self.code(), Some(Fenced | InvalidProducerEpoch | ProducerFenced))
    }
}

/// Listens to the clients of a destination.
struct Context {
    destination: String,
    /// A message was larger than the broker takes.
    too_large: AtomicBool,
}

impl Context {
    fn new(destination: &str) -> Self {
        Self { destination: destination.to_owned(), too_large: AtomicBool::new(false) }
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes back to the caller.
        tracing::debug!(destination = self.destination, facility, "Kafka client: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(destination = self.destination, %error, "Kafka client: {reason}");
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result
            && error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
        {
            self.too_large.store(true, Ordering::Relaxed);
        }
    }
}

/// A producer that owns the transaction's name, and the group that progress is kept with.
struct Connection<'a> {
    topic: &'a str,
    producer: ThreadedProducer<Context>,
    consumer: BaseConsumer<Context>,
}

impl KafkaDelivery {
    /// Delivers until it is told to end. Blocks: give it a thread of its own.
    ///
    /// A broker that is away is waited for; what fails is begun anew from the committed progress, since only that says
    /// whether a transaction whose end was not heard of had come to its end.
    /// Where another client takes over the transaction's name, this one ends.
    pub fn run(self, runtime: &Handle, mut wake: Wake, end: &CancellationToken) {
        let destination = &self.target.destination;
        let mut pause = FIRST_PAUSE;
        let mut carrier = Carrier::new(destination, &*self.outbox, self.next_at_start, &*self.observer, self.clock);
        while !end.is_cancelled() {
            let Err(error) = self.connect_and_send(runtime, &mut carrier, &mut wake, end, &mut pause) else { return };
            if error.is_fenced() {
                tracing::error!(
                    destination,
                    "another process delivers for this state, which must be a copy: nothing more is sent from here until \
                     the next start; stop one of the two"
                );
                return;
            }
            self.observer.attempted(destination, "retried", Duration::ZERO);
            if Connection::is_too_large(&error) {
                tracing::warn!(destination, %error, "sending fewer at once");
                continue;
            }
            tracing::warn!(destination, %error, "cannot deliver, trying again");
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
        carrier: &mut Carrier<'_>,
        wake: &mut Wake,
        end: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), DeliveryError> {
        let connection = self.connect()?;
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
        let KafkaTarget { kafka, destination, .. } = &self.target;
        kafka.create_topic()?;
        let name = self.name();
        let fixed = [
            ("transactional.id", name.as_str()),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("allow.auto.create.topics", "false"),
            ("transaction.timeout.ms", "60000"),
        ];
        let defaults = [
            ("compression.type", "lz4"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "0"),
            // The broker asks for another try when a transaction comes right after another.
            ("retry.backoff.ms", "5"),
        ];
        let producer: ThreadedProducer<Context> =
            kafka.client(&defaults, &fixed).create_with_context(Context::new(destination))?;
        // After this, the progress says exactly what is there.
        producer.init_transactions(STEP_TIMEOUT)?;
        let fixed = [("group.id", name.as_str()), ("enable.auto.commit", "false")];
        let consumer = kafka.client(&[], &fixed).create_with_context(Context::new(destination))?;
        Ok(Connection { topic: &kafka.topic, producer, consumer })
    }
}

impl Topic for Connection<'_> {
    type Error = DeliveryError;

    fn progress(&self) -> Result<Option<Progress>, DeliveryError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(self.topic, 0);
        let committed = self.consumer.committed_offsets(asked, STEP_TIMEOUT)?;
        let Some(found) = committed.find_partition(self.topic, 0) else { return Ok(None) };
        Ok(match found.offset() {
            Offset::Offset(next) => {
                let last = u64::try_from(next - 1).ok();
                last.map(|last| Progress { last, id: found.metadata().to_owned() })
            }
            _ => None,
        })
    }

    fn publish(&self, messages: &[Message], progress: &Progress) -> Result<(), DeliveryError> {
        self.producer.context().too_large.store(false, Ordering::Relaxed);
        self.transact(messages, progress).map_err(|error| {
            // The transaction itself only says that some message has failed.
            let is_told = self.producer.context().too_large.load(Ordering::Relaxed);
            if is_told || error.code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                DeliveryError::TooLarge
            } else {
                error
            }
        })
    }

    fn is_too_large(error: &DeliveryError) -> bool {
        matches!(error, DeliveryError::TooLarge)
    }
}

impl Connection<'_> {
    fn transact(&self, messages: &[Message], progress: &Progress) -> Result<(), DeliveryError> {
        self.producer.begin_transaction()?;
        for message in messages {
            self.produce(message)?;
        }
        let mut offsets = TopicPartitionList::new();
        let next = Offset::Offset(i64::try_from(progress.last + 1).unwrap_or(i64::MAX));
        let mut offset = offsets.add_partition(self.topic, 0);
        offset.set_offset(next)?;
        offset.set_metadata(&progress.id);
        let group = self.consumer.group_metadata().ok_or(DeliveryError::NoGroup)?;
        self.producer.send_offsets_to_transaction(&offsets, &group, STEP_TIMEOUT)?;
        crash::at(Place::TransactionOpen);
        self.wait_for_messages();
        // If one was not taken, nothing is committed.
        Ok(self.producer.commit_transaction(STEP_TIMEOUT)?)
    }

    /// Waits until the broker has answered for all messages. The client's own wait, which comes before its commit, looks
    /// only every 100 ms.
    fn wait_for_messages(&self) {
        let deadline = Instant::now() + STEP_TIMEOUT;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            std::thread::sleep(ANSWER_PAUSE);
        }
    }

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
