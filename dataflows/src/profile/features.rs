//! What is known of an identifier or a customer, as a *difference*: it adds, and it can be taken away.
//!
//! Differential dataflow keeps a sum of differences for each key. With all that a customer's segments look at in
//! the difference, a merge is an addition, an unmerge a subtraction, and no event is kept. Counts and sums add as
//! numbers do. What does not add (latest trait, min, max, first, last) is held as a multiset of each
//! identifier's one current value: multisets add too, and the answer is read off the sum.

use super::distinct;
use crate::segments::ProfileValues;
use differential_dataflow::difference::{Abelian, IsZero, Monoid, Multiply, Semigroup};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::cmp::Ordering;
use tributary_model::{MessageId, Millis, Value};

/// Where in the program's tables a feature belongs: aggregates first, then traits (see [`Slots`]).
pub type Slot = u16;

/// Sums are integers of this many decimal places, so that adding them is exact in any order.
pub const SUM_SCALE: u32 = 9;

/// A count and a sum of [`SUM_SCALE`] places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Additive {
    /// Which aggregate.
    pub slot: Slot,
    /// How many values.
    pub count: i64,
    /// What they add up to, in units of 10⁻⁹.
    pub sum: i128,
}

/// One identifier's current value of something that does not add, with how often it stands here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Valued {
    /// Which aggregate or trait.
    pub slot: Slot,
    /// When it was said; zero where time does not matter (min, max).
    pub at: Millis,
    /// Breaks ties of time.
    pub tie: MessageId,
    /// The value.
    pub value: Value,
    /// How many identifiers hold exactly this; negative in a retraction.
    pub copies: i32,
}

impl Valued {
    fn key_cmp(&self, other: &Self) -> Ordering {
        (self.slot, self.at, self.tie)
            .cmp(&(other.slot, other.at, other.tie))
            .then_with(|| self.value.cmp(&other.value))
    }
}

/// The difference: how many identifiers, what adds, and what does not. Both lists are sorted and hold no zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Features {
    /// How many identifiers are in here; a customer exists while it is above zero.
    pub identifiers: i64,
    /// Counts and sums, sorted by slot.
    pub additive: SmallVec<[Additive; 1]>,
    /// Everything else, sorted by slot, time, tie and value.
    pub valued: Vec<Valued>,
}

impl Features {
    /// One identifier that has been seen, and nothing more.
    pub fn presence() -> Self {
        Self { identifiers: 1, ..Self::default() }
    }

    /// Adds to a count and a sum.
    pub fn add(&mut self, slot: Slot, count: i64, sum: i128) {
        match self.additive.binary_search_by_key(&slot, |entry| entry.slot) {
            Ok(at) => {
                let gone = self.additive.get_mut(at).is_some_and(|entry| {
                    entry.count += count;
                    entry.sum += sum;
                    entry.count == 0 && entry.sum == 0
                });
                if gone {
                    self.additive.remove(at);
                }
            }
            Err(at) if count != 0 || sum != 0 => self.additive.insert(at, Additive { slot, count, sum }),
            Err(_) => {}
        }
    }

    /// Adds copies of a value; a negative number takes them away.
    pub fn hold(&mut self, valued: Valued) {
        match self.valued.binary_search_by(|entry| entry.key_cmp(&valued)) {
            Ok(at) => {
                let gone = self.valued.get_mut(at).is_some_and(|entry| {
                    entry.copies += valued.copies;
                    entry.copies == 0
                });
                if gone {
                    self.valued.remove(at);
                }
            }
            Err(at) if valued.copies != 0 => self.valued.insert(at, valued),
            Err(_) => {}
        }
    }

    /// Only what stands in some slots, without the presence of identifiers.
    pub fn only(mut self, keep: impl Fn(Slot) -> bool) -> Self {
        self.identifiers = 0;
        self.additive.retain(|entry| keep(entry.slot));
        self.valued.retain(|entry| keep(entry.slot));
        self
    }

    /// Whether what is counted in a slot is an estimate.
    pub(super) fn is_estimate(&self, slot: Slot) -> bool {
        self.slot_values(slot).last().is_some_and(|last| last.at > 0)
    }

    /// The values of one slot, earliest first.
    fn slot_values(&self, slot: Slot) -> &[Valued] {
        let start = self.valued.partition_point(|entry| entry.slot < slot);
        let end = self.valued.partition_point(|entry| entry.slot <= slot);
        self.valued.get(start..end).unwrap_or_default()
    }
}

impl IsZero for Features {
    fn is_zero(&self) -> bool {
        self.identifiers == 0 && self.additive.is_empty() && self.valued.is_empty()
    }
}

