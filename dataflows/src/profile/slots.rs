//! Where each thing that definitions read stands in the features.
//!
//! Programs change while features stay: whatever two programs both read stands in the same slot under both, so that a
//! customer can be looked at by the one and the other. A slot that is no longer read is never given to anything else.

use super::features::Slot;
use super::values::Pick;
use crate::output::SegmentIndex;
use crate::segments::{AggregateFunction, Program, Read};
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::Value;

/// Of a group: how many members it has.
const MEMBERS: Slot = 0;
/// Of a group: its id.
const GROUP_ID: Slot = 1;
/// When time alone last changed an answer about the customer.
const WOKEN: Slot = 2;
/// The first slot of what programs read.
const FIRST: Slot = 3;

/// The slots of one program.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    picks: Vec<Pick>,
    aggregates: Vec<Slot>,
    traits: Vec<Slot>,
    groups: Vec<Slot>,
    without_account: Vec<Value>,
    reads: BTreeMap<Slot, Read>,
    segments: Vec<SegmentIndex>,
    taken: Taken,
}

/// What has a place, by what names it in any program.
#[derive(Clone, Debug, Default)]
struct Taken {
    aggregates: BTreeMap<u64, Slot>,
    traits: BTreeMap<String, Slot>,
    next: Slot,
    /// Segments that have ever been defined: a number each.
    segments: Vec<String>,
    /// What is computed of groups is settled by the first program.
    groups: OfGroups,
}

#[derive(Clone, Debug, Default)]
struct OfGroups {
    /// Its expressions, in its order, with their slots.
    expressions: Vec<(String, Slot)>,
    /// The slots of what they need.
    aggregates: BTreeSet<Slot>,
    traits: BTreeSet<Slot>,
}

/// Definitions read something of groups that no definition read at the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not computed of groups")]
pub struct NotOfGroups(pub String);

impl Slots {
    /// The slots of a program before which there was none.
    pub(super) fn new(program: &Program) -> Self {
        let mut taken = Taken { next: FIRST, ..Taken::default() };
        for expression in 0..program.groups.len() {
            let slot = taken.fresh();
            taken.groups.expressions.push((program.meaning_of_group(expression), slot));
        }
        let mut slots = Self { taken, ..Self::default() };
        slots.give(program);
        let OfGroups { aggregates, traits, .. } = &mut slots.taken.groups;
        aggregates.extend(program.groups.aggregates.iter().filter_map(|index| slots.aggregates.get(*index)));
        traits.extend(program.groups.traits.iter().filter_map(|index| slots.traits.get(*index)));
        slots
    }

    /// The slots of the program that comes after another one.
    ///
    /// # Errors
    /// If it reads of groups what the first one did not.
    pub(super) fn after(program: &Program, before: &Self) -> Result<Self, NotOfGroups> {
        before.check_groups(program)?;
        Ok(before.settled(program))
    }

    /// Whether a program reads no more of groups than is computed of them.
    pub(super) fn check_groups(&self, program: &Program) -> Result<(), NotOfGroups> {
        let known = |meaning: &String| self.taken.groups.expressions.iter().any(|(known, _)| known == meaning);
        let mut meanings = (0..program.groups.len()).map(|index| program.meaning_of_group(index));
        match meanings.find(|meaning| !known(meaning)) {
            Some(new) => Err(NotOfGroups(new.lines().next().unwrap_or_default().to_owned())),
            None => Ok(()),
        }
    }

    /// The slots of the same program without some of what it reads.
    pub(super) fn settled(&self, program: &Program) -> Self {
        let mut slots = Self { taken: self.taken.clone(), ..Self::default() };
        slots.give(program);
        slots
    }

