//! One aggregate of one identifier: what is stored of it, and what an event changes.

use super::distinct::{Sample, count_more};
use super::features::{Features, Slot, Valued, to_sum};
use super::windows::Buckets;
use crate::segments::{Aggregate, AggregateFunction};
use differential_dataflow::difference::Semigroup;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_model::{MessageId, Millis, Value, limits};

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
    /// Of min and first.
    Smallest(Said),
    /// Of max and last.
    Largest(Said),
    /// Of count(DISTINCT …).
    Distinct(Sample),
    /// Of mode: how often each value.
    Frequent(BTreeMap<Value, u32>),
    /// Of sequences: the latest instants, in order, each with what breaks a tie.
    Timeline(Vec<(Millis, MessageId)>),
}

impl Partial {
    fn of(function: AggregateFunction, value: Value, at: Millis, tie: MessageId) -> Option<Self> {
        Some(match (function, value) {
            (AggregateFunction::Count, _) => Self::Additive { count: 1, sum: 0 },
            (AggregateFunction::Sum, Value::Number(number)) => Self::Additive { count: 1, sum: to_sum(number)? },
            (AggregateFunction::Sum, _) => return None,
            (AggregateFunction::Min, value) => Self::Smallest(Said { at: 0, tie: MessageId::default(), value }),
            (AggregateFunction::Max, value) => Self::Largest(Said { at: 0, tie: MessageId::default(), value }),
            (AggregateFunction::First, value) => Self::Smallest(Said { at, tie, value }),
            (AggregateFunction::Last, value) => Self::Largest(Said { at, tie, value }),
            (AggregateFunction::Distinct, value) => Self::Distinct(Sample::of(&value)),
            (AggregateFunction::Mode, value) => Self::Frequent(BTreeMap::from([(value, 1)])),
            (AggregateFunction::Timeline, _) => Self::Timeline(vec![(at, tie)]),
        })
    }

    /// Takes in another partial of the same aggregate.
    fn combine(&mut self, other: &Self) {
        match (self, other) {
            (Self::Additive { count, sum }, Self::Additive { count: more, sum: further }) => {
                *count += more;
                *sum += further;
            }
            (Self::Smallest(held), Self::Smallest(said)) if said < held => *held = said.clone(),
            (Self::Largest(held), Self::Largest(said)) if said > held => *held = said.clone(),
            (Self::Distinct(held), Self::Distinct(more)) => held.merge(more),
            (Self::Frequent(held), Self::Frequent(more)) => count_more(held, more),
            (Self::Timeline(held), Self::Timeline(more)) => {
                for instant in more {
                    if let Err(at) = held.binary_search(instant) {
                        held.insert(at, *instant);
                    }
                }
                held.drain(..held.len().saturating_sub(limits::TIMELINE_INSTANTS));
            }
            // Two of different kinds never meet: one aggregate has one kind, since its id names its function.
            _ => {}
        }
    }

    fn contribute(&self, slot: Slot, times: i32, to: &mut Features) {
        match self {
            Self::Additive { count, sum } => to.add(slot, count * i64::from(times), sum * i128::from(times)),
            Self::Smallest(said) | Self::Largest(said) => {
                let Said { at, tie, value } = said.clone();
                to.hold(Valued { slot, at, tie, value, copies: times });
            }
            Self::Distinct(Sample { threshold, hashes }) => {
                // Hashes stand at time zero, thresholds behind them.
                let hold = |to: &mut Features, at, hash: u64| {
                    to.hold(Valued { slot, at, tie: MessageId(hash.into()), value: Value::Null, copies: times });
                };
                hashes.iter().for_each(|hash| hold(to, 0, *hash));
                if *threshold < u64::MAX {
                    hold(to, 1, *threshold);
                }
            }
            Self::Frequent(counts) => {
                for (value, count) in counts {
                    let copies = times.saturating_mul(i32::try_from(*count).unwrap_or(i32::MAX));
                    to.hold(Valued { slot, at: 0, tie: MessageId::default(), value: value.clone(), copies });
                }
            }
            Self::Timeline(instants) => {
                for (at, tie) in instants {
                    to.hold(Valued { slot, at: *at, tie: *tie, value: Value::Null, copies: times });
                }
            }
        }
    }

