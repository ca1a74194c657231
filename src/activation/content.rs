//! What a trigger has to say to each kind of destination: which fields its templates make, and in which form.

use tributary_model::DestinationKind;

/// How what a template makes is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Text,
    /// HTML: values are escaped.
    Html,
    /// JSON, which has to be whole.
    Json,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct FieldRule {
    /// Its name below `send`.
    pub name: &'static str,
    /// Its form.
    pub form: Form,
    /// Whether it must be there.
    pub is_required: bool,
}

/// What messages to a kind of destination are made of.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// One text, sent as it is: the field `body`.
    Body,
    /// Fields, each by a template of its own.
    Fields(&'static [FieldRule]),
    /// Nothing that a trigger could say.
    None,
}

const fn field(name: &'static str, form: Form, is_required: bool) -> FieldRule {
    FieldRule { name, form, is_required }
}

/// Where a message goes; one that is empty when it is rendered is not sent.
pub const ADDRESS: &str = "address";
/// Where a reader of an e-mail unsubscribes. No template makes it.
pub const UNSUBSCRIBE: &str = "unsubscribe";

const EMAIL: &[FieldRule] = &[
    field(ADDRESS, Form::Text, true),
    field("subject", Form::Text, true),
    field("text", Form::Text, false),
    field("html", Form::Html, false),
    field("unsubscribe", Form::Text, false),
];
const SMS: &[FieldRule] = &[field(ADDRESS, Form::Text, true), field("text", Form::Text, true)];
const PUSH: &[FieldRule] = &[
    field(ADDRESS, Form::Text, true),
    field("title", Form::Text, false),
    field("text", Form::Text, false),
    field("data", Form::Json, false),
    field("collapse_key", Form::Text, false),
];
const SLACK: &[FieldRule] = &[field("text", Form::Text, true), field("blocks", Form::Json, false)];

impl Content {
    /// Of a kind of destination.
    pub fn of(kind: &DestinationKind) -> Self {
        match kind {
            DestinationKind::Webhook(_) | DestinationKind::Kafka(_) => Self::Body,
            DestinationKind::Smtp(_) | DestinationKind::SendGrid(_) | DestinationKind::Ses(_) => Self::Fields(EMAIL),
            DestinationKind::Twilio(_) => Self::Fields(SMS),
            DestinationKind::Fcm(_) | DestinationKind::Apns(_) | DestinationKind::WebPush(_) => Self::Fields(PUSH),
            DestinationKind::Slack(_) => Self::Fields(SLACK),
            DestinationKind::Postgres(_) => Self::None,
        }
    }

    /// The fields.
    pub fn fields(self) -> &'static [FieldRule] {
        const BODY: &[FieldRule] = &[field("body", Form::Text, true)];
        match self {
            Self::Body => BODY,
            Self::Fields(fields) => fields,
            Self::None => &[],
        }
    }
}
