//! From what a customer does to what is sent: messages are made with the epoch that causes them, and dispatched after.

pub mod messages;
pub mod outbox;
pub mod dispatchers;

pub use dispatchers::Dispatchers;
pub use messages::{Messages, Occasion, TemplateError};
