//! Where messages go: each destination, and what carries messages from the outbox to it.
//!
//! A message was committed with the epoch that caused it; here it is sent until it is there, or given up. HTTP gets it
//! at least once under one id; Kafka exactly once.

mod message;
mod backoff;
mod lanes;
mod pace;
mod breaker;
mod address;
mod http;
mod delivery;
mod registry;
mod feedback;
pub mod webhook;
pub mod slack;
pub mod twilio;
pub mod push;
pub mod email;
mod transactions;
pub mod kafka;
pub mod postgres;
#[cfg(test)]
mod loopback;

pub use delivery::{Delivery, Target, Wake};
pub use email::{SendGrid, Ses, Smtp};
pub use feedback::{Feedback, FeedbackError, FeedbackKind};
pub use http::SetupError;
pub use kafka::{KafkaDelivery, KafkaTarget};
pub use message::{Admission, Blame, Message, NullObserver, Observer, Outbox, OutboxError, Outcome, Settled};
pub use postgres::{PostgresDelivery, PostgresTarget};
pub use push::{Apns, Fcm, WebPush};
pub use registry::target;
pub use slack::Slack;
pub use transactions::{Carrier, Progress, Refused, Topic};
pub use twilio::Twilio;
pub use webhook::Webhook;
