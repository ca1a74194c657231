//! Groups in the dataflow.
//!
//! ```text
//! belongs ⋈ owner ─► memberships of profiles ─┬─► identifiers of members ⋈ facts ─┐
//!                                             ├─► members ───────────────────────┼─► totals ─┬─► GroupEvaluation
//!                     what is said of groups ─┼───────────────────────────────────┘           │
//!                                             └──────────────── ⋈ what members read of them ◄─┘─► (profile, ±features)
//! ```
//!
//! A customer is a member of each group that one of the identifiers belongs to; the one with the latest group call is
//! the customer's *account*, which is what `group.…` means in an expression.

use super::totals::Totals;
use crate::profile::{Belongs, Features, Plan};
use crate::segments::GroupEvaluation;
use crate::sequential::by_epoch;
use differential_dataflow::difference::{IsZero, Multiply};
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::implementations::{KeySpine, ValSpine};
use differential_dataflow::{AsCollection, VecCollection};
use std::collections::BTreeMap;
use std::sync::Arc;
use timely::dataflow::operators::vec::Map;
use tributary_model::{Epoch, GroupId, IdentifierId, ProfileId};

/// Features of identifiers, arranged.
pub type Facts<'scope> = Arranged<'scope, TraceAgent<KeySpine<IdentifierId, Epoch, Features>>>;
/// Owners of identifiers, arranged.
pub type Owners<'scope> = Arranged<'scope, TraceAgent<ValSpine<IdentifierId, ProfileId, Epoch, isize>>>;

/// What comes out of groups.
pub struct Accounts<'scope> {
    /// What is computed of each group that has members.
    pub evaluated: VecCollection<'scope, Epoch, (GroupId, GroupEvaluation), isize>,
    /// What customers' expressions read of their groups.
    pub features: VecCollection<'scope, Epoch, ProfileId, Features>,
}

impl std::fmt::Debug for Accounts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts")
    }
}

/// Computes groups, and what their members read of them.
pub fn accounts<'scope>(
    belongs: VecCollection<'scope, Epoch, (IdentifierId, Belongs), isize>,
    said: VecCollection<'scope, Epoch, GroupId, Features>,
    facts: Facts<'scope>,
    owners: Owners<'scope>,
    plan: Arc<Plan>,
) -> Accounts<'scope> {
    let members_slot = plan.slots.members();
    let memberships = belongs
        .arrange_by_key_named("Belongs")
        .join_core(owners.clone(), |_identifier, belongs, profile| Some((*profile, *belongs)))
        .reduce_named("Memberships", |_profile, belongs, memberships| {
            let mut latest: BTreeMap<GroupId, Belongs> = BTreeMap::new();
            for (belongs, _) in belongs {
                let held = latest.entry(belongs.group).or_insert(**belongs);
                *held = (*held).max(**belongs);
            }
            let account = latest.values().max().map(|belongs| belongs.group);
            memberships.extend(latest.into_keys().map(|group| ((group, Some(group) == account), 1isize)));
        });
    let by_profile = memberships.clone().map(|(profile, (group, _))| (profile, group)).arrange_by_key_named("Members");
    let identifiers = owners.as_collection(|identifier, profile| (*profile, *identifier));
    let groups_of = identifiers
        .arrange_by_key_named("Identifiers")
        .join_core(by_profile, |_profile, identifier, group| Some((*identifier, *group)));

    let of_members = facts.join_core(groups_of.arrange_by_key_named("Groups"), |_identifier, (), group| Some(*group));
    let counting = plan.clone();
    let of_members = of_members
        .inner
        .map(move |(group, epoch, features)| (group, epoch, features.only(|slot| counting.counts_for_groups(slot))));
    let one_member = move |(_, (group, _)): (ProfileId, (GroupId, bool))| {
        let mut features = Features::default();
        features.add(members_slot, 1, 0);
        Some((group, features))
    };
    let members = memberships.clone().explode(one_member);
    let changes = of_members.as_collection().concat(members).concat(said);
    let mut totals = Totals::new(plan.clone());
    let evaluated = by_epoch(
        changes,
        "Groups",
        |group| group.0 as u64,
        move |changes| totals.apply(changes.into_iter().filter(|(_, features)| !features.is_zero()).collect()),
    );

    let read = evaluated.clone().map(|(group, evaluation)| (group, evaluation.expressions));
    let features = memberships
        .map(|(profile, (group, is_account))| (group, (profile, is_account)))
        .arrange_by_key_named("Accounts")
        .join_core(read.arrange_by_key_named("Read"), |_group, (profile, is_account), values| {
            Some((*profile, *is_account, values.clone()))
        })
        .inner
        .map(move |((profile, is_account, values), epoch, times)| {
            (profile, epoch, plan.of_group(is_account, &values).multiply(&times))
        })
        .as_collection();
    Accounts { evaluated, features }
}
