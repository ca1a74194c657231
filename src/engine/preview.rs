//! How many customers a condition holds for that nobody has defined: computed from what is stored, over all history.
//!
//! Where the stored facts have the aggregates that it reads, every identifier's facts are read once, in the order of the keys,
//! on several threads. Aggregates that no definition has yet are first computed from the event history.

use super::past::each_event;
use crate::store::{StoreError, View};
use foldhash::{HashMap, HashMapExt};
use std::collections::{BTreeMap, hash_map::Entry};
use std::time::Instant;
use tributary_connectors::process::Processor;
use tributary_dataflows::profile::{Belongs, Features, IdentifierFacts, NotOfGroups, Plan};
use tributary_dataflows::segments::{DefinitionError, GroupEvaluation, Program};
use tributary_model::{Definitions, GroupId, IdentifierId, Millis, ProfileId, Segment};

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

/// A condition, ready to be counted.
#[derive(Debug)]
pub struct Condition {
    plan: Plan,
    segment: usize,
}

impl Condition {
    /// Compiles a condition beside the definitions that it may refer to.
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
        Ok(Self { segment, plan: Plan::beside(program, live)? })
    }

    /// Who meets it in a view of the state, as of the committed clock.
    ///
    /// # Errors
    /// If the state cannot be read, or the time is over.
    pub fn count(
        &self,
        view: &View<'_>,
        processor: &Processor,
        threads: usize,
        until: Instant,
    ) -> Result<Preview, PreviewError> {
        let meta = view.meta()?.unwrap_or_default();
        let aggregates = self.plan.program.aggregates.iter().enumerate();
        let is_new = |id: &u64| meta.aggregates.binary_search(id).is_err();
        let new: Vec<usize> = aggregates.filter(|(_, aggregate)| is_new(&aggregate.id)).map(|(at, _)| at).collect();
        let from_history = self.reread(view, processor, &new, meta.clock, until)?;
        let scan = Scan { condition: self, view, extra: &from_history, now: meta.clock, until, threads };
        let (count, sample) = scan.run()?;
        Ok(Preview { count, sample, from_history: !new.is_empty() })
    }

    /// What the event history says of aggregates that the facts do not have.
    fn reread(
        &self,
        view: &View<'_>,
        processor: &Processor,
        new: &[usize],
        now: Millis,
        until: Instant,
    ) -> Result<HashMap<IdentifierId, IdentifierFacts>, PreviewError> {
        let mut found: HashMap<IdentifierId, IdentifierFacts> = HashMap::new();
        if new.is_empty() {
            return Ok(found);
        }
        let mut events = 0usize;
        let mut in_time = true;
        each_event(view, processor, |_epoch, id, event| {
            events += 1;
            in_time = in_time && (!events.is_multiple_of(LOOK_EVERY) || Instant::now() < until);
            for observed in self.plan.observed_by(new.iter().copied(), &event) {
                let Some(identifier) = event.identifiers.first() else { continue };
                let facts =
                    found.entry(id).or_insert_with(|| IdentifierFacts::new(identifier.clone(), event.timestamp));
                facts.observe(observed, now, &mut Features::default());
            }
            Ok(in_time)
        })?;
        if in_time { Ok(found) } else { Err(PreviewError::TooLong) }
    }
}

/// What an identifier adds to its customer.
type Part = (ProfileId, Features, Vec<Belongs>);

struct Scan<'a> {
    condition: &'a Condition,
    view: &'a View<'a>,
    extra: &'a HashMap<IdentifierId, IdentifierFacts>,
    now: Millis,
    until: Instant,
    threads: usize,
}

