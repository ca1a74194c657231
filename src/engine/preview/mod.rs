//! How many customers a condition holds for that nobody has defined: computed from what is stored, over all history; and who
//! comes and goes from then on.
//!
//! Where the stored facts have the aggregates that it reads, every identifier's facts are read once, in the order of the keys,
//! on several threads. Aggregates that no definition has yet are first computed from the event history.

pub mod live;
mod scan;

use super::past::on_threads;
use crate::store::{StoreError, View};
use differential_dataflow::difference::Semigroup;
use foldhash::{HashMap, HashMapExt};
use scan::{Found, Scan};
use std::collections::{BTreeMap, BTreeSet, hash_map::Entry};
use std::time::Instant;
use tributary_connectors::process::Processor;
use tributary_dataflows::profile::{Belongs, Features, IdentifierFacts, NotOfGroups, Plan};
use tributary_dataflows::segments::{DefinitionError, GroupEvaluation, Program};
use tributary_model::{Definitions, Event, GroupId, IdentifierId, Millis, ProfileId, Segment};

/// The id under which a condition is compiled: behind all that can be defined, so that it is the last one.
const ID: &str = "~";
/// Customers that are named.
const SAMPLE: usize = 10;
/// How often it is looked whether there is time left, in records.
const LOOK_EVERY: usize = 4_096;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The condition is none.
    #[error("the condition is none")]
    Condition(Vec<DefinitionError>),
    /// The condition reads of groups what is computed with definitions only.
    #[error("the condition reads of groups what no definition reads: {0}")]
    Groups(#[from] NotOfGroups),
    /// The time is over.
    #[error("it takes longer")]
    TooLong,
    /// The state cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who meets a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// How many.
    pub count: u64,
    /// Some of them, in the order of their ids.
    pub sample: Vec<ProfileId>,
    /// Whether the event history was read.
    pub from_history: bool,
}

/// How much may be spent on a preview.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Threads.
    pub threads: usize,
    /// Until when.
    pub until: Instant,
}

/// A condition, ready to be counted.
#[derive(Debug)]
pub struct Condition {
    plan: Plan,
    segment: usize,
    /// The aggregates that the facts have, or will have, by stable id.
    kept: BTreeSet<u64>,
}

impl Condition {
    /// Compiles a condition beside the definitions that it may refer to; `live` are those of no earlier epoch than the view in
    /// which it is counted.
    ///
    /// # Errors
    /// Its mistakes, by line and column; or that it reads of groups what no definition does.
    pub fn new(condition: &str, definitions: &Definitions, live: &Plan) -> Result<Self, PreviewError> {
        let segment = Segment { name: ID.to_owned(), condition: condition.to_owned() };
        let mut all = Definitions {
            traits: definitions.traits.clone(),
            segments: definitions.segments.clone(),
            ..Definitions::default()
        };
        all.segments.insert(ID.to_owned(), segment);
        let program = Program::compile(&all).map_err(PreviewError::Condition)?;
        let place = |program: &Program| program.segments.iter().position(|segment| segment.id == ID).unwrap_or(0);
        let segment = place(&program);
        // Without what it does not need, less is to be looked at for each customer.
        let (traits, segments) = program.needs(segment);
        all.traits.retain(|name, _| traits.contains(&name.as_str()));
        all.segments.retain(|id, _| segments.contains(&id.as_str()));
        let needed = Program::compile(&all);
        // What is read of groups may need more.
        let program = needed.ok().filter(|_| program.groups.is_empty()).unwrap_or(program);
        let segment = place(&program);
        let kept = live.settled_aggregates().collect();
        Ok(Self { segment, plan: Plan::beside(program, live)?, kept })
    }

    /// Who meets it in a view of the state, as of the committed clock.
    ///
    /// # Errors
    /// If the state cannot be read, or the time is over.
    pub fn count(&self, view: &View<'_>, processor: &Processor, effort: Effort) -> Result<Preview, PreviewError> {
        let meta = view.meta()?.unwrap_or_default();
        let new = self.new_aggregates(&meta.aggregates);
        let extra = self.reread(view, processor, &new, meta.clock, effort)?;
        let scan = Scan { condition: self, view, extra: &extra, new: &new, now: meta.clock, effort, all: false };
        let Found { count, sample, .. } = scan.run()?;
        Ok(Preview { count, sample, from_history: !new.is_empty() })
    }

