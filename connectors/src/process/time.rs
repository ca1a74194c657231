//! When an event happened, by a client's clock that may be wrong.

use super::decode::Parts;
use super::reject::excerpt;
use super::{Reason, Scalar};
use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;
use tributary_model::{Millis, limits};

/// Whole numbers below are seconds since 1970, up to the year 5138; others milliseconds, from 1973 on.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// When the event happened. A client that says when it sent the event tells how long ago it was: that much before it
/// was received.
pub(super) fn timestamp(parts: &Parts<'_>, received_at: Millis, sent_at: Option<Millis>) -> Result<Millis, Reason> {
    let original = instant("originalTimestamp", &parts.original_timestamp)?;
    let timestamp = instant("timestamp", &parts.timestamp)?;
    let sent_at = sent_at.map_or_else(|| instant("sentAt", &parts.sent_at), |sent_at| Ok(Some(sent_at)))?;
    let happened = match (original.or(timestamp), sent_at) {
        (Some(original), Some(sent_at)) => received_at.saturating_sub(sent_at.saturating_sub(original)),
        (Some(original), None) => timestamp.unwrap_or(original),
        (None, _) => return Ok(received_at),
    };
    let latest = received_at.saturating_add(limits::FUTURE_MS);
    if happened < limits::EARLIEST_MS || happened > latest {
        return Err(Reason::TimestampOutOfRange { timestamp: happened });
    }
    Ok(happened)
}

/// The instant that a field names: RFC 3339 and its ISO 8601 kin (in UTC where no offset stands), or a whole number of
/// seconds or milliseconds since 1970.
///
/// # Errors
/// If it is of another type, or no time.
pub fn instant(field: &'static str, value: &Scalar<'_>) -> Result<Option<Millis>, Reason> {
    match value {
        Scalar::Missing => Ok(None),
        Scalar::Text(text) => match parse(text.trim()) {
            Some(millis) => Ok(Some(millis)),
            None => Err(Reason::InvalidTimestamp { field, text: excerpt(text) }),
        },
        Scalar::Integer(integer) => {
            let integer = Millis::try_from(*integer)
                .map_err(|_| Reason::InvalidTimestamp { field, text: integer.to_string() })?;
            let is_seconds = integer.unsigned_abs() < SECONDS_BELOW;
            Ok(Some(if is_seconds { integer.saturating_mul(1000) } else { integer }))
        }
        Scalar::Other(found) => Err(Reason::WrongType { field, expected: "a time as text", found }),
    }
}

/// By its parts rather than as an instant, so that year 9999 is a time too, whose event is then told to be too late.
fn parse(text: &str) -> Option<Millis> {
    let pieces = Pieces::parse(text).ok()?;
    let offset_ms = match pieces.to_numeric_offset() {
        Some(offset) => i128::from(offset.seconds()) * 1000,
        None if pieces.time_zone_annotation().is_some() => return None,
        None => 0,
    };
    let local = DateTime::from_parts(pieces.date(), pieces.time().unwrap_or(Time::midnight()));
    let since = local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    Millis::try_from(since.as_millis() - offset_ms).ok()
}
