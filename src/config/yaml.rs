//! YAML into nodes.

use super::mistake::Mistakes;
use super::node::{Key, Kind, Node};
use super::source::{Location, Source};
use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};
use std::sync::Arc;

/// The one document of a YAML text. A syntax error is noted and `None` returned; so is a key that stands twice, and
/// an alias that would grow past the parser's bound of 100,000 nodes. An empty text is a null.
pub(crate) fn parse(source: &Arc<Source>, mistakes: &Mistakes) -> Option<Node> {
    let documents = match MarkedYaml::load_from_str(source.text()) {
        Ok(documents) => documents,
        Err(error) => {
            let message = match error.info() {
                "duplicated key in mapping" => "this key stands here twice; remove or rename one".to_owned(),
                other => format!("this is no valid YAML: {other}"),
            };
            mistakes.add(&location(source, *error.marker()), "", message);
            return None;
        }
    };
    if let Some(second) = documents.get(1) {
        let at = location(source, second.span.start);
        mistakes.add(&at, "", "a second document begins here; keep one document a file, without `---` between");
        return None;
    }
    match documents.first() {
        Some(document) => convert(document, source, mistakes),
        None => Some(Node { location: Location::new(source, 0), kind: Kind::Null }),
    }
}

fn location(source: &Arc<Source>, marker: Marker) -> Location {
    // The parser counts lines from 1 and columns from 0.
    Location::new(source, source.offset(marker.line(), marker.col() + 1))
}

fn convert(yaml: &MarkedYaml<'_>, source: &Arc<Source>, mistakes: &Mistakes) -> Option<Node> {
    let at = location(source, yaml.span.start);
    let kind = match &yaml.data {
        YamlData::Value(Scalar::Null) => Kind::Null,
        YamlData::Value(Scalar::Boolean(value)) => Kind::Bool(*value),
        YamlData::Value(Scalar::Integer(value)) => Kind::Integer(*value),
        YamlData::Value(Scalar::FloatingPoint(_)) => Kind::Float,
        YamlData::Value(Scalar::String(text)) => Kind::Text(text.to_string()),
        YamlData::Sequence(items) => {
            Kind::List(items.iter().filter_map(|item| convert(item, source, mistakes)).collect())
        }
        YamlData::Mapping(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let key = convert_key(key, source, mistakes);
                let value = convert(value, source, mistakes);
                map.extend(key.zip(value));
            }
            Kind::Map(map)
        }
        // What an empty document is.
        YamlData::BadValue if at.rest().trim().is_empty() => Kind::Null,
        YamlData::BadValue | YamlData::Tagged(..) | YamlData::Representation(..) | YamlData::Alias(_) => {
            mistakes.add(&at, "", "tags such as `!name` mean nothing here; write the plain value");
            return None;
        }
    };
    Some(Node { location: at, kind })
}

fn convert_key(yaml: &MarkedYaml<'_>, source: &Arc<Source>, mistakes: &Mistakes) -> Option<Key> {
    let location = location(source, yaml.span.start);
    if let YamlData::Value(Scalar::String(name)) = &yaml.data {
        return Some(Key { name: name.to_string(), location });
    }
    mistakes.add(&location, "", "a key is a text; put it in quotes");
    None
}
