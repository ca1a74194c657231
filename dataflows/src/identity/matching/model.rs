//! Fellegi and Sunter's weights: how much more often one person's records agree than those of strangers.

use super::Record;
use super::likeness::{Level, compare};
use std::collections::HashMap;
use tributary_model::Likeness;

/// Levels of a field, and one more for where a value is missing.
const LEVELS: usize = Level::ALL.len();
/// Pairs of strangers that are looked at for how often they are alike by chance.
const SAMPLE: u64 = 200_000;
/// Rounds of estimation: far more than it takes to settle.
const ROUNDS: usize = 25;
/// Little data is weighed against common experience as if that were so many pairs of one person …
const KNOWN_PAIRS: f64 = 20.0;
/// … and so many records of strangers.
const KNOWN_RECORDS: f64 = 1_000.0;
/// Common experience of how the records of one person compare, level by level: people make few slips.
const ONE_PERSON: [f64; LEVELS] = [0.85, 0.07, 0.03, 0.05];

/// How often two strangers have the same value, where nothing is known of a field yet.
const fn by_chance(likeness: Likeness) -> f64 {
    match likeness {
        Likeness::Code | Likeness::Text => 1e-3,
        Likeness::Name | Likeness::Date => 1e-4,
    }
}

/// What was learnt of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldWeights {
    /// How often two records of one person compare so, by [`Level`].
    pub one_person: [f64; LEVELS],
    /// The same of strangers.
    pub strangers: [f64; LEVELS],
    /// How many records have each value that more than one has.
    common: HashMap<String, u32>,
    /// How many records have a value.
    records: f64,
    chance: f64,
}

/// What one field says of two records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// How the values compare.
    pub level: Level,
    /// How much that speaks for one person, or, if it is negative, against: in bits, which add up.
    pub bits: f64,
}

/// The weights of all fields.
#[derive(Clone, Debug)]
pub(super) struct Model {
    weights: Vec<FieldWeights>,
    /// The probability that any two records are of one person.
    prior: f64,
}

type Pattern = Vec<Option<Level>>;

impl Model {
    /// Learns from records and the pairs among them that are worth a look; all others count as strangers.
    pub(super) fn learn(
        records: &[Record],
        fields: &[Likeness],
        candidates: &[(u32, u32)],
        stop: &dyn Fn() -> bool,
    ) -> Self {
        let weights = fields.iter().enumerate().map(|(field, likeness)| strangers(records, field, *likeness));
        let mut model = Self { weights: weights.collect(), prior: 1.0 / (records.len() as f64 + KNOWN_RECORDS) };
        let mut patterns: HashMap<Pattern, f64> = HashMap::new();
        for (at, (one, other)) in candidates.iter().enumerate() {
            if at % 4_096 == 0 && stop() {
                return model;
            }
            if let (Some(one), Some(other)) = (records.get(*one as usize), records.get(*other as usize)) {
                *patterns.entry(pattern(one, other, fields)).or_default() += 1.0;
            }
        }
        // A fixed order: sums of floating-point numbers depend on it.
        let mut patterns: Vec<_> = patterns.into_iter().collect();
        patterns.sort_by(|(a, _), (b, _)| a.cmp(b));
        for _ in 0..ROUNDS {
            model.settle(&patterns, records.len());
        }
        model
    }

    /// One round of expectation-maximisation: how probable each pattern is one person's, and what follows from it.
    fn settle(&mut self, patterns: &[(Pattern, f64)], records: usize) {
        let mut found: Vec<[f64; LEVELS]> =
            self.weights.iter().map(|_| ONE_PERSON.map(|share| share * KNOWN_PAIRS)).collect();
        let mut matches = 0.0;
        for (pattern, pairs) in patterns {
            let bits = pattern.iter().zip(&self.weights).filter_map(|(level, field)| Some(field.bits((*level)?)));
            let probable = pairs * self.probability(bits.sum());
            matches += probable;
            for (level, found) in pattern.iter().zip(&mut found) {
                let share = level.and_then(|level| found.get_mut(level as usize));
                share.into_iter().for_each(|share| *share += probable);
            }
        }
        for (field, found) in self.weights.iter_mut().zip(found) {
            let all: f64 = found.iter().sum();
            field.one_person = found.map(|share| share / all);
        }
        let records = records as f64;
        let pairs = records * (records - 1.0) / 2.0;
        self.prior = (matches + 1.0) / (pairs + records + KNOWN_RECORDS);
    }

