//! A value while it is computed with: borrowed where it can be, so that a comparison allocates nothing.

use super::literal;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::sync::Arc;
use tributary_model::{Millis, Value};

/// What a [`Value`] holds, owned or not.
#[derive(Clone, Debug)]
pub(crate) enum Datum<'a> {
    Null,
    Bool(bool),
    Number(Decimal),
    Timestamp(Millis),
    Text(Text<'a>),
    List(Arc<[Value]>),
}

/// Text that stands somewhere else, or is shared.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'a> Datum<'a> {
    pub(crate) fn borrowed(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Number(*number),
            Value::Timestamp(at) => Self::Timestamp(*at),
            Value::Text(text) => Self::Text(Text::Borrowed(text)),
            Value::List(list) => Self::List(list.clone()),
        }
    }

    pub(crate) fn owned(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(bool),
            Value::Number(number) => Self::Number(number),
            Value::Timestamp(at) => Self::Timestamp(at),
            Value::Text(text) => Self::Text(Text::Shared(text)),
            Value::List(list) => Self::List(list),
        }
    }

    /// The scalar, or the list of scalars, that a JSON value is; NULL for what is none.
    pub(crate) fn json(json: &'a Json) -> Self {
        match json {
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            other => Self::owned(Value::from_json(other)),
        }
    }

    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }

    pub(crate) fn number(number: Option<Decimal>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }

    pub(crate) fn truth(truth: Option<bool>) -> Self {
        truth.map_or(Self::Null, Self::Bool)
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(bool),
            Self::Number(number) => Value::Number(number.normalize()),
            Self::Timestamp(at) => Value::Timestamp(at),
            Self::Text(Text::Borrowed(text)) => Value::text(text),
            Self::Text(Text::Shared(text)) => Value::Text(text),
            Self::List(list) => Value::List(list),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// True, false, or not known: NULL, and everything that is no truth.
    pub(crate) fn as_truth(&self) -> Option<bool> {
        if let Self::Bool(bool) = self { Some(*bool) } else { None }
    }

    pub(crate) fn as_number(&self) -> Option<Decimal> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// An instant, also one that JSON could only write as text.
    pub(crate) fn as_timestamp(&self) -> Option<Millis> {
        match self {
            Self::Timestamp(at) => Some(*at),
            Self::Text(text) => literal::timestamp(text),
            _ => None,
        }
    }

    /// A length of time, which is a number of milliseconds.
    pub(crate) fn as_interval(&self) -> Option<i64> {
        self.as_number()?.to_i64()
    }

    /// The order of two values of one type; `None` with NULL and between types, which nothing orders.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Number(left), Self::Number(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(str::cmp(left, right)),
            (Self::List(left), Self::List(right)) => Some(left.cmp(right)),
            (Self::Timestamp(left), _) => Some(left.cmp(&other.as_timestamp()?)),
            (_, Self::Timestamp(right)) => Some(self.as_timestamp()?.cmp(right)),
            _ => None,
        }
    }
}
