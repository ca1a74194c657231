//! Whether owners, memberships and counts that are stored are what follows from the stored facts.

use super::hydrate::{HydrateError, hydrate};
use super::inline::Inline;
use super::reconcile::differences;
use super::worker::{Dataflow, WorkerError};
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::triggers::Changes;

/// What was compared, and what differs.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// Identifiers there are.
    pub identifiers: usize,
    /// How many owners and memberships are not what follows.
    pub wrong: usize,
    /// The first of them, in words.
    pub first: Option<String>,
}

/// Computes anew what follows from the facts, and compares it with what is stored. Memberships of segments that are not
/// defined are deleted; nothing else is written.
///
/// # Errors
/// If the state cannot be read.
pub fn check(
    store: &Store,
    processor: &Processor,
    plan: &Arc<Plan>,
    rules: &Arc<Rules>,
) -> Result<Derived, HydrateError> {
    let meta = store.view().meta()?.unwrap_or_default();
    let dataflow = Inline::new(plan.clone(), rules.clone());
    let outputs = dataflow.outputs();
    let identifiers = hydrate(store, processor, plan, rules, &dataflow, meta.clock)?;
    let (_, outputs) = outputs.recv().map_err(|_| WorkerError("it says nothing".to_owned()))?;
    dataflow.stop();
    let changes = differences(store, plan, outputs)?;
    // Members stand in two tables; the other one is counted.
    let mut listed: HashMap<String, i64> = HashMap::new();
    store.each_member(|segment, _profile, _since| {
        match listed.get_mut(segment) {
            Some(members) => *members += 1,
            None => drop(listed.insert(segment.to_owned(), 1)),
        }
        Ok(())
    })?;
    let counts = changes.counts.iter().filter_map(|(segment, count)| Some((plan.slots.segment_id(*segment)?, *count)));
    let of = |id: &str| (meta.counts.get(id).copied().unwrap_or(0), listed.get(id).copied().unwrap_or(0));
    let miscounted: Vec<(&str, i64)> = counts.filter(|(id, count)| of(id) != (*count, *count)).collect();
    let wrong = changes.owners.len() + changes.entered.len() + changes.left.len() + miscounted.len();
    let first = miscounted.first().map(|(id, count)| {
        let (counted, listed) = of(id);
        format!("in segment {id} are {count}; {counted} are counted and {listed} listed")
    });
    Ok(Derived { identifiers, wrong, first: described(store, plan, &changes)?.or(first) })
}

fn described(store: &Store, plan: &Plan, changes: &Changes) -> Result<Option<String>, StoreError> {
    let view = store.view();
    if let Some((identifier, (stored, owner))) = changes.owners.first_key_value() {
        let name = view.names(&[*identifier])?.concat();
        let shown =
            |profile: &Option<tributary_model::ProfileId>| profile.map_or("nobody".to_owned(), |id| id.to_string());
        return Ok(Some(format!("{name} is stored as {}'s, and is {}'s", shown(stored), shown(owner))));
    }
    let segment = |number| plan.slots.segment_id(number).unwrap_or("?").to_owned();
    if let Some((profile, number)) = changes.left.first() {
        return Ok(Some(format!("profile {profile} is stored as in segment {}, and is not", segment(*number))));
    }
    let missing = changes.entered.first();
    Ok(missing
        .map(|(profile, number)| format!("profile {profile} is in segment {}, and is not stored so", segment(*number))))
}
