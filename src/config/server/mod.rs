//! The server's settings: `config/tributary.toml`, a user's file over it, the environment over both.

mod auth;
mod environment;
mod kafka;

pub use auth::{Auth, KeyHash, Token, WriteKey};
pub use kafka::{Kafka, KafkaSource, Properties};
pub(crate) use kafka::{decode_servers, decode_topic};

use super::decode::{Field, Table};
use super::mistake::Mistakes;
use super::node::Node;
use super::secret::Variables;
use super::source::Source;
use super::toml;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tributary_model::limits;

/// The defaults, as the file that ships.
const DEFAULTS: &str = include_str!("../../../config/tributary.toml");
const DEFAULTS_NAME: &str = "the built-in config/tributary.toml";

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Longer than anybody keeps events; short enough that milliseconds never overflow.
const HUNDRED_YEARS: Duration = Duration::from_secs(36_500 * 86_400);

/// All settings of a server, checked.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The HTTP server.
    pub http: Http,
    /// Who may do what.
    pub auth: Auth,
    /// What is kept, and how long.
    pub data: Data,
    /// The dataflow's bounds.
    pub engine: Engine,
    /// Where events are made durable.
    pub log: Log,
    /// Topics that others fill.
    pub sources: Vec<KafkaSource>,
    /// Logs.
    pub telemetry: Telemetry,
}

/// `[http]`
#[derive(Clone, Debug)]
pub struct Http {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// Connections open at once.
    pub max_connections: usize,
    /// How long a connection may send, or take, nothing.
    pub idle_timeout: Duration,
    /// How long a request may take before it is answered 503.
    pub request_timeout: Duration,
    /// Requests under way at once before one is answered 429.
    pub max_requests: usize,
    /// Server-sent event streams open at once before one is answered 429.
    pub max_streams: usize,
    /// The most that `timeout_ms=` may ask for.
    pub max_wait: Duration,
    /// This server as customers reach it, without a slash at the end: messages have links to it.
    pub public_url: Option<String>,
    /// Connections are secured by these; in the clear if there are none.
    pub tls: Option<TlsFiles>,
}

/// `[http.tls]`: files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whose certificates clients must show; if there is none, they need not.
    pub client_ca: Option<PathBuf>,
}

/// `[data]`
#[derive(Clone, Debug)]
pub struct Data {
    /// The folder of the state and the embedded log.
    pub dir: PathBuf,
    /// Bytes of cache for blocks read from disk.
    pub block_cache: usize,
    /// How long events stay in the history, by event time.
    pub history_retention: Duration,
    /// How long rejected events and notes of messages are kept.
    pub rejected_retention: Duration,
}

/// `[engine]`
#[derive(Clone, Debug)]
pub struct Engine {
    /// Timely worker threads.
    pub workers: usize,
    /// How long a message id is remembered.
    pub dedupe_horizon: Duration,
    /// Log records in one epoch.
    pub epoch_records: usize,
    /// Due timers in one epoch.
    pub epoch_timers: usize,
    /// Identifiers, links and message ids held in memory, each.
    pub cache_entries: usize,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// Which log.
    pub kind: LogKind,
    /// How long the embedded log keeps what was read.
    pub retention_age: Duration,
    /// How many bytes the embedded log keeps of what was read.
    pub retention_bytes: u64,
    /// Events on their way into the log.
    pub queue_events: usize,
    /// Bytes on their way into the log.
    pub queue_bytes: usize,
    /// Events that are accepted and wait for the engine.
    pub max_lag: usize,
    /// The Kafka cluster.
    pub kafka: Kafka,
}

/// The two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// RocksDB in the data folder.
    Embedded,
    /// A Kafka topic.
    Kafka,
}

