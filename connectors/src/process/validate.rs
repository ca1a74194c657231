//! What an event must have: a type, a name where it is a track call, a message id.

use super::Reason;
use super::decode::Parts;
use super::reject::excerpt;
use std::fmt::Display;
use tributary_model::{EventKind, MessageId, limits};

/// Which of the six calls it is.
pub(super) fn kind(parts: &Parts<'_>) -> Result<EventKind, Reason> {
    match parts.kind.checked_text("type")? {
        None | Some("") => Err(Reason::MissingType),
        Some(name) => EventKind::from_name(name).ok_or_else(|| Reason::UnknownType { found: excerpt(name) }),
    }
}

/// `event` of a track call.
pub(super) fn event(kind: EventKind, parts: &Parts<'_>) -> Result<Option<String>, Reason> {
    if kind != EventKind::Track {
        return Ok(None);
    }
    let event = parts.event.checked_text("event")?.filter(|event| !event.trim().is_empty());
    let event = event.ok_or(Reason::MissingEvent)?;
    match longer_than(event, limits::EVENT_NAME_CHARS) {
        Some(chars) => Err(Reason::EventNameTooLong { chars }),
        None => Ok(Some(event.to_owned())),
    }
}

/// `name` of a page or screen call.
pub(super) fn name(kind: EventKind, parts: &Parts<'_>) -> Result<Option<String>, Reason> {
    if !matches!(kind, EventKind::Page | EventKind::Screen) {
        return Ok(None);
    }
    let name = parts.name.checked_text("name")?.filter(|name| !name.is_empty());
    Ok(name.map(str::to_owned))
}

/// `groupId` of a group call, which must name its group.
pub(super) fn group(kind: EventKind, parts: &Parts<'_>) -> Result<Option<String>, Reason> {
    if kind != EventKind::Group {
        return Ok(None);
    }
    let group = parts.group_id.checked_id("groupId")?.ok_or(Reason::MissingGroup)?;
    match longer_than(&group, limits::IDENTIFIER_CHARS) {
        Some(chars) => Err(Reason::IdentifierTooLong { namespace: "groupId".to_owned(), chars }),
        None => Ok(Some(group.into_owned())),
    }
}

/// The client's message id, or one that the place in the log makes.
pub(super) fn message_id(parts: &Parts<'_>, position_seed: impl Display) -> Result<MessageId, Reason> {
    let Some(id) = parts.message_id.checked_id("messageId")? else {
        // Longer than a client's may be, so no client can take the place of an event that has none.
        return Ok(MessageId::of(&format!(
            "{:>width$}/{position_seed}",
            "position",
            width = limits::MESSAGE_ID_CHARS + 1
        )));
    };
    match longer_than(&id, limits::MESSAGE_ID_CHARS) {
        Some(chars) => Err(Reason::MessageIdTooLong { chars }),
        None => Ok(MessageId::of(&id)),
    }
}

/// How many characters a text has, if they are more than so many.
pub(super) fn longer_than(text: &str, chars: usize) -> Option<usize> {
    // No text has more characters than bytes.
    (text.len() > chars).then(|| text.chars().count()).filter(|count| *count > chars)
}
