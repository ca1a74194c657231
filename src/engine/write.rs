//! What an epoch changes, table by table, into its batch.

use super::epoch::{FactsChange, Prepared};
use crate::store::conflicts::told;
use crate::store::history::Happened;
use crate::store::moves::Move;
use crate::store::{Batch, Meta, StoreError, View};
use std::collections::BTreeSet;
use tributary_dataflows::SegmentIndex;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::triggers::{Changes, Membership, Prior, Qualified, Transition};
use tributary_model::{Event, IdentifierId, Millis, ProfileId};

/// What was true before an epoch, as it is stored.
pub(super) struct PriorView<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) plan: &'a Plan,
}

impl Prior for PriorView<'_> {
    type Error = StoreError;
    fn since(&self, profile: ProfileId, segment: SegmentIndex) -> Result<Option<Millis>, StoreError> {
        match segment_id(self.plan, segment) {
            Some(id) => self.view.since(profile, id),
            None => Ok(None),
        }
    }
    fn former_since(&self, profile: ProfileId, segment: SegmentIndex) -> Result<Option<Millis>, StoreError> {
        match segment_id(self.plan, segment) {
            Some(id) => self.view.former_since(profile, id),
            None => Ok(None),
        }
    }
}

/// The id of the segment with that number.
pub(super) fn segment_id(plan: &Plan, segment: SegmentIndex) -> Option<&str> {
    plan.slots.segment_id(segment)
}

/// In the order of the keys, which RocksDB takes in faster.
pub(super) fn write_base_facts(batch: &mut Batch<'_>, view: &View<'_>, prepared: &Prepared) -> Result<(), StoreError> {
    for (id, deleted) in &prepared.deleted {
        batch.delete_timeline(*id)?;
        batch.delete_messages_of(view, *id)?;
        batch.put_deleted(*id, *deleted)?;
    }
    for ends in &prepared.links_gone {
        batch.delete_link(*ends)?;
    }
    for (ends, standing) in &prepared.standing {
        match standing {
            Some(standing) => batch.put_standing(*ends, standing)?,
            None => batch.delete_standing(*ends)?,
        }
    }
    for (address, suppression) in &prepared.suppressions {
        batch.put_suppression(address, suppression)?;
    }
    let mut facts: Vec<_> = prepared.facts.iter().collect();
    facts.sort_unstable_by_key(|(id, _)| **id);
    for (id, facts) in facts {
        match facts {
            FactsChange::Whole(whole) => batch.put_facts(*id, whole)?,
            FactsChange::Added(added) => batch.merge_facts(*id, added)?,
            FactsChange::Gone => batch.delete_facts(*id)?,
        }
    }
    for (ends, facts) in &prepared.links {
        batch.put_link(*ends, facts)?;
    }
    for ends in &prepared.new_links {
        batch.put_new_link(*ends)?;
    }
    for (group, id, times) in &prepared.group_members {
        batch.put_group_member(*group, *id, *times > 0)?;
    }
    // What is said anew comes behind what it takes the place of.
    for (said, times) in &prepared.group_traits {
        batch.put_group_trait(said, *times > 0)?;
    }
    for (due, id) in &prepared.timers_done {
        batch.delete_timer(*due, *id)?;
    }
    for (due, id) in &prepared.timers_set {
        batch.put_timer(*due, *id)?;
    }
    for message in &prepared.seen {
        batch.put_seen(*message, prepared.clock)?;
    }
    let happened = |(identifier, event): &(IdentifierId, Box<Event>)| Happened {
        identifier: *identifier,
        at: event.timestamp,
        message_id: event.message_id,
        body: event.body.clone(),
    };
    let mut events: Vec<_> = prepared.events.iter().collect();
    events.sort_unstable_by_key(|(id, event)| (*id, event.timestamp));
    batch.put_events(prepared.epoch, events.into_iter().map(happened))
}

