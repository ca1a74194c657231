//! What is known of an identifier or a customer, as a *difference*: it adds, and it can be taken away.
//!
//! Differential dataflow keeps a sum of differences for each key. With all that a customer's segments look at in
//! the difference, a merge is an addition, an unmerge a subtraction, and no event is kept. Counts and sums add as
//! numbers do. What does not add (latest trait, min, max, first, last) is held as a multiset of each
//! identifier's one current value: multisets add too, and the answer is read off the sum.

use differential_dataflow::difference::{Abelian, IsZero, Monoid, Multiply, Semigroup};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::cmp::Ordering;
use tributary_model::{MessageId, Millis, Value};

/// What a feature is about (see [`Slots`](super::Slots)).
pub type Slot = u32;

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
    pub(super) fn slot_values(&self, slot: Slot) -> &[Valued] {
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
}
