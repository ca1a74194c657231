//! What can go wrong with a log, and whether asking again helps.

use rdkafka::error::KafkaError;

/// Why records were not taken. None of them counts as accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much waits already; the client should slow down.
    #[error("too many events are waiting to be written; send again in a second")]
    Busy,
    /// The disk or the broker does not take it now; the reason is one line.
    #[error("the log cannot be written: {0}")]
    Unavailable(String),
}

/// Why a log cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The embedded log's database says so.
    #[error("embedded log: {0}")]
    RocksDb(#[from] rocksdb::Error),
    /// The log's files are damaged or of another version.
    #[error("embedded log: block at offset {offset} cannot be read: {reason}")]
    Block {
        /// The block's first offset.
        offset: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// A thread could not be started, or a folder not made.
    #[error("log: {0}")]
    Io(#[from] std::io::Error),
    /// The log has been closed; a reader of it has nothing more to wait for.
    #[error("the log is closed")]
    Closed,
    /// Kafka says so; it may pass.
    #[error("Kafka topic {topic}: {source}")]
    Kafka {
        /// Which topic.
        topic: String,
        /// What Kafka says.
        source: KafkaError,
    },
    /// The log no longer has what is to be read next.
    #[error(
        "{stream}, partition {partition}: offset {wanted} is to be read next, but the log begins at {earliest} \
         (retention was too short, or the state is an old one); restore the records, or set on_truncated = \"earliest\" \
         for a topic that is to be read on without them"
    )]
    Truncated {
        /// Which log.
        stream: String,
        /// Which partition.
        partition: i32,
        /// What is to be read next.
        wanted: i64,
        /// The first that is there.
        earliest: i64,
    },
    /// The log is shorter than what was read of it before.
    #[error(
        "{stream}, partition {partition}: the log ends at {end} but has been read up to {wanted}, so it is not the log \
         that this state was built from; give back the old log; a source that was made anew is read from its beginning under another name"
    )]
    Shorter {
        /// Which log.
        stream: String,
        /// Which partition.
        partition: i32,
        /// The offset after its last record.
        end: i64,
        /// What is to be read next.
        wanted: i64,
    },
}

impl LogError {
    /// Whether reading may succeed later, without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Kafka { source, .. } => !matches!(source, KafkaError::MessageConsumptionFatal(_)),
            _ => false,
        }
    }
}