    /// The aggregates, by index with their stable ids, that the facts do not have: they are not among those that the state
    /// has, are just being gathered, or are being dropped.
    fn new_aggregates(&self, stored: &[u64]) -> BTreeMap<u64, usize> {
        let aggregates = self.plan.program.aggregates.iter().enumerate();
        let is_new = |id: &u64| stored.binary_search(id).is_err() || !self.kept.contains(id);
        aggregates.filter(|(_, aggregate)| is_new(&aggregate.id)).map(|(at, aggregate)| (aggregate.id, at)).collect()
    }

    /// What the event history says of aggregates that the facts do not have.
    fn reread(
        &self,
        view: &View<'_>,
        processor: &Processor,
        new: &BTreeMap<u64, usize>,
        now: Millis,
        effort: Effort,
    ) -> Result<Extra, PreviewError> {
        if new.is_empty() {
            return Ok(Extra::new());
        }
        let found = on_threads(view, processor, effort.threads, |found: &mut Part, id, event| {
            found.events += 1;
            found.is_late = found.is_late || found.events.is_multiple_of(LOOK_EVERY) && Instant::now() >= effort.until;
            self.observe(&mut found.extra, new, id, event, now);
            !found.is_late
        })?;
        let mut all = Extra::new();
        for part in found {
            if part.is_late {
                return Err(PreviewError::TooLong);
            }
            for (id, facts) in part.extra {
                match all.entry(id) {
                    Entry::Occupied(mut held) => held.get_mut().merge(facts),
                    Entry::Vacant(room) => drop(room.insert(facts)),
                }
            }
        }
        Ok(all)
    }

    /// Takes in what aggregates that the facts do not have see in an event.
    fn observe(&self, extra: &mut Extra, new: &BTreeMap<u64, usize>, id: IdentifierId, event: &Event, now: Millis) {
        for observed in self.plan.observed_by(new.values().copied(), event) {
            let Some(identifier) = event.identifiers.first() else { continue };
            let facts = extra.entry(id).or_insert_with(|| IdentifierFacts::new(identifier.clone(), event.timestamp));
            facts.observe(observed, now, &mut Features::default());
        }
    }

    /// What one identifier adds to its customer.
    fn features(
        &self,
        facts: &IdentifierFacts,
        extra: Option<&IdentifierFacts>,
        new: &BTreeMap<u64, usize>,
    ) -> Features {
        let mut features = facts.features_without(&self.plan, |aggregate| new.contains_key(&aggregate));
        if let Some(extra) = extra {
            let mut more = extra.features(&self.plan);
            more.identifiers = 0;
            features.plus_equals(&more);
        }
        features
    }

    /// Which groups an identifier belongs to, where the condition reads any.
    fn belongs(&self, facts: &IdentifierFacts) -> Vec<Belongs> {
        match self.plan.reads_groups() {
            true => facts.groups.iter().map(|(id, group)| group.belongs(GroupId::of(id))).collect(),
            false => Vec::new(),
        }
    }

    /// Adds what a customer reads of the groups that the customer's identifiers belong to.
    fn add_groups<'b>(
        &self,
        features: &mut Features,
        belongs: impl Iterator<Item = &'b Belongs>,
        mut evaluation: impl FnMut(GroupId) -> Result<Option<GroupEvaluation>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut latest: BTreeMap<GroupId, Belongs> = BTreeMap::new();
        for belongs in belongs {
            let held = latest.entry(belongs.group).or_insert(*belongs);
            *held = (*held).max(*belongs);
        }
        let account = latest.values().max().map(|belongs| belongs.group);
        for group in latest.into_keys() {
            if let Some(evaluation) = evaluation(group)? {
                features.plus_equals(&self.plan.of_group(account == Some(group), &evaluation.expressions));
            }
        }
        Ok(())
    }
}

/// What one thread has found.
#[derive(Default)]
struct Part {
    extra: Extra,
    events: usize,
    is_late: bool,
}

/// What aggregates that the facts do not have say of identifiers.
type Extra = HashMap<IdentifierId, IdentifierFacts>;
