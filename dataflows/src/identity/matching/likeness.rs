//! Two values of one field: equal, close, alike, or different.

use tributary_model::Likeness;

/// How two values compare, the more alike first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Equal, written the same way.
    Same,
    /// One slip apart.
    Close,
    /// A few slips apart.
    Alike,
    /// Anything else.
    Different,
}

impl Level {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Same, Self::Close, Self::Alike, Self::Different];

    /// As it is called in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Close => "close",
            Self::Alike => "alike",
            Self::Different => "different",
        }
    }
}

/// Characters that are compared: what two values cost together grows with the square.
const LONGEST: usize = 100;
/// From this Jaro–Winkler similarity on texts are close, and alike: what Winkler found good for names of people.
const CLOSE: f64 = 0.92;
const ALIKE: f64 = 0.8;

/// A value in the one way of writing that is compared; `None` where nothing is left of it.
pub fn normal(likeness: Likeness, text: &str) -> Option<String> {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase);
    let normal = match likeness {
        Likeness::Code => words().collect::<String>(),
        Likeness::Text => words().collect::<Vec<_>>().join(" "),
        Likeness::Name => {
            let mut words: Vec<_> = words().collect();
            words.sort_unstable();
            words.join(" ")
        }
        Likeness::Date => date(text)?,
    };
    let normal: String = normal.chars().take(LONGEST).collect();
    (!normal.is_empty()).then_some(normal)
}

/// Eight digits: year, month, day.
fn date(text: &str) -> Option<String> {
    let numbers: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).collect();
    let (year, month, day) = match numbers.as_slice() {
        [one] if one.len() == 8 => (one.get(..4)?, one.get(4..6)?, one.get(6..)?),
        [year, month, day, ..] if year.len() == 4 => (*year, *month, *day),
        [day, month, year, ..] if year.len() == 4 => (*year, *month, *day),
        _ => return None,
    };
    let (month, day) = (month.parse::<u8>().ok()?, day.parse::<u8>().ok()?);
    Some(format!("{year}{month:02}{day:02}"))
}

/// Compares two values that are [`normal`].
pub fn compare(likeness: Likeness, one: &str, other: &str) -> Level {
    if one == other {
        return Level::Same;
    }
    let slips = || strsim::osa_distance(one, other);
    match likeness {
        Likeness::Code | Likeness::Date => match slips() {
            0 | 1 => Level::Close,
            _ if likeness == Likeness::Date && exchanged(one) == other => Level::Close,
            2 => Level::Alike,
            _ => Level::Different,
        },
        Likeness::Text | Likeness::Name => match strsim::jaro_winkler(one, other) {
            similarity if similarity >= CLOSE => Level::Close,
            similarity if similarity >= ALIKE => Level::Alike,
            _ => Level::Different,
        },
    }
}

/// A date with day and month exchanged.
fn exchanged(date: &str) -> String {
    match (date.get(..4), date.get(4..6), date.get(6..)) {
        (Some(year), Some(month), Some(day)) => format!("{year}{day}{month}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(likeness: Likeness, one: &str, other: &str, expected: Level) {
        let (a, b) = (normal(likeness, one).unwrap(), normal(likeness, other).unwrap());
        assert_eq!(compare(likeness, &a, &b), expected, "{one} – {other}");
        assert_eq!(compare(likeness, &b, &a), expected, "{other} – {one}");
    }

    #[test]
    fn names_are_words_in_any_order() {
        check(Likeness::Name, "Ada Lovelace", "LOVELACE, Ada", Level::Same);
        check(Likeness::Name, "Ada Lovelace", "Ada Lovelase", Level::Close);
        check(Likeness::Text, "12 High Street", "high street 12", Level::Different);
    }

    #[test]
    fn codes_are_letters_and_digits() {
        check(Likeness::Code, "SW1A 1AA", "sw1a1aa", Level::Same);
        check(Likeness::Code, "10115", "10151", Level::Close);
        check(Likeness::Code, "10115", "20117", Level::Alike);
        check(Likeness::Code, "10115", "80331", Level::Different);
    }

    #[test]
    fn dates_are_days_however_they_are_written() {
        for written in ["1815-12-10", "1815-12-10T00:00:00.000Z", "10.12.1815", "10/12/1815", "18151210"] {
            assert_eq!(normal(Likeness::Date, written).as_deref(), Some("18151210"), "{written}");
        }
        check(Likeness::Date, "1815-12-10", "1815-10-12", Level::Close);
        check(Likeness::Date, "1815-12-10", "1815-12-11", Level::Close);
        check(Likeness::Date, "1815-12-10", "1815-01-10", Level::Alike);
        check(Likeness::Date, "1815-12-10", "1791-02-26", Level::Different);
    }

    #[test]
    fn what_says_nothing_is_no_value() {
        assert_eq!(normal(Likeness::Name, " - "), None);
        assert_eq!(normal(Likeness::Date, "unknown"), None);
        assert_eq!(normal(Likeness::Date, "12/1815"), None);
    }
}
