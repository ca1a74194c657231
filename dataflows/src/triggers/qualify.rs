//! Which changes of membership are a *customer* coming or going, and which are only profiles that merge or split.
//!
//! A profile's predecessors are the profiles that its identifiers belonged to an epoch ago, its successors those that
//! they belong to now. Someone enters a segment when no predecessor was in it; someone leaves when every predecessor
//! was in it and no successor is. So a merge or an unmerge alone never fires.

use crate::output::{Output, SegmentIndex};
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{IdentifierId, Millis, ProfileId};

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
}

impl Changes {
    /// Sorts consolidated outputs of one epoch. A record and its retraction in the same epoch cancel.
    pub fn new(outputs: impl IntoIterator<Item = (Output, isize)>) -> Self {
        let mut sums: BTreeMap<Output, isize> = BTreeMap::new();
        for (output, times) in outputs {
            *sums.entry(output).or_default() += times;
        }
        let mut changes = Self::default();
        for (output, times) in sums.into_iter().filter(|(_, times)| *times != 0) {
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
        let mut earliest = None;
        for before in kin.predecessors(profile) {
            let since = prior.since(before, segment)?;
            earliest = earliest.into_iter().chain(since).min();
        }
        if earliest.is_none() {
            qualified.transitions.insert((profile, segment, Transition::Enter));
        }
        qualified.members.push(Membership { profile, segment, since: earliest.unwrap_or(clock) });
    }
    for &(profile, segment) in &changes.left {
        let is_in = |now: ProfileId| -> Result<bool, P::Error> {
            let key = (now, segment);
            Ok(changes.entered.contains(&key) || (!changes.left.contains(&key) && prior.since(now, segment)?.is_some()))
        };
        let mut still_in = false;
        for now in kin.successors(profile) {
            still_in = still_in || is_in(now)?;
        }
        let Some(now) = kin.now(profile) else { continue };
        let mut all_were_in = true;
        for before in kin.predecessors(now) {
            all_were_in = all_were_in && prior.since(before, segment)?.is_some();
        }
        if all_were_in && !still_in {
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

    struct Was(Vec<(u128, Millis)>);

    impl Prior for Was {
        type Error = Infallible;
        fn since(&self, profile: ProfileId, _segment: SegmentIndex) -> Result<Option<Millis>, Infallible> {
            Ok(self.0.iter().find(|(id, _)| *id == profile.0).map(|(_, since)| *since))
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
        let Ok(qualified) = qualify(&Changes::new(outputs), &Was(was.to_vec()), 100);
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
}
