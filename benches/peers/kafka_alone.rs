//! The least that anybody does who reads a topic and sends triggers with exactly-once on: reads each event, passes those on
//! that fire, and commits them with the place up to which it has read, in one transaction. It parses nothing else, computes
//! nothing and keeps nothing: what it takes is what Kafka takes, here.

use crate::peer::Place;
use crate::topics;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::process::Command;
use std::time::Duration;

/// The word on the command line that makes the bench be this.
pub(crate) const WORD: &str = "kafka-alone";
/// Messages in one transaction; fewer where there are no more.
const MOST: usize = 10_000;
const WAIT: Duration = Duration::from_secs(30);
const ANSWER_PAUSE: Duration = Duration::from_millis(1);

/// The bench itself, as a process of its own.
pub(crate) fn command(place: &Place) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([WORD, &place.bootstrap_servers, &place.input, &place.output]);
    command
}

/// Runs until it is killed.
pub(crate) fn run(bootstrap_servers: &str, input: &str, output: &str) {
    let mut config = topics::config(bootstrap_servers);
    config
        .set("group.id", format!("{input}-group"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    // No group to be joined, whose last member may have been killed: each goes on where the last transaction ended.
    consumer.assign(&topics::partitions(input, Offset::Stored)).unwrap();
    let mut config = topics::config(bootstrap_servers);
    config.set("transactional.id", format!("{input}-passes-on")).set("linger.ms", "0").set("retry.backoff.ms", "5");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(WAIT).unwrap();
    println!("started");
    loop {
        let mut wait = WAIT;
        let mut firing = Vec::new();
        let mut read = TopicPartitionList::new();
        for _ in 0..MOST {
            let Some(message) = consumer.poll(wait) else { break };
            wait = Duration::ZERO;
            let message = message.unwrap();
            let next = Offset::Offset(message.offset() + 1);
            if read.set_partition_offset(message.topic(), message.partition(), next).is_err() {
                read.add_partition_offset(message.topic(), message.partition(), next).unwrap();
            }
            firing.extend(trigger(&message));
        }
        if firing.is_empty() {
            continue;
        }
        producer.begin_transaction().unwrap();
        for trigger in &firing {
            producer.send(BaseRecord::<(), _>::to(output).payload(trigger)).map_err(|(error, _)| error).unwrap();
        }
        producer.send_offsets_to_transaction(&read, &consumer.group_metadata().unwrap(), WAIT).unwrap();
        // The client's own wait looks only ten times a second.
        while producer.in_flight_count() > 0 {
            std::thread::sleep(ANSWER_PAUSE);
        }
        producer.commit_transaction(WAIT).unwrap();
    }
}

/// What the trigger of a probe says, but for the orders, which nobody counts here.
fn trigger(message: &BorrowedMessage<'_>) -> Option<String> {
    let body = message.payload()?;
    memchr::memmem::find(body, b"\"event\":\"Probe\"")?;
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    Some(format!("{{\"probe\":{},\"orders\":0}}", body["properties"]["probe"]))
}
