//! `LIKE` patterns: `%` is any text, `_` any one character, `\` makes the next character itself.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Exactly(char),
}

/// A pattern, read once and matched often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    ignores_case: bool,
}

impl Pattern {
    /// Reads a pattern; `None` where it ends in the escape character, which then escapes nothing.
    pub(crate) fn new(text: &str, escape: Option<char>, ignores_case: bool) -> Option<Self> {
        let lowered = ignores_case.then(|| text.to_lowercase());
        let mut characters = lowered.as_deref().unwrap_or(text).chars();
        let mut pieces = Vec::new();
        while let Some(character) = characters.next() {
            pieces.push(match character {
                escaping if Some(escaping) == escape => Piece::Exactly(characters.next()?),
                '%' => Piece::Any,
                '_' => Piece::One,
                other => Piece::Exactly(other),
            });
        }
        // `%%` is `%`, and costs less.
        pieces.dedup_by(|next, last| *next == Piece::Any && *last == Piece::Any);
        Some(Self { pieces, ignores_case })
    }

    /// Whether the whole text is as the pattern says.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.ignores_case { self.matches_exactly(&text.to_lowercase()) } else { self.matches_exactly(text) }
    }

    /// Goes back to the last `%` only, never to an earlier one: what that could gain, the last one gains too.
    fn matches_exactly(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut next = 0;
        let mut last_any: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            match self.pieces.get(next) {
                Some(Piece::Any) => {
                    next += 1;
                    last_any = Some((next, rest.clone()));
                    continue;
                }
                Some(piece) => {
                    let mut ahead = rest.clone();
                    let Some(character) = ahead.next() else { return false };
                    if *piece == Piece::One || *piece == Piece::Exactly(character) {
                        rest = ahead;
                        next += 1;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            let Some((after, from)) = &mut last_any else { return false };
            if from.next().is_none() {
                return false;
            }
            next = *after;
            rest = from.clone();
        }
    }

    /// The operator that this pattern stands behind.
    pub(crate) fn operator(&self) -> &'static str {
        if self.ignores_case { "ILIKE" } else { "LIKE" }
    }
}

/// The pattern as a text literal, with `\` as its escape character.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for piece in &self.pieces {
            match piece {
                Piece::Any => f.write_str("%")?,
                Piece::One => f.write_str("_")?,
                Piece::Exactly('\'') => f.write_str("''")?,
                Piece::Exactly(special @ ('%' | '_' | '\\')) => write!(f, "\\{special}")?,
                Piece::Exactly(character) => write!(f, "{character}")?,
            }
        }
        f.write_str("'")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern = Pattern::new(pattern, Some('\\'), false).unwrap();
        yes.iter().for_each(|text| assert!(pattern.matches(text), "{text} is like {pattern}"));
        no.iter().for_each(|text| assert!(!pattern.matches(text), "{text} is not like {pattern}"));
    }

    #[test]
    fn percent_is_any_text_and_underscore_one_character() {
        check("", &[""], &["a"]);
        check("%", &["", "a", "abc"], &[]);
        check("a%", &["a", "abc"], &["", "ba"]);
        check("%c", &["c", "abc", "cc"], &["cd"]);
        check("%b%b%", &["bb", "abcbd"], &["b", "abc"]);
        check("a_c", &["abc", "aéc"], &["ac", "abbc"]);
        check("%ab", &["aab", "abab"], &["aba"]);
        check("_%_", &["ab", "abc"], &["a", ""]);
    }

    #[test]
    fn a_backslash_takes_the_next_character_as_it_is() {
        check(r"100\%", &["100%"], &["1000"]);
        check(r"a\_b", &["a_b"], &["axb"]);
        assert_eq!(Pattern::new(r"a\", Some('\\'), false), None);
        assert!(Pattern::new("100!%", Some('!'), false).unwrap().matches("100%"));
    }

    #[test]
    fn ilike_ignores_case_of_every_alphabet() {
        assert!(!Pattern::new("STRASSE%", Some('\\'), true).unwrap().matches("Straßenbahn"));
        assert!(Pattern::new("%ÄPFEL%", Some('\\'), true).unwrap().matches("grüne äpfel"));
    }

    #[test]
    fn a_long_text_is_matched_in_no_time() {
        let pattern = Pattern::new(&"%a".repeat(1_000), Some('\\'), false).unwrap();
        assert!(!pattern.matches(&"b".repeat(30_000)));
        assert!(!pattern.matches(&"ab".repeat(1_000)));
        assert!(pattern.matches(&"ba".repeat(1_000)));
    }
}
