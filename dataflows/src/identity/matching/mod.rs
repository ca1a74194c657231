//! Customers who may be one person although no identifier connects them: suggestions for people to decide on.
//!
//! ```text
//! records ─► candidates (equal in something) ─► levels, field by field ─► weights (Fellegi–Sunter) ─► score
//! ```
//!
//! The model is that of Fellegi and Sunter, *A Theory for Record Linkage*, JASA 64 (1969): for each field, how much more
//! often two records of one person agree on it than two records of strangers. What strangers do is counted in the data;
//! what one person's records do is estimated by expectation-maximisation, beginning from common experience. Fields count
//! as independent: give a postcode or a town, not both.

mod candidates;
mod likeness;
mod model;

pub use likeness::{Level, compare, normal};
pub use model::{FieldWeights, Part};

use candidates::candidates;
use model::Model;
use std::collections::BTreeSet;
use tributary_model::Likeness;

/// One customer: the value of each field as [`normal`] makes it, in the order of the fields.
pub type Record = Vec<Option<String>>;

/// Two records that may be of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// Which two, by their places; the smaller one first.
    pub pair: (u32, u32),
    /// The probability that they are of one person, from 0 to 1.
    pub score: f64,
    /// What each field says; nothing where one of them has no value.
    pub parts: Vec<Option<Part>>,
}

/// Records with what is known of all of them together.
#[derive(Debug)]
pub struct Matcher<'a> {
    records: &'a [Record],
    fields: &'a [Likeness],
    candidates: Vec<(u32, u32)>,
    left_out: u64,
    model: Model,
}

impl<'a> Matcher<'a> {
    /// Finds the pairs that are worth a look, and learns from them. Every record has as many values as there are fields.
    ///
    /// `stop` is asked now and then whether to give up; then there are no suggestions.
    ///
    /// ```
    /// # use tributary_dataflows::identity::matching::{Matcher, normal};
    /// # use tributary_model::Likeness::{Date, Name};
    /// let person = |name: &str, born: &str| vec![normal(Name, name), normal(Date, born)];
    /// let records = [
    ///     person("Ada Lovelace", "1815-12-10"),
    ///     person("Charles Babbage", "1791-12-26"),
    ///     person("Lovelace, Ada", "10.12.1815"),
    /// ];
    /// let suggestions = Matcher::new(&records, &[Name, Date], &|| false).suggestions(0.9);
    /// assert_eq!(suggestions.len(), 1);
    /// assert_eq!(suggestions[0].pair, (0, 2));
    /// ```
    pub fn new(records: &'a [Record], fields: &'a [Likeness], stop: &dyn Fn() -> bool) -> Self {
        let (mut candidates, left_out) = candidates(records, fields.len());
        let model = Model::learn(records, fields, &candidates, stop);
        if stop() {
            candidates.clear();
        }
        Self { records, fields, candidates, left_out, model }
    }

    /// The pairs that are at least so probable, the most probable first.
    pub fn suggestions(&self, min_score: f64) -> Vec<Suggestion> {
        let scored = self.candidates.iter().filter_map(|pair| {
            let (one, other) = (self.records.get(pair.0 as usize)?, self.records.get(pair.1 as usize)?);
            let (score, parts) = self.model.score(one, other, self.fields);
            (score >= min_score).then_some(Suggestion { pair: *pair, score, parts })
        });
        let mut found: Vec<_> = scored.collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.pair.cmp(&b.pair)));
        found
    }

    /// The pairs that were looked at: equal in some field.
    pub fn candidates(&self) -> &[(u32, u32)] {
        &self.candidates
    }

    /// How often a value was left aside because too many have it, also together with another field.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What was learnt of each field.
    pub fn weights(&self) -> &[FieldWeights] {
        self.model.weights()
    }
}

/// How good suggestions are against what is known to be true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Pairs that are of one person.
    pub true_pairs: usize,
    /// Pairs suggested.
    pub suggested: usize,
    /// Those of them that are of one person.
    pub right: usize,
}

impl Quality {
    /// Of pairs, by the person that each record is truly of.
    pub fn of(pairs: impl IntoIterator<Item = (u32, u32)>, truth: &[String]) -> Self {
        let mut records_of: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        truth.iter().for_each(|person| *records_of.entry(person).or_default() += 1);
        let true_pairs = records_of.values().map(|records| records * (records - 1) / 2).sum();
        let pairs: BTreeSet<_> = pairs.into_iter().collect();
        let person = |place: u32| truth.get(place as usize);
        let right = pairs.iter().filter(|(one, other)| person(*one) == person(*other)).count();
        Self { true_pairs, suggested: pairs.len(), right }
    }

    /// How many of those suggested are right; 1 where nothing is.
    pub fn precision(&self) -> f64 {
        if self.suggested == 0 { 1.0 } else { self.right as f64 / self.suggested as f64 }
    }

    /// How many of those that are right are suggested; 1 where there is nothing to find.
    pub fn recall(&self) -> f64 {
        if self.true_pairs == 0 { 1.0 } else { self.right as f64 / self.true_pairs as f64 }
    }

    /// The harmonic mean of both.
    pub fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
    }
}

#[cfg(test)]
mod tests;
