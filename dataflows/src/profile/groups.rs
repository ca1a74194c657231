//! What group calls say: which groups an identifier belongs to, and what it says of them.

use super::facts::TraitFact;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tributary_model::{GroupId, MessageId, Millis};

/// What one identifier's group calls say of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFacts {
    /// The earliest group call.
    pub first_seen: Millis,
    /// The latest group call.
    pub last_seen: Millis,
    /// The message of the latest: breaks ties.
    pub tie: MessageId,
    /// Latest traits of the group by name.
    pub traits: BTreeMap<String, TraitFact>,
}

impl GroupFacts {
    /// What a first group call says, without its traits.
    pub const fn new(at: Millis, tie: MessageId) -> Self {
        Self { first_seen: at, last_seen: at, tie, traits: BTreeMap::new() }
    }

    /// Notes another group call.
    pub fn seen(&mut self, at: Millis, tie: MessageId) {
        self.first_seen = self.first_seen.min(at);
        (self.last_seen, self.tie) = (self.last_seen, self.tie).max((at, tie));
    }

    /// The membership as the dataflow has it.
    pub const fn belongs(&self, group: GroupId) -> Belongs {
        Belongs { last_seen: self.last_seen, tie: self.tie, group }
    }

    /// Takes in what other group calls of the same identifier say of the same group.
    pub fn merge(&mut self, other: Self) {
        self.first_seen = self.first_seen.min(other.first_seen);
        self.seen(other.last_seen, other.tie);
        merge_traits(&mut self.traits, other.traits);
    }
}

/// The groups that a customer with all of these belongs to: the account first, then by how lately they were seen.
pub fn merged_groups<'a>(
    of_identifiers: impl IntoIterator<Item = &'a BTreeMap<String, GroupFacts>>,
) -> Vec<(&'a str, Belongs, Millis)> {
    let mut groups: BTreeMap<&str, (Belongs, Millis)> = BTreeMap::new();
    for (id, facts) in of_identifiers.into_iter().flatten() {
        let belongs = facts.belongs(GroupId::of(id));
        let held = groups.entry(id).or_insert((belongs, facts.first_seen));
        *held = (held.0.max(belongs), held.1.min(facts.first_seen));
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(id, (belongs, first_seen))| (id, belongs, first_seen)).collect();
    groups.sort_unstable_by_key(|(_, belongs, _)| std::cmp::Reverse(*belongs));
    groups
}

/// Latest wins, trait by trait.
pub(super) fn merge_traits(held: &mut BTreeMap<String, TraitFact>, more: BTreeMap<String, TraitFact>) {
    for (name, fact) in more {
        match held.entry(name) {
            Entry::Occupied(mut held) if (held.get().at, held.get().tie) < (fact.at, fact.tie) => {
                held.insert(fact);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(room) => drop(room.insert(fact)),
        }
    }
}

/// An identifier's membership in a group, as the dataflow has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Belongs {
    /// The latest group call of the identifier.
    pub last_seen: Millis,
    /// The message of it: breaks ties.
    pub tie: MessageId,
    /// The group.
    pub group: GroupId,
}

/// One identifier's word on one trait of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTrait {
    /// The group.
    pub group: GroupId,
    /// The trait.
    pub name: String,
    /// What was said, and when.
    pub fact: TraitFact,
}
