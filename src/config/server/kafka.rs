//! The Kafka cluster, and the topics that others fill.

use crate::config::decode::{Field, Table};
use crate::config::node::Kind;
use crate::config::secret::{Variables, resolve};
use std::collections::BTreeMap;
use std::fmt;
use tributary_connectors::log::OnTruncated;

/// `[log.kafka]`
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `host:port`, comma-separated; always there where the log is Kafka or a source has no cluster of its own.
    pub bootstrap_servers: Option<String>,
    /// The log's topic.
    pub topic: String,
    /// Its partitions, if it has to be created.
    pub partitions: i32,
    /// What to do when the log's topic no longer has what is to be read next.
    pub on_truncated: OnTruncated,
    /// Further settings of librdkafka.
    pub properties: Properties,
}

/// Settings of librdkafka by name. Printing shows the names only: values may be passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// `[[sources.kafka]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSource {
    /// What its events are told apart by; the topic's name unless given.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Another cluster than `[log.kafka]`'s.
    pub bootstrap_servers: Option<String>,
    /// What to do when the topic no longer has what is to be read next; as `[log.kafka]` says unless given.
    pub on_truncated: Option<OnTruncated>,
}

/// What Tributary sets itself, because "no event is lost or counted twice" rests on it.
const OURS: [(&str, &str); 9] = [
    ("bootstrap.servers", "use bootstrap_servers"),
    ("acks", "it is always all"),
    ("request.required.acks", "it is always all"),
    ("enable.idempotence", "it is always true"),
    ("transactional.id", "each destination has its own"),
    ("group.id", "offsets are kept with the state"),
    ("enable.auto.commit", "offsets are kept with the state"),
    ("auto.offset.reset", "offsets are kept with the state"),
    ("isolation.level", "it is always read_committed"),
];

pub(super) fn decode(table: &Table<'_>, variables: &Variables) -> Option<Kafka> {
    let bootstrap_servers = table.get("bootstrap_servers").map(|field| decode_servers(&field));
    let topic = table.require("topic", "topic = \"tributary-events\"").and_then(|field| decode_topic(&field));
    let partitions = table.require("partitions", "partitions = 4").and_then(|field| field.integer(1..=10_000));
    let entries = table.get("properties").map(|field| field.entries()).unwrap_or_default();
    let property = |entry: crate::config::decode::Entry<'_>| {
        if let Some((_, why)) = OURS.iter().find(|(name, _)| *name == entry.name) {
            entry.field.wrong_at(entry.name_at, format!("Tributary sets this itself ({why}); remove it"));
            return None;
        }
        let value = match &entry.field.node.kind {
            Kind::Integer(value) => value.to_string(),
            Kind::Bool(value) => value.to_string(),
            _ => resolve(&entry.field, variables, true)?,
        };
        Some((entry.name.to_owned(), value))
    };
    let properties = Properties(entries.into_iter().filter_map(property).collect());
    let on_truncated = table.require("on_truncated", "on_truncated = \"stop\"");
    let on_truncated = on_truncated.and_then(|field| decode_truncated(&field));
    let bootstrap_servers = bootstrap_servers.map_or(Some(None), |servers| servers.map(Some))?;
    Some(Kafka { bootstrap_servers, topic: topic?, partitions: partitions?, on_truncated: on_truncated?, properties })
}

pub(super) fn decode_sources(field: &Field<'_>, has_cluster: bool) -> Vec<KafkaSource> {
    let Some(table) = field.table() else { return Vec::new() };
    let mut sources: Vec<KafkaSource> = Vec::new();
    for field in table.get("kafka").map(|field| field.list()).unwrap_or_default() {
        let Some(source) = decode_source(&field, has_cluster) else { continue };
        if sources.iter().any(|other| other.name == source.name) {
            field.wrong(format!("two sources are named `{}`; give one of them another `name`", source.name));
            continue;
        }
        sources.push(source);
    }
    table.finish();
    sources
}

fn decode_source(field: &Field<'_>, has_cluster: bool) -> Option<KafkaSource> {
    let table = field.table()?;
    let topic = table.require("topic", "topic = \"web-events\"").and_then(|field| decode_topic(&field));
    let name = table.get("name").map(|field| field.text());
    let servers = table.get("bootstrap_servers");
    if servers.is_none() && !has_cluster {
        let mend = "write for example `bootstrap_servers = \"localhost:9092\"`";
        field.wrong(format!("`bootstrap_servers` is missing, here and in [log.kafka]; {mend}"));
    }
    let bootstrap_servers = servers.map(|field| decode_servers(&field));
    let on_truncated = table.get("on_truncated").map(|field| decode_truncated(&field));
    table.finish();
    let topic = topic?;
    let name = name.unwrap_or(Some(&topic))?.to_owned();
    Some(KafkaSource {
        name,
        topic,
        bootstrap_servers: bootstrap_servers.map_or(Some(None), |servers| servers.map(Some))?,
        on_truncated: on_truncated.map_or(Some(None), |what| what.map(Some))?,
    })
}

fn decode_truncated(field: &Field<'_>) -> Option<OnTruncated> {
    field.one_of(&[("stop", OnTruncated::Stop), ("earliest", OnTruncated::Earliest)])
}

/// `host:port`, comma-separated.
pub(crate) fn decode_servers(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let is_server = |server: &str| {
        server.trim().rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if text.split(',').all(is_server) {
        return Some(text.to_owned());
    }
    field.wrong(format!("`{text}` is no list of servers; write host:port, several with commas between"));
    None
}

/// A name that Kafka takes for a topic.
pub(crate) fn decode_topic(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let legal = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if legal && text.len() <= 249 && text != "." && text != ".." {
        return Some(text.to_owned());
    }
    field.wrong(format!("`{text}` is no topic's name; Kafka takes up to 249 letters, digits, dots, `_` and `-`"));
    None
}