/// `[telemetry]`
#[derive(Clone, Copy, Debug)]
pub struct Telemetry {
    /// How a line of the log looks.
    pub format: LogFormat,
    /// The least that is logged.
    pub level: tracing::Level,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl ServerConfig {
    /// The defaults under the environment.
    ///
    /// # Errors
    /// Every mistake in the environment.
    pub fn defaults(variables: &Variables) -> Result<Self, Vec<super::Mistake>> {
        let mistakes = Mistakes::default();
        match read(None, variables, &mistakes) {
            Some(config) if mistakes.count() == 0 => Ok(config),
            _ => Err(mistakes.into_sorted()),
        }
    }

    /// What an operator should know at start-up, a line each.
    pub fn warnings(&self) -> Vec<String> {
        self.auth.warnings(self.http.addr)
    }
}

/// Reads a user's file (if any) over the defaults and the environment over both. `None` where something is wrong.
pub(crate) fn read(file: Option<&Arc<Source>>, variables: &Variables, mistakes: &Mistakes) -> Option<ServerConfig> {
    let mut tree = toml::parse(&Source::file(DEFAULTS_NAME, DEFAULTS), mistakes)?;
    let mut parsed = true;
    match file.map(|source| toml::parse(source, mistakes)) {
        Some(Some(above)) => tree.overlay(above),
        Some(None) => parsed = false,
        None => {}
    }
    for above in environment::trees(variables) {
        tree.overlay(above);
    }
    decode(&tree, variables, mistakes).filter(|_| parsed)
}

fn decode(tree: &Node, variables: &Variables, mistakes: &Mistakes) -> Option<ServerConfig> {
    let root = Field::root(tree, mistakes).table()?;
    // Each section is read before any `?`, so that all mistakes are found.
    let http = section(&root, "http", decode_http);
    let auth = section(&root, "auth", |table| auth::decode(table, variables));
    let data = section(&root, "data", decode_data);
    let engine = section(&root, "engine", decode_engine);
    let log = section(&root, "log", |table| decode_log(table, variables));
    let telemetry = section(&root, "telemetry", decode_telemetry);
    let has_cluster = log.as_ref().is_none_or(|log| log.kafka.bootstrap_servers.is_some());
    let sources = root.get("sources").map_or_else(Vec::new, |field| kafka::decode_sources(&field, has_cluster));
    root.finish();
    let (http, mut auth) = (http?, auth?);
    auth.open = http.addr.ip().is_loopback();
    Some(ServerConfig { http, auth, data: data?, engine: engine?, log: log?, sources, telemetry: telemetry? })
}

fn section<T>(root: &Table<'_>, name: &'static str, decode: impl FnOnce(&Table<'_>) -> Option<T>) -> Option<T> {
    let table = root.require(name, &format!("[{name}]"))?.table()?;
    let section = decode(&table);
    table.finish();
    section
}

/// A field that stands in the defaults, and so can only be wrong, not missing.
fn field<'a, T>(table: &Table<'a>, name: &'static str, decode: impl FnOnce(Field<'a>) -> Option<T>) -> Option<T> {
    table.require(name, "a value").and_then(decode)
}

fn count(table: &Table<'_>, name: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
    field(table, name, |field| field.integer(range))
}

fn time(table: &Table<'_>, name: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
    field(table, name, |field| field.duration(range))
}

fn bytes(table: &Table<'_>, name: &'static str, range: RangeInclusive<u64>) -> Option<usize> {
    field(table, name, |field| field.size(range)).and_then(|bytes| usize::try_from(bytes).ok())
}

fn decode_http(table: &Table<'_>) -> Option<Http> {
    let addr = field(table, "addr", |field| {
        let text = field.text()?;
        let addr = text.parse().ok();
        if addr.is_none() {
            field.wrong(format!("`{text}` is no address; write an IP address and a port, such as 127.0.0.1:8080"));
        }
        addr
    });
    let max_connections = count(table, "max_connections", 1..=1_000_000);
    let idle_timeout = time(table, "idle_timeout", 100 * MILLISECOND..=60 * MINUTE);
    let request_timeout = time(table, "request_timeout", 100 * MILLISECOND..=10 * MINUTE);
    let max_requests = count(table, "max_requests", 1..=1_000_000);
    let max_streams = count(table, "max_streams", 0..=100_000);
    let max_wait = time(table, "max_wait", MILLISECOND..=10 * MINUTE);
    let public_url = table.get("public_url").map_or(Some(None), |field| decode_public_url(&field).map(Some));
    let tls = match table.get("tls").map(|field| decode_tls(&field)) {
        Some(None) => return None,
        tls => tls.flatten(),
    };
    Some(Http {
        tls,
        addr: addr?,
        max_connections: max_connections?,
        idle_timeout: idle_timeout?,
        request_timeout: request_timeout?,
        max_requests: max_requests?,
        max_streams: max_streams?,
        max_wait: max_wait?,
        public_url: public_url?,
    })
}

