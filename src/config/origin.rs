//! From a place in a YAML text's *value* back to the place in the file.
//!
//! Quotes, indentation and folding only ever change white space (escapes aside), so the two are walked side by
//! side over everything that is no white space.

/// How a YAML scalar is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Bare, or a `|` or `>` block behind its first line.
    Verbatim,
    /// In `'…'`, where `''` is one quote.
    Single,
    /// In `"…"`, where a backslash escapes.
    Double,
}

/// Given the file's text from the scalar's first character on and the scalar's value, how many bytes further on the
/// `byte` of the value stands. White space counts as the next thing behind it. `None` where an escape such as
/// `\u00e9` hides it.
pub(crate) fn offset_of_byte(written: &str, value: &str, byte: usize) -> Option<usize> {
    let (style, start) = match written.chars().next()? {
        '\'' => (Style::Single, 1),
        '"' => (Style::Double, 1),
        '|' | '>' => (Style::Verbatim, written.find('\n')? + 1),
        _ => (Style::Verbatim, 0),
    };
    let mut rest = written.get(start..)?.char_indices().map(|(at, c)| (start + at, c));
    let mut end = start;
    for (at, wanted) in value.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        let (offset, found) = next_visible(&mut rest, style)?;
        if found != wanted {
            return None;
        }
        if at >= byte {
            return Some(offset);
        }
        end = offset + found.len_utf8();
    }
    Some(end)
}

/// The next character that is no white space, with escapes resolved.
fn next_visible(rest: &mut impl Iterator<Item = (usize, char)>, style: Style) -> Option<(usize, char)> {
    loop {
        let (offset, found) = rest.next()?;
        match (style, found) {
            (_, c) if c.is_whitespace() => {}
            (Style::Single, '\'') => return rest.next().filter(|(_, c)| *c == '\''),
            (Style::Double, '\\') => match rest.next()?.1 {
                'n' | 't' | 'r' | ' ' | '\n' | '\r' => {}
                escaped @ ('"' | '\\' | '/') => return Some((offset, escaped)),
                _ => return None,
            },
            _ => return Some((offset, found)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(written: &str, value: &str, marked: &str, expected: Option<&str>) {
        let byte = value.find(marked).unwrap();
        let found = offset_of_byte(written, value, byte).map(|offset| written.get(offset..).unwrap());
        assert_eq!(found, expected);
    }

    #[test]
    fn a_bare_text_is_itself() {
        check("a > 5\nb: x", "a > 5", "5", Some("5\nb: x"));
    }

    #[test]
    fn quotes_and_their_escapes_are_seen_through() {
        check("'x = ''a'' AND y'", "x = 'a' AND y", "y", Some("y'"));
        check(r#""say \"hi\" to\n z""#, "say \"hi\" to\n z", "z", Some("z\""));
    }

    #[test]
    fn blocks_and_folds_lose_their_indentation() {
        check("|\n  a > 5\n  AND b\n", "a > 5\nAND b\n", "b", Some("b\n"));
        check(">-\n  a > 5\n  AND b\n", "a > 5 AND b", "AND", Some("AND b\n"));
        check("a > 5\n  AND b\nc: x", "a > 5 AND b", "b", Some("b\nc: x"));
    }

    #[test]
    fn what_an_escape_hides_is_not_guessed() {
        check(r#""\u00e9 = y""#, "é = y", "y", None);
    }

    #[test]
    fn the_end_of_the_value_is_behind_its_last_character() {
        assert_eq!(offset_of_byte("a >\nb: x", "a >", 3), Some(3));
    }
}
