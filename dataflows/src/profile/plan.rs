//! A program made ready for events: which aggregates and traits an event can touch, and where each has its slot.

use super::facts::{TraitFact, hold_trait};
use super::features::{Features, Slot, Valued};
use super::touched::Touched;
use super::values::{FeatureValues, Pick, Slots};
use crate::segments::{Aggregate, AggregateFunction, Evaluation, Program};
use std::collections::HashMap;
use tributary_model::{Event, MessageId, Millis, Value};

/// One trait path that expressions read.
#[derive(Clone, Debug)]
pub struct TraitSlot {
    /// Where its value stands in the features.
    pub slot: Slot,
    /// The rest of the path below the top-level trait; empty for the trait itself.
    pub below: Vec<String>,
}

/// What one aggregate sees in an event.
#[derive(Debug)]
pub struct Observed<'a> {
    /// Which aggregate.
    pub aggregate: &'a Aggregate,
    /// Where it stands in the features.
    pub slot: Slot,
    /// The value, when the event happened, and what breaks ties of time.
    pub said: (Value, Millis, MessageId),
}

/// The program with its indexes.
#[derive(Debug)]
pub struct Plan {
    /// The compiled definitions.
    pub program: Program,
    /// Where each aggregate and trait has its slot.
    pub slots: Slots,
    touched: Touched,
    by_trait: HashMap<String, Vec<TraitSlot>>,
    by_id: HashMap<u64, usize>,
}

impl Plan {
    /// Indexes a program.
    pub fn new(program: Program) -> Self {
        let picks = program.aggregates.iter().map(|aggregate| match aggregate.function {
            AggregateFunction::Count | AggregateFunction::Sum => Pick::Additive,
            AggregateFunction::Min | AggregateFunction::First => Pick::First,
            AggregateFunction::Max | AggregateFunction::Last | AggregateFunction::Timeline => Pick::Last,
            AggregateFunction::Distinct => Pick::Distinct,
            AggregateFunction::Mode => Pick::Mode,
        });
        let (traits, groups) = (program.trait_paths.len(), program.groups.len());
        let without_account = program.groups.without_account.clone();
        let slots = Slots { picks: picks.collect(), traits, groups, without_account };
        let touched = Touched::new(&program.aggregates);
        let mut by_trait: HashMap<String, Vec<TraitSlot>> = HashMap::new();
        for (index, path) in program.trait_paths.iter().enumerate() {
            let mut steps = path.split('.').map(str::to_owned);
            if let Some(root) = steps.next() {
                let slot = slots.trait_path(index);
                by_trait.entry(root).or_default().push(TraitSlot { slot, below: steps.collect() });
            }
        }
        let by_id = program.aggregates.iter().enumerate().map(|(index, aggregate)| (aggregate.id, index)).collect();
        Self { program, slots, touched, by_trait, by_id }
    }

    /// What all aggregates see in an event.
    pub fn observed<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = Observed<'a>> {
        self.observed_by(self.touched.by(event), event)
    }

    /// What some aggregates, by index, see in an event.
    pub fn observed_by<'a>(
        &'a self,
        indexes: impl Iterator<Item = usize> + 'a,
        event: &'a Event,
    ) -> impl Iterator<Item = Observed<'a>> {
        indexes.filter_map(|index| {
            let aggregate = self.program.aggregates.get(index)?;
            let value = aggregate.observe(event)?;
            let said = (value, event.timestamp, event.message_id);
            Some(Observed { aggregate, slot: self.slots.aggregate(index), said })
        })
    }

    /// The slots that a top-level trait feeds.
    pub fn trait_slots(&self, name: &str) -> &[TraitSlot] {
        self.by_trait.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether definitions read anything of groups.
    pub fn reads_groups(&self) -> bool {
        !self.program.groups.is_empty()
    }

    /// Whether what members have in a slot counts for their groups: an aggregate that definitions read of groups.
    pub fn counts_for_groups(&self, slot: Slot) -> bool {
        self.program.groups.aggregates.contains(&usize::from(slot))
    }

    /// What a word on a group's trait is as a difference.
    pub fn group_trait(&self, name: &str, fact: &TraitFact, times: isize) -> Features {
        let mut features = Features::default();
        let is_read = |slot: &&TraitSlot| {
            let index = usize::from(slot.slot).checked_sub(self.slots.picks.len());
            index.is_some_and(|index| self.program.groups.traits.contains(&index))
        };
        let slots = self.trait_slots(name).iter().filter(is_read);
        hold_trait(slots, fact, times as i32, &mut features);
        features
    }

    /// What it is for a group that so many more identifiers belong to it, as a difference: its id.
    pub fn group_id(&self, id: &str, times: isize) -> Features {
        let mut features = Features::default();
        let (at, tie, value) = (0, MessageId::default(), Value::text(id));
        features.hold(Valued { slot: self.slots.group_id(), at, tie, value, copies: times as i32 });
        features
    }

    /// What a member's expressions read of one group, as a difference of the member: how the group's expressions have
    /// come out, and, of the member's account, their values.
    pub fn of_group(&self, is_account: bool, values: &[Value]) -> Features {
        let mut features = Features::default();
        for (index, value) in values.iter().enumerate() {
            let slot = self.slots.group(index);
            features.add(slot, i64::from(*value == Value::Bool(true)), 0);
            if is_account {
                let (at, tie, value) = (0, MessageId::default(), value.clone());
                features.hold(Valued { slot, at, tie, value, copies: 1 });
            }
        }
        features
    }

    /// That a customer was looked at again at some time, as a difference.
    pub(super) fn woken(&self, at: Millis, copies: i32) -> Valued {
        Valued { slot: self.slots.woken(), at, tie: MessageId::default(), value: Value::Null, copies }
    }

    /// The aggregate that a stored id names, if the definitions still have it.
    pub fn aggregate(&self, id: u64) -> Option<(usize, &Aggregate)> {
        let index = *self.by_id.get(&id)?;
        self.program.aggregates.get(index).map(|aggregate| (index, aggregate))
    }

    /// All computed traits and memberships of a customer with these features at some time.
    pub fn evaluate(&self, features: &Features, now: Millis) -> Evaluation {
        self.program.evaluate(&self.values(features, now))
    }

    /// The computed traits that are estimates for a customer with these features, by name: they count more different values
    /// than are kept.
    pub fn estimates(&self, features: &Features) -> Vec<&str> {
        let is_estimate = |(slot, pick): (usize, &Pick)| {
            (*pick == Pick::Distinct && features.is_estimate(self.slots.aggregate(slot))).then_some(slot)
        };
        let slots: Vec<usize> = self.slots.picks.iter().enumerate().filter_map(is_estimate).collect();
        if slots.is_empty() { Vec::new() } else { self.program.computed_from(&slots) }
    }

    /// Features as expressions read them at some time.
    pub fn values<'a>(&'a self, features: &'a Features, now: Millis) -> FeatureValues<'a> {
        FeatureValues { slots: &self.slots, features, now }
    }
}
