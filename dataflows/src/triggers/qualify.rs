//! Which changes of membership are a *customer* coming or going, and which are only profiles that merge or split.
//!
//! A profile's predecessors are the profiles that its identifiers belonged to an epoch ago, its successors those that
//! they belong to now. Someone enters a segment when no predecessor was in it; someone leaves when every predecessor
//! was in it and no successor is. One who is parted into several does not leave: there never was such a customer. What
//! a profile was in when its identifiers moved is remembered as its *former* membership, so that merging, parting and
//! merging again fires nothing and ends where it began.

use crate::identity::Conflict;
use crate::output::{Output, SegmentIndex};
use crate::segments::GroupEvaluation;
use differential_dataflow::consolidation::consolidate;
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{GroupId, IdentifierId, Millis, ProfileId};

/// What one epoch changed, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// For each identifier that changed hands: its owner before and after.
    pub owners: BTreeMap<IdentifierId, (Option<ProfileId>, Option<ProfileId>)>,
    /// Memberships that are new.
    pub entered: BTreeSet<(ProfileId, SegmentIndex)>,
    /// Memberships that are gone.
    pub left: BTreeSet<(ProfileId, SegmentIndex)>,
    /// Segments whose count changed, with the new count.
    pub counts: BTreeMap<SegmentIndex, i64>,
    /// What operators should know: true if it is new, false if it is over.
    pub conflicts: BTreeMap<Conflict, bool>,
    /// When what is said of profiles changes by itself: true if that is new, false if it is over.
    pub wakes: BTreeMap<(Millis, ProfileId), bool>,
    /// Memberships that have changed because definitions did.
    pub redefined: BTreeSet<(ProfileId, SegmentIndex)>,
    /// Definitions, by version, that are taken over, each with by how many more workers.
    pub current: BTreeMap<u64, usize>,
    /// Groups of which something else is computed; `None` of those that have no members any more.
    pub groups: BTreeMap<GroupId, Option<GroupEvaluation>>,
}

impl Changes {
    /// Sorts consolidated outputs of one epoch. A record and its retraction in the same epoch cancel.
    pub fn new(outputs: impl IntoIterator<Item = (Output, isize)>) -> Self {
        let mut sums: Vec<(Output, isize)> = outputs.into_iter().collect();
        consolidate(&mut sums);
        let mut changes = Self::default();
        for (output, times) in sums {
            let is_new = times > 0;
            match output {
                Output::Owner(identifier, profile) => {
                    let entry = changes.owners.entry(identifier).or_default();
                    let side = if is_new { &mut entry.1 } else { &mut entry.0 };
                    *side = Some(profile);
                }
                Output::Member(profile, segment) if is_new => {
                    changes.entered.insert((profile, segment));
                }
                Output::Member(profile, segment) => {
                    changes.left.insert((profile, segment));
                }
                Output::Count(segment, count) if is_new => {
                    changes.counts.insert(segment, count);
                }
                Output::Count(segment, _) => {
                    changes.counts.entry(segment).or_insert(0);
                }
                Output::Wake(profile, at) => {
                    changes.wakes.insert((at, profile), is_new);
                }
                Output::Redefined(profile, segment) => {
                    changes.redefined.insert((profile, segment));
                }
                Output::Current(version) => {
                    changes.current.insert(version, times.unsigned_abs());
                }
                Output::Conflict(conflict) => {
                    changes.conflicts.insert(conflict, is_new);
                }
                Output::Group(group, evaluation) if is_new => {
                    changes.groups.insert(group, Some(evaluation));
                }
                Output::Group(group, _) => {
                    changes.groups.entry(group).or_insert(None);
                }
            }
        }
        changes
    }
}

/// What was true an epoch ago.
pub trait Prior {
    /// Why it could not be read.
    type Error;
    /// Since when the profile was in the segment; `None` if it was not.
    fn since(&self, profile: ProfileId, segment: SegmentIndex) -> Result<Option<Millis>, Self::Error>;
    /// Since when the profile was in the segment when its identifiers last moved.
    ///
    /// # Errors
    /// If it cannot be read.
    fn former_since(&self, profile: ProfileId, segment: SegmentIndex) -> Result<Option<Millis>, Self::Error>;
}

/// Which way a customer went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transition {
    /// Into the segment.
    Enter,
    /// Out of the segment.
    Exit,
}

/// A membership as it is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Who.
    pub profile: ProfileId,
    /// In what.
    pub segment: SegmentIndex,
    /// Since when, through merges.
    pub since: Millis,
}

/// What follows from an epoch's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qualified {
    /// New memberships.
    pub members: Vec<Membership>,
    /// Memberships that ended because identifiers moved.
    pub former: Vec<Membership>,
    /// Customers that came or went, in a fixed order.
    pub transitions: BTreeSet<(ProfileId, SegmentIndex, Transition)>,
}