    /// How many values it holds.
    fn values(&self) -> usize {
        match self {
            Self::Additive { .. } | Self::Smallest(_) | Self::Largest(_) => 1,
            Self::Distinct(sample) => sample.hashes.len(),
            Self::Frequent(counts) => counts.len(),
            Self::Timeline(instants) => instants.len(),
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
    /// Takes in an observation; adds what changed to `change`. `held` is the state so far; where there is none, gives what
    /// is one from now on.
    pub fn observe(
        held: Option<&mut Self>,
        aggregate: &Aggregate,
        slot: Slot,
        observed: (Value, Millis, MessageId),
        now: Millis,
        change: &mut Features,
    ) -> Option<Self> {
        let (value, at, tie) = observed;
        let partial = Partial::of(aggregate.function, value, at, tie)?;
        let additive = matches!(partial, Partial::Additive { .. });
        let bucket = aggregate.window.as_ref().map(|window| (window.bucket(at), window));
        if bucket.is_some_and(|(bucket, window)| window.expires(bucket) <= now) {
            return None;
        }
        match (held, bucket) {
            (None, bucket) => {
                partial.contribute(slot, 1, change);
                return Some(match bucket {
                    Some((bucket, _)) => Self::Window(Buckets::of(bucket, partial)),
                    None => Self::All(partial),
                });
            }
            (Some(Self::Window(buckets)), Some((bucket, _))) if additive => {
                buckets.merge(bucket, &partial, Partial::combine);
                partial.contribute(slot, 1, change);
            }
            (Some(Self::Window(buckets)), Some((bucket, _))) => {
                let old = fold(buckets);
                buckets.merge(bucket, &partial, Partial::combine);
                exchange(old.as_ref(), fold(buckets).as_ref(), slot, change);
            }
            (Some(Self::All(all)), None) if additive => {
                all.combine(&partial);
                partial.contribute(slot, 1, change);
            }
            (Some(Self::All(all)), None) => {
                let old = all.clone();
                all.combine(&partial);
                exchange(Some(&old), Some(all), slot, change);
            }
            // One aggregate is windowed or not, since its id names its window.
            (Some(Self::Window(_)), None) | (Some(Self::All(_)), Some(_)) => {}
        }
        None
    }

    /// Takes in what was observed apart, of the same aggregate. Both must be as of windows that reach as far back.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::All(held), Self::All(more)) => held.combine(more),
            (Self::Window(held), Self::Window(more)) => {
                more.iter().for_each(|(bucket, partial)| held.merge(*bucket, partial, Partial::combine));
            }
            // One aggregate is windowed or not, since its id names its window.
            (Self::All(_), Self::Window(_)) | (Self::Window(_), Self::All(_)) => {}
        }
    }

    /// Whether time alone changes it.
    pub fn is_windowed(&self) -> bool {
        matches!(self, Self::Window(_))
    }

    /// Whether what it counts is an estimate.
    pub fn is_estimate(&self) -> bool {
        let is = |partial: &Partial| matches!(partial, Partial::Distinct(sample) if sample.threshold < u64::MAX);
        match self {
            Self::All(partial) => is(partial),
            Self::Window(buckets) => buckets.iter().any(|(_, partial)| is(partial)),
        }
    }

    /// How many values it holds.
    pub fn values(&self) -> usize {
        match self {
            Self::All(partial) => partial.values(),
            Self::Window(buckets) => buckets.iter().map(|(_, partial)| partial.values()).sum(),
        }
    }

    /// Drops the buckets that have left the window; adds what changed to `change`. Gives false when nothing is left.
    pub fn expire(&mut self, aggregate: &Aggregate, slot: Slot, now: Millis, change: &mut Features) -> bool {
        let (Self::Window(buckets), Some(window)) = (&mut *self, &aggregate.window) else { return true };
        if buckets.next_expiry(window).is_none_or(|due| due > now) {
            return !buckets.is_empty();
        }
        let old = fold(buckets);
        buckets.expire(window, now);
        exchange(old.as_ref(), fold(buckets).as_ref(), slot, change);
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
    pub fn contribute(&self, slot: Slot, to: &mut Features) {
        match self {
            Self::All(partial) => partial.contribute(slot, 1, to),
            Self::Window(buckets) => {
                fold(buckets).into_iter().for_each(|partial| partial.contribute(slot, 1, to));
            }
        }
    }
}

/// One partial takes the place of another: only that in which they differ is in the change.
fn exchange(old: Option<&Partial>, new: Option<&Partial>, slot: Slot, change: &mut Features) {
    if old == new {
        return;
    }
    let (mut comes, mut goes) = (Features::default(), Features::default());
    new.into_iter().for_each(|new| new.contribute(slot, 1, &mut comes));
    old.into_iter().for_each(|old| old.contribute(slot, -1, &mut goes));
    comes.plus_equals(&goes);
    change.plus_equals(&comes);
}

/// All buckets as one.
fn fold(buckets: &Buckets<Partial>) -> Option<Partial> {
    let mut partials = buckets.iter().map(|(_, partial)| partial);
    let mut folded = partials.next()?.clone();
    partials.for_each(|partial| folded.combine(partial));
    Some(folded)
}
