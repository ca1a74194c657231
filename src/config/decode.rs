//! From nodes to values, noting every mistake on the way instead of stopping at the first.
//!
//! A [`Table`] hands out its [`Field`]s by name and, when it is finished, notes those that nobody asked for. A field
//! that is wrong is noted and becomes `None`; what is decoded with a `None` in it is thrown away at the end.

use super::mistake::{Mistakes, suggestion};
use super::node::{Kind, Node};
use super::source::Location;
use super::units::{format_duration, format_size, parse_duration, parse_size};
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A value that is being read, and its dotted path.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
    mistakes: &'a Mistakes,
}

/// A map with known fields.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) field: Field<'a>,
    known: RefCell<Vec<&'static str>>,
}

/// An entry of a map whose keys users choose.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) name_at: &'a Location,
    pub(crate) field: Field<'a>,
}

impl<'a> Field<'a> {
    /// The root of a tree.
    pub(crate) fn root(node: &'a Node, mistakes: &'a Mistakes) -> Self {
        Self { node, path: String::new(), mistakes }
    }

    /// Notes a mistake in this field.
    pub(crate) fn wrong(&self, message: impl Into<String>) {
        self.wrong_at(&self.node.location, message);
    }

    /// Notes a mistake in this field, at a place within it.
    pub(crate) fn wrong_at(&self, at: &Location, message: impl Into<String>) {
        self.mistakes.add(at, &self.path, message);
    }

    fn child(&self, name: &str, node: &'a Node) -> Self {
        let name = if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() };
        let path = if self.path.is_empty() { name } else { format!("{}.{name}", self.path) };
        Self { node, path, mistakes: self.mistakes }
    }

    /// A field of this map, where it is one and has it.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        self.node.get(name).map(|node| self.child(name, node))
    }

    fn wrong_kind(&self, wanted: &str) {
        self.wrong(format!("this is {}; {wanted}", self.node.kind_name()));
    }

    /// A text that is not empty.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text(text) if text.trim().is_empty() => {
                self.wrong("this is empty; write a text or leave the field out")
            }
            Kind::Text(text) => return Some(text),
            Kind::Null => self.wrong("this is empty; write a text (the word null itself needs quotes)"),
            Kind::Bool(_) | Kind::Integer(_) | Kind::Float => self.wrong_kind("a text is needed: put it in quotes"),
            Kind::List(_) | Kind::Map(_) => self.wrong_kind("write a text"),
        }
        None
    }

    /// `true` or `false`.
    pub(crate) fn bool(&self) -> Option<bool> {
        if let Kind::Bool(value) = self.node.kind {
            return Some(value);
        }
        self.wrong_kind("write true or false, without quotes");
        None
    }

    /// A whole number within a range.
    pub(crate) fn integer<T: TryFrom<i64> + PartialOrd + Display>(&self, range: RangeInclusive<T>) -> Option<T> {
        let limits = format!("a whole number from {} to {}", range.start(), range.end());
        match self.node.kind {
            Kind::Integer(value) => {
                let value_in_range = T::try_from(value).ok().filter(|value| range.contains(value));
                if value_in_range.is_none() {
                    self.wrong(format!("{value} is out of range; write {limits}"));
                }
                value_in_range
            }
            _ => {
                self.wrong_kind(&format!("write {limits}"));
                None
            }
        }
    }

    /// A time within a range.
    pub(crate) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.measure("time", "7 days", range, parse_duration, format_duration)
    }

    /// A number of bytes within a range.
    pub(crate) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.measure("size", "64 MiB", range, parse_size, format_size)
    }

    fn measure<T: PartialOrd + Copy>(
        &self,
        what: &str,
        example: &str,
        range: RangeInclusive<T>,
        parse: fn(&str) -> Result<T, String>,
        format: fn(T) -> String,
    ) -> Option<T> {
        let Kind::Text(text) = &self.node.kind else {
            self.wrong_kind(&format!("write a {what} with its unit, in quotes, such as \"{example}\""));
            return None;
        };
        match parse(text) {
            Ok(value) if range.contains(&value) => return Some(value),
            Ok(_) => {
                let (least, most) = (format(*range.start()), format(*range.end()));
                self.wrong(format!("{text} is out of range; write a {what} from {least} to {most}"));
            }
            Err(mend) => self.wrong(mend),
        }
        None
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.wrong(format!("`{text}` is unknown{}", suggestion(text, words.iter().map(|(word, _)| *word))));
        }
        found
    }

    /// Whether it is written as a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Vec<Self> {
        let Kind::List(items) = &self.node.kind else {
            self.wrong_kind("write a list, such as [\"one\", \"two\"]");
            return Vec::new();
        };
        let item = |(index, node)| Self { node, path: format!("{}[{index}]", self.path), mistakes: self.mistakes };
        items.iter().enumerate().map(item).collect()
    }

    /// A map whose fields are known. An empty one may be written as nothing at all.
    pub(crate) fn table(&self) -> Option<Table<'a>> {
        if !matches!(self.node.kind, Kind::Map(_) | Kind::Null) {
            self.wrong_kind("write fields, each as a name and a value");
            return None;
        }
        Some(Table { field: self.clone(), known: RefCell::default() })
    }

    /// The entries of a map whose keys users choose. An empty one may be written as nothing at all.
    pub(crate) fn entries(&self) -> Vec<Entry<'a>> {
        match &self.node.kind {
            Kind::Map(entries) => {
                let entry = |(key, node): &'a (super::node::Key, Node)| Entry {
                    name: &key.name,
                    name_at: &key.location,
                    field: self.child(&key.name, node),
                };
                entries.iter().map(entry).collect()
            }
            Kind::Null => Vec::new(),
            _ => {
                self.wrong_kind("write named entries, each as a name and a value");
                Vec::new()
            }
        }
    }
}

impl<'a> Table<'a> {
    /// A field that may be left out.
    pub(crate) fn get(&self, name: &'static str) -> Option<Field<'a>> {
        self.known.borrow_mut().push(name);
        self.field.get(name)
    }

    /// A field that must be there; `example` is what to write.
    pub(crate) fn require(&self, name: &'static str, example: &str) -> Option<Field<'a>> {
        let field = self.get(name);
        if field.is_none() {
            self.field.wrong(format!("`{name}` is missing; write for example `{example}`"));
        }
        field
    }

    /// Notes every field that was not asked for.
    pub(crate) fn finish(self) {
        let known = self.known.into_inner();
        for entry in self.field.entries().iter().filter(|entry| !known.contains(&entry.name)) {
            let mend = suggestion(entry.name, known.iter().copied());
            entry.field.wrong_at(entry.name_at, format!("there is no such field{mend}"));
        }
    }
}
