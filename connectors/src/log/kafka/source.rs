//! A topic that others fill: it is only read.

use super::config::KafkaConfig;
use super::reader::KafkaReader;
use crate::log::{AppendError, BoxFuture, Log, LogError, LogReader, Record};
use tributary_model::Position;

/// A topic that others fill.
#[derive(Debug)]
pub struct KafkaSource {
    config: KafkaConfig,
}

impl KafkaSource {
    /// Takes a topic as a source. Whether it is there shows when it is read: it may be made later.
    ///
    /// # Errors
    /// If a property is none of librdkafka's.
    pub fn open(config: KafkaConfig) -> Result<Self, LogError> {
        drop(config.consumer()?);
        Ok(Self { config })
    }
}

impl Log for KafkaSource {
    fn append(&self, _records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async { Err(AppendError::Unavailable("the topic belongs to others; it is only read".to_owned())) })
    }

    fn reader(&self, from: &Position) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(KafkaReader::new(&self.config, from)?))
    }

    /// Its owners decide what goes.
    fn committed(&self, _position: &Position) {}

    fn queued(&self) -> usize {
        0
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn close(&self) {}
}