/// Tells entries and exits of customers from profiles that merge or split.
///
/// # Errors
/// Those of reading what was true before.
pub fn qualify<P: Prior>(changes: &Changes, prior: &P, clock: Millis) -> Result<Qualified, P::Error> {
    let kin = Kin::new(changes);
    let mut qualified = Qualified::default();
    for &(profile, segment) in &changes.entered {
        if !kin.has_moved(profile) {
            // Whoever is in since now, and is whoever it was, was not in.
            qualified.transitions.insert((profile, segment, Transition::Enter));
            qualified.members.push(Membership { profile, segment, since: clock });
            continue;
        }
        let mut earliest = None;
        let mut former = None;
        for before in kin.predecessors(profile) {
            let since = prior.since(before, segment)?;
            earliest = earliest.into_iter().chain(since).min();
        }
        for before in kin.predecessors(profile) {
            let since = prior.former_since(before, segment)?;
            former = former.into_iter().chain(since).min();
        }
        if let Some(own) = prior.former_since(profile, segment)? {
            // As it was before it merged; but not longer ago than those were in with whom it merged.
            former = Some(own);
            earliest = earliest.map(|earliest: Millis| earliest.max(own));
        }
        let since = earliest.or(former);
        if since.is_none() {
            qualified.transitions.insert((profile, segment, Transition::Enter));
        }
        qualified.members.push(Membership { profile, segment, since: since.unwrap_or(clock) });
    }
    // Of many who become one, those they were are asked once.
    let mut all_were_in: BTreeMap<(ProfileId, SegmentIndex), bool> = BTreeMap::new();
    for &(profile, segment) in &changes.left {
        if !kin.has_moved(profile) {
            qualified.transitions.extend(kin.now(profile).map(|now| (now, segment, Transition::Exit)));
            continue;
        }
        if let Some(since) = prior.since(profile, segment)? {
            qualified.former.push(Membership { profile, segment, since });
        }
        let is_in = |now: ProfileId| -> Result<bool, P::Error> {
            let key = (now, segment);
            Ok(changes.entered.contains(&key) || (!changes.left.contains(&key) && prior.since(now, segment)?.is_some()))
        };
        let mut still_in = kin.is_parted(profile);
        for now in kin.successors(profile) {
            still_in = still_in || is_in(now)?;
        }
        let Some(now) = kin.now(profile).filter(|_| !still_in) else { continue };
        let all_were_in = match all_were_in.get(&(now, segment)) {
            Some(known) => *known,
            None => {
                let mut all = true;
                for before in kin.predecessors(now) {
                    all = all && prior.since(before, segment)?.is_some();
                }
                all_were_in.insert((now, segment), all);
                all
            }
        };
        if all_were_in {
            qualified.transitions.insert((now, segment, Transition::Exit));
        }
    }
    Ok(qualified)
}

/// Which profiles were, and are, the same customer.
struct Kin<'a> {
    changes: &'a Changes,
    before: BTreeMap<ProfileId, BTreeSet<ProfileId>>,
    after: BTreeMap<ProfileId, BTreeSet<ProfileId>>,
}

