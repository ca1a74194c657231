//! After a restart, or with other rules: what the re-fed dataflow says against what is stored.

use super::commit::Committer;
use super::write::{PriorView, segment_id, write_conflicts, write_groups, write_members, write_owners, write_wakes};
use crate::store::{Store, StoreError};
use foldhash::{HashMap, HashMapExt};
use tributary_connectors::crash::{self, Place};
use tributary_dataflows::identity::Conflict;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::triggers::{Changes, qualify};
use tributary_model::{IdentifierId, Millis, ProfileId};

impl Committer {
    /// Corrects what is stored to what the re-fed dataflow says. Fires nothing.
    pub(super) fn reconcile(&mut self, truth: Changes, now: Millis) -> Result<(), StoreError> {
        let store = self.store.clone();
        let view = store.view();
        let changes = differences(&store, &self.plan, truth)?;
        let corrected = changes.owners.len() + changes.entered.len() + changes.left.len() + changes.conflicts.len();
        let qualified = qualify(&changes, &PriorView { view: &view, plan: &self.plan }, now)?;
        let mut batch = store.batch();
        let meta = &mut self.meta;
        meta.clock = meta.clock.max(now);
        write_owners(&mut batch, meta, &changes)?;
        write_conflicts(&mut batch, meta, &changes)?;
        write_groups(&mut batch, &changes)?;
        write_wakes(&mut batch, &changes)?;
        write_members(&mut batch, &view, &self.plan, &changes, &qualified)?;
        meta.counts.clear();
        for (segment, count) in &changes.counts {
            if let Some(id) = segment_id(&self.plan, *segment) {
                meta.counts.insert(id.to_owned(), *count);
            }
        }
        batch.put_meta(meta)?;
        drop(view);
        store.write(batch, true)?;
        crash::at(Place::Reconciled);
        if corrected > 0 {
            let moved = changes.owners.len();
            tracing::info!(corrected, moved, "stored owners and memberships corrected to what facts and rules say");
        }
        self.publish()
    }
}

/// The difference between what is true and what is stored, as an epoch would have told it.
pub(super) fn differences(store: &Store, plan: &Plan, truth: Changes) -> Result<Changes, StoreError> {
    let Changes { owners, mut entered, counts, conflicts, mut groups, mut wakes, .. } = truth;
    let mut changes = Changes { counts, ..Changes::default() };

    let mut owners: HashMap<IdentifierId, ProfileId> =
        owners.into_iter().filter_map(|(identifier, (_, new))| Some((identifier, new?))).collect();
    store.each_owner(|identifier, stored| {
        let owner = owners.remove(&identifier);
        if owner != Some(stored) {
            changes.owners.insert(identifier, (Some(stored), owner));
        }
        Ok(())
    })?;
    changes.owners.extend(owners.into_iter().map(|(identifier, owner)| (identifier, (None, Some(owner)))));

    let mut indices = HashMap::new();
    for (index, segment) in plan.program.segments.iter().enumerate() {
        indices.insert(segment.id.as_str(), plan.slots.segment(index));
    }
    let mut undefined = store.batch();
    store.each_member(|segment, profile, _since| {
        match indices.get(segment) {
            Some(index) if !entered.remove(&(profile, *index)) => drop(changes.left.insert((profile, *index))),
            Some(_) => {}
            // The definitions no longer have the segment.
            None => undefined.delete_member(segment, profile)?,
        }
        Ok(())
    })?;
    store.write(undefined, false)?;
    changes.entered = entered;

    let mut conflicts: std::collections::BTreeSet<Conflict> = conflicts.into_keys().collect();
    store.each_conflict(|stored| {
        if !conflicts.remove(&stored.conflict) {
            changes.conflicts.insert(stored.conflict, false);
        }
        Ok(())
    })?;
    changes.conflicts.extend(conflicts.into_iter().map(|conflict| (conflict, true)));

    store.each_evaluation(|group, _stored| {
        groups.entry(group).or_insert(None);
        Ok(())
    })?;
    changes.groups = groups;

    store.each_wake(|due, profile| {
        // What is true and stored already needs no writing.
        if wakes.remove(&(due, profile)).is_none() {
            changes.wakes.insert((due, profile), false);
        }
        Ok(())
    })?;
    changes.wakes.extend(wakes);
    Ok(changes)
}