fn decode_public_url(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let is_plain = |url: &reqwest::Url| {
        let has_user = !url.username().is_empty() || url.password().is_some();
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && !has_user
            && url.query().is_none()
            && url.fragment().is_none()
    };
    if !reqwest::Url::parse(text).is_ok_and(|url| is_plain(&url)) {
        field.wrong(format!("`{text}` is no address of this server; write one such as https://cdp.example.com"));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn decode_tls(field: &Field<'_>) -> Option<TlsFiles> {
    let table = field.table()?;
    let file = |field: Field<'_>| {
        let path = field.text().map(PathBuf::from)?;
        if let Err(error) = std::fs::File::open(&path) {
            field.wrong(format!("{} cannot be read: {error}", path.display()));
        }
        Some(path)
    };
    let certificate = table.require("certificate", "certificate = \"/etc/tributary/tls.crt\"").and_then(file);
    let key = table.require("key", "key = \"/etc/tributary/tls.key\"").and_then(file);
    let client_ca = table.get("client_ca").map(file);
    table.finish();
    Some(TlsFiles { certificate: certificate?, key: key?, client_ca: client_ca.flatten() })
}

fn decode_data(table: &Table<'_>) -> Option<Data> {
    let dir = field(table, "dir", |field| field.text().map(PathBuf::from));
    let block_cache = bytes(table, "block_cache", 1 << 20..=1 << 40);
    let history_retention = time(table, "history_retention", MINUTE..=HUNDRED_YEARS);
    let rejected_retention = time(table, "rejected_retention", MINUTE..=HUNDRED_YEARS);
    Some(Data {
        dir: dir?,
        block_cache: block_cache?,
        history_retention: history_retention?,
        rejected_retention: rejected_retention?,
    })
}

fn decode_engine(table: &Table<'_>) -> Option<Engine> {
    let workers = field(table, "workers", |field| {
        if matches!(&field.node.kind, super::node::Kind::Text(text) if text == "auto") {
            // The log, the commit and the HTTP server want processors too.
            return Some(std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1)));
        }
        if matches!(&field.node.kind, super::node::Kind::Text(_)) {
            field.wrong("write a number of threads without quotes, or \"auto\"");
            return None;
        }
        field.integer(1..=256)
    });
    let dedupe_horizon = time(table, "dedupe_horizon", MINUTE..=366 * DAY);
    let epoch_records = count(table, "epoch_records", 1..=1_000_000);
    let epoch_timers = count(table, "epoch_timers", 1..=1_000_000);
    let cache_entries = count(table, "cache_entries", 1_000..=1_000_000_000);
    Some(Engine {
        workers: workers?,
        dedupe_horizon: dedupe_horizon?,
        epoch_records: epoch_records?,
        epoch_timers: epoch_timers?,
        cache_entries: cache_entries?,
    })
}

fn decode_log(table: &Table<'_>, variables: &Variables) -> Option<Log> {
    let kind =
        field(table, "kind", |field| field.one_of(&[("embedded", LogKind::Embedded), ("kafka", LogKind::Kafka)]));
    let retention_age = time(table, "retention_age", SECOND..=HUNDRED_YEARS);
    let retention_bytes = field(table, "retention_bytes", |field| field.size(1 << 20..=1 << 50));
    let queue_events = count(table, "queue_events", limits::BATCH_EVENTS..=10_000_000);
    // A queue that is smaller than one batch could never take one.
    let queue_bytes = bytes(table, "queue_bytes", 1 << 20..=1 << 36);
    let max_lag = count(table, "max_lag", limits::BATCH_EVENTS..=1_000_000_000_000);
    let kafka = section(table, "kafka", |kafka| kafka::decode(kafka, variables));
    let no_cluster = kafka.as_ref().is_some_and(|kafka| kafka.bootstrap_servers.is_none());
    if let (Some(LogKind::Kafka), true, Some(field)) = (kind, no_cluster, table.get("kind")) {
        let mend =
            "set log.kafka.bootstrap_servers or TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS, for example to localhost:9092";
        field.wrong(format!("a log in Kafka needs a cluster; {mend}"));
    }
    Some(Log {
        kind: kind?,
        retention_age: retention_age?,
        retention_bytes: retention_bytes?,
        queue_events: queue_events?,
        queue_bytes: queue_bytes?,
        max_lag: max_lag?,
        kafka: kafka?,
    })
}

const _: () = assert!(limits::BATCH_BYTES <= 1 << 20, "the least log.queue_bytes must hold one batch");

fn decode_telemetry(table: &Table<'_>) -> Option<Telemetry> {
    use tracing::Level;
    let format = field(table, "format", |field| field.one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    let level = field(table, "level", |field| {
        field.one_of(&[
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ])
    });
    Some(Telemetry { format: format?, level: level? })
}

#[cfg(test)]
mod tests;
