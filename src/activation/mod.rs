//! From what a customer does to what is sent: messages are made with the epoch that causes them, and dispatched after.

pub mod content;
pub mod filters;
pub mod templates;
pub mod messages;
mod mirrors;
pub mod links;
pub mod contact;
pub mod gate;
pub mod own_events;
pub mod news;
pub mod reports;
pub mod outbox;
pub mod dead_letters;
pub mod dispatchers;

pub use dispatchers::Dispatchers;
pub use gate::Gate;
pub use links::Links;
pub use messages::{About, Messages, Occasion, RenderError, Rendered, TemplateError};
pub use mirrors::Mirror;
