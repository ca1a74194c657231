//! What people say about identifiers: who is the same, who is not, who is to be deleted; and about addresses that
//! nothing is to be sent to. Records of the log like events, but only the server itself writes them.

use super::Reason;
use super::decode::object;
use crate::log::Record;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tributary_model::{Channel, Identifier, Millis};

/// The source of records that are statements. No write key can have it.
pub const STATEMENTS: &str = "tributary/identity";

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementKind {
    /// The two are one customer.
    Link,
    /// The two are two customers.
    Unlink,
    /// What was said of the two no longer holds.
    Retract,
    /// What is known of the identifier so far is forgotten.
    Delete,
    /// Nothing is sent to the address any more.
    Suppress,
    /// Messages may be sent to the address again.
    Unsuppress,
}

/// A statement as the log has it.
///
/// ```
/// # use tributary_connectors::process::{Statement, StatementKind};
/// # use tributary_model::Identifier;
/// let ada = Identifier::new("user_id", "ada");
/// let statement = Statement { kind: StatementKind::Delete, a: ada, b: None, by: None, reason: Some("asked".into()) };
/// assert_eq!(Statement::of(&statement.record(90_000_000)), Some(Ok(statement)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// What is said.
    #[serde(rename = "type")]
    pub kind: StatementKind,
    /// Of whom; or an address, in the namespace of its channel's name.
    pub a: Identifier,
    /// And of whom; none where one is deleted, and of addresses.
    pub b: Option<Identifier>,
    /// Who says so.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Statement {
    /// What is said of an address, which is written as lists of addresses have it.
    pub fn of_address(
        kind: StatementKind,
        channel: Channel,
        address: &str,
        by: Option<String>,
        reason: Option<String>,
    ) -> Self {
        Self { kind, a: Identifier::new(channel.name(), address), b: None, by, reason }
    }

    /// The record that says so.
    pub fn record(&self, received_at: Millis) -> Record {
        // Texts and options of texts always have a JSON.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let key = Some(self.a.to_string());
        Record { source: STATEMENTS.to_owned(), received_at, sent_at: None, body: Bytes::from(body), key }
    }

    /// The statement that a record is; `None` if it is an event.
    pub fn of(record: &Record) -> Option<Result<Self, Reason>> {
        (record.source == STATEMENTS).then(|| object(&record.body))
    }
}
