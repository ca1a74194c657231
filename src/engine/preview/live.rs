//! Who comes to a condition and who leaves it, as it happens, before it is a segment.
//!
//! All customers are looked at once; from then on those whom a committed epoch touches, and those of whom time alone changes
//! what is said. What the condition reads and nothing keeps is kept here, while somebody watches.

use super::scan::{Found, Scan};
use super::{Condition, Effort, Extra, PreviewError};
use crate::engine::epoch::Prepared;
use crate::store::{Store, StoreError, View};
use differential_dataflow::difference::Semigroup;
use foldhash::{HashSet, HashSetExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::TryRecvError};
use tributary_connectors::process::Processor;
use tributary_dataflows::profile::Features;
use tributary_dataflows::triggers::Changes;
use tributary_model::{Epoch, GroupId, IdentifierId, Millis, ProfileId};

/// Members of a group that changes who are looked at again.
const MEMBERS: usize = 10_000;

/// A committed epoch: what went in and what came out.
pub type Happened = Arc<(Prepared, Changes)>;

/// Somebody comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Who.
    pub profile: ProfileId,
    /// Whether the customer comes.
    pub enters: bool,
}

/// A condition that is watched.
pub struct Live {
    condition: Condition,
    epochs: broadcast::Receiver<Happened>,
    new: BTreeMap<u64, usize>,
    extra: Extra,
    members: HashSet<ProfileId>,
    /// When what is said of customers changes by itself, by time and by customer.
    wakes: BTreeSet<(Millis, ProfileId)>,
    wake_of: std::collections::HashMap<ProfileId, Millis>,
    /// What has been looked at so far.
    epoch: Epoch,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Live preview of {} members at epoch {}", self.members.len(), self.epoch)
    }
}

impl Live {
    /// Looks at all customers; `epochs` must have been subscribed to before the view was taken.
    ///
    /// # Errors
    /// If the state cannot be read, or the time is over.
    pub fn new(
        condition: Condition,
        epochs: broadcast::Receiver<Happened>,
        view: &View<'_>,
        processor: &Processor,
        effort: Effort,
    ) -> Result<Self, PreviewError> {
        let meta = view.meta()?.unwrap_or_default();
        let new = condition.new_aggregates(&meta.aggregates);
        let extra = condition.reread(view, processor, &new, meta.clock, effort)?;
        let scan = Scan { condition: &condition, view, extra: &extra, new: &new, now: meta.clock, effort, all: true };
        let Found { members, wakes, .. } = scan.run()?;
        let wake_of = wakes.iter().map(|(at, profile)| (*profile, *at)).collect();
        Ok(Self {
            condition,
            epochs,
            new,
            extra,
            members: members.into_iter().collect(),
            wakes: wakes.into_iter().collect(),
            wake_of,
            epoch: meta.epoch,
        })
    }

    /// How many customers meet the condition.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The last epoch that was looked at.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// When time alone next changes something, if nothing happens before.
    pub fn next_wake(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Who has come and gone by what has been committed since, and by the time; `None` where that is more than was waiting
    /// for this: all customers have to be looked at anew.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn go_on(&mut self, store: &Store, now: Millis) -> Result<Option<Vec<Move>>, StoreError> {
        let mut identifiers: HashSet<IdentifierId> = HashSet::new();
        let mut profiles: HashSet<ProfileId> = HashSet::new();
        let mut groups: BTreeSet<GroupId> = BTreeSet::new();
        loop {
            match self.epochs.try_recv() {
                Ok(happened) => {
                    let (prepared, changes) = &*happened;
                    // What the first look has seen.
                    if prepared.epoch <= self.epoch {
                        continue;
                    }
                    self.epoch = prepared.epoch;
                    prepared.deleted.iter().for_each(|(id, _)| drop(self.extra.remove(id)));
                    for (id, event) in &prepared.events {
                        self.condition.observe(&mut self.extra, &self.new, *id, event, prepared.clock);
                    }
                    identifiers.extend(prepared.facts.keys());
                    for (before, after) in changes.owners.values() {
                        profiles.extend(before.iter().chain(after));
                    }
                    groups.extend(changes.groups.keys());
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Lagged(_)) => return Ok(None),
                Err(TryRecvError::Closed) => return Ok(Some(Vec::new())),
            }
        }
        let view = store.view();
        if self.condition.plan.reads_groups() {
            for group in groups {
                identifiers.extend(view.group_members(group, None, MEMBERS)?);
            }
        }
        for id in identifiers {
            profiles.extend(view.owner(id)?);
        }
        while let Some((at, profile)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, profile));
            self.wake_of.remove(&profile);
            profiles.insert(profile);
        }
        let now = now.max(view.meta()?.unwrap_or_default().clock);
        let mut moves = Vec::new();
        for profile in profiles {
            let (is_in, wake) = self.look_at(&view, profile, now)?;
            if let Some(before) = self.wake_of.remove(&profile) {
                self.wakes.remove(&(before, profile));
            }
            if let Some(at) = wake {
                self.wakes.insert((at, profile));
                self.wake_of.insert(profile, at);
            }
            let was_in = if is_in { !self.members.insert(profile) } else { self.members.remove(&profile) };
            if was_in != is_in {
                moves.push(Move { profile, enters: is_in });
            }
        }
        moves.sort_unstable_by_key(|moved| moved.profile);
        Ok(Some(moves))
    }

    /// Whether a customer meets the condition, and when that changes by itself.
    fn look_at(
        &mut self,
        view: &View<'_>,
        profile: ProfileId,
        now: Millis,
    ) -> Result<(bool, Option<Millis>), StoreError> {
        let identifiers = view.identifiers(profile)?;
        let plan = &self.condition.plan;
        let (mut features, mut belongs, mut expiry) = (Features::default(), Vec::new(), None);
        for (id, facts) in identifiers.iter().zip(view.facts(&identifiers)?) {
            let Some(facts) = facts else { continue };
            let extra = self.extra.get_mut(id);
            let extra = extra.map(|extra| {
                extra.expire(plan, now, &mut Features::default());
                &*extra
            });
            expiry = expiry.into_iter().chain(extra.and_then(|extra| extra.next_expiry(plan))).min();
            features.plus_equals(&self.condition.features(&facts, extra, &self.new));
            belongs.extend(self.condition.belongs(&facts));
        }
        if features.identifiers == 0 {
            return Ok((false, None));
        }
        self.condition.add_groups(&mut features, belongs.iter(), |group| view.evaluation(group))?;
        let mut condition = plan.program.only(self.condition.segment);
        let values = plan.values(&features, now);
        let is_in = condition.has(&values);
        Ok((is_in, condition.next_change(&values).into_iter().chain(expiry).min()))
    }
}
