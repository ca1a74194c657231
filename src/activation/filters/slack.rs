//! `slack`: a text within a message to Slack, which takes three characters for its own.

use super::argument::unreadable;
use minijinja::value::ValueKind;
use minijinja::{Error, Value};

/// `&`, `<` and `>` as themselves. What is not there is empty.
pub(super) fn slack(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(String::new()),
        ValueKind::String | ValueKind::Number | ValueKind::Bool => {
            Ok(value.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
        }
        _ => Err(unreadable("slack", "a text", value)),
    }
}
