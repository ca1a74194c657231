//! All customers looked at once, on several threads: how many meet a condition, and who.

use super::{Condition, Effort, Extra, LOOK_EVERY, PreviewError, SAMPLE};
use crate::store::View;
use differential_dataflow::difference::Semigroup;
use foldhash::{HashMap, HashMapExt};
use std::collections::{BTreeMap, hash_map::Entry};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tributary_dataflows::profile::{Belongs, Features};
use tributary_dataflows::segments::GroupEvaluation;
use tributary_model::{GroupId, IdentifierId, Millis, ProfileId};

/// What an identifier adds to its customer, and when its windows next lose something that the state does not watch.
struct Part {
    owner: ProfileId,
    features: Features,
    belongs: Vec<Belongs>,
    expiry: Option<Millis>,
}

/// Who meets a condition.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) count: u64,
    pub(super) sample: Vec<ProfileId>,
    /// All who meet it, and when time alone changes what is said of customers; where that was asked for.
    pub(super) members: Vec<ProfileId>,
    pub(super) wakes: Vec<(Millis, ProfileId)>,
}

/// A look at all customers.
pub(super) struct Scan<'a> {
    pub(super) condition: &'a Condition,
    pub(super) view: &'a View<'a>,
    pub(super) extra: &'a Extra,
    pub(super) new: &'a BTreeMap<u64, usize>,
    pub(super) now: Millis,
    pub(super) effort: Effort,
    /// Whether all members are asked for, not only some.
    pub(super) all: bool,
}

impl Scan<'_> {
    pub(super) fn run(&self) -> Result<Found, PreviewError> {
        let threads = self.effort.threads;
        // Identifiers are hashes: their first bytes part them evenly.
        let parted = self.on_threads(|thread| self.parts(thread))?;
        let mut shards: Vec<Vec<Part>> = (0..threads).map(|_| Vec::new()).collect();
        for parts in parted {
            for (shard, parts) in shards.iter_mut().zip(parts) {
                shard.extend(parts);
            }
        }
        let shards: Vec<_> = shards.into_iter().map(Mutex::new).collect();
        let counted = self.on_threads(|thread| {
            let shard = shards.get(thread);
            let shard = shard.map(|shard| std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner)));
            self.count(shard.unwrap_or_default())
        })?;
        let mut all = Found::default();
        for found in counted {
            all.count += found.count;
            all.sample.extend(found.sample);
            all.members.extend(found.members);
            all.wakes.extend(found.wakes);
        }
        all.sample.sort_unstable();
        all.sample.truncate(SAMPLE);
        Ok(all)
    }

    fn on_threads<T: Send>(
        &self,
        work: impl Fn(usize) -> Result<T, PreviewError> + Sync,
    ) -> Result<Vec<T>, PreviewError> {
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..self.effort.threads)
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
        let Effort { threads, until } = self.effort;
        let edge = |thread: usize| IdentifierId((u128::MAX / threads as u128).saturating_mul(thread as u128));
        let end = (thread + 1 < threads).then(|| edge(thread + 1));
        let mut parts: Vec<Vec<Part>> = (0..threads).map(|_| Vec::new()).collect();
        let mut seen = 0usize;
        let mut in_time = true;
        self.view.each_owned(edge(thread), end, |id, facts, owner| {
            seen += 1;
            in_time = in_time && (!seen.is_multiple_of(LOOK_EVERY) || Instant::now() < until);
            let extra = self.extra.get(&id);
            let features = self.condition.features(facts, extra, self.new);
            let expiry = extra.and_then(|extra| extra.next_expiry(&self.condition.plan));
            let belongs = self.condition.belongs(facts);
            if let Some(shard) = parts.get_mut((owner.0 >> 32) as usize % threads) {
                shard.push(Part { owner, features, belongs, expiry });
            }
            Ok(in_time)
        })?;
        if in_time { Ok(parts) } else { Err(PreviewError::TooLong) }
    }

    /// Sums and evaluates a share of the customers.
    fn count(&self, mut parts: Vec<Part>) -> Result<Found, PreviewError> {
        parts.sort_unstable_by_key(|part| part.owner);
        let plan = &self.condition.plan;
        let mut condition = plan.program.only(self.condition.segment);
        let mut evaluations: HashMap<GroupId, Option<GroupEvaluation>> = HashMap::new();
        let mut found = Found::default();
        for (seen, of_one) in parts.chunk_by(|one, other| one.owner == other.owner).enumerate() {
            if seen.is_multiple_of(LOOK_EVERY) && Instant::now() >= self.effort.until {
                return Err(PreviewError::TooLong);
            }
            let Some(Part { owner: profile, features: first, .. }) = of_one.first() else { continue };
            let mut features = first.clone();
            of_one.iter().skip(1).for_each(|part| features.plus_equals(&part.features));
            let belongs = of_one.iter().flat_map(|part| &part.belongs);
            self.condition.add_groups(&mut features, belongs, |group| match evaluations.entry(group) {
                Entry::Occupied(known) => Ok(known.get().clone()),
                Entry::Vacant(new) => Ok(new.insert(self.view.evaluation(group)?).clone()),
            })?;
            let values = plan.values(&features, self.now);
            if condition.has(&values) {
                found.count += 1;
                found.sample.extend((found.sample.len() < SAMPLE).then_some(*profile));
                found.members.extend(self.all.then_some(*profile));
            }
            if self.all {
                let expiry = of_one.iter().filter_map(|part| part.expiry);
                let next = condition.next_change(&values).into_iter().chain(expiry).min();
                found.wakes.extend(next.map(|at| (at, *profile)));
            }
        }
        Ok(found)
    }
}
