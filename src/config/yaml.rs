//! YAML into nodes.

use super::mistake::Mistakes;
use super::node::{Key, Kind, Node};
use super::source::{Location, Source};
use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};
use saphyr_parser::{Event, Parser};
use std::sync::Arc;

/// Levels of lists and maps: definitions have about five.
const DEEPEST: i32 = 100;

/// The one document of a YAML text. A syntax error is noted and `None` returned; so is a key that stands twice, and
/// an alias that would grow past the parser's bound of 100,000 nodes. An empty text is a null.
pub(crate) fn parse(source: &Arc<Source>, mistakes: &Mistakes) -> Option<Node> {
    if let Some(marker) = too_deep(source.text()) {
        let message = format!("this is nested more than {DEEPEST} levels deep");
        mistakes.add(&location(source, marker), "", message);
        return None;
    }
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

/// Where a text goes deeper than it may. Reading takes some stack for each level.
fn too_deep(text: &str) -> Option<Marker> {
    let mut depth = 0;
    for event in Parser::new_from_str(text) {
        // What is no YAML is told by whoever reads it.
        let Ok((event, span)) = event else { break };
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth -= 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Some(span.start);
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deeper_than_the_stack_is_refused() {
        for deep in ["- ".repeat(100_000), "[".repeat(100_000), "a: ".repeat(100_000), "{a: ".repeat(100_000)] {
            let mistakes = Mistakes::default();
            let source = Source::file("t.yaml", deep);
            assert!(parse(&source, &mistakes).is_none());
        }
        assert!(too_deep(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).is_none());
    }
}
