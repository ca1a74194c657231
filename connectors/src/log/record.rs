//! What stands in the log.

use bytes::Bytes;
use std::sync::Arc;
use tributary_model::Millis;

/// One accepted event, as bytes, with what only the front door knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who sent it: the write key's source, or the topic.
    pub source: String,
    /// When it was received.
    pub received_at: Millis,
    /// The client's clock when it sent it, if it said so.
    pub sent_at: Option<Millis>,
    /// One event's JSON, as it was sent.
    pub body: Bytes,
    /// What keeps a customer's events together in a partitioned log. It says where a record goes and is not read back.
    pub key: Option<String>,
}

impl Record {
    /// About how much memory the record takes, for bounds on what waits.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + self.source.len() + self.key.as_ref().map_or(0, String::len) + 64
    }
}

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which log: the topic's name in Kafka, `log` for the embedded one.
    pub stream: Arc<str>,
    /// The partition; zero in a log that has none.
    pub partition: i32,
    /// The record's number in its partition.
    pub offset: i64,
    /// The record.
    pub record: Record,
}
