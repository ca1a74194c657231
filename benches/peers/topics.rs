//! The broker's side: topics, a producer that sends by the clock, and a reader of the triggers.

use crate::input::{self, PARTITIONS, Probe, Record};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const REQUEST: Duration = Duration::from_secs(60);
/// More probes than any run sends.
const MOST_PROBES: usize = 1_000_000;

/// What a client of the broker is made from.
pub(crate) fn config(bootstrap_servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers);
    config
}

/// All partitions of a topic, to be read from there on.
pub(crate) fn partitions(topic: &str, from: Offset) -> TopicPartitionList {
    let mut all = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|partition| all.add_partition_offset(topic, partition, from).unwrap());
    all
}

/// Creates topics of [`PARTITIONS`] partitions.
pub(crate) async fn create(bootstrap_servers: &str, names: &[&str]) {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap_servers).create().unwrap();
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))).collect();
    let done = admin.create_topics(&topics, &AdminOptions::new().request_timeout(Some(REQUEST))).await.unwrap();
    assert!(done.iter().all(Result::is_ok), "{done:?}");
}

/// Sends records, each into its partition.
pub(crate) struct Sender {
    producer: BaseProducer,
    topic: String,
}

impl Sender {
    pub(crate) fn new(bootstrap_servers: &str, topic: &str) -> Self {
        let mut config = config(bootstrap_servers);
        // A producer that loses nothing and waits for nobody.
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("compression.type", "lz4");
        config.set("queue.buffering.max.messages", "2000000").set("queue.buffering.max.kbytes", "1000000");
        Self { producer: config.create().unwrap(), topic: topic.to_owned() }
    }

    pub(crate) fn send(&self, record: &Record) {
        let mut next = BaseRecord::to(&self.topic).partition(record.partition).key(&record.key).payload(&record.body);
        while let Err((error, back)) = self.producer.send(next) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            self.producer.poll(Duration::from_millis(10));
            next = back;
        }
    }

    /// Lets what was sent go on its way.
    pub(crate) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until the broker has all of it.
    pub(crate) fn flush(&self) {
        self.producer.flush(REQUEST).unwrap();
    }
}

/// What has come of the triggers, as a consumer sees it that reads only what is committed.
#[derive(Debug)]
pub(crate) struct Triggers {
    started: Instant,
    /// Nanoseconds since `started` at which each probe's trigger came first; 0 for not yet.
    came: Vec<AtomicU64>,
    orders: Vec<AtomicU32>,
    doubled: AtomicUsize,
    ended: AtomicBool,
}

impl Triggers {
    /// Reads a topic until this is told to end.
    pub(crate) fn read(bootstrap_servers: &str, topic: &str) -> Arc<Self> {
        let triggers = Arc::new(Self {
            started: Instant::now(),
            came: (0..MOST_PROBES).map(|_| AtomicU64::new(0)).collect(),
            orders: (0..MOST_PROBES).map(|_| AtomicU32::new(0)).collect(),
            doubled: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let mut config = config(bootstrap_servers);
        config.set("group.id", "bench-triggers").set("enable.auto.commit", "false");
        config.set("isolation.level", "read_committed").set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.assign(&partitions(topic, Offset::Beginning)).unwrap();
        let seen = triggers.clone();
        std::thread::spawn(move || {
            while !seen.ended.load(Ordering::Relaxed) {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => seen.note(input::read(message.payload().unwrap_or_default())),
                    // The client mends connections by itself.
                    Some(Err(error)) => eprintln!("reading triggers: {error}"),
                    None => {}
                }
            }
        });
        triggers
    }

    fn note(&self, Probe { number, orders }: Probe) {
        let at = self.at(Instant::now());
        self.orders[number].store(orders, Ordering::Relaxed);
        if self.came[number].compare_exchange(0, at, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            self.doubled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nanoseconds of an instant on this clock.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        (instant - self.started).as_nanos() as u64
    }

    /// When a probe's trigger came, and the orders that it told.
    pub(crate) fn came(&self, probe: Probe) -> Option<(u64, u32)> {
        let at = self.came[probe.number].load(Ordering::Acquire);
        (at != 0).then(|| (at, self.orders[probe.number].load(Ordering::Relaxed)))
    }

    /// Waits for all of these; gives when the last came. `None` if they did not within that time.
    pub(crate) fn wait(&self, probes: &[Probe], within: Duration) -> Option<u64> {
        let deadline = Instant::now() + within;
        loop {
            let came: Option<Vec<u64>> = probes.iter().map(|probe| self.came(*probe).map(|(at, _)| at)).collect();
            if let Some(came) = came {
                return came.into_iter().max();
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Triggers that came once more than they should.
    pub(crate) fn doubled(&self) -> usize {
        self.doubled.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
