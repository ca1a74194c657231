//! Which segments each customer is in, and when that changes by itself: evaluated again where something has changed.
//!
//! Of a customer who changes, only the expressions that read what has changed are looked at, as they were and as they are.
//! When definitions change, customers are looked at a share at a time, in the order of their ids, whether or not anything
//! happens to them: each is told of by the old definitions until it is its turn, and by the new ones from then on.

use super::meaning::Redefined;
use super::profiles::{Profiles, Trace};
use super::program::{ProfileValues, Step};
use super::run::{Read, Scratch};
use crate::output::SegmentIndex;
use crate::profile::features::Slot;
use crate::profile::{Features, Plan};
use crate::sequential::by_epoch_at;
use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::operators::arrange::Arranged;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use timely::dataflow::StreamVec;
use tributary_model::{Epoch, Millis, ProfileId};

/// What every epoch begins with.
#[derive(Clone, Debug)]
pub struct Tick {
    /// What time it is.
    pub now: Millis,
    /// Other definitions, from this epoch on; those before must have been taken over by then.
    pub plan: Option<Arc<Plan>>,
    /// How many of a worker's customers may be looked at in this epoch because definitions have changed.
    pub share: usize,
}

/// What is said of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Said {
    /// The customer is in this segment.
    Member(ProfileId, SegmentIndex),
    /// What is said of the customer changes at that time, if nothing happens before.
    Wake(ProfileId, Millis),
    /// In this epoch the customer has come to this segment, or left it, because definitions have changed.
    Redefined(ProfileId, SegmentIndex),
    /// All of a worker's customers are told of by the definitions of this version.
    Current(u64),
}

/// What is said of each customer.
pub fn evaluate<'scope>(
    profiles: Arranged<'scope, Trace>,
    ticks: StreamVec<'scope, Epoch, (Epoch, Tick)>,
    plan: Arc<Plan>,
) -> VecCollection<'scope, Epoch, Said, isize> {
    let mut all = Profiles::new(profiles.trace.clone());
    let mut evaluator = Evaluator::new(plan);
    // Customers are told of where they are arranged.
    by_epoch_at(profiles.count_total(), ticks, "Segments", move |epoch, ticks, changes| {
        let output = evaluator.apply(ticks, changes, epoch, &all);
        all.is_done_with(epoch);
        output
    })
}

/// Evaluates customers whose features change.
#[derive(Debug)]
struct Evaluator {
    current: Definitions,
    sweep: Option<Sweep>,
    /// When what is said of customers changes by itself, as it was told.
    wakes: HashMap<ProfileId, Millis>,
    now: Millis,
    share: usize,
}

/// New definitions on their way.
#[derive(Debug)]
struct Sweep {
    next: Definitions,
    redefined: Redefined,
    /// What is to be looked at by the old and by the new ones.
    steps: (Vec<Step>, Vec<Step>),
    /// The last customer who has had a turn.
    upto: Option<ProfileId>,
}

/// Definitions, with room to evaluate by them.
#[derive(Debug)]
struct Definitions {
    plan: Arc<Plan>,
    before: Scratch,
    after: Scratch,
    slots: Vec<Slot>,
    reads: Vec<Read>,
    steps: Vec<Step>,
}

impl Evaluator {
    fn new(plan: Arc<Plan>) -> Self {
        Self { current: Definitions::new(plan), sweep: None, wakes: HashMap::new(), now: Millis::MIN, share: 0 }
    }

    fn apply(
        &mut self,
        ticks: Vec<Tick>,
        mut changes: Vec<((ProfileId, Features), isize)>,
        epoch: Epoch,
        all: &Profiles,
    ) -> Vec<(Said, isize)> {
        for Tick { now, plan, share } in ticks {
            (self.now, self.share) = (now, share);
            self.sweep = plan.map(|plan| Sweep::new(&self.current.plan, plan)).or(self.sweep.take());
        }
        consolidate(&mut changes);
        let mut output = Vec::new();
        for change in changes.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
            let Some(((profile, _), _)) = change.first() else { continue };
            let side = |sign: bool| change.iter().find(|(_, times)| (*times > 0) == sign).map(|((_, now), _)| now);
            let had_turn = |sweep: &&mut Sweep| sweep.upto.is_some_and(|upto| *profile <= upto);
            let definitions = match self.sweep.as_mut().filter(had_turn) {
                Some(sweep) => &mut sweep.next,
                None => &mut self.current,
            };
            definitions.again(*profile, (side(false), side(true)), self.now, &mut self.wakes, &mut output);
        }
        self.sweep_on(epoch, all, &mut output);
        output
    }

    /// Gives the next share of the customers their turn.
    fn sweep_on(&mut self, epoch: Epoch, all: &Profiles, output: &mut Vec<(Said, isize)>) {
        let Some(sweep) = &mut self.sweep else { return };
        let says_the_same = sweep.redefined == Redefined::default();
        let share = if says_the_same { Vec::new() } else { all.after(sweep.upto, epoch, self.share) };
        let is_last = says_the_same || share.len() < self.share;
        for (profile, features) in share {
            sweep.turn(&mut self.current, profile, &features, self.now, &mut self.wakes, output);
            sweep.upto = Some(profile);
        }
        if is_last && let Some(sweep) = self.sweep.take() {
            output.push((Said::Current(sweep.next.plan.version), 1));
            self.current = sweep.next;
        }
    }
}

