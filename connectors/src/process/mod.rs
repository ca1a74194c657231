//! From bytes to valid events; what is not valid is rejected with its reason.
//!
//! Pure: the same bytes, times and rules always give the same event, here and in a replay.

mod decode;
mod validate;
mod identifiers;
mod consent;
mod time;
mod reject;
mod statement;

pub use decode::{Scalar, object};
pub use reject::Reason;
pub use statement::{STATEMENTS, Statement, StatementKind};
pub use time::instant;

use bytes::Bytes;
use decode::Parts;
pub use identifiers::NoIdentifier;
use identifiers::{Identifiers, Objects};
use std::fmt::Display;
use tributary_model::{Event, EventKind, Identifier, IdentityRules, MessageId, Millis, Object};

/// Why rules cannot be used. The configuration says the same with file and line.
#[derive(Debug, thiserror::Error)]
pub enum ProcessorError {
    /// A block pattern is no regular expression.
    #[error("identity.block: {0}")]
    Pattern(#[from] regex::Error),
    /// A `from` names no place in an event.
    #[error("identity.namespaces: `{0}` is no place in an event; write for example `traits.email`")]
    Path(String),
}

/// Makes events of bytes, by the identity rules.
///
/// ```
/// # use tributary_connectors::process::Processor;
/// # use tributary_model::IdentityRules;
/// let processor = Processor::new(&IdentityRules::default())?;
/// let event = processor.process(&r#"{"type":"track","userId":17,"event":"Signed Up"}"#.into(), 90_000_000, None, "");
/// assert_eq!(event.map(|event| event.identifiers[0].to_string()), Ok("user_id:17".to_owned()));
///
/// let nobody = processor.process(&r#"{"type":"track","userId":"null","event":"Signed Up"}"#.into(), 90_000_000, None, "");
/// assert_eq!(nobody.map_err(|reason| reason.code()).err(), Some("all_identifiers_blocked"));
/// # Ok::<_, tributary_connectors::process::ProcessorError>(())
/// ```
#[derive(Debug)]
pub struct Processor {
    identifiers: Identifiers,
}

impl Processor {
    /// A processor by these rules.
    ///
    /// # Errors
    /// If a block pattern or a path cannot be read.
    pub fn new(rules: &IdentityRules) -> Result<Self, ProcessorError> {
        Ok(Self { identifiers: Identifiers::new(rules)? })
    }

    /// The event that a log record's bytes are.
    ///
    /// `received_at` and `sent_at` are the record's; where the record has no `sent_at`, the event's own `sentAt` counts.
    /// `position_seed` names the record's place in the log: an event without a `messageId` gets one made from it, which
    /// is the same whenever the log is read.
    ///
    /// # Errors
    /// The first [`Reason`] for which it is none.
    pub fn process(
        &self,
        body: &Bytes,
        received_at: Millis,
        sent_at: Option<Millis>,
        position_seed: impl Display,
    ) -> Result<Event, Reason> {
        let parts = decode::decode(body)?;
        let kind = validate::kind(&parts)?;
        let message_id = validate::message_id(&parts, position_seed)?;
        let timestamp = time::timestamp(&parts, received_at, sent_at)?;
        self.event(kind, body, parts, timestamp, message_id)
    }

    /// An event that was taken in before, by rules that may have been others: its time and message id are known.
    ///
    /// # Errors
    /// The first [`Reason`] for which it is no event by today's rules.
    pub fn reread(&self, body: &Bytes, timestamp: Millis, message_id: MessageId) -> Result<Event, Reason> {
        let parts = decode::decode(body)?;
        self.event(validate::kind(&parts)?, body, parts, timestamp, message_id)
    }

    /// The identifier that `namespace:value` is, made equal as in events.
    ///
    /// # Errors
    /// [`NoIdentifier`], with what to write instead.
    pub fn identifier(&self, text: &str) -> Result<Identifier, NoIdentifier> {
        self.identifiers.parse(text)
    }

    /// Whether an identifier that was taken in by other rules identifies nobody by these.
    pub fn blocks(&self, identifier: &Identifier) -> bool {
        self.identifiers.blocks(identifier)
    }

    fn event(
        &self,
        kind: EventKind,
        body: &Bytes,
        parts: Parts<'_>,
        timestamp: Millis,
        message_id: MessageId,
    ) -> Result<Event, Reason> {
        let event = validate::event(kind, &parts)?;
        let name = validate::name(kind, &parts)?;
        let group = validate::group(kind, &parts)?.filter(|group| !identifiers::is_nobody(group));
        let properties = parts.properties.checked("properties", body)?;
        let traits = parts.traits.checked("traits", body)?;
        let context = parts.context.checked("context", body)?;
        let objects = Objects { properties: &properties, traits: &traits, context: &context };
        let identifiers = self.identifiers.of(kind, &parts, objects)?;
        let consent = consent::said(&context);
        // What the spec does not have in a call may lead to a customer, but is no property or trait of one.
        let has_traits = matches!(kind, EventKind::Identify | EventKind::Group);
        let has_properties = matches!(kind, EventKind::Track | EventKind::Page | EventKind::Screen);
        Ok(Event {
            kind,
            event,
            name,
            group,
            message_id,
            timestamp,
            identifiers,
            properties: if has_properties { properties } else { Object::default() },
            traits: if has_traits { traits } else { Object::default() },
            context,
            consent,
            body: body.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
