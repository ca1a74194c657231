//! Where messages go: each destination, and what carries messages from the outbox to it.
//!
//! A message was committed with the epoch that caused it; here it is sent until it is there, or given up. HTTP gets it
//! at least once under one id; Kafka exactly once.

mod message;
mod backoff;
mod lanes;
mod delivery;
pub mod webhook;
mod transactions;
pub mod kafka;

pub use delivery::{Delivery, Target, Wake};
pub use kafka::{KafkaDelivery, KafkaTarget};
pub use message::{Message, NullObserver, Observer, Outbox, OutboxError, Outcome};
pub use transactions::{Carrier, Progress, Topic};
pub use webhook::{Webhook, WebhookError};
