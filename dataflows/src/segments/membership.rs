//! Which segments each customer is in, and when that changes by itself: evaluated again where something has changed.
//!
//! Of a customer who changes, only the expressions that read what has changed are looked at, as they were and as they are.

use super::program::{ProfileValues, Step};
use super::run::Scratch;
use crate::output::SegmentIndex;
use crate::profile::features::Slot;
use crate::profile::{Features, Plan};
use crate::sequential::by_epoch_at;
use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use tributary_model::{Epoch, Millis, ProfileId};

/// What is said of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Said {
    /// The customer is in this segment.
    Member(ProfileId, SegmentIndex),
    /// What is said of the customer changes at that time, if nothing happens before.
    Wake(ProfileId, Millis),
}

/// What is said of each customer.
pub fn evaluate<'scope>(
    profiles: VecCollection<'scope, Epoch, (ProfileId, Features), isize>,
    clock: VecCollection<'scope, Epoch, Millis, isize>,
    plan: Arc<Plan>,
) -> VecCollection<'scope, Epoch, Said, isize> {
    let mut evaluator = Evaluator::new(plan);
    let route = |(profile, _): &(ProfileId, Features)| profile.0 as u64;
    by_epoch_at(profiles, clock, "Segments", route, move |now, changes| evaluator.apply(now, changes))
}

/// Evaluates customers whose features change.
#[derive(Debug)]
struct Evaluator {
    plan: Arc<Plan>,
    /// When what is said of customers changes by itself, as it was told.
    wakes: HashMap<ProfileId, Millis>,
    before: Scratch,
    after: Scratch,
    slots: Vec<Slot>,
    steps: Vec<Step>,
}

impl Evaluator {
    fn new(plan: Arc<Plan>) -> Self {
        let (before, after) = (plan.program.scratch(), plan.program.scratch());
        Self { plan, wakes: HashMap::new(), before, after, slots: Vec::new(), steps: Vec::new() }
    }

    fn apply(&mut self, now: Millis, mut changes: Vec<((ProfileId, Features), isize)>) -> Vec<(Said, isize)> {
        consolidate(&mut changes);
        let mut output = Vec::new();
        for change in changes.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
            let Some(((profile, _), _)) = change.first() else { continue };
            let side = |sign: bool| change.iter().find(|(_, times)| (*times > 0) == sign).map(|((_, now), _)| now);
            self.again(*profile, side(false), side(true), now, &mut output);
        }
        output
    }

    /// Looks at a customer again.
    fn again(
        &mut self,
        profile: ProfileId,
        before: Option<&Features>,
        after: Option<&Features>,
        now: Millis,
        output: &mut Vec<(Said, isize)>,
    ) {
        let plan = self.plan.clone();
        let program = &plan.program;
        let wake = self.wakes.get(&profile).copied();
        let woken = wake.is_some_and(|at| at <= now);
        self.slots.clear();
        let all = match (before, after) {
            (Some(before), Some(after)) => {
                changed_slots(before, after, &mut self.slots);
                false
            }
            _ => true,
        };
        program.affected(if all { None } else { Some(&self.slots) }, woken, &mut self.steps);
        // What was said held until it was to change by itself.
        let then = wake.map_or(now, |at| now.min(at - 1));
        if let Some(before) = before {
            program.run_steps(&self.steps, &plan.values(before, then), &mut self.before);
        }
        let values = after.map(|after| plan.values(after, now));
        if let Some(values) = &values {
            program.run_steps(&self.steps, values, &mut self.after);
        }
        for step in &self.steps {
            let Some(segment) = step.segment() else { continue };
            let was = before.is_some() && self.before.is_in(segment);
            let is = after.is_some() && self.after.is_in(segment);
            if was != is {
                output.push((Said::Member(profile, segment as SegmentIndex), if is { 1 } else { -1 }));
            }
        }
        if all || woken || self.steps.iter().any(|step| program.is_clocked(*step)) {
            let next = values.and_then(|values| self.next_wake(&values));
            if next != wake {
                output.extend(wake.map(|at| (Said::Wake(profile, at), -1)));
                output.extend(next.map(|at| (Said::Wake(profile, at), 1)));
                match next {
                    Some(at) => drop(self.wakes.insert(profile, at)),
                    None => drop(self.wakes.remove(&profile)),
                }
            }
        }
    }

    /// When what is said of a customer, who has just been looked at, changes by itself.
    fn next_wake(&mut self, values: &impl ProfileValues) -> Option<Millis> {
        let program = &self.plan.program;
        if !program.reads_clock() {
            return None;
        }
        program.affected(Some(&[]), true, &mut self.steps);
        program.run_steps(&self.steps, values, &mut self.after);
        program.next_change(values, &self.after)
    }
}

/// The slots in which two sums differ, in order.
fn changed_slots(one: &Features, other: &Features, slots: &mut Vec<Slot>) {
    differing(&one.additive, &other.additive, |entry| entry.slot, slots);
    differing(&one.valued, &other.valued, |entry| entry.slot, slots);
    slots.sort_unstable();
    slots.dedup();
}

/// The slots of entries that stand in one of two sorted lists only.
fn differing<T: Ord>(one: &[T], other: &[T], slot: impl Fn(&T) -> Slot, slots: &mut Vec<Slot>) {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    loop {
        let order = match (one.peek(), other.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Equal => drop((one.next(), other.next())),
            Ordering::Less => slots.extend(one.next().map(&slot)),
            Ordering::Greater => slots.extend(other.next().map(&slot)),
        }
    }
}