/// Who owns what, and what moved from whom to whom.
pub(super) fn write_owners(batch: &mut Batch<'_>, meta: &mut Meta, changes: &Changes) -> Result<(), StoreError> {
    for (identifier, (old, new)) in &changes.owners {
        batch.move_identifier(*identifier, *old, *new)?;
        meta.profiles += change_of_profiles(*identifier, *old, *new);
        if let (Some(from), Some(to)) = (*old, *new) {
            batch.put_move(meta.epoch, *identifier, &Move { at: meta.clock, from, to })?;
        }
    }
    Ok(())
}

/// A profile exists while the identifier that names it is its own.
fn change_of_profiles(identifier: IdentifierId, old: Option<ProfileId>, new: Option<ProfileId>) -> i64 {
    let own = |profile: Option<ProfileId>| i64::from(profile.is_some_and(|profile| profile.0 == identifier.0));
    own(new) - own(old)
}

/// What is computed of groups.
pub(super) fn write_groups(batch: &mut Batch<'_>, changes: &Changes) -> Result<(), StoreError> {
    changes.groups.iter().try_for_each(|(group, evaluation)| batch.put_evaluation(*group, evaluation.as_ref()))
}

/// When what is said of customers changes by itself.
pub(super) fn write_wakes(batch: &mut Batch<'_>, changes: &Changes) -> Result<(), StoreError> {
    changes.wakes.iter().try_for_each(|((due, profile), is_set)| batch.put_wake(*due, *profile, *is_set))
}

/// What operators should know of identities.
pub(super) fn write_conflicts(batch: &mut Batch<'_>, meta: &mut Meta, changes: &Changes) -> Result<(), StoreError> {
    for (conflict, is_new) in &changes.conflicts {
        let there_are = meta.conflicts.entry(told(conflict).0.to_owned()).or_default();
        if *is_new {
            *there_are += 1;
            batch.put_conflict(*conflict, meta.clock)?;
        } else {
            *there_are -= 1;
            batch.delete_conflict(conflict)?;
        }
    }
    Ok(())
}

/// What became of memberships; those that ended or began because identifiers moved are remembered, or forgotten, as
/// former ones.
pub(super) fn write_members(
    batch: &mut Batch<'_>,
    view: &View<'_>,
    plan: &Plan,
    changes: &Changes,
    qualified: &Qualified,
) -> Result<(), StoreError> {
    for (identifier, (old, new)) in &changes.owners {
        let own = ProfileId::from(*identifier);
        let Some(old) = old.filter(|old| *new == Some(own) && *old != own) else { continue };
        // One that is a customer again was in what it was in only if those it was merged with still were.
        for (segment, _) in view.former_memberships(own)? {
            if view.since(old, &segment)?.is_none() {
                batch.delete_former_member(&segment, own)?;
            }
        }
    }
    let moved: BTreeSet<ProfileId> =
        changes.owners.values().flat_map(|(old, new)| old.iter().chain(new)).copied().collect();
    let id = |segment: &SegmentIndex| segment_id(plan, *segment);
    let left = changes.left.iter().filter_map(|(profile, segment)| Some((id(segment)?, *profile, None)));
    let entered =
        qualified.members.iter().filter_map(|member| Some((id(&member.segment)?, member.profile, Some(member.since))));
    let mut rows: Vec<(&str, ProfileId, Option<Millis>)> = left.chain(entered).collect();
    batch.put_members(&mut rows)?;
    for Membership { profile, segment, .. } in qualified.members.iter().filter(|member| moved.contains(&member.profile))
    {
        if let Some(id) = segment_id(plan, *segment) {
            batch.delete_former_member(id, *profile)?;
        }
    }
    for Membership { profile, segment, since } in &qualified.former {
        if let Some(id) = segment_id(plan, *segment) {
            batch.put_former_member(id, *profile, *since)?;
        }
    }
    for (profile, segment, _) in qualified.transitions.iter().filter(|(.., way)| *way == Transition::Exit) {
        if let Some(id) = segment_id(plan, *segment) {
            batch.delete_former_member(id, *profile)?;
        }
    }
    Ok(())
}
