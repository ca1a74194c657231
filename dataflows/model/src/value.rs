//! A SQL value: what expressions compute with.

use crate::Millis;
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;

/// A scalar, or a list of them. Numbers are decimals, so that sums of money are exact and replays identical.
///
/// The derived order (null, then by type, then by value) is for storage and for `min`/`max` within one type;
/// SQL comparison, which knows NULL and refuses mixed types, is the expressions' business.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// SQL's NULL: not known.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An exact decimal number of up to 28 digits.
    Number(#[serde(with = "sixteen_bytes")] Decimal),
    /// An instant, in milliseconds since 1970.
    Timestamp(Millis),
    /// Text; shared, since the same value stands in many places.
    Text(Arc<str>),
    /// The scalars of a JSON array, for `= ANY (…)`; NULL stands for what is none.
    List(Arc<[Value]>),
}

impl Value {
    /// Text from anything that is text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Arc::from(text.as_ref()))
    }

    /// Whether this is NULL.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What a JSON value is: a scalar, or a list of scalars; NULL for `null`, objects, and numbers past 28 digits.
    pub fn from_json(json: &Json) -> Self {
        match json {
            Json::Bool(bool) => Self::Bool(*bool),
            Json::Number(number) => {
                let decimal = match (number.as_i64(), number.as_u64()) {
                    (Some(integer), _) => Some(Decimal::from(integer)),
                    (None, Some(integer)) => Some(Decimal::from(integer)),
                    (None, None) => number.as_f64().and_then(Decimal::from_f64),
                };
                decimal.map_or(Self::Null, |decimal| Self::Number(decimal.normalize()))
            }
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::List(items.iter().map(Self::scalar).collect()),
            Json::Null | Json::Object(_) => Self::Null,
        }
    }

    fn scalar(json: &Json) -> Self {
        match json {
            Json::Array(_) => Self::Null,
            other => Self::from_json(other),
        }
    }

    /// The value as JSON: numbers as numbers, instants as RFC 3339 text in UTC.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(bool) => Json::Bool(*bool),
            Self::Number(number) => number_to_json(*number),
            Self::Timestamp(millis) => Json::String(format_millis(*millis)),
            Self::Text(text) => Json::String(text.to_string()),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
        }
    }
}

fn number_to_json(number: Decimal) -> Json {
    use rust_decimal::prelude::ToPrimitive;
    let number = number.normalize();
    let integer = (number.scale() == 0).then(|| number.to_i64()).flatten();
    integer.map(Json::from).or_else(|| number.to_f64().map(Json::from)).unwrap_or(Json::Null)
}

/// RFC 3339 in UTC with milliseconds, as `2026-03-01T12:00:00.000Z`.
pub fn format_millis(millis: Millis) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |at| format!("{at:.3}"))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Number(number) => write!(f, "{}", number.normalize()),
            Self::Timestamp(millis) => f.write_str(&format_millis(*millis)),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A decimal as its sixteen bytes: exact, and readable by formats that do not describe themselves.
mod sixteen_bytes {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &Decimal, to: S) -> Result<S::Ok, S::Error> {
        Decimal::serialize(number).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
        <[u8; 16]>::deserialize(from).map(Decimal::deserialize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_numbers_are_exact() {
        let price = Value::from_json(&serde_json::json!(19.99));
        assert_eq!(price.to_string(), "19.99");
        assert_eq!(price.to_json(), serde_json::json!(19.99));
        assert_eq!(Value::from_json(&serde_json::json!(5.0)), Value::from_json(&serde_json::json!(5)));
    }

    #[test]
    fn instants_are_written_in_utc() {
        assert_eq!(format_millis(0), "1970-01-01T00:00:00.000Z");
    }
}
