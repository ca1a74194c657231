//! Running a program: all of it, or only the steps that read what has changed, each after those it needs.

use super::expression::aggregate::Aggregate;
use super::expression::{Customer, CustomerColumn, CustomerTree};
use super::program::{Evaluation, ProfileValues, Program, Step};
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{Millis, Value};

/// Something of a customer that a program reads, by the program's indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Read {
    Aggregate(usize),
    Trait(usize),
    /// An expression of groups.
    Group(usize),
}

/// Which steps read what, by their places in the order.
#[derive(Clone, Debug, Default)]
pub(super) struct Readers {
    /// The steps that read something of a customer.
    by_read: BTreeMap<Read, Vec<usize>>,
    /// By step, what it reads of a customer itself.
    reads: Vec<BTreeSet<Read>>,
    /// By step, those that read its value.
    readers: Vec<Vec<usize>>,
    /// By step, those whose value it reads.
    needs: Vec<Vec<usize>>,
    /// Steps that read the clock.
    clocked: Vec<usize>,
    places: BTreeMap<Step, usize>,
}

impl Readers {
    pub(super) fn new(program: &Program) -> Self {
        let count = program.steps.len();
        let mut this = Self { readers: vec![Vec::new(); count], needs: vec![Vec::new(); count], ..Self::default() };
        this.places = program.steps.iter().copied().zip(0..).collect();
        for (place, step) in program.steps.iter().enumerate() {
            let Some(expression) = program.expression(*step) else {
                this.reads.push(BTreeSet::new());
                continue;
            };
            let mut reads = Vec::new();
            let mut needs = Vec::new();
            let mut reads_clock = false;
            expression.each_leaf(&mut |leaf| match leaf {
                CustomerColumn::Count(index)
                | CustomerColumn::Sum(index)
                | CustomerColumn::Average(index)
                | CustomerColumn::Value(index) => reads.push(Read::Aggregate(*index)),
                CustomerColumn::Trait(index) => reads.push(Read::Trait(*index)),
                CustomerColumn::Account(index) | CustomerColumn::InGroup(index) => {
                    reads.push(Read::Group(*index));
                }
                CustomerColumn::Computed(index) => needs.push(Step::Computed(*index)),
                CustomerColumn::InSegment(index) => needs.push(Step::Segment(*index)),
                CustomerColumn::Now => reads_clock = true,
                CustomerColumn::Sequence(sequence) => {
                    reads.extend([sequence.first, sequence.second].map(Read::Aggregate));
                    reads_clock |= sequence.reads_clock();
                }
                CustomerColumn::Group(_) => {}
            });
            for read in &reads {
                this.by_read.entry(*read).or_default().push(place);
            }
            this.reads.push(reads.into_iter().collect());
            for needed in needs.iter().filter_map(|needed| this.places.get(needed)) {
                this.readers.get_mut(*needed).into_iter().for_each(|readers| readers.push(place));
                this.needs.get_mut(place).into_iter().for_each(|needs| needs.push(*needed));
            }
            this.clocked.extend(reads_clock.then_some(place));
        }
        this
    }
}

/// Room for the values of all steps, used again and again: only those of the steps that were run last mean anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    computed: Vec<Value>,
    segments: Vec<bool>,
}

impl Scratch {
    /// A customer, with what has been computed so far.
    pub(super) fn customer<'p, P: ProfileValues>(&'p self, profile: &'p P) -> Customer<'p, P> {
        Customer { profile, computed: &self.computed, segments: &self.segments }
    }

    pub(super) fn is_in(&self, segment: usize) -> bool {
        self.segments.get(segment).copied().unwrap_or(false)
    }
}

impl Program {
    /// Room for the values of all steps.
    pub(super) fn scratch(&self) -> Scratch {
        Scratch { computed: vec![Value::Null; self.computed.len()], segments: vec![false; self.segments.len()] }
    }

    /// All computed traits and memberships of a customer.
    pub fn evaluate(&self, profile: &impl ProfileValues) -> Evaluation {
        self.run(&self.steps, profile)
    }

    /// What a step computes.
    pub(super) fn expression(&self, step: Step) -> Option<&CustomerTree> {
        match step {
            Step::Computed(index) => self.computed.get(index).map(|computed| &computed.expression),
            Step::Segment(index) => self.segments.get(index).map(|segment| &segment.expression),
        }
    }

