//! From what a customer does to what is sent: messages are made with the epoch that causes them, and dispatched after.

pub mod messages;

pub use messages::{Messages, Occasion, TemplateError};
