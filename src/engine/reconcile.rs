//! After a restart, or with other rules: what the re-fed dataflow says against what is stored.

use super::commit::Committer;
use super::worker::Outputs;
use super::write::{PriorView, segment_id, write_conflicts, write_groups, write_members, write_owners, write_wakes};
use crate::store::{Store, StoreError};
use differential_dataflow::consolidation::consolidate;
use foldhash::HashMap;
use tributary_connectors::crash::{self, Place};
use tributary_dataflows::identity::Conflict;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::triggers::{Changes, qualify};
use tributary_dataflows::{Output, SegmentIndex};
use tributary_model::{Millis, ProfileId};

impl Committer {
    /// Corrects what is stored to what the re-fed dataflow says. Fires nothing.
    pub(super) fn reconcile(&mut self, truth: Outputs, now: Millis) -> Result<(), StoreError> {
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
        Ok(())
    }
}

/// The difference between what is true and what is stored, as an epoch would have told it. Both are walked in the same order,
/// so that of what is the same nothing is held.
pub(super) fn differences(store: &Store, plan: &Plan, mut truth: Outputs) -> Result<Changes, StoreError> {
    consolidate(&mut truth);
    let (owners, rest) = truth.split_at(truth.partition_point(|(output, _)| matches!(output, Output::Owner(..))));
    let (members, rest) = rest.split_at(rest.partition_point(|(output, _)| matches!(output, Output::Member(..))));
    let Changes { counts, conflicts, mut groups, mut wakes, .. } = Changes::new(rest.iter().cloned());
    let mut changes = Changes { counts, ..Changes::default() };
    differences_of_owners(store, owners, &mut changes)?;
    differences_of_members(store, plan, members, &mut changes)?;

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

fn differences_of_owners(store: &Store, truth: &[(Output, isize)], changes: &mut Changes) -> Result<(), StoreError> {
    let owner = |(output, _): &(Output, isize)| match output {
        Output::Owner(identifier, profile) => Some((*identifier, *profile)),
        _ => None,
    };
    let mut truth = truth.iter().filter_map(owner).peekable();
    store.each_owner(|identifier, stored| {
        while let Some((missing, owner)) = truth.next_if(|(next, _)| *next < identifier) {
            changes.owners.insert(missing, (None, Some(owner)));
        }
        let owner = truth.next_if(|(next, _)| *next == identifier).map(|(_, owner)| owner);
        if owner != Some(stored) {
            changes.owners.insert(identifier, (Some(stored), owner));
        }
        Ok(())
    })?;
    changes.owners.extend(truth.map(|(identifier, owner)| (identifier, (None, Some(owner)))));
    Ok(())
}

fn differences_of_members(
    store: &Store,
    plan: &Plan,
    truth: &[(Output, isize)],
    changes: &mut Changes,
) -> Result<(), StoreError> {
    let segments = plan.program.segments.iter().enumerate();
    let numbers: HashMap<&str, SegmentIndex> =
        segments.map(|(index, segment)| (segment.id.as_str(), plan.slots.segment(index))).collect();
    let member = |(output, _): &(Output, isize)| match output {
        Output::Member(profile, segment) => Some((*profile, *segment)),
        _ => None,
    };
    let mut truth = truth.iter().filter_map(member).peekable();
    // Segments of one customer after the other, as stored.
    let (mut profile, mut stored) = (None, Vec::new());
    let mut settle = |profile: Option<ProfileId>, stored: &mut Vec<SegmentIndex>| {
        let Some(profile) = profile else { return };
        while let Some(missing) = truth.next_if(|(next, _)| *next < profile) {
            changes.entered.insert(missing);
        }
        stored.sort_unstable();
        let mut is = Vec::new();
        while let Some((_, segment)) = truth.next_if(|(next, _)| *next == profile) {
            is.push(segment);
        }
        changes.left.extend(stored.iter().filter(|one| is.binary_search(one).is_err()).map(|one| (profile, *one)));
        changes.entered.extend(is.iter().filter(|one| stored.binary_search(one).is_err()).map(|one| (profile, *one)));
        stored.clear();
    };
    let mut undefined = store.batch();
    store.each_membership(|of, segment| {
        if profile != Some(of) {
            settle(profile, &mut stored);
            profile = Some(of);
        }
        match numbers.get(segment) {
            Some(number) => stored.push(*number),
            // The definitions no longer have the segment.
            None => undefined.delete_member(segment, of)?,
        }
        Ok(())
    })?;
    settle(profile, &mut stored);
    changes.entered.extend(truth);
    store.write(undefined, false)
}
