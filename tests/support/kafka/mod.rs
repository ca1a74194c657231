//! A real Apache Kafka broker for the whole test run, and a plain client of it.
//!
//! `broker.sh` runs the broker until its standard input closes, so it ends with the tests, however they end. With
//! `KAFKA_BOOTSTRAP_SERVERS` set, the broker that is there already is used instead.

mod own;

pub(crate) use own::OwnBroker;

use super::runtime;
use super::tool;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka/broker.sh");
const INSTALL: &str = "apt-get install default-jre-headless maven, or set KAFKA_BOOTSTRAP_SERVERS to a broker";
/// For one request to the broker.
const REQUEST: Duration = Duration::from_secs(30);

/// A broker that serves.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) bootstrap_servers: String,
    /// Its standard input closes when the test process ends, and then it ends too.
    _process: Option<Arc<Child>>,
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(REQUEST)).request_timeout(Some(REQUEST))
}

/// What was read from a topic.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
}

impl Broker {
    /// The one broker of this test run.
    #[track_caller]
    pub(crate) fn shared() -> &'static Self {
        static BROKER: OnceLock<Broker> = OnceLock::new();
        // One test starts it, the others wait; where it cannot be started each of them fails and says why.
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(broker) = BROKER.get() {
            return broker;
        }
        let broker = Self::start();
        BROKER.get_or_init(|| broker)
    }

    #[track_caller]
    fn start() -> Self {
        if let Ok(bootstrap_servers) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            return Self { bootstrap_servers, _process: None };
        }
        tool::require(&["java", "mvn", "bash"], INSTALL);
        let mut script = Command::new("bash").arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
        // The script has time-outs of its own, so this line comes or the output ends.
        let found = lines.find_map(|line| line.ok()?.strip_prefix("bootstrap.servers=").map(str::to_owned));
        let bootstrap_servers = found.expect("the Kafka broker did not start; its words are above");
        Self { bootstrap_servers, _process: Some(Arc::new(script)) }
    }

    /// A topic's name that no other test, and no earlier run, has used.
    pub(crate) fn name(what: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        format!("{what}-{since_1970}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    /// Creates a topic under a new name, which it gives.
    #[track_caller]
    pub(crate) fn topic(&self, what: &str, partitions: i32) -> String {
        self.topic_with(what, partitions, &[])
    }

    /// Creates a topic with settings of its own under a new name, which it gives.
    #[track_caller]
    pub(crate) fn topic_with(&self, what: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        let name = Self::name(what);
        self.create(&name, partitions, settings);
        name
    }

    /// Creates a topic.
    #[track_caller]
    pub(crate) fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            topic = topic.set(setting, value);
        }
        let topics = [topic];
        let done = runtime().block_on(self.admin().create_topics(&topics, &options())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Deletes a topic.
    #[track_caller]
    pub(crate) fn delete(&self, topic: &str) {
        let done = runtime().block_on(self.admin().delete_topics(&[topic], &options())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Deletes a partition's records before an offset, as retention does.
    #[track_caller]
    pub(crate) fn truncate(&self, topic: &str, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        runtime().block_on(self.admin().delete_records(&offsets, &options())).unwrap();
    }

    /// Gives a topic more partitions: `total` of them.
    #[track_caller]
    pub(crate) fn extend_topic(&self, topic: &str, total: usize) {
        let wanted = [NewPartitions::new(topic, total)];
        let done = runtime().block_on(self.admin().create_partitions(&wanted, &options())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Writes records as any producer would; `partition` where it matters.
    #[track_caller]
    pub(crate) fn produce<'a>(
        &self,
        topic: &str,
        partition: Option<i32>,
        records: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) {
        let producer: BaseProducer = self.config().set("acks", "all").create().unwrap();
        for (key, payload) in records {
            // A header that nobody knows, as foreign producers have them.
            let headers = OwnedHeaders::new().insert(Header { key: "x-trace", value: Some("1") });
            let mut record = BaseRecord::to(topic).key(key).payload(payload).headers(headers);
            record.partition = partition;
            while let Err((error, back)) = producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(rdkafka::types::RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        producer.flush(REQUEST).unwrap();
    }

    /// Writes records in a transaction, which is committed or aborted; either leaves an offset that no record has.
    #[track_caller]
    pub(crate) fn produce_at_once<'a>(&self, topic: &str, records: impl IntoIterator<Item = &'a [u8]>, commits: bool) {
        let producer: BaseProducer = self.config().set("transactional.id", Self::name("writer")).create().unwrap();
        producer.init_transactions(REQUEST).unwrap();
        producer.begin_transaction().unwrap();
        for payload in records {
            producer
                .send(BaseRecord::<str, [u8]>::to(topic).payload(payload).partition(0))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        producer.flush(REQUEST).unwrap();
        match commits {
            true => producer.commit_transaction(REQUEST).unwrap(),
            false => producer.abort_transaction(REQUEST).unwrap(),
        }
    }

    /// How many partitions a topic has.
    #[track_caller]
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST).unwrap();
        metadata.topics().iter().find(|found| found.name() == topic).map_or(0, |found| found.partitions().len())
    }

    /// All that a consumer which reads only what is committed can see of a topic, from its beginning to its end now.
    #[track_caller]
    pub(crate) fn read_committed(&self, topic: &str) -> Vec<Record> {
        let mut config = self.config();
        config.set("group.id", Self::name("reader")).set("enable.auto.commit", "false");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST).unwrap();
        let mut wanted = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            wanted.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&wanted).unwrap();
        let mut open: std::collections::BTreeSet<i32> =
            wanted.elements().iter().map(|element| element.partition()).collect();
        let mut records = Vec::new();
        let deadline = Instant::now() + REQUEST * 2;
        while !open.is_empty() {
            assert!(Instant::now() < deadline, "{topic} was not read to its end; left are {open:?}");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    records.push(Record {
                        key: message.key().map(<[u8]>::to_vec),
                        payload: message.payload().unwrap_or_default().to_vec(),
                    });
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => panic!("{topic}: {error}"),
                None => {}
            }
        }
        records
    }
}
