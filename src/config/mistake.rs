//! What is wrong with a configuration, and the list in which all of it is collected.

use super::source::Location;
use std::cell::RefCell;
use std::fmt;

/// One mistake: where it stands, what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct Mistake {
    /// The file's path, or `environment variable NAME`.
    pub file: String,
    /// From 1; 0 where no line can be named.
    pub line: usize,
    /// In characters, from 1; 0 where no line can be named.
    pub column: usize,
    /// The field as a dotted path, such as `segments.vip.where`; empty for a file that cannot be read at all.
    pub field: String,
    /// What is wrong and what to write.
    pub message: String,
}

impl Mistake {
    /// A mistake about a file or folder as a whole.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, field: String::new(), message: message.into() }
    }
}

/// `config/definitions/shop.yaml:12:7: segments.vip.where: …`
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Collects mistakes, so that one pass tells all of them.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    /// Notes a mistake in a field.
    pub(crate) fn add(&self, at: &Location, field: &str, message: impl Into<String>) {
        let (line, column) = at.line_and_column();
        self.push(Mistake {
            file: at.file().to_owned(),
            line,
            column,
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// Notes a mistake that is already whole.
    pub(crate) fn push(&self, mistake: Mistake) {
        self.0.borrow_mut().push(mistake);
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// All of them, by file, line and column.
    pub(crate) fn into_sorted(self) -> Vec<Mistake> {
        let mut mistakes = self.0.into_inner();
        mistakes.sort();
        mistakes.dedup();
        mistakes
    }
}

/// The known name that a mistyped one most likely meant.
///
/// ```
/// # use tributary::config::did_you_mean;
/// assert_eq!(did_you_mean("wher", ["name", "where"]), Some("where"));
/// assert_eq!(did_you_mean("colour", ["name", "where"]), None);
/// ```
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong; past that a guess misleads.
    let allowed = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// `; did you mean x?` where there is a likely one, else `; known are a, b, c`, else nothing.
pub(crate) fn suggestion<'a>(typed: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = did_you_mean(typed, known.clone()) {
        return format!("; did you mean `{name}`?");
    }
    let names: Vec<&str> = known.into_iter().collect();
    if names.is_empty() { String::new() } else { format!("; known are {}", names.join(", ")) }
}
