//! The identity rules, with namespaces as small numbers.

use std::collections::BTreeMap;
use tributary_model::IdentityRules;

/// A namespace's index in [`Rules`]: its place in the sorted list of names.
pub type NamespaceIndex = u8;

/// The identity rules, with namespaces as small numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    namespaces: BTreeMap<String, NamespaceIndex>,
    priorities: Vec<u8>,
    limited: Vec<(NamespaceIndex, u32)>,
    columns: Vec<u32>,
    max_links: u32,
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
        let limits =
            identity.namespaces.iter().filter_map(|(name, namespace)| Some((name, namespace.max_per_profile?)));
        let limited: Vec<_> = limits.filter_map(|(name, limit)| Some((*namespaces.get(name)?, limit))).collect();
        let columns = limited.iter().map(|(_, limit)| *limit).chain([1]).collect();
        Self { namespaces, priorities, limited, columns, max_links: identity.max_links, shared_after }
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

    /// More links than this are no customer but a tangle.
    pub fn max_links(&self) -> u32 {
        self.max_links
    }

    /// The namespaces that a profile may not hold any number of, with how many.
    pub(super) fn limited(&self) -> &[(NamespaceIndex, u32)] {
        &self.limited
    }

    /// How much of what is counted a component may hold and still be one customer: identifiers of each limited
    /// namespace, and last those that are stated to differ from another one.
    pub(super) fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// Where the identifiers of a namespace are counted, if they are.
    pub(super) fn column(&self, namespace: NamespaceIndex) -> Option<usize> {
        self.limited.iter().position(|(limited, _)| *limited == namespace)
    }

    /// For each better namespace, how many identifiers of it one of this namespace may be linked to.
    pub(super) fn sharing(&self, namespace: NamespaceIndex) -> &[(NamespaceIndex, u32)] {
        self.shared_after.get(usize::from(namespace)).map_or(&[], Vec::as_slice)
    }

    /// Whether any namespace can be shared at all.
    pub fn any_shared(&self) -> bool {
        self.shared_after.iter().any(|rules| !rules.is_empty())
    }
}