impl Semigroup for Features {
    fn plus_equals(&mut self, other: &Self) {
        self.identifiers += other.identifiers;
        for entry in &other.additive {
            self.add(entry.slot, entry.count, entry.sum);
        }
        // Moving all that stand behind it for each of many would take their product.
        if other.valued.len() <= FEW {
            other.valued.iter().for_each(|entry| self.hold(entry.clone()));
        } else {
            self.valued = merged(std::mem::take(&mut self.valued), &other.valued);
        }
    }
}

/// Values that are put in one by one.
const FEW: usize = 4;

/// Two sorted lists as one; what is nowhere any more is left out.
fn merged(one: Vec<Valued>, other: &[Valued]) -> Vec<Valued> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let mut other = other.iter().peekable();
    for mut entry in one {
        while let Some(before) = other.next_if(|next| next.key_cmp(&entry) == Ordering::Less) {
            all.push(before.clone());
        }
        if let Some(same) = other.next_if(|next| next.key_cmp(&entry) == Ordering::Equal) {
            entry.copies += same.copies;
        }
        if entry.copies != 0 {
            all.push(entry);
        }
    }
    all.extend(other.cloned());
    all
}

impl Monoid for Features {
    fn zero() -> Self {
        Self::default()
    }
}

impl Abelian for Features {
    fn negate(&mut self) {
        self.scale(-1);
    }
}

/// A join multiplies features by the multiplicity (+1, −1) of the ownership they meet.
impl Multiply<isize> for Features {
    type Output = Self;
    fn multiply(mut self, times: &isize) -> Self {
        if *times != 1 {
            self.scale(*times);
        }
        self
    }
}

impl Features {
    fn scale(&mut self, times: isize) {
        if times == 0 {
            *self = Self::default();
            return;
        }
        self.identifiers *= times as i64;
        for entry in &mut self.additive {
            entry.count *= times as i64;
            entry.sum *= times as i128;
        }
        for entry in &mut self.valued {
            entry.copies *= times as i32;
        }
    }
}

/// How a value slot is read off the values that stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A count or a sum: nothing to pick.
    Additive,
    /// The earliest, or the smallest (which all have time zero).
    First,
    /// The latest, or the largest.
    Last,
    /// How many different ones there are.
    Distinct,
    /// The one that stands there most often.
    Mode,
}

impl Pick {
    /// What is read off values that stand in order, each with when it was said, its tie-break, and how often it stands there.
    pub(crate) fn of<'v>(
        self,
        mut values: impl DoubleEndedIterator<Item = (Millis, MessageId, &'v Value, i64)>,
    ) -> Value {
        match self {
            Self::Additive => Value::Null,
            Self::First => values.next().map(|(.., value, _)| value.clone()).unwrap_or_default(),
            Self::Last => values.next_back().map(|(.., value, _)| value.clone()).unwrap_or_default(),
            Self::Distinct => {
                let hash = |tie: MessageId| u64::try_from(tie.0).unwrap_or(u64::MAX);
                let (mut hashes, mut threshold) = (Vec::new(), u64::MAX);
                for (at, tie, ..) in values {
                    match at {
                        0 => hashes.push(hash(tie)),
                        _ => threshold = threshold.min(hash(tie)),
                    }
                }
                let below = hashes.iter().filter(|hash| **hash < threshold).count() as u64;
                Value::Number(Decimal::from(distinct::estimate(below, threshold)))
            }
            Self::Mode => {
                let most = values.max_by_key(|(.., value, copies)| (*copies, std::cmp::Reverse(*value)));
                most.map(|(.., value, _)| value.clone()).unwrap_or_default()
            }
        }
    }
}

/// The layout of slots: each aggregate's slot is its index; traits follow, then what is read of groups, then the rest.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// How each aggregate is read.
    pub picks: Vec<Pick>,
    /// How many trait paths there are.
    pub traits: usize,
    /// How many expressions of groups there are.
    pub groups: usize,
    /// The value of each of them for whoever has no account.
    pub without_account: Vec<Value>,
}

impl Slots {
    /// The slot of the aggregate with that index.
    pub fn aggregate(&self, index: usize) -> Slot {
        index as Slot
    }

    /// The slot of the trait path with that index.
    pub fn trait_path(&self, index: usize) -> Slot {
        (self.picks.len() + index) as Slot
    }

    /// The slot of the expression of groups with that index: its value of the customer's account, and of how many of
    /// the customer's groups it is true.
    pub fn group(&self, index: usize) -> Slot {
        (self.picks.len() + self.traits + index) as Slot
    }

    /// Of a group: how many members it has.
    pub fn members(&self) -> Slot {
        self.group(self.groups)
    }

    /// Of a group: its id.
    pub fn group_id(&self) -> Slot {
        self.group(self.groups + 1)
    }

