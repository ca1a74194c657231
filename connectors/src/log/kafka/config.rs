//! A topic and how to reach it, and the clients that come of it.

use super::context::Context;
use crate::log::LogError;
use rdkafka::admin::AdminClient;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the broker may take to make a record durable before its caller is refused.
pub(super) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(8);
/// Records that are being produced before appends are refused.
pub(super) const QUEUE_RECORDS: usize = 100_000;
/// Bytes that are being produced before appends are refused.
pub(super) const QUEUE_BYTES: usize = 64 << 20;

/// What to do when the topic no longer has what is to be read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTruncated {
    /// Stop with an error: nothing is lost in silence.
    Stop,
    /// Go on from the earliest record there is, with a warning. A topic that ends before is another one, and stops all the same.
    Earliest,
}

/// A topic and how to reach it.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port`, comma-separated.
    pub bootstrap_servers: String,
    /// The topic.
    pub topic: String,
    /// Its partitions, if it has to be made.
    pub partitions: i32,
    /// Further settings of librdkafka, such as `security.protocol`. What durability and order rest on is not theirs to
    /// change.
    pub properties: BTreeMap<String, String>,
    /// What to do when records are gone that were not read.
    pub on_truncated: OnTruncated,
}

impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Properties may hold passwords.
        write!(f, "topic {} at {}", self.topic, self.bootstrap_servers)
    }
}

impl KafkaConfig {
    pub(crate) fn error(&self, source: KafkaError) -> LogError {
        LogError::Kafka { topic: self.topic.clone(), source }
    }

    /// Our defaults, then what the user sets, then what nobody else may set.
    pub(crate) fn client(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let ours = [
            ("client.id", "tributary"),
            ("reconnect.backoff.max.ms", "2000"),
            // Else a broker that was never reached is looked for anew without pause, with an error each time.
            ("metadata.recovery.strategy", "none"),
        ];
        let users = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let servers = [("bootstrap.servers", self.bootstrap_servers.as_str())];
        let mut client = ClientConfig::new();
        for (name, value) in
            ours.iter().chain(defaults).copied().chain(users).chain(servers).chain(fixed.iter().copied())
        {
            client.set(name, value);
        }
        client
    }

    /// Makes the topic if it is not there. Blocks.
    pub fn create_topic(&self) -> Result<(), LogError> {
        super::topic::create(self)
    }

    pub(super) fn admin(&self) -> Result<AdminClient<Context>, LogError> {
        let client = self.client(&[], &[]);
        client.create_with_context(Context::new(&self.topic)).map_err(|error| self.error(error))
    }

    pub(super) fn producer(&self) -> Result<FutureProducer<Context>, LogError> {
        // The same partitioner as Java's: a key goes to the same partition whoever writes it.
        let defaults = [("linger.ms", "2"), ("compression.type", "lz4"), ("partitioner", "murmur2_random")];
        let timeout = DELIVERY_TIMEOUT.as_millis().to_string();
        // Appends are bounded before they come here; those whose callers have gone away may stand beside them.
        let records = (2 * QUEUE_RECORDS).to_string();
        let kilobytes = (2 * QUEUE_BYTES / 1024).to_string();
        let fixed = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            // A topic that somebody deletes is not to be made again in passing, shorter than what was read of it.
            ("allow.auto.create.topics", "false"),
            ("delivery.timeout.ms", timeout.as_str()),
            ("queue.buffering.max.messages", records.as_str()),
            ("queue.buffering.max.kbytes", kilobytes.as_str()),
        ];
        let client = self.client(&defaults, &fixed);
        client.create_with_context(Context::new(&self.topic)).map_err(|error| self.error(error))
    }

    pub(super) fn consumer(&self) -> Result<BaseConsumer<Context>, LogError> {
        let defaults = [
            // The client wants a group to be named; nothing is ever committed to it.
            ("group.id", "tributary"),
            ("isolation.level", "read_committed"),
            // An answer comes as soon as there is something; this is for when there is nothing.
            ("fetch.wait.max.ms", "100"),
            ("fetch.max.bytes", "16777216"),
            ("queued.max.messages.kbytes", "32768"),
            // A full queue is looked at again soon, for it is emptied many times a second.
            ("fetch.queue.backoff.ms", "10"),
            // For the lag.
            ("statistics.interval.ms", "1000"),
        ];
        let fixed = [
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("enable.partition.eof", "false"),
            // The engine may pause for as long as it likes.
            ("max.poll.interval.ms", "86400000"),
        ];
        let client = self.client(&defaults, &fixed);
        client.create_with_context(Context::new(&self.topic)).map_err(|error| self.error(error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(properties: &[(&str, &str)]) -> KafkaConfig {
        KafkaConfig {
            bootstrap_servers: "127.0.0.1:1".to_owned(),
            topic: "events".to_owned(),
            partitions: 4,
            properties: properties.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect(),
            on_truncated: OnTruncated::Stop,
        }
    }

    #[test]
    fn every_setting_is_one_that_the_client_knows() {
        let config = config(&[("socket.keepalive.enable", "true")]);
        drop(config.consumer().unwrap());
        drop(config.producer().unwrap());
        drop(config.admin().unwrap());
    }

    #[test]
    fn an_unknown_property_is_an_error_that_names_it() {
        let error = config(&[("sasl.pasword", "x")]).consumer().err().unwrap().to_string();
        assert!(error.contains("sasl.pasword"), "{error}");
    }

    #[test]
    fn durability_is_not_a_matter_of_properties() {
        let client = config(&[("acks", "0")]).client(&[], &[("acks", "all")]);
        assert_eq!(client.get("acks"), Some("all"));
    }

    #[test]
    fn printing_shows_no_property() {
        let printed = format!("{:?}", config(&[("sasl.password", "hunter2")]));
        assert_eq!(printed, "topic events at 127.0.0.1:1");
    }
}
