//! The words of Tributary: what every other crate means by an event, an identifier, a value and a definition.
//!
//! Nothing here does I/O, reads a clock or knows a graph; it is serde types and the pure functions on them.

mod definition;
mod event;
mod id;
mod identifier;
pub mod limits;
mod matching;
mod normalise;
mod object;
mod position;
mod value;

pub use definition::{
    ComputedTrait, Definitions, Destination, IdentityRules, KafkaDestination, Namespace, On, Secret, Segment, Send,
    Trigger, WebhookDestination,
};
pub use event::{Event, EventKind};
pub use id::{Epoch, GroupId, IdentifierId, MessageId, Millis, ProfileId};
pub use identifier::Identifier;
pub use matching::{Comparison, Likeness, Matching};
pub use normalise::{Normalise, Region};
pub use object::Object;
pub use position::Position;
pub use value::{Value, format_millis};
