//! TOML into nodes.

use super::mistake::Mistakes;
use super::node::{Key, Kind, Node};
use super::source::{Location, Source};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The tree of a TOML text. Every syntax error is noted; `None` where there is one.
pub(crate) fn parse(source: &Arc<Source>, mistakes: &Mistakes) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        let message = format!("this is no valid TOML: {}", error.message().replace('\n', "; "));
        mistakes.add(&Location::new(source, offset), "", message);
    }
    errors.is_empty().then(|| map(table.get_ref(), Location::new(source, 0), source))
}

fn map(table: &DeTable<'_>, location: Location, source: &Arc<Source>) -> Node {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key = Key { name: AsRef::<str>::as_ref(key.get_ref()).to_owned(), location: at(key, source) };
        let value = convert(value, source);
        (key, value)
    };
    Node { location, kind: Kind::Map(table.iter().map(entry).collect()) }
}

fn at<T>(spanned: &Spanned<T>, source: &Arc<Source>) -> Location {
    Location::new(source, spanned.span().start)
}

fn convert(value: &Spanned<DeValue<'_>>, source: &Arc<Source>) -> Node {
    let location = at(value, source);
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        // One too great for 64 bits is out of every setting's range.
        DeValue::Integer(digits) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Kind::Float, Kind::Integer)
        }
        DeValue::Float(_) => Kind::Float,
        DeValue::Boolean(value) => Kind::Bool(*value),
        DeValue::Datetime(instant) => Kind::Text(instant.to_string()),
        DeValue::Array(items) => Kind::List(items.iter().map(|item| convert(item, source)).collect()),
        DeValue::Table(table) => return map(table, location, source),
    };
    Node { location, kind }
}
