//! The words of Tributary: what every other crate means by an event, an identifier, a value and a definition.
//!
//! Nothing here does I/O, reads a clock or knows a graph; it is serde types and the pure functions on them.

mod contact;
mod definition;
mod destination;
mod event;
mod id;
mod identifier;
pub mod limits;
mod locales;
mod matching;
mod normalise;
mod object;
mod position;
mod value;

pub use contact::{
    Cap, ContactPolicy, Holdout, PURPOSE_PREFIX, Purpose, QuietHours, SUBSCRIPTION_PREFIX, Subscription, TriggerPolicy,
    UNREACHABLE_PREFIX,
};
pub use definition::{ComputedTrait, Definitions, IdentityRules, Namespace, On, Segment, Send, Trigger};
pub use destination::{
    ApnsDestination, Channel, DeliveryPolicy, Destination, DestinationKind, FcmDestination, FeedbackKeys,
    KafkaDestination, PostgresDestination, Reach, Secret, SendGridDestination, SesDestination, SlackDestination,
    SlackWay, SmtpDestination, SmtpSecurity, TwilioDestination, TwilioSender, WebPushDestination, WebhookDestination,
};
pub use event::{Event, EventKind};
pub use id::{Epoch, GroupId, IdentifierId, MessageId, Millis, ProfileId};
pub use identifier::Identifier;
pub use locales::Locales;
pub use matching::{Comparison, Likeness, Matching};
pub use normalise::{Normalise, Region};
pub use object::Object;
pub use position::Position;
pub use value::{Value, format_millis};
