//! What is wrong with an expression, and where.

/// A place in an expression's text; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

/// One mistake: where it is, what it is, what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) at: Position,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// The most names that an error lists.
const LISTED: usize = 16;

/// The known name that a mistyped one most likely meant.
fn did_you_mean<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    // A third of the letters may be wrong; past that a guess misleads.
    let allowed = (typed.chars().count() / 3).max(1);
    let distance = |name: &str| strsim::damerau_levenshtein(&typed.to_lowercase(), &name.to_lowercase());
    known.iter().map(|name| (distance(name), *name)).filter(|(far, _)| *far <= allowed).min().map(|(_, name)| name)
}

/// `; did you mean x?` where there is a likely one, else `; known are a, b, c`, else nothing.
pub(crate) fn suggestion<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = did_you_mean(typed, &known) {
        return format!("; did you mean `{name}`?");
    }
    let listed: Vec<&str> = known.iter().take(LISTED).copied().collect();
    match known.len() {
        0 => String::new(),
        count if count > LISTED => format!("; known are {} and {} more", listed.join(", "), count - LISTED),
        _ => format!("; known are {}", listed.join(", ")),
    }
}
