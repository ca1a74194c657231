//! The log in Kafka: a topic that Tributary fills, or that others fill.
//!
//! Read with `assign` from the positions that stand with the state, so that what was read and what follows from it are
//! committed together; no consumer group has a say.

mod config;
mod context;
mod topic;
mod producer;
mod message;
mod scout;
mod reader;
mod source;

pub use config::{KafkaConfig, OnTruncated};
pub use producer::KafkaLog;
pub use source::KafkaSource;