impl<'a> Kin<'a> {
    fn new(changes: &'a Changes) -> Self {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        for (old, new) in changes.owners.values() {
            if let (Some(old), Some(new)) = (old, new) {
                before.entry(*new).or_insert_with(BTreeSet::new).insert(*old);
                after.entry(*old).or_insert_with(BTreeSet::new).insert(*new);
            }
        }
        Self { changes, before, after }
    }

    /// The identifier that names a profile is the profile's own; where it went, the profile went.
    fn naming(&self, profile: ProfileId) -> Option<&(Option<ProfileId>, Option<ProfileId>)> {
        self.changes.owners.get(&IdentifierId(profile.0))
    }

    fn now(&self, profile: ProfileId) -> Option<ProfileId> {
        self.naming(profile).map_or(Some(profile), |(_, new)| *new)
    }

    /// Whether identifiers came to the profile from others, or left it for others.
    fn has_moved(&self, profile: ProfileId) -> bool {
        self.before.contains_key(&profile) || self.after.contains_key(&profile)
    }

    /// Whether the profile's identifiers are now more than one customer's.
    fn is_parted(&self, profile: ProfileId) -> bool {
        self.successors(profile).collect::<BTreeSet<_>>().len() > 1
    }

    fn predecessors(&self, profile: ProfileId) -> impl Iterator<Item = ProfileId> {
        let own = self.naming(profile).map_or(Some(profile), |(old, _)| *old);
        own.into_iter().chain(self.before.get(&profile).into_iter().flatten().copied())
    }

    fn successors(&self, profile: ProfileId) -> impl Iterator<Item = ProfileId> {
        self.now(profile).into_iter().chain(self.after.get(&profile).into_iter().flatten().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Who was in, and who was when identifiers last moved.
    struct Was(Vec<(u128, Millis)>, Vec<(u128, Millis)>);

    impl Prior for Was {
        type Error = Infallible;
        fn since(&self, profile: ProfileId, _segment: SegmentIndex) -> Result<Option<Millis>, Infallible> {
            Ok(self.0.iter().find(|(id, _)| *id == profile.0).map(|(_, since)| *since))
        }
        fn former_since(&self, profile: ProfileId, _segment: SegmentIndex) -> Result<Option<Millis>, Infallible> {
            Ok(self.1.iter().find(|(id, _)| *id == profile.0).map(|(_, since)| *since))
        }
    }

    fn owner(identifier: u128, profile: u128, times: isize) -> (Output, isize) {
        (Output::Owner(IdentifierId(identifier), ProfileId(profile)), times)
    }

    fn member(profile: u128, times: isize) -> (Output, isize) {
        (Output::Member(ProfileId(profile), 0), times)
    }

    /// Who was in, what changed, who is stored since when, who came and went.
    fn check(
        was: &[(u128, Millis)],
        outputs: Vec<(Output, isize)>,
        stored: &[(u128, Millis)],
        moved: &[(u128, Transition)],
    ) {
        let Ok(qualified) = qualify(&Changes::new(outputs), &Was(was.to_vec(), Vec::new()), 100);
        let members: Vec<_> = qualified.members.iter().map(|member| (member.profile.0, member.since)).collect();
        assert_eq!(members, stored);
        let transitions: Vec<_> = qualified.transitions.iter().map(|(profile, _, way)| (profile.0, *way)).collect();
        assert_eq!(transitions, moved);
    }

    #[test]
    fn a_new_customer_enters() {
        check(&[], vec![owner(1, 1, 1), member(1, 1)], &[(1, 100)], &[(1, Transition::Enter)]);
    }

    #[test]
    fn a_known_customer_enters_and_leaves() {
        check(&[], vec![member(1, 1)], &[(1, 100)], &[(1, Transition::Enter)]);
        check(&[(1, 7)], vec![member(1, -1)], &[], &[(1, Transition::Exit)]);
    }

    #[test]
    fn a_merge_of_a_member_into_another_profile_is_no_entry_and_no_exit() {
        let merge = vec![owner(2, 2, -1), owner(2, 1, 1), member(2, -1), member(1, 1)];
        check(&[(2, 7)], merge, &[(1, 7)], &[]);
    }

    #[test]
    fn two_who_qualify_only_together_enter() {
        let merge = vec![owner(2, 2, -1), owner(2, 1, 1), member(1, 1)];
        check(&[], merge, &[(1, 100)], &[(1, Transition::Enter)]);
    }

    #[test]
    fn an_unmerge_is_no_exit() {
        let unmerge = vec![owner(2, 1, -1), owner(2, 2, 1), member(2, 1), member(1, -1)];
        check(&[(1, 7)], unmerge, &[(2, 7)], &[]);
    }

    #[test]
    fn a_profile_that_gets_a_better_name_stays() {
        let renamed = vec![owner(2, 2, -1), owner(2, 1, 1), owner(1, 1, 1), member(2, -1), member(1, 1)];
        check(&[(2, 7)], renamed, &[(1, 7)], &[]);
    }

    #[test]
    fn a_merge_with_a_stranger_that_ends_a_membership_is_no_exit() {
        let merge = vec![owner(2, 2, -1), owner(2, 1, 1), member(2, -1)];
        check(&[(2, 7)], merge, &[], &[]);
    }

    #[test]
    fn what_qualified_only_together_neither_leaves_when_it_is_parted_nor_enters_again_when_it_is_joined() {
        let parted = Changes::new(vec![owner(2, 1, -1), owner(2, 2, 1), member(1, -1)]);
        let Ok(qualified) = qualify(&parted, &Was(vec![(1, 7)], Vec::new()), 100);
        assert_eq!(qualified.transitions.len(), 0);
        assert_eq!(qualified.former, [Membership { profile: ProfileId(1), segment: 0, since: 7 }]);

        let joined = Changes::new(vec![owner(2, 2, -1), owner(2, 1, 1), member(1, 1)]);
        let Ok(qualified) = qualify(&joined, &Was(Vec::new(), vec![(1, 7)]), 200);
        assert_eq!(qualified.transitions.len(), 0);
        assert_eq!(qualified.members, [Membership { profile: ProfileId(1), segment: 0, since: 7 }]);
    }

    #[test]
    fn a_member_that_merged_and_is_parted_is_in_since_it_was() {
        let parted = Changes::new(vec![owner(2, 1, -1), owner(2, 2, 1), member(2, 1)]);
        let Ok(qualified) = qualify(&parted, &Was(vec![(1, 7)], vec![(2, 20)]), 100);
        assert_eq!(qualified.members, [Membership { profile: ProfileId(2), segment: 0, since: 20 }]);
        // But the membership of the two had ended and begun anew in the meantime.
        let Ok(qualified) = qualify(&parted, &Was(vec![(1, 60)], vec![(2, 20)]), 100);
        assert_eq!(qualified.members, [Membership { profile: ProfileId(2), segment: 0, since: 60 }]);
    }
}