    fn give(&mut self, program: &Program) {
        for (index, aggregate) in program.aggregates.iter().enumerate() {
            let slot = match self.taken.aggregates.get(&aggregate.id) {
                Some(slot) => *slot,
                None => self.taken.fresh(),
            };
            self.taken.aggregates.insert(aggregate.id, slot);
            self.picks.push(Pick::of_function(aggregate.function));
            self.aggregates.push(slot);
            self.reads.insert(slot, Read::Aggregate(index));
        }
        // What is gone takes its slot with it: when it comes again, it is another one.
        let ids: BTreeSet<u64> = program.aggregates.iter().map(|aggregate| aggregate.id).collect();
        self.taken.aggregates.retain(|id, _| ids.contains(id));
        for (index, path) in program.trait_paths.iter().enumerate() {
            let slot = match self.taken.traits.get(path) {
                Some(slot) => *slot,
                None => self.taken.fresh(),
            };
            self.taken.traits.insert(path.clone(), slot);
            self.traits.push(slot);
            self.reads.insert(slot, Read::Trait(index));
        }
        let paths: BTreeSet<&String> = program.trait_paths.iter().collect();
        self.taken.traits.retain(|path, _| paths.contains(path));
        for index in 0..program.groups.len() {
            let meaning = program.meaning_of_group(index);
            let slot = self.taken.groups.expressions.iter().find(|(known, _)| *known == meaning).map(|(_, slot)| *slot);
            self.groups.push(slot.unwrap_or_default());
            self.reads.extend(slot.map(|slot| (slot, Read::Group(index))));
        }
        self.without_account.clone_from(&program.groups.without_account);
        let numbers: BTreeMap<String, usize> = self.taken.segments.iter().cloned().zip(0..).collect();
        for segment in &program.segments {
            let number = numbers.get(&segment.id).copied().unwrap_or_else(|| {
                self.taken.segments.push(segment.id.clone());
                self.taken.segments.len() - 1
            });
            self.segments.push(number as SegmentIndex);
        }
    }

    /// How the aggregate with that index is read.
    pub(crate) fn pick(&self, index: usize) -> Pick {
        self.picks.get(index).copied().unwrap_or(Pick::Additive)
    }

    /// The slot of the aggregate with that index.
    pub fn aggregate(&self, index: usize) -> Slot {
        self.aggregates.get(index).copied().unwrap_or(Slot::MAX)
    }

    /// The slot of the trait path with that index.
    pub fn trait_path(&self, index: usize) -> Slot {
        self.traits.get(index).copied().unwrap_or(Slot::MAX)
    }

    /// The slot of the expression of groups with that index: its value of the customer's account, and of how many of
    /// the customer's groups it is true.
    pub fn group(&self, index: usize) -> Slot {
        self.groups.get(index).copied().unwrap_or(Slot::MAX)
    }

    /// The value of that expression for whoever has no account.
    pub(super) fn without_account(&self, index: usize) -> Value {
        self.without_account.get(index).cloned().unwrap_or_default()
    }

    /// Of a group: how many members it has.
    pub fn members(&self) -> Slot {
        MEMBERS
    }

    /// Of a group: its id.
    pub fn group_id(&self) -> Slot {
        GROUP_ID
    }

    /// When time alone last changed an answer about the customer.
    pub fn woken(&self) -> Slot {
        WOKEN
    }

    /// What the program reads in a slot, if anything.
    pub(crate) fn read(&self, slot: Slot) -> Option<Read> {
        self.reads.get(&slot).copied()
    }

    /// The number of a segment, by its index in the program.
    pub fn segment(&self, index: usize) -> SegmentIndex {
        self.segments.get(index).copied().unwrap_or(SegmentIndex::MAX)
    }

    /// The id of the segment with that number, also if it is gone.
    pub fn segment_id(&self, number: SegmentIndex) -> Option<&str> {
        self.taken.segments.get(number as usize).map(String::as_str)
    }

    /// The number of the segment of that id, if there ever was one.
    pub fn segment_named(&self, id: &str) -> Option<SegmentIndex> {
        let place = self.taken.segments.iter().position(|segment| segment == id)?;
        SegmentIndex::try_from(place).ok()
    }

    /// The slots of the expressions of groups, in the order in which they are computed of groups.
    pub(super) fn of_groups(&self) -> impl ExactSizeIterator<Item = Slot> {
        self.taken.groups.expressions.iter().map(|(_, slot)| *slot)
    }

    /// Whether the program reads a trait path.
    pub(super) fn reads_trait(&self, path: &str) -> bool {
        self.taken.traits.contains_key(path)
    }

    /// Whether an aggregate in this slot is needed of groups.
    pub(super) fn is_aggregate_of_groups(&self, slot: Slot) -> bool {
        self.taken.groups.aggregates.contains(&slot)
    }

    /// Whether a trait in this slot is needed of groups.
    pub(super) fn is_trait_of_groups(&self, slot: Slot) -> bool {
        self.taken.groups.traits.contains(&slot)
    }
}

impl Taken {
    fn fresh(&mut self) -> Slot {
        let slot = self.next;
        self.next = self.next.saturating_add(1);
        slot
    }
}

impl Pick {
    fn of_function(function: AggregateFunction) -> Self {
        match function {
            AggregateFunction::Count | AggregateFunction::Sum => Self::Additive,
            AggregateFunction::Min | AggregateFunction::First => Self::First,
            AggregateFunction::Max | AggregateFunction::Last | AggregateFunction::Timeline => Self::Last,
            AggregateFunction::Distinct => Self::Distinct,
            AggregateFunction::Mode => Self::Mode,
        }
    }
}
