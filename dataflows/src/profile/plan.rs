//! A program made ready for events: which aggregates and traits an event can touch, and where each has its slot.

use super::facts::{TraitFact, hold_trait};
use super::features::{Features, Slot, Valued};
use super::slots::{NotOfGroups, Slots};
use super::touched::Touched;
use super::values::{FeatureValues, Pick};
use crate::segments::{Aggregate, Evaluation, Program};
use std::collections::{BTreeSet, HashMap};
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
    /// Its index.
    pub index: usize,
    /// Where it stands in the features.
    pub slot: Slot,
    /// The value, when the event happened, and what breaks ties of time.
    pub said: (Value, Millis, MessageId),
}

/// The program with its indexes.
#[derive(Debug)]
pub struct Plan {
    /// The version of the definitions.
    pub version: u64,
    /// The compiled definitions.
    pub program: Program,
    /// Where each aggregate and trait has its slot.
    pub slots: Slots,
    touched: Touched,
    by_trait: HashMap<String, Vec<TraitSlot>>,
    by_id: HashMap<u64, usize>,
    /// How many aggregates and trait paths the program itself reads: those behind them are what others read.
    own: (usize, usize),
    gained: Vec<usize>,
}

impl Plan {
    /// Indexes a program before which there was none.
    pub fn new(program: Program) -> Self {
        let slots = Slots::new(&program);
        Self::index(program, slots)
    }

    /// The plan as that of a version of the definitions.
    pub fn of_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// Indexes a program beside another one: what both read stands in the same place.
    ///
    /// # Errors
    /// If it reads of groups what the first one did not.
    pub fn beside(program: Program, other: &Self) -> Result<Self, NotOfGroups> {
        let slots = Slots::after(&program, &other.slots)?;
        Ok(Self::index(program, slots))
    }

    /// Whether a program can stand beside this one.
    ///
    /// # Errors
    /// If it reads of groups what the first one did not.
    pub fn check_groups(&self, program: &Program) -> Result<(), NotOfGroups> {
        self.slots.check_groups(program)
    }

    /// Indexes a program that takes the place of another one: until it has, what that one reads is kept up too.
    ///
    /// # Errors
    /// If it reads of groups what the first one did not.
    pub fn after(mut program: Program, version: u64, before: &Self) -> Result<Self, NotOfGroups> {
        let own = (program.aggregates.len(), program.trait_paths.len());
        let ids: BTreeSet<u64> = program.aggregates.iter().map(|aggregate| aggregate.id).collect();
        let paths: BTreeSet<&String> = program.trait_paths.iter().collect();
        let is_gained = |(_, aggregate): &(usize, &Aggregate)| !before.by_id.contains_key(&aggregate.id);
        let gained = program.aggregates.iter().enumerate().filter(is_gained).map(|(index, _)| index).collect();
        let is_left = |aggregate: &&Aggregate| !ids.contains(&aggregate.id);
        let aggregates: Vec<_> = before.program.aggregates.iter().filter(is_left).cloned().collect();
        let left = before.program.trait_paths.iter().filter(|path| !paths.contains(path));
        let left: Vec<_> = left.cloned().collect();
        program.aggregates.extend(aggregates);
        program.trait_paths.extend(left);
        Ok(Self { version, own, gained, ..Self::beside(program, before)? })
    }

    /// The plan without what only the one before it reads, since it has taken its place. What is read of groups stays.
    pub fn settled(&self) -> Self {
        let mut program = self.program.clone();
        let mut index = 0..;
        program.aggregates.retain(|_| self.stays(index.next().unwrap_or_default()));
        let mut index = 0..;
        program.trait_paths.retain(|_| {
            let index = index.next().unwrap_or_default();
            index < self.own.1 || self.slots.is_trait_of_groups(self.slots.trait_path(index))
        });
        let slots = self.slots.settled(&program);
        Self { version: self.version, own: self.own, ..Self::index(program, slots) }
    }

    /// The aggregates, by index, that the plan before this one did not have.
    pub fn gained(&self) -> impl Iterator<Item = usize> {
        self.gained.iter().copied()
    }

