//! Who was seen with whom: the evidence that identity is resolved from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_model::{IdentifierId, IdentityRules, Millis};

/// A namespace's index in [`Rules`]: its place in the sorted list of names.
pub type NamespaceIndex = u8;

/// One identifier as an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Which identifier.
    pub id: IdentifierId,
    /// Its namespace.
    pub namespace: NamespaceIndex,
}

/// Two identifiers that some event carried together. `to` is the better one, to which the event belongs: so an
/// event's identifiers form a star and not a clique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link {
    /// The better identifier.
    pub to: Endpoint,
    /// The other one.
    pub from: Endpoint,
}

/// What decides whether an identifier names its profile: smaller is better. The fields' order is SEMANTICS rule 6:
/// priority, then earliest event, then the smaller id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node {
    /// The namespace's priority.
    pub priority: u8,
    /// The earliest event that carried the identifier.
    pub first_seen: Millis,
    /// The identifier.
    pub id: IdentifierId,
    /// Its namespace; decides nothing here.
    pub namespace: NamespaceIndex,
}

/// What speaks for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// The link's two ends: the better identifier, the other.
    pub ends: (IdentifierId, IdentifierId),
    /// The latest event that carried both.
    pub last_seen: Millis,
    /// How many events have.
    pub count: u64,
}

/// The identity rules, with namespaces as small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    namespaces: BTreeMap<String, NamespaceIndex>,
    priorities: Vec<u8>,
    max_per_profile: Vec<Option<u32>>,
    /// For each namespace, the better namespaces with how many of each it may be linked to.
    shared_after: Vec<Vec<(NamespaceIndex, u32)>>,
}

impl Rules {
    /// Numbers the namespaces. Those past the 255th (which no definition has) are left out.
    pub fn new(identity: &IdentityRules) -> Self {
        let names = identity.namespaces.keys().cloned();
        let namespaces: BTreeMap<_, _> = names.zip(0..=NamespaceIndex::MAX).collect();
        let shared_after = identity.namespaces.values().map(|namespace| {
            let rule = |(other, limit): (&String, &u32)| Some((*namespaces.get(other)?, *limit));
            namespace.shared_after.iter().filter_map(rule).collect()
        });
        let shared_after = shared_after.collect();
        let priorities = identity.namespaces.values().map(|namespace| namespace.priority).collect();
        let max_per_profile = identity.namespaces.values().map(|namespace| namespace.max_per_profile).collect();
        Self { namespaces, priorities, max_per_profile, shared_after }
    }

    /// The number of a namespace; `None` for one that the definitions do not name (any more).
    pub fn namespace(&self, name: &str) -> Option<NamespaceIndex> {
        self.namespaces.get(name).copied()
    }

    /// The name of a namespace; empty for a number that no namespace has.
    pub fn name(&self, namespace: NamespaceIndex) -> &str {
        self.namespaces.iter().find(|(_, index)| **index == namespace).map_or("", |(name, _)| name)
    }

    /// The priority of a namespace; the worst for one that has none.
    pub fn priority(&self, namespace: NamespaceIndex) -> u8 {
        self.priorities.get(usize::from(namespace)).copied().unwrap_or(u8::MAX)
    }

    /// How many identifiers of `other` one of `namespace` may be linked to before it is shared.
    pub fn shared_after(&self, namespace: NamespaceIndex, other: NamespaceIndex) -> Option<u32> {
        let rules = self.shared_after.get(usize::from(namespace))?;
        rules.iter().find(|(to, _)| *to == other).map(|(_, limit)| *limit)
    }

    /// How many identifiers of a namespace one profile may hold.
    pub fn max_per_profile(&self, namespace: NamespaceIndex) -> Option<u32> {
        self.max_per_profile.get(usize::from(namespace)).copied().flatten()
    }

    /// Whether any namespace is limited at all.
    pub fn any_limited(&self) -> bool {
        self.max_per_profile.iter().any(Option::is_some)
    }

    /// Whether any namespace can be shared at all.
    pub fn any_shared(&self) -> bool {
        self.shared_after.iter().any(|rules| !rules.is_empty())
    }
}
