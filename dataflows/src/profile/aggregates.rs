//! One aggregate of one identifier: what is stored of it, and what an event changes.

use super::features::{Features, Slot, Valued, to_sum};
use super::windows::{self, Buckets};
use crate::segments::{Aggregate, AggregateFunction};
use serde::{Deserialize, Serialize};
use tributary_model::{MessageId, Millis, Value};

/// A value with when it was said. Sorts by time, then by message id, then by value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Said {
    /// Event time; zero for min and max, which time does not decide.
    pub at: Millis,
    /// Breaks ties; zero for min and max.
    pub tie: MessageId,
    /// What was said.
    pub value: Value,
}

/// What one bucket, or all time, holds of one aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partial {
    /// Of count and sum: how many values, and their sum in units of 10⁻⁹.
    Additive {
        /// How many.
        count: i64,
        /// Their sum.
        sum: i128,
    },
    /// Of min and first: the smallest; of max and last: the largest.
    Valued(Said),
}

impl Partial {
    fn of(function: AggregateFunction, value: Value, at: Millis, tie: MessageId) -> Option<Self> {
        Some(match (function, value) {
            (AggregateFunction::Count, _) => Self::Additive { count: 1, sum: 0 },
            (AggregateFunction::Sum, Value::Number(number)) => Self::Additive { count: 1, sum: to_sum(number)? },
            (AggregateFunction::Sum, _) => return None,
            (AggregateFunction::Min | AggregateFunction::Max, value) => {
                Self::Valued(Said { at: 0, tie: MessageId::default(), value })
            }
            (AggregateFunction::First | AggregateFunction::Last, value) => Self::Valued(Said { at, tie, value }),
        })
    }

    /// Takes in another partial of the same aggregate.
    fn combine(&mut self, function: AggregateFunction, other: &Self) {
        match (self, other) {
            (Self::Additive { count, sum }, Self::Additive { count: more, sum: further }) => {
                *count += more;
                *sum += further;
            }
            (Self::Valued(held), Self::Valued(said)) => {
                let better = match function {
                    AggregateFunction::Min | AggregateFunction::First => said < held,
                    _ => said > held,
                };
                if better {
                    *held = said.clone();
                }
            }
            // One aggregate has one kind of partial; its id names its function.
            (Self::Additive { .. }, Self::Valued(_)) | (Self::Valued(_), Self::Additive { .. }) => {}
        }
    }

    fn contribute(&self, slot: Slot, times: i32, to: &mut Features) {
        match self {
            Self::Additive { count, sum } => to.add(slot, count * i64::from(times), sum * i128::from(times)),
            Self::Valued(said) => {
                let Said { at, tie, value } = said.clone();
                to.hold(Valued { slot, at, tie, value, copies: times });
            }
        }
    }
}

/// One aggregate of one identifier, over all time or in buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AggregateState {
    /// Over all time.
    All(Partial),
    /// In a sliding window.
    Window(Buckets<Partial>),
}

impl AggregateState {
    /// Takes in an observation; adds what changed to `change`. `held` is the state so far.
    pub fn observe(
        held: &mut Option<Self>,
        aggregate: &Aggregate,
        slot: Slot,
        observed: (Value, Millis, MessageId),
        now: Millis,
        change: &mut Features,
    ) {
        let (value, at, tie) = observed;
        let function = aggregate.function;
        let Some(partial) = Partial::of(function, value, at, tie) else { return };
        let additive = matches!(partial, Partial::Additive { .. });
        if let Some(window) = &aggregate.window {
            let bucket = windows::bucket(window, at);
            if windows::expires(window, bucket) <= now {
                return;
            }
            let state = held.get_or_insert_with(|| Self::Window(Buckets::default()));
            let Self::Window(buckets) = state else { return };
            if additive {
                buckets.merge(bucket, &partial, |held, more| held.combine(function, more));
                partial.contribute(slot, 1, change);
            } else {
                fold(buckets, function).into_iter().for_each(|old| old.contribute(slot, -1, change));
                buckets.merge(bucket, &partial, |held, more| held.combine(function, more));
                fold(buckets, function).into_iter().for_each(|new| new.contribute(slot, 1, change));
            }
            return;
        }
        match held {
            Some(Self::All(all)) if additive => {
                all.combine(function, &partial);
                partial.contribute(slot, 1, change);
            }
            Some(Self::All(all)) => {
                let old = all.clone();
                all.combine(function, &partial);
                if *all != old {
                    old.contribute(slot, -1, change);
                    all.contribute(slot, 1, change);
                }
            }
            Some(Self::Window(_)) | None => {
                partial.contribute(slot, 1, change);
                *held = Some(Self::All(partial));
            }
        }
    }

    /// Drops the buckets that have left the window; adds what changed to `change`. Gives false when nothing is left.
    pub fn expire(&mut self, aggregate: &Aggregate, slot: Slot, now: Millis, change: &mut Features) -> bool {
        let (Self::Window(buckets), Some(window)) = (&mut *self, &aggregate.window) else { return true };
        if buckets.next_expiry(window).is_none_or(|due| due > now) {
            return !buckets.is_empty();
        }
        let function = aggregate.function;
        fold(buckets, function).into_iter().for_each(|old| old.contribute(slot, -1, change));
        buckets.expire(window, now);
        fold(buckets, function).into_iter().for_each(|new| new.contribute(slot, 1, change));
        !buckets.is_empty()
    }

    /// When time alone next changes this aggregate.
    pub fn next_expiry(&self, aggregate: &Aggregate) -> Option<Millis> {
        match (self, &aggregate.window) {
            (Self::Window(buckets), Some(window)) => buckets.next_expiry(window),
            _ => None,
        }
    }

    /// All that this state says now.
    pub fn contribute(&self, aggregate: &Aggregate, slot: Slot, to: &mut Features) {
        match self {
            Self::All(partial) => partial.contribute(slot, 1, to),
            Self::Window(buckets) => {
                fold(buckets, aggregate.function).into_iter().for_each(|partial| partial.contribute(slot, 1, to));
            }
        }
    }
}

/// All buckets as one.
fn fold(buckets: &Buckets<Partial>, function: AggregateFunction) -> Option<Partial> {
    let mut partials = buckets.partials();
    let mut folded = partials.next()?.clone();
    partials.for_each(|partial| folded.combine(function, partial));
    Some(folded)
}