    /// The stable ids of the aggregates that stay when the plan is settled.
    pub fn settled_aggregates(&self) -> impl Iterator<Item = u64> {
        let aggregates = self.program.aggregates.iter().enumerate();
        aggregates.filter(|(index, _)| self.stays(*index)).map(|(_, aggregate)| aggregate.id)
    }

    /// Whether the aggregate with that index stays when the plan is settled.
    fn stays(&self, index: usize) -> bool {
        index < self.own.0 || self.slots.is_aggregate_of_groups(self.slots.aggregate(index))
    }

    /// The slots of trait paths that another plan does not have.
    pub fn new_trait_slots<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Slot> + 'a {
        let paths = self.program.trait_paths.iter().enumerate();
        let new = paths.filter(|(_, path)| !other.slots.reads_trait(path));
        new.map(|(index, _)| self.slots.trait_path(index))
    }

    /// The aggregates, by stable id, that another plan does not have any more.
    pub fn dropped_by(&self, other: &Self) -> BTreeSet<u64> {
        let ids = |plan: &Self| plan.by_id.keys().copied().collect::<BTreeSet<_>>();
        &ids(self) - &ids(other)
    }

    fn index(program: Program, slots: Slots) -> Self {
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
        let own = (program.aggregates.len(), program.trait_paths.len());
        Self { version: 0, program, slots, touched, by_trait, by_id, own, gained: Vec::new() }
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
            self.seen(index, (value, event.timestamp, event.message_id))
        })
    }

    /// What the aggregate with that index has seen, as it is told to facts.
    pub fn seen(&self, index: usize, said: (Value, Millis, MessageId)) -> Option<Observed<'_>> {
        let aggregate = self.program.aggregates.get(index)?;
        Some(Observed { aggregate, index, slot: self.slots.aggregate(index), said })
    }

    /// The stable ids of all aggregates, in order.
    pub fn aggregate_ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The slots that a top-level trait feeds.
    pub fn trait_slots(&self, name: &str) -> &[TraitSlot] {
        self.by_trait.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether definitions read anything of groups.
    pub fn reads_groups(&self) -> bool {
        self.slots.of_groups().len() > 0
    }

    /// Whether what members have in a slot counts for their groups: an aggregate that definitions read of groups.
    pub fn counts_for_groups(&self, slot: Slot) -> bool {
        self.slots.is_aggregate_of_groups(slot)
    }

    /// What a word on a group's trait is as a difference.
    pub fn group_trait(&self, name: &str, fact: &TraitFact, times: isize) -> Features {
        let mut features = Features::default();
        let slots = self.trait_slots(name).iter().filter(|slot| self.slots.is_trait_of_groups(slot.slot));
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
        for (slot, value) in self.slots.of_groups().zip(values) {
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

    /// What people call a segment; `None` if there is none of that id.
    pub fn segment_name(&self, id: &str) -> Option<&str> {
        self.program.segments.iter().find(|segment| segment.id == id).map(|segment| segment.name.as_str())
    }

    /// All computed traits and memberships of a customer with these features at some time.
    pub fn evaluate(&self, features: &Features, now: Millis) -> Evaluation {
        self.program.evaluate(&self.values(features, now))
    }

    /// The computed traits that are estimates for a customer with these features, by name: they count more different values
    /// than are kept.
    pub fn estimates(&self, features: &Features) -> Vec<&str> {
        let is_estimate = |index: &usize| {
            self.slots.pick(*index) == Pick::Distinct && features.is_estimate(self.slots.aggregate(*index))
        };
        let estimates: Vec<usize> = (0..self.program.aggregates.len()).filter(is_estimate).collect();
        if estimates.is_empty() { Vec::new() } else { self.program.computed_from(&estimates) }
    }

    /// Features as expressions read them at some time.
    pub fn values<'a>(&'a self, features: &'a Features, now: Millis) -> FeatureValues<'a> {
        FeatureValues { slots: &self.slots, features, now }
    }
}
