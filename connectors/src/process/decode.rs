//! JSON into an event's parts. Types are looked at later, so that a wrong one is told by its field's name.

use super::Reason;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::fmt;
use tributary_model::{Object, limits};

/// What an event may hold; everything else is left aside.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Parts<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Scalar<'a>,
    #[serde(borrow)]
    pub(super) event: Scalar<'a>,
    #[serde(borrow)]
    pub(super) name: Scalar<'a>,
    #[serde(borrow)]
    pub(super) message_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) user_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) anonymous_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) previous_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) group_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Scalar<'a>,
    #[serde(borrow)]
    pub(super) original_timestamp: Scalar<'a>,
    #[serde(borrow)]
    pub(super) sent_at: Scalar<'a>,
    #[serde(borrow)]
    pub(super) properties: Raw<'a>,
    #[serde(borrow)]
    pub(super) traits: Raw<'a>,
    #[serde(borrow)]
    pub(super) context: Raw<'a>,
}

/// The parts of one event's JSON.
pub(super) fn decode(body: &[u8]) -> Result<Parts<'_>, Reason> {
    if body.len() > limits::EVENT_BYTES {
        return Err(Reason::TooLarge { bytes: body.len() });
    }
    if is_too_deep(body) {
        return Err(Reason::TooDeep);
    }
    object(body)
}

/// What stands in a JSON object, borrowed from its bytes.
///
/// # Errors
/// If the bytes are no UTF-8, no JSON, or JSON but no object.
pub fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Reason> {
    let text = std::str::from_utf8(bytes).map_err(|error| Reason::InvalidUtf8 { at: error.valid_up_to() })?;
    let invalid = |error: serde_json::Error| Reason::InvalidJson(error.to_string());
    // Serde would read an array as the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(serde_json::from_str::<IgnoredAny>(text).map_or_else(invalid, |_| Reason::NotAnObject));
    }
    serde_json::from_str(text).map_err(invalid)
}

/// Whether objects and arrays are nested deeper than an event's may be.
fn is_too_deep(body: &[u8]) -> bool {
    // Nearly every event has fewer brackets than it may have levels; counting them is many times faster.
    brackets(body) > limits::JSON_DEPTH && depth(body) > limits::JSON_DEPTH
}

/// How many brackets open. Counted in bytes, sixteen at a time where the processor can.
fn brackets(body: &[u8]) -> usize {
    // A chunk is short enough for its count never to wrap; not checking that lets the compiler use wide registers.
    let opens = |byte: &u8| u8::from(matches!(byte, b'{' | b'['));
    let in_chunk = |chunk: &[u8]| chunk.iter().fold(0_u8, |count, byte| count.wrapping_add(opens(byte)));
    body.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(in_chunk(chunk))).sum()
}

fn depth(body: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A JSON value where a text or a whole number should stand, borrowed where it can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// Not given, or `null`.
    #[default]
    Missing,
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i128),
    /// Anything else, told in words.
    Other(&'static str),
}

impl Scalar<'_> {
    /// The text of an id without white space around it, where it is a text or a whole number with anything in it.
    ///
    /// ```
    /// # use tributary_connectors::process::Scalar;
    /// let read = |json: &str| serde_json::from_str::<Scalar<'_>>(json).ok()?.id().map(String::from);
    /// assert_eq!(read(r#"" u1 ""#), Some("u1".to_owned()));
    /// assert_eq!(read("17"), Some("17".to_owned()));
    /// assert_eq!(read("[17]"), None);
    /// ```
    pub fn id(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(Cow::Borrowed),
            Self::Integer(integer) => Some(Cow::Owned(integer.to_string())),
            Self::Missing | Self::Other(_) => None,
        }
    }

    /// [`id`](Self::id), and whether it is none because it is of another type.
    pub(super) fn checked_id(&self, field: &'static str) -> Result<Option<Cow<'_, str>>, Reason> {
        match self {
            Self::Other(found) => Err(Reason::WrongType { field, expected: "text or a whole number", found }),
            _ => Ok(self.id()),
        }
    }

    /// The text; none where nothing is given.
    pub(super) fn checked_text(&self, field: &'static str) -> Result<Option<&str>, Reason> {
        match self {
            Self::Missing => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Integer(_) => Err(Reason::WrongType { field, expected: "text", found: "a number" }),
            Self::Other(found) => Err(Reason::WrongType { field, expected: "text", found }),
        }
    }
}

/// A JSON value where an object should stand, not read yet.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Raw<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl Raw<'_> {
    /// The object; an empty one where nothing or `null` is given. PHP writes an empty object as `[]`, which counts too.
    pub(super) fn checked(&self, field: &'static str, body: &Bytes) -> Result<Object, Reason> {
        let Some(text) = self.0.map(RawValue::get) else { return Ok(Object::default()) };
        let wrong = |found| Err(Reason::WrongType { field, expected: "an object", found });
        match text.bytes().next() {
            Some(b'{') if is_plain(text.as_bytes()) => Ok(Object::unread(body.slice_ref(text.as_bytes()))),
            Some(b'{') => match serde_json::from_str::<Map<String, Json>>(text) {
                Ok(fields) => Ok(fields.into()),
                // Told with its place in the whole.
                Err(error) => Err(object::<Json>(body).err().unwrap_or(Reason::InvalidJson(error.to_string()))),
            },
            Some(b'[') if text.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"[]") => Ok(Object::default()),
            Some(b'[') => wrong(ARRAY),
            Some(b'"') => wrong(TEXT),
            Some(b't' | b'f') => wrong(BOOLEAN),
            _ => wrong(NUMBER),
        }
    }
}

/// Whether JSON whose form is right can be nothing but right: no text in it has an escape, which may name half a character,
/// and no number can be too large. Looks at bytes in chunks, many at a time where the processor can.
fn is_plain(text: &[u8]) -> bool {
    const CHUNK: usize = 128;
    let escapes = |chunk: &[u8]| chunk.iter().fold(false, |any, byte| any | (*byte == b'\\'));
    let exponents = |from: &[u8], to: &[u8]| {
        from.iter().zip(to).fold(false, |any, (a, b)| any | (a.is_ascii_digit() & matches!(b, b'e' | b'E')))
    };
    let pairs = text.chunks(CHUNK).zip(text.get(1..).unwrap_or_default().chunks(CHUNK));
    let digits = |chunk: &[u8]| chunk.iter().fold(0_u8, |count, byte| count + u8::from(byte.is_ascii_digit()));
    !text.chunks(CHUNK).any(escapes)
        && !{ pairs }.any(|(from, to)| exponents(from, to))
        && (text.len() < LONGEST_NUMBER
            || text.chunks(CHUNK).map(|chunk| usize::from(digits(chunk))).sum::<usize>() < LONGEST_NUMBER)
}

/// Digits with which a number may be larger than any that can be held.
const LONGEST_NUMBER: usize = 300;

const TEXT: &str = "text";
const NUMBER: &str = "a number";
const FRACTION: &str = "a number with a fraction";
const BOOLEAN: &str = "true or false";
const ARRAY: &str = "an array";
const OBJECT: &str = "an object";

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(integer.into()))
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(integer.into()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Other(FRACTION))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other(BOOLEAN))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Missing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other(ARRAY))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other(OBJECT))
    }
}