impl Scan<'_> {
    fn run(&self) -> Result<(u64, Vec<ProfileId>), PreviewError> {
        // Identifiers are hashes: their first bytes part them evenly.
        let parted = self.on_threads(|thread| self.parts(thread))?;
        let mut shards: Vec<Vec<Part>> = (0..self.threads).map(|_| Vec::new()).collect();
        for parts in parted {
            for (shard, parts) in shards.iter_mut().zip(parts) {
                shard.extend(parts);
            }
        }
        let shards: Vec<_> = shards.into_iter().map(std::sync::Mutex::new).collect();
        let counted = self.on_threads(|thread| {
            let shard = shards
                .get(thread)
                .map(|shard| std::mem::take(&mut *shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner)));
            self.count(shard.unwrap_or_default())
        })?;
        let count = counted.iter().map(|(count, _)| count).sum();
        let mut sample: Vec<_> = counted.into_iter().flat_map(|(_, sample)| sample).collect();
        sample.sort_unstable();
        sample.truncate(SAMPLE);
        Ok((count, sample))
    }

    fn on_threads<T: Send>(
        &self,
        work: impl Fn(usize) -> Result<T, PreviewError> + Sync,
    ) -> Result<Vec<T>, PreviewError> {
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..self.threads)
                .map(|thread| {
                    scope.spawn({
                        let work = &work;
                        move || work(thread)
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap_or(Err(PreviewError::TooLong))).collect()
        })
    }

    /// A share of the identifiers, by the share of the customers that each adds to.
    fn parts(&self, thread: usize) -> Result<Vec<Vec<Part>>, PreviewError> {
        let edge = |thread: usize| IdentifierId((u128::MAX / self.threads as u128).saturating_mul(thread as u128));
        let end = (thread + 1 < self.threads).then(|| edge(thread + 1));
        let mut parts: Vec<Vec<Part>> = (0..self.threads).map(|_| Vec::new()).collect();
        let plan = &self.condition.plan;
        let mut seen = 0usize;
        let mut in_time = true;
        self.view.each_owned(edge(thread), end, |id, facts, owner| {
            seen += 1;
            in_time = in_time && (!seen.is_multiple_of(LOOK_EVERY) || Instant::now() < self.until);
            let mut features = facts.features(plan);
            if let Some(extra) = self.extra.get(&id) {
                use differential_dataflow::difference::Semigroup;
                features.plus_equals(&extra.features(plan));
            }
            let belongs = match plan.reads_groups() {
                true => facts.groups.iter().map(|(id, group)| group.belongs(GroupId::of(id))).collect(),
                false => Vec::new(),
            };
            if let Some(shard) = parts.get_mut((owner.0 >> 32) as usize % self.threads) {
                shard.push((owner, features, belongs));
            }
            Ok(in_time)
        })?;
        if in_time { Ok(parts) } else { Err(PreviewError::TooLong) }
    }

    /// Sums and evaluates a share of the customers.
    fn count(&self, mut parts: Vec<Part>) -> Result<(u64, Vec<ProfileId>), PreviewError> {
        use differential_dataflow::difference::Semigroup;
        parts.sort_unstable_by_key(|(profile, ..)| *profile);
        let plan = &self.condition.plan;
        let mut condition = plan.program.only(self.condition.segment);
        let mut evaluations: HashMap<GroupId, Option<GroupEvaluation>> = HashMap::new();
        let (mut count, mut sample) = (0, Vec::new());
        for (seen, of_one) in parts.chunk_by(|(one, ..), (other, ..)| one == other).enumerate() {
            if seen.is_multiple_of(LOOK_EVERY) && Instant::now() >= self.until {
                return Err(PreviewError::TooLong);
            }
            let Some((profile, first, _)) = of_one.first() else { continue };
            let mut features = first.clone();
            of_one.iter().skip(1).for_each(|(_, more, _)| features.plus_equals(more));
            let mut latest: BTreeMap<GroupId, Belongs> = BTreeMap::new();
            for belongs in of_one.iter().flat_map(|(.., belongs)| belongs) {
                let held = latest.entry(belongs.group).or_insert(*belongs);
                *held = (*held).max(*belongs);
            }
            let account = latest.values().max().map(|belongs| belongs.group);
            for group in latest.into_keys() {
                let evaluation = match evaluations.entry(group) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(self.view.evaluation(group)?),
                };
                if let Some(evaluation) = evaluation {
                    features.plus_equals(&plan.of_group(account == Some(group), &evaluation.expressions));
                }
            }
            if condition.has(&plan.values(&features, self.now)) {
                count += 1;
                sample.extend((sample.len() < SAMPLE).then_some(*profile));
            }
        }
        Ok((count, sample))
    }
}