    /// Runs some steps, each after those it needs; what is left out is NULL, or no membership.
    pub(super) fn run(&self, steps: &[Step], profile: &impl ProfileValues) -> Evaluation {
        let mut scratch = self.scratch();
        self.run_steps(steps, profile, &mut scratch);
        let Scratch { computed, segments } = scratch;
        Evaluation { computed, segments }
    }

    /// Runs some steps, each after those it needs.
    pub(super) fn run_steps(&self, steps: &[Step], profile: &impl ProfileValues, scratch: &mut Scratch) {
        for step in steps {
            let customer = scratch.customer(profile);
            match step {
                Step::Computed(index) => {
                    let Some(definition) = self.computed.get(*index) else { continue };
                    let value = definition.expression.datum(&customer).into_value();
                    scratch.computed.get_mut(*index).into_iter().for_each(|held| *held = value.clone());
                }
                Step::Segment(index) => {
                    let Some(definition) = self.segments.get(*index) else { continue };
                    let is_in = definition.expression.truth(&customer) == Some(true);
                    scratch.segments.get_mut(*index).into_iter().for_each(|held| *held = is_in);
                }
            }
        }
    }

    /// The steps to be run where this has changed (all steps if `None`), and those that read the clock if it has
    /// gone on: with all that depends on them and all they need, in order.
    pub(super) fn affected(&self, reads: Option<&[Read]>, clock: bool, steps: &mut Vec<Step>) {
        steps.clear();
        let Some(reads) = reads else {
            steps.extend(&self.steps);
            return;
        };
        let Readers { by_read, readers, needs, clocked, .. } = &self.readers;
        let mut open: Vec<usize> = reads.iter().filter_map(|read| by_read.get(read)).flatten().copied().collect();
        // When the next change comes depends on all of the clocked together.
        open.extend(clocked.iter().filter(|_| clock));
        let mut marked = vec![false; self.steps.len()];
        let mut found = Vec::new();
        let mut walk = |open: &mut Vec<usize>, edges: &[Vec<usize>], found: &mut Vec<usize>| {
            while let Some(place) = open.pop() {
                if let Some(mark) = marked.get_mut(place).filter(|mark| !**mark) {
                    *mark = true;
                    found.push(place);
                    open.extend(edges.get(place).into_iter().flatten());
                }
            }
        };
        walk(&mut open, readers, &mut found);
        open.extend(found.iter().filter_map(|place| needs.get(*place)).flatten());
        walk(&mut open, needs, &mut found);
        found.sort_unstable();
        steps.extend(found.into_iter().filter_map(|place| self.steps.get(place)));
    }

    /// The steps that some need, and they themselves, in order.
    pub(super) fn needed_by_all(&self, steps: &[Step]) -> Vec<Step> {
        let places: BTreeSet<usize> = steps.iter().flat_map(|step| self.places_needed_by(*step)).collect();
        places.into_iter().filter_map(|place| self.steps.get(place).copied()).collect()
    }

    /// The steps that read the clock.
    pub(super) fn clocked(&self) -> impl Iterator<Item = Step> {
        self.readers.clocked.iter().filter_map(|place| self.steps.get(*place).copied())
    }

    /// The steps that one needs, and last itself, in order.
    pub(super) fn needed_by(&self, step: Step) -> Vec<Step> {
        self.places_needed_by(step).into_iter().filter_map(|place| self.steps.get(place).copied()).collect()
    }

    fn places_needed_by(&self, step: Step) -> BTreeSet<usize> {
        let mut open: Vec<usize> = self.readers.places.get(&step).copied().into_iter().collect();
        let mut needed = BTreeSet::new();
        while let Some(place) = open.pop() {
            if needed.insert(place) {
                open.extend(self.readers.needs.get(place).into_iter().flatten());
            }
        }
        needed
    }

    /// The aggregates that a segment reads, by index, also through what it refers to.
    pub fn aggregates_of(&self, segment: usize) -> Vec<usize> {
        let needed = self.places_needed_by(Step::Segment(segment));
        let read: BTreeSet<usize> = needed.into_iter().flat_map(|place| self.aggregates_read_at(place)).collect();
        read.into_iter().collect()
    }

    /// The aggregates, by index, that the step at a place reads itself.
    fn aggregates_read_at(&self, place: usize) -> impl Iterator<Item = usize> {
        let reads = self.readers.reads.get(place).into_iter().flatten();
        reads.filter_map(|read| if let Read::Aggregate(index) = read { Some(*index) } else { None })
    }

