//! Suggestions against a population of which it is known who is who.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::model::spread;
use super::*;
use tributary_model::Likeness::{Code, Date, Name, Text};

const FIELDS: [Likeness; 4] = [Name, Date, Code, Text];

/// A source of numbers that is the same each time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 += 1;
        spread(self.0) % sides
    }

    fn word(&mut self, words: u64) -> String {
        // Of so many words, the first are the most common.
        let rank = self.throw(words).min(self.throw(words));
        let syllables = ["an", "ber", "ta", "lu", "mi", "ro", "sel", "ka", "do", "win", "fri", "ge"];
        (0..3).map(|part| syllables[(spread(rank * 3 + part) % 12) as usize]).collect()
    }

    /// A slip of the finger: a letter more, less, another one, or two exchanged.
    fn slip(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        let at = self.throw(letters.len() as u64 - 1) as usize;
        let letter = if letters[at].is_ascii_digit() { '7' } else { 'e' };
        match self.throw(4) {
            0 => letters.insert(at, letter),
            1 => drop(letters.remove(at)),
            2 => letters[at] = letter,
            _ => letters.swap(at, at + 1),
        }
        letters.into_iter().collect()
    }
}

/// Records and whose they are: a third of the people stand there twice, the second time with slips, gaps and moves.
fn population(people: u64) -> (Vec<Record>, Vec<String>) {
    let mut dice = Dice(7);
    let (mut records, mut truth) = (Vec::new(), Vec::new());
    for person in 0..people {
        let texts = [
            format!("{} {}", dice.word(300), dice.word(900)),
            format!("{}-{:02}-{:02}", 1940 + dice.throw(60), 1 + dice.throw(12), 1 + dice.throw(28)),
            format!("{}", 10_000 + dice.throw(400)),
            format!("{} street {}", dice.word(200), 1 + dice.throw(80)),
        ];
        let mut again = texts.clone();
        for text in &mut again {
            match dice.throw(10) {
                0 | 1 => *text = dice.slip(text),
                2 => text.clear(),
                _ => {}
            }
        }
        let written = if dice.throw(3) == 0 { vec![texts, again] } else { vec![texts] };
        for texts in written {
            records.push(FIELDS.iter().zip(texts).map(|(likeness, text)| normal(*likeness, &text)).collect());
            truth.push(person.to_string());
        }
    }
    (records, truth)
}

#[test]
fn who_stands_there_twice_is_found_and_hardly_anybody_else() {
    let (records, truth) = population(3_000);
    let matcher = Matcher::new(&records, &FIELDS, &|| false);
    let found = matcher.suggestions(0.9);
    let quality = Quality::of(found.iter().map(|suggestion| suggestion.pair), &truth);
    assert!(quality.true_pairs > 900, "{quality:?}");
    assert!(quality.precision() > 0.98, "{quality:?}: {}", quality.precision());
    assert!(quality.recall() > 0.95, "{quality:?}: {}", quality.recall());
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
    // A score is a probability: of those that are suggested with more than 0.9, as many are right as it says.
    let expected: f64 = found.iter().map(|suggestion| suggestion.score).sum::<f64>() / found.len() as f64;
    assert!((expected - quality.precision()).abs() < 0.02, "{expected} said, {} so", quality.precision());
}

#[test]
fn the_order_of_the_records_changes_nothing() {
    let (records, _) = population(400);
    let matcher = Matcher::new(&records, &FIELDS, &|| false);
    let last = records.len() as u32 - 1;
    let reversed: Vec<_> = records.iter().rev().cloned().collect();
    let other = Matcher::new(&reversed, &FIELDS, &|| false);
    let pairs = |matcher: &Matcher<'_>| {
        let mut pairs: Vec<_> = matcher.suggestions(0.5).into_iter().map(|suggestion| suggestion.pair).collect();
        pairs.sort_unstable();
        pairs
    };
    let mut turned: Vec<_> = pairs(&other).into_iter().map(|(a, b)| (last - b, last - a)).collect();
    turned.sort_unstable();
    assert!(turned.len() > 50);
    assert_eq!(pairs(&matcher), turned);
}

#[test]
fn a_rare_value_says_more_than_a_common_one() {
    let person = |name: &str, born: &str| vec![normal(Name, name), normal(Date, born)];
    let mut records: Vec<_> = (0..500).map(|n| person("Anna Schmidt", &format!("{}-01-01", 1300 + n))).collect();
    records.extend((0..500).map(|n| person(&format!("somebody {n}"), &format!("{}-02-03", 1300 + n))));
    records.push(person("Anna Schmidt", "1350-01-01"));
    records.push(person("somebody 50", "1350-02-03"));
    let found = Matcher::new(&records, &[Name, Date], &|| false).suggestions(0.0);
    let score = |pair| found.iter().find(|suggestion| suggestion.pair == pair).unwrap();
    let (common, rare) = (score((50, 1_000)), score((550, 1_001)));
    let bits = |suggestion: &Suggestion| suggestion.parts[0].unwrap().bits;
    assert!(bits(rare) > bits(common) + 5.0, "{rare:?} {common:?}");
    assert!(rare.score > common.score, "{rare:?} {common:?}");
}

#[test]
fn a_handful_of_records_is_judged_by_common_experience() {
    let person = |name: &str, born: &str, code: &str| vec![normal(Name, name), normal(Date, born), normal(Code, code)];
    let records = [
        person("Ada Lovelace", "1815-12-10", "10115"),
        person("Ada Lovelase", "1815-12-10", "10115"),
        person("Charles Babbage", "1791-12-26", "10115"),
        person("Ada Byron", "1815-12-10", ""),
    ];
    let found = Matcher::new(&records, &[Name, Date, Code], &|| false).suggestions(0.5);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].pair, found[0].score > 0.95), ((0, 1), true), "{found:?}");
    assert_eq!(found[0].parts[0].unwrap().level, Level::Close);
}

#[test]
fn nothing_is_suggested_of_nothing() {
    for records in [vec![], vec![vec![None]], vec![vec![None], vec![None]]] {
        assert_eq!(Matcher::new(&records, &[Name], &|| false).suggestions(0.0), []);
    }
    let (records, _) = population(100);
    assert_eq!(Matcher::new(&records, &FIELDS, &|| true).suggestions(0.0), [], "it was told to stop");
}

#[test]
fn quality_counts_pairs() {
    let truth = ["a", "a", "a", "b", "c"].map(str::to_owned);
    let quality = Quality::of([(0, 1), (0, 2), (3, 4)], &truth);
    assert_eq!(quality, Quality { true_pairs: 3, suggested: 3, right: 2 });
    assert_eq!((quality.precision(), quality.recall(), quality.f1()), (2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0));
}
