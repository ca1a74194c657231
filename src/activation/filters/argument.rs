//! What all filters are told, and what they say of what they cannot read.

use crate::activation::templates::{is_trial, locale};
use icu_locale::Locale;
use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, State, Value};

/// Why a filter fails whatever it is applied to: what it is told is none of what it takes. Where that is written out,
/// the template is mistaken.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("this is none of what the filter takes")]
pub struct Mistaken;

/// An argument that is none.
pub(super) fn mistaken(filter: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("`{filter}`: {why}")).with_source(Mistaken)
}

/// A value that is not what the filter takes.
pub(super) fn unreadable(filter: &str, takes: &str, value: &Value) -> Error {
    let is = match value.as_str() {
        Some(text) => format!("the text `{}`", excerpt(text)),
        None => format!("of the kind {}", value.kind()),
    };
    Error::new(ErrorKind::InvalidOperation, format!("`{filter}` takes {takes}; this is {is}"))
}

/// The beginning of a text.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS: usize = 40;
    let cut = if text.chars().nth(CHARS).is_some() { "…" } else { "" };
    text.chars().take(CHARS).collect::<String>() + cut
}

/// What has no value yet, because this is only a trial.
pub(super) fn is_untold(state: &State<'_, '_>, value: &Value) -> bool {
    value.is_undefined() && is_trial(state)
}

/// The locale to write in: the one that the filter is told, or else that of the message.
pub(super) fn locale(filter: &str, state: &State<'_, '_>, arguments: &Kwargs) -> Result<Locale, Error> {
    let told: Option<Value> = arguments.get("locale")?;
    let Some(told) = told else {
        let around = state.lookup("locale").and_then(|locale| locale::parse(locale.as_str()?));
        return Ok(around.unwrap_or(icu_locale::locale!("en")));
    };
    let why = || mistaken(filter, &format!("`{}` is no locale; write one such as de-AT", excerpt(&told.to_string())));
    told.as_str().and_then(locale::parse).ok_or_else(why)
}

/// A whole number within a range.
pub(super) fn whole(filter: &str, name: &str, most: u8, arguments: &Kwargs) -> Result<Option<u8>, Error> {
    let told: Option<Value> = arguments.get(name)?;
    let Some(told) = told else { return Ok(None) };
    let whole = told.as_i64().and_then(|number| u8::try_from(number).ok()).filter(|number| *number <= most);
    let why = || mistaken(filter, &format!("`{name}` is a whole number from 0 to {most}"));
    whole.map(Some).ok_or_else(why)
}
