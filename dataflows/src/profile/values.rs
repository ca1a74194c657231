//! Features as expressions read them: which of the values that stand in a slot is the answer.

use super::distinct;
use super::features::{Features, SUM_SCALE};
use super::slots::Slots;
use crate::segments::ProfileValues;
use rust_decimal::Decimal;
use tributary_model::{MessageId, Millis, Value};

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
        let pick = self.slots.pick(slot);
        pick.of(values.iter().map(|entry| (entry.at, entry.tie, &entry.value, i64::from(entry.copies))))
    }

    fn account(&self, index: usize) -> Value {
        let values = self.features.slot_values(self.slots.group(index));
        let without = || self.slots.without_account(index);
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

    fn instants(&self, slot: usize) -> Vec<(Millis, MessageId)> {
        let values = self.features.slot_values(self.slots.aggregate(slot));
        values.iter().map(|entry| (entry.at, entry.tie)).collect()
    }
}