    fn probability(&self, bits: f64) -> f64 {
        let odds = self.prior / (1.0 - self.prior).max(f64::MIN_POSITIVE) * bits.exp2();
        if odds.is_finite() { odds / (1.0 + odds) } else { 1.0 }
    }

    /// How probable it is that two records are of one person, and why.
    pub(super) fn score(&self, one: &Record, other: &Record, fields: &[Likeness]) -> (f64, Vec<Option<Part>>) {
        let levels = pattern(one, other, fields);
        let parts = levels.iter().zip(&self.weights).zip(one).map(|((level, field), value)| {
            let level = (*level)?;
            let bits = match (level, value) {
                (Level::Same, Some(value)) => field.bits_of_value(value),
                _ => field.bits(level),
            };
            Some(Part { level, bits })
        });
        let parts: Vec<Option<Part>> = parts.collect();
        let bits = parts.iter().flatten().map(|part| part.bits).sum();
        (self.probability(bits), parts)
    }

    pub(super) fn weights(&self) -> &[FieldWeights] {
        &self.weights
    }
}

impl FieldWeights {
    /// What a level speaks for.
    fn bits(&self, level: Level) -> f64 {
        let share = |shares: &[f64; LEVELS]| shares.get(level as usize).copied().unwrap_or(1.0);
        (share(&self.one_person) / share(&self.strangers)).log2()
    }

    /// What it speaks for that two have this value: a rare one says more.
    fn bits_of_value(&self, value: &str) -> f64 {
        // Strangers have it as often as others than the two do, of whom one may stand here twice.
        let have_it = f64::from(self.common.get(value).copied().unwrap_or(2)) - 1.0;
        let strangers = (have_it + KNOWN_RECORDS * self.chance) / (self.records + KNOWN_RECORDS);
        let [one_person, ..] = self.one_person;
        (one_person / strangers).log2()
    }
}

fn pattern(one: &Record, other: &Record, fields: &[Likeness]) -> Pattern {
    let values = one.iter().zip(other).zip(fields);
    values.map(|((one, other), likeness)| Some(compare(*likeness, one.as_deref()?, other.as_deref()?))).collect()
}

/// What strangers do in a field: counted for equal values, sampled for those that are alike.
fn strangers(records: &[Record], field: usize, likeness: Likeness) -> FieldWeights {
    let have: Vec<&str> = records.iter().filter_map(|record| record.get(field)?.as_deref()).collect();
    let mut common: HashMap<String, u32> = HashMap::new();
    for value in &have {
        match common.get_mut(*value) {
            Some(count) => *count += 1,
            None => drop(common.insert((*value).to_owned(), 1)),
        }
    }
    common.retain(|_, count| *count > 1);
    let known = have.len() as f64;
    let equal: f64 = common.values().map(|count| f64::from(*count) * f64::from(count - 1)).sum();
    let chance = by_chance(likeness);
    let same = (equal / known.max(1.0) + KNOWN_RECORDS * chance) / (known + KNOWN_RECORDS);

    let mut alike = [0.0; LEVELS];
    let mut looked_at = 0.0;
    for (one, other) in some_pairs(have.len()) {
        if let (Some(one), Some(other)) = (have.get(one), have.get(other))
            && one != other
        {
            looked_at += 1.0;
            let found = alike.get_mut(compare(likeness, one, other) as usize);
            found.into_iter().for_each(|found| *found += 1.0);
        }
    }
    let [_, close, alike, _] = alike;
    // Alike by chance is what is seen, and before anything is seen ten times as often as equal by chance.
    let share = |seen: f64| (1.0 - same) * (seen + KNOWN_RECORDS * 10.0 * chance) / (looked_at + KNOWN_RECORDS);
    let (close, alike) = (share(close), share(alike));
    let strangers = [same, close, alike, (1.0 - same - close - alike).max(0.01)];
    FieldWeights { one_person: ONE_PERSON, strangers, common, records: known, chance }
}

/// All pairs of so many, or as many of them as are enough to learn from; none twice where they are few.
fn some_pairs(of: usize) -> Box<dyn Iterator<Item = (usize, usize)>> {
    if of * of.saturating_sub(1) / 2 <= SAMPLE as usize {
        return Box::new((0..of).flat_map(move |one| (one + 1..of).map(move |other| (one, other))));
    }
    let place = move |turn: u64| (spread(turn) % of as u64) as usize;
    Box::new((0..SAMPLE).map(move |turn| (place(2 * turn), place(2 * turn + 1))))
}

/// Numbers without a pattern, the same each time: Steele, Lea and Flood's SplitMix64.
pub(super) const fn spread(turn: u64) -> u64 {
    let mut z = turn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
