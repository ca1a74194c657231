//! The broker's side: events are read from one topic, triggers go to another together with how far was read.

use crate::event;
use crate::inbox::{Inbox, Row};
use anyhow::Context;
use dbsp::utils::Tup2;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// For one request to the broker.
const REQUEST: Duration = Duration::from_secs(60);
/// So many events are given to the circuit's thread at once, if they are there.
const CHUNK: usize = 1000;

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64)
}

/// A trigger, and where its event was.
pub(crate) struct Trigger {
    pub(crate) number: i64,
    pub(crate) orders: i64,
    pub(crate) partition: usize,
    pub(crate) offset: i64,
}

/// Sends triggers, exactly once each.
pub(crate) struct Sender {
    producer: BaseProducer,
    group: ConsumerGroupMetadata,
    input: String,
    output: String,
    /// By partition of the input: triggers of events before it have been sent.
    sent: Vec<i64>,
}

/// Connects, and puts an end to what an earlier run under this name has left behind.
pub(crate) fn connect(servers: &str, group: &str, input: &str, output: &str) -> anyhow::Result<(BaseConsumer, Sender)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    let producer: BaseProducer = config
        .clone()
        .set("transactional.id", group)
        .set("compression.type", "lz4")
        // A transaction's triggers are there all at once: nothing is gained by waiting for more.
        .set("linger.ms", "0")
        // A transaction that begins while the broker still ends the one before is tried again after so long.
        .set("retry.backoff.ms", "5")
        .create()
        .context("creating a producer")?;
    // Only after this is it certain which offsets are committed.
    producer.init_transactions(REQUEST).context("fencing earlier producers")?;
    let consumer: BaseConsumer = config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", "16384")
        .create()
        .context("creating a consumer")?;

    let metadata = consumer.fetch_metadata(Some(input), REQUEST)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    anyhow::ensure!(partitions > 0, "there is no topic {input}");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition(input, partition as i32);
    }
    let committed = consumer.committed_offsets(all, REQUEST).context("reading committed offsets")?;
    let mut sent = vec![0; partitions];
    for element in committed.elements() {
        if let Offset::Offset(offset) = element.offset() {
            sent[element.partition() as usize] = offset;
        }
    }
    let group = consumer.group_metadata().context("a consumer has a group")?;
    Ok((consumer, Sender { producer, group, input: input.to_owned(), output: output.to_owned(), sent }))
}

impl Sender {
    pub(crate) fn partitions(&self) -> usize {
        self.sent.len()
    }

    /// Sends what was not sent before, and how far was read, both or neither. An error ends the program: started again, it
    /// goes on where the last transaction ended.
    pub(crate) fn commit(&mut self, triggers: &[Trigger], next: &[i64]) -> anyhow::Result<()> {
        // After a restart, events since the checkpoint are gone through again; these were answered.
        let new = triggers.iter().filter(|trigger| trigger.offset >= self.sent[trigger.partition]);
        let bodies: Vec<_> = new.map(|new| format!("{{\"probe\":{},\"orders\":{}}}", new.number, new.orders)).collect();
        let further: Vec<_> = next.iter().zip(&self.sent).map(|(next, sent)| *next.max(sent)).collect();
        if bodies.is_empty() && further == self.sent {
            return Ok(());
        }
        self.producer.begin_transaction()?;
        for body in &bodies {
            let mut record = BaseRecord::<(), _>::to(&self.output).payload(body);
            while let Err((error, back)) = self.producer.send(record) {
                anyhow::ensure!(error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull), error);
                self.producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        // The client's own wait looks only ten times a second whether all has arrived.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, next) in further.iter().enumerate() {
            offsets.add_partition_offset(&self.input, partition as i32, Offset::Offset(*next))?;
        }
        self.producer.send_offsets_to_transaction(&offsets, &self.group, REQUEST)?;
        self.producer.commit_transaction(REQUEST)?;
        self.sent = further;
        Ok(())
    }
}

/// Reads a topic from these offsets on, one for each partition, in a thread of its own.
pub(crate) fn read(consumer: BaseConsumer, topic: &str, from: &[i64], inbox: Arc<Inbox>) -> anyhow::Result<()> {
    let mut all = TopicPartitionList::new();
    for (partition, offset) in from.iter().enumerate() {
        all.add_partition_offset(topic, partition as i32, Offset::Offset(*offset))?;
    }
    consumer.assign(&all)?;
    std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
        if let Err(error) = read_on(&consumer, &inbox) {
            inbox.end(Err(error));
        }
    })?;
    Ok(())
}

fn read_on(consumer: &BaseConsumer, inbox: &Inbox) -> anyhow::Result<()> {
    let mut rows: Vec<Row> = Vec::with_capacity(CHUNK);
    // Of the rows: their partition, and where its next event is.
    let (mut partition, mut next) = (0, 0);
    let mut received = now();
    loop {
        let wait = if rows.is_empty() { Duration::from_millis(100) } else { Duration::ZERO };
        let message = consumer.poll(wait);
        let goes_on = matches!(&message, Some(Ok(message)) if message.partition() == partition && rows.len() < CHUNK);
        if !goes_on && !rows.is_empty() {
            inbox.add(&mut rows, partition as usize, next);
        }
        match message {
            Some(Ok(message)) => {
                if rows.is_empty() {
                    received = now();
                }
                (partition, next) = (message.partition(), message.offset() + 1);
                let text = message.payload().unwrap_or_default();
                let (device, event) = event::parse(text, partition, message.offset(), received)
                    .with_context(|| format!("the event at {partition}:{}", message.offset()))?;
                rows.push(Tup2(device, Tup2(event, 1)));
            }
            // The client mends connections by itself.
            Some(Err(error)) => eprintln!("reading events: {error}"),
            None => {}
        }
    }
}
