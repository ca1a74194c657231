//! One tree for both languages: TOML and YAML become nodes that know where they stand.

use super::origin;
use super::source::Location;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it begins.
    pub location: Location,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// YAML's null: `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number; no setting takes one, so its value is not kept.
    Float,
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order in which it was written; no key stands twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The key's text.
    pub name: String,
    /// Where it begins.
    pub location: Location,
}

impl Node {
    /// The kind with its article, for messages.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "empty",
            Kind::Bool(_) => "true or false",
            Kind::Integer(_) | Kind::Float => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map of fields",
        }
    }

    /// The value under a key, where this is a map that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The place in the file of a byte of this text, whatever quotes, indentation and folding did to it; the
    /// text's beginning where that cannot be told.
    pub(crate) fn location_of_byte(&self, byte: usize) -> Location {
        let Kind::Text(text) = &self.kind else { return self.location.clone() };
        origin::offset_of_byte(self.location.rest(), text, byte)
            .map_or_else(|| self.location.clone(), |ahead| self.location.ahead(ahead))
    }

    /// The place in the file of a line and column (both from 1) of this text.
    pub(crate) fn location_of(&self, line: usize, column: usize) -> Location {
        match &self.kind {
            Kind::Text(text) => self.location_of_byte(super::source::offset_of(text, line, column)),
            _ => self.location.clone(),
        }
    }

    /// Lays another tree over this one: maps are merged field by field, everything else is replaced.
    pub(crate) fn overlay(&mut self, above: Self) {
        match (&mut self.kind, above) {
            (Kind::Map(mine), Self { kind: Kind::Map(theirs), location }) => {
                // What is missing in a map is missing in the user's file; a variable sets no map, only a value in it.
                if !location.is_environment() {
                    self.location = location;
                }
                for (key, node) in theirs {
                    match mine.iter_mut().find(|(known, _)| known.name == key.name) {
                        Some((known, below)) => {
                            *known = key;
                            below.overlay(node);
                        }
                        None => mine.push((key, node)),
                    }
                }
            }
            (_, above) => *self = above,
        }
    }
}
