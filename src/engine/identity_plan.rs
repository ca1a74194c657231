//! What other identity rules would change, before they are applied: the graph is resolved by them, beside what is stored.

use super::hydrate::{Known, each_known};
use crate::store::conflicts::told;
use crate::store::{Store, StoreError};
use foldhash::{HashMap, HashMapExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::{Evidence, Resolved, Resolver, Rules};
use tributary_model::{IdentifierId, ProfileId};

/// Merges and splits that are told by name.
const EXAMPLES: usize = 5;
/// Customers that one example names.
const NAMED: usize = 4;

/// What rules would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityPlan {
    /// Identifiers that there are.
    pub identifiers: usize,
    /// Customers as they are stored.
    pub profiles_before: usize,
    /// Customers by the rules.
    pub profiles_after: usize,
    /// Identifiers that would belong to a customer of another name.
    pub moved: usize,
    /// Customers that would come of several.
    pub merged: usize,
    /// Customers that would become several.
    pub split: usize,
    /// For each conflict by kind: how many there are, and would be.
    pub conflicts: BTreeMap<&'static str, (i64, i64)>,
    /// Some of the merges: the identifiers that name the customers which would be one.
    pub merges: Vec<Vec<String>>,
    /// Some of the splits: the identifiers that name the customers which one would become.
    pub splits: Vec<Vec<String>>,
}

impl IdentityPlan {
    /// Resolves what a state knows by these rules, and compares.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn new(store: &Store, processor: &Processor, rules: &Arc<Rules>) -> Result<Self, StoreError> {
        let mut evidence: Vec<(Evidence, isize)> = Vec::new();
        each_known(store, processor, rules, |known| {
            if let Known::Evidence(known) = known {
                evidence.push((known, 1));
            }
        })?;
        let mut plan = Self::default();
        let mut after: HashMap<IdentifierId, ProfileId> = HashMap::new();
        for (resolved, _) in Resolver::new(rules.clone()).apply(evidence) {
            match resolved {
                Resolved::Owner(identifier, best) => drop(after.insert(identifier, ProfileId::from(best))),
                Resolved::Conflict(conflict) => plan.conflicts.entry(told(&conflict).0).or_default().1 += 1,
            }
        }
        store.each_conflict(|noted| {
            plan.conflicts.entry(told(&noted.conflict).0).or_default().0 += 1;
            Ok(())
        })?;
        plan.compare(store, &after)?;
        Ok(plan)
    }

    fn compare(&mut self, store: &Store, after: &HashMap<IdentifierId, ProfileId>) -> Result<(), StoreError> {
        // By customer, those that it comes from and becomes: one where nothing changes.
        let mut comes_from: BTreeMap<ProfileId, BTreeSet<ProfileId>> = BTreeMap::new();
        let mut becomes: BTreeMap<ProfileId, BTreeSet<ProfileId>> = BTreeMap::new();
        store.each_owner(|identifier, before| {
            let Some(now) = after.get(&identifier).copied() else { return Ok(()) };
            self.moved += usize::from(before != now);
            comes_from.entry(now).or_default().insert(before);
            becomes.entry(before).or_default().insert(now);
            Ok(())
        })?;
        self.identifiers = after.len();
        (self.profiles_before, self.profiles_after) = (becomes.len(), comes_from.len());
        let several = |of: &BTreeMap<ProfileId, BTreeSet<ProfileId>>| {
            let several = of.values().filter(|others| others.len() > 1);
            (several.clone().count(), several.take(EXAMPLES).cloned().collect::<Vec<_>>())
        };
        let (merged, merges) = several(&comes_from);
        let (split, splits) = several(&becomes);
        (self.merged, self.split) = (merged, split);
        let names =
            |all: Vec<BTreeSet<ProfileId>>| all.iter().map(|profiles| names(store, profiles)).collect::<Result<_, _>>();
        self.merges = names(merges)?;
        self.splits = names(splits)?;
        Ok(())
    }
}

/// The identifiers that name some customers; past a few only how many more.
fn names(store: &Store, profiles: &BTreeSet<ProfileId>) -> Result<Vec<String>, StoreError> {
    let ids: Vec<_> = profiles.iter().take(NAMED).map(|profile| IdentifierId(profile.0)).collect();
    let mut names = store.view().names(&ids)?;
    let more = profiles.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("{more} more"));
    names.extend(more);
    Ok(names)
}
