//! Where something stands: a text with a name, and a place in it.

use std::fmt;
use std::sync::Arc;

/// A text that settings were read from.
#[derive(Debug)]
pub(crate) struct Source {
    /// What to call it in a message: a file's path, or `environment variable NAME`.
    name: String,
    /// What stands in it; empty for the environment.
    text: String,
    /// Whether a line and a column mean anything.
    has_lines: bool,
}

impl Source {
    /// A file's text.
    pub(crate) fn file(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), has_lines: true })
    }

    /// An environment variable. Its value is not kept: it may be a secret.
    pub(crate) fn environment(variable: &str) -> Arc<Self> {
        Arc::new(Self { name: format!("environment variable {variable}"), text: String::new(), has_lines: false })
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The byte at which a line (from 1) and a column (from 1, in characters) begin; the nearest one before it
    /// where the text is shorter.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        offset_of(&self.text, line, column)
    }
}

/// See [`Source::offset`], for any text.
pub(crate) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let ahead = content.trim_end_matches(['\r', '\n']);
            return start + ahead.char_indices().nth(column.saturating_sub(1)).map_or(ahead.len(), |(at, _)| at);
        }
        start += content.len();
    }
    text.len()
}

/// A place in a source.
#[derive(Clone)]
pub(crate) struct Location {
    source: Arc<Source>,
    offset: usize,
}

impl Location {
    /// The byte `offset` of `source`.
    pub(crate) fn new(source: &Arc<Source>, offset: usize) -> Self {
        Self { source: Arc::clone(source), offset }
    }

    /// The name of the file or the variable.
    pub(crate) fn file(&self) -> &str {
        &self.source.name
    }

    /// Whether the environment said so, not a file.
    pub(crate) fn is_environment(&self) -> bool {
        !self.source.has_lines
    }

    /// The text from here on.
    pub(crate) fn rest(&self) -> &str {
        self.source.text.get(self.offset..).unwrap_or_default()
    }

    /// The place so many bytes further on.
    pub(crate) fn ahead(&self, bytes: usize) -> Self {
        Self { source: Arc::clone(&self.source), offset: self.offset + bytes }
    }

    /// Line and column, both from 1, the column in characters; 0 and 0 for the environment.
    pub(crate) fn line_and_column(&self) -> (usize, usize) {
        if self.is_environment() {
            return (0, 0);
        }
        let before = self.source.text.get(..self.offset).unwrap_or(&self.source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}

/// `file:line:column`, or the variable's name.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_and_column() {
            (0, _) => f.write_str(self.file()),
            (line, column) => write!(f, "{}:{line}:{column}", self.file()),
        }
    }
}

/// As displayed: the whole text would drown what is looked for.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let source = Source::file("a.yaml", "grün: x\nb: y\n");
        let offset = source.offset(1, 7);
        assert_eq!(Location::new(&source, offset).rest(), "x\nb: y\n");
        assert_eq!(Location::new(&source, offset).to_string(), "a.yaml:1:7");
        assert_eq!(Location::new(&source, source.offset(2, 4)).to_string(), "a.yaml:2:4");
    }

    #[test]
    fn a_place_past_the_end_is_the_end() {
        let source = Source::file("a.yaml", "a: 1\n");
        assert_eq!(source.offset(1, 99), 4);
        assert_eq!(source.offset(9, 1), 5);
    }

    #[test]
    fn the_environment_has_no_lines() {
        assert_eq!(Location::new(&Source::environment("X"), 0).to_string(), "environment variable X");
    }
}
