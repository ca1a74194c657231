//! What the broker knows of the topic; all of it blocks.

use super::config::KafkaConfig;
use super::context::Context;
use crate::log::LogError;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::Client;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long the broker may take to answer about topics and offsets.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the topic if it is not there.
pub(super) fn create(config: &KafkaConfig) -> Result<(), LogError> {
    // A consumer asks, since asking as a producer makes many brokers make the topic their own way.
    if !partitions(config.consumer()?.client(), config)?.is_empty() {
        return Ok(());
    }
    let admin = config.admin()?;
    // As many replicas as the broker's default says.
    let topic = NewTopic::new(&config.topic, config.partitions, TopicReplication::Fixed(-1));
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT));
    let answered = wait(admin.create_topics([&topic], &options), 2 * ANSWER_TIMEOUT);
    let timed_out = KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut);
    for result in answered.unwrap_or(Err(timed_out)).map_err(|error| config.error(error))? {
        match result {
            Ok(_) => tracing::info!(topic = config.topic, partitions = config.partitions, "topic made"),
            // Another instance was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(config.error(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// The topic's partitions, in order; none if there is no such topic.
pub(super) fn partitions(client: &Client<Context>, config: &KafkaConfig) -> Result<Vec<i32>, LogError> {
    let metadata = client.fetch_metadata(Some(&config.topic), ANSWER_TIMEOUT).map_err(|error| config.error(error))?;
    let mut partitions = Vec::new();
    for topic in metadata.topics().iter().filter(|topic| topic.name() == config.topic) {
        match topic.error().map(RDKafkaErrorCode::from) {
            None => partitions.extend(topic.partitions().iter().map(|partition| partition.id())),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
            Some(code) => return Err(config.error(KafkaError::MetadataFetch(code))),
        }
    }
    partitions.sort_unstable();
    Ok(partitions)
}

/// Waits for a future that another thread completes; needs no runtime, and so can be called wherever one may block.
fn wait<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let deadline = Instant::now() + limit;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_answer_or_with_the_time() {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || answer.send(7));
        assert_eq!(wait(answered, Duration::from_secs(60)), Some(Ok(7)));
        assert!(other.join().is_ok());
        assert_eq!(wait(std::future::pending::<()>(), Duration::from_millis(1)), None);
    }
}