    /// When time alone last changed an answer about the customer.
    pub fn woken(&self) -> Slot {
        self.group(self.groups + 2)
    }
}

/// Features as expressions read them.
#[derive(Clone, Copy, Debug)]
pub struct FeatureValues<'a> {
    /// The layout.
    pub slots: &'a Slots,
    /// What is read.
    pub features: &'a Features,
    /// What time it is.
    pub now: Millis,
}

impl ProfileValues for FeatureValues<'_> {
    fn trait_value(&self, slot: usize) -> Value {
        let values = self.features.slot_values(self.slots.trait_path(slot));
        values.last().map(|entry| entry.value.clone()).unwrap_or_default()
    }

    fn additive(&self, slot: usize) -> (i64, Option<Decimal>) {
        let slot = self.slots.aggregate(slot);
        let found = self.features.additive.binary_search_by_key(&slot, |entry| entry.slot).ok();
        match found.and_then(|at| self.features.additive.get(at)) {
            Some(entry) => (entry.count, Decimal::try_from_i128_with_scale(entry.sum, SUM_SCALE).ok()),
            None => (0, Some(Decimal::ZERO)),
        }
    }

    fn value(&self, slot: usize) -> Value {
        let values = self.features.slot_values(self.slots.aggregate(slot));
        let pick = self.slots.picks.get(slot).copied().unwrap_or(Pick::Additive);
        pick.of(values.iter().map(|entry| (entry.at, entry.tie, &entry.value, i64::from(entry.copies))))
    }

    fn account(&self, index: usize) -> Value {
        let values = self.features.slot_values(self.slots.group(index));
        let without = || self.slots.without_account.get(index).cloned().unwrap_or_default();
        values.last().map_or_else(without, |entry| entry.value.clone())
    }

    fn groups_where(&self, index: usize) -> i64 {
        let slot = self.slots.group(index);
        let found = self.features.additive.binary_search_by_key(&slot, |entry| entry.slot).ok();
        found.and_then(|at| self.features.additive.get(at)).map_or(0, |entry| entry.count)
    }

    fn now(&self) -> Millis {
        self.now
    }
}

/// A number as a sum holds it: rounded to [`SUM_SCALE`] places; `None` past ±10¹⁸, where no sum could be exact.
pub fn to_sum(number: Decimal) -> Option<i128> {
    const LARGEST: i128 = 1_000_000_000_000_000_000;
    let rounded = number.round_dp(SUM_SCALE);
    if rounded.trunc().mantissa().abs() > LARGEST {
        return None;
    }
    let places = SUM_SCALE.checked_sub(rounded.scale())?;
    rounded.mantissa().checked_mul(10i128.pow(places))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn valued(slot: Slot, at: Millis, copies: i32) -> Valued {
        Valued { slot, at, tie: MessageId(0), value: Value::Timestamp(at), copies }
    }

    #[test]
    fn what_is_added_and_taken_away_is_zero() {
        let mut features = Features::presence();
        features.add(3, 2, 50);
        features.hold(valued(7, 10, 1));
        let mut gone = features.clone();
        gone.negate();
        features.plus_equals(&gone);
        assert!(features.is_zero());
    }

    #[test]
    fn many_values_are_added_as_few_are() {
        let of = |places: &[i64], copies| {
            let mut features = Features::default();
            places.iter().for_each(|place| features.hold(valued((place % 3) as Slot, place / 3, copies)));
            features
        };
        let (one, other) = (of(&[0, 1, 2, 5, 8, 9, 20], 1), of(&[1, 2, 3, 5, 7, 9, 21, 22], -1));
        let (mut at_once, mut one_by_one) = (one.clone(), one);
        at_once.plus_equals(&other);
        other.valued.into_iter().for_each(|entry| one_by_one.hold(entry));
        assert_eq!(at_once, one_by_one);
        assert_eq!(at_once.valued.len(), 7);
    }

    #[test]
    fn a_sum_of_money_is_exact() {
        let cents = to_sum(Decimal::new(1999, 2)).unwrap();
        assert_eq!(Decimal::from_i128_with_scale(cents * 3, SUM_SCALE).normalize(), Decimal::new(5997, 2));
        assert_eq!(to_sum(Decimal::MAX), None);
    }

    #[test]
    fn the_latest_value_wins() {
        let slots = Slots { picks: vec![Pick::Last, Pick::First], ..Slots::default() };
        let mut features = Features::default();
        for slot in [0, 1] {
            features.hold(valued(slot, 5, 1));
            features.hold(valued(slot, 9, 1));
        }
        let values = FeatureValues { slots: &slots, features: &features, now: 0 };
        assert_eq!(values.value(0), Value::Timestamp(9));
        assert_eq!(values.value(1), Value::Timestamp(5));
    }
}
