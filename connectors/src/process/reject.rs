//! Why bytes are no event that can be taken in.

use tributary_model::{EventKind, Millis, format_millis, limits};

/// Why an event is rejected: each cause by itself, with what was found and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// More bytes than an event may have.
    #[error("the event has {bytes} bytes; at most {} are taken", limits::EVENT_BYTES)]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Bytes that are no text.
    #[error("this is no UTF-8 from byte {at} on")]
    InvalidUtf8 {
        /// The first byte that is none.
        at: usize,
    },
    /// Objects within objects within objects.
    #[error("objects and arrays are nested more than {} deep", limits::JSON_DEPTH)]
    TooDeep,
    /// No JSON, or JSON that says the same field twice.
    #[error("this is no valid JSON: {0}")]
    InvalidJson(String),
    /// JSON, but no object.
    #[error("this is JSON, but no object")]
    NotAnObject,
    /// A field of another type than it must have.
    #[error("`{field}` must be {expected}, but is {found}")]
    WrongType {
        /// The field, as the client writes it.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// No `type`.
    #[error("`type` is missing; write one of {}", kinds())]
    MissingType,
    /// A `type` that is none of the six.
    #[error("there is no type `{found}`; write one of {}", kinds())]
    UnknownType {
        /// The beginning of what stands there.
        found: String,
    },
    /// A track call without a name.
    #[error("`event` is missing: a track call names what happened")]
    MissingEvent,
    /// A name that is no name.
    #[error("`event` has {chars} characters; at most {} are taken", limits::EVENT_NAME_CHARS)]
    EventNameTooLong {
        /// How many it has.
        chars: usize,
    },
    /// A group call without a group.
    #[error("`groupId` is missing: a group call names the group")]
    MissingGroup,
    /// A message id that de-duplication does not take.
    #[error("`messageId` has {chars} characters; at most {} are taken", limits::MESSAGE_ID_CHARS)]
    MessageIdTooLong {
        /// How many it has.
        chars: usize,
    },
    /// Nobody did it.
    #[error("nobody is named; give `userId` or `anonymousId`")]
    MissingIdentifier,
    /// Nobody did it, since what names somebody is on the block list.
    #[error("every identifier of the event is on the block list, so nobody is named")]
    AllIdentifiersBlocked,
    /// A payload where an identifier should be.
    #[error("an identifier ({namespace}) has {chars} characters; at most {} are taken", limits::IDENTIFIER_CHARS)]
    IdentifierTooLong {
        /// The namespace.
        namespace: String,
        /// How many characters it has.
        chars: usize,
    },
    /// A text that is no time.
    #[error("`{field}` is no time: `{text}`; write RFC 3339, as 2026-03-01T12:00:00.000Z")]
    InvalidTimestamp {
        /// The field, as the client writes it.
        field: &'static str,
        /// The beginning of what stands there.
        text: String,
    },
    /// A time that no event of this program has.
    #[error(
        "the event would have happened at {}; taken is from {} to a day after it was received",
        format_millis(*.timestamp),
        format_millis(limits::EARLIEST_MS)
    )]
    TimestampOutOfRange {
        /// The time, corrected by `sentAt`.
        timestamp: Millis,
    },
}

impl Reason {
    /// One word for metrics and error codes; never changes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::InvalidUtf8 { .. } => "invalid_utf8",
            Self::TooDeep => "too_deep",
            Self::InvalidJson(_) => "invalid_json",
            Self::NotAnObject => "not_an_object",
            Self::WrongType { .. } => "wrong_type",
            Self::MissingType => "missing_type",
            Self::UnknownType { .. } => "unknown_type",
            Self::MissingEvent => "missing_event",
            Self::EventNameTooLong { .. } => "event_name_too_long",
            Self::MissingGroup => "missing_group",
            Self::MessageIdTooLong { .. } => "message_id_too_long",
            Self::MissingIdentifier => "missing_identifier",
            Self::AllIdentifiersBlocked => "all_identifiers_blocked",
            Self::IdentifierTooLong { .. } => "identifier_too_long",
            Self::InvalidTimestamp { .. } => "invalid_timestamp",
            Self::TimestampOutOfRange { .. } => "timestamp_out_of_range",
        }
    }
}

fn kinds() -> String {
    EventKind::ALL.map(EventKind::name).join(", ")
}

/// The beginning of a text from outside, short enough to stand in a message.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS: usize = 40;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