    /// The most values that are kept of one identifier for what a definition reads itself.
    pub(super) fn most_values(&self, step: Step) -> usize {
        let place = self.readers.places.get(&step).copied();
        let aggregates = place.into_iter().flat_map(|place| self.aggregates_read_at(place));
        let aggregates = aggregates.filter_map(|index| self.aggregates.get(index));
        aggregates.map(Aggregate::most_values).fold(0, usize::saturating_add)
    }

    /// The computed traits, by name, and the segments, by id, that a segment needs, and itself.
    pub fn needs(&self, segment: usize) -> (Vec<&str>, Vec<&str>) {
        self.named_needs(Step::Segment(segment))
    }

    /// The computed traits, by name, and the segments, by id, that a computed trait needs, and itself.
    pub fn trait_needs(&self, computed: usize) -> (Vec<&str>, Vec<&str>) {
        self.named_needs(Step::Computed(computed))
    }

    fn named_needs(&self, step: Step) -> (Vec<&str>, Vec<&str>) {
        let (mut traits, mut segments) = (Vec::new(), Vec::new());
        for step in self.needed_by(step) {
            match step {
                Step::Computed(index) => traits.extend(self.computed.get(index).map(|found| found.name.as_str())),
                Step::Segment(index) => segments.extend(self.segments.get(index).map(|found| found.id.as_str())),
            }
        }
        (traits, segments)
    }

    /// The computed traits that read any of these aggregates, also through others.
    pub fn computed_from(&self, aggregates: &[usize]) -> Vec<&str> {
        let readers = |index: &usize| self.readers.by_read.get(&Read::Aggregate(*index));
        let mut open: Vec<usize> = aggregates.iter().filter_map(readers).flatten().copied().collect();
        let mut found = BTreeSet::new();
        while let Some(place) = open.pop() {
            if found.insert(place) {
                open.extend(self.readers.readers.get(place).into_iter().flatten());
            }
        }
        let steps = found.into_iter().filter_map(|place| self.steps.get(place)?.computed());
        steps.filter_map(|index| self.computed.get(index)).map(|computed| computed.name.as_str()).collect()
    }

    /// What tells whether customers are in one segment, running no more than it needs.
    pub fn only(&self, segment: usize) -> OneSegment<'_> {
        OneSegment { program: self, segment, steps: self.needed_by(Step::Segment(segment)), scratch: self.scratch() }
    }

    /// Whether any definition reads the clock.
    pub fn reads_clock(&self) -> bool {
        !self.readers.clocked.is_empty()
    }

    /// Whether a step reads the clock.
    pub(super) fn is_clocked(&self, step: Step) -> bool {
        self.readers.places.get(&step).is_some_and(|place| self.readers.clocked.binary_search(place).is_ok())
    }

    /// When what is said of a customer changes by itself; the steps that read the clock have just been run.
    pub(super) fn next_change(&self, profile: &impl ProfileValues, scratch: &Scratch) -> Option<Millis> {
        self.next_change_of(self.clocked(), profile, scratch)
    }

    /// When what some steps, which have just been run, say of a customer changes by itself.
    pub(super) fn next_change_of(
        &self,
        steps: impl Iterator<Item = Step>,
        profile: &impl ProfileValues,
        scratch: &Scratch,
    ) -> Option<Millis> {
        let customer = scratch.customer(profile);
        let expressions = steps.filter_map(|step| self.expression(step));
        expressions.filter_map(|expression| expression.next_change(&customer, profile.now())).min()
    }
}

/// Tells of one customer after the other whether they are in one segment.
#[derive(Debug)]
pub struct OneSegment<'p> {
    program: &'p Program,
    segment: usize,
    steps: Vec<Step>,
    scratch: Scratch,
}

impl OneSegment<'_> {
    /// Whether this customer is in it.
    pub fn has(&mut self, profile: &impl ProfileValues) -> bool {
        self.program.run_steps(&self.steps, profile, &mut self.scratch);
        self.scratch.is_in(self.segment)
    }

    /// When time alone may next change that of the customer who was looked at last.
    pub fn next_change(&self, profile: &impl ProfileValues) -> Option<Millis> {
        self.program.next_change_of(self.steps.iter().copied(), profile, &self.scratch)
    }
}