impl Sweep {
    fn new(current: &Plan, plan: Arc<Plan>) -> Self {
        let redefined = plan.program.redefined_since(&current.program);
        let mut steps = (Vec::new(), Vec::new());
        for (before, now) in &redefined.segments {
            steps.0.extend(before.map(Step::Segment));
            steps.1.extend(now.map(Step::Segment));
        }
        steps = (current.program.needed_by_all(&steps.0), plan.program.needed_by_all(&steps.1));
        Self { next: Definitions::new(plan), redefined, steps, upto: None }
    }

    /// From now on a customer is told of by the new definitions.
    fn turn(
        &mut self,
        current: &mut Definitions,
        profile: ProfileId,
        features: &Features,
        now: Millis,
        wakes: &mut HashMap<ProfileId, Millis>,
        output: &mut Vec<(Said, isize)>,
    ) {
        if wakes.get(&profile).is_some_and(|at| *at <= now) {
            // What time alone has changed so far is told by the old ones first.
            current.again(profile, (Some(features), Some(features)), now, wakes, output);
        }
        let wake = wakes.get(&profile).copied();
        let (old, new) = (current.plan.clone(), self.next.plan.clone());
        old.program.run_steps(&self.steps.0, &old.values(features, now), &mut current.before);
        let values = new.values(features, now);
        new.program.run_steps(&self.steps.1, &values, &mut self.next.after);
        for (before, after) in &self.redefined.segments {
            let was = before.is_some_and(|segment| current.before.is_in(segment));
            let is = after.is_some_and(|segment| self.next.after.is_in(segment));
            let number = after.map(|at| new.slots.segment(at)).or(before.map(|at| old.slots.segment(at)));
            if let Some(number) = number.filter(|_| was != is) {
                output.push((Said::Member(profile, number), if is { 1 } else { -1 }));
                output.push((Said::Redefined(profile, number), 1));
            }
        }
        if self.redefined.clocked {
            let next = self.next.next_wake(&values);
            set_wake(profile, wake, next, wakes, output);
        }
    }
}

impl Definitions {
    fn new(plan: Arc<Plan>) -> Self {
        let (before, after) = (plan.program.scratch(), plan.program.scratch());
        Self { plan, before, after, slots: Vec::new(), reads: Vec::new(), steps: Vec::new() }
    }

    /// Looks at a customer again.
    fn again(
        &mut self,
        profile: ProfileId,
        (before, after): (Option<&Features>, Option<&Features>),
        now: Millis,
        wakes: &mut HashMap<ProfileId, Millis>,
        output: &mut Vec<(Said, isize)>,
    ) {
        let plan = self.plan.clone();
        let program = &plan.program;
        let wake = wakes.get(&profile).copied();
        let woken = wake.is_some_and(|at| at <= now);
        self.slots.clear();
        let all = match (before, after) {
            (Some(before), Some(after)) => {
                changed_slots(before, after, &mut self.slots);
                false
            }
            _ => true,
        };
        self.reads.clear();
        self.reads.extend(self.slots.iter().filter_map(|slot| plan.slots.read(*slot)));
        program.affected(if all { None } else { Some(&self.reads) }, woken, &mut self.steps);
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
                output.push((Said::Member(profile, plan.slots.segment(segment)), if is { 1 } else { -1 }));
            }
        }
        if all || woken || self.steps.iter().any(|step| program.is_clocked(*step)) {
            let next = values.and_then(|values| self.next_wake(&values));
            set_wake(profile, wake, next, wakes, output);
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

/// Tells when what is said of a customer changes by itself, if that is another time than was told.
fn set_wake(
    profile: ProfileId,
    wake: Option<Millis>,
    next: Option<Millis>,
    wakes: &mut HashMap<ProfileId, Millis>,
    output: &mut Vec<(Said, isize)>,
) {
    if next == wake {
        return;
    }
    output.extend(wake.map(|at| (Said::Wake(profile, at), -1)));
    output.extend(next.map(|at| (Said::Wake(profile, at), 1)));
    match next {
        Some(at) => drop(wakes.insert(profile, at)),
        None => drop(wakes.remove(&profile)),
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
