//! Too many of one namespace in a component, or two that are stated to differ: it is split along its weakest evidence.
//!
//! Where a component holds more identifiers of a namespace than `max_per_profile`, each of them anchors a profile of its
//! own. Links are taken best evidence first (stated ones, then the latest, then the most often seen, then the smaller
//! identifiers), and one that would bring two anchors together is cut; so every other identifier goes where its best
//! evidence leads. That depends on the evidence alone, not on the order in which it came.

use super::adjacency::Adjacency;
use super::arena::Place;
use super::rules::NamespaceIndex;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::Reverse;

/// Which links may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// All that join by the rules.
    Evidence,
    /// Those only that were stated: all that counts in a tangle.
    Statements,
}

/// The customers that these members are: those of each, the best first. Each identifier of a `crowded` namespace is a
/// customer of its own, unless it was stated to be another's.
pub(super) fn split(all: &Adjacency, members: &[Place], crowded: &[NamespaceIndex], by: By) -> Vec<Vec<Place>> {
    let mut parts = Parts::new(all, members, crowded);
    let mut edges = Vec::new();
    for member in members {
        for edge in all.edges_of(*member).map(|edge| &all.edges[edge]) {
            let [one, other] = edge.ends;
            // Each edge once: from its first end.
            let (Some(one), Some(other), true) = (parts.place(one), parts.place(other), one == *member) else {
                continue;
            };
            if edge.different {
                parts.different.push((one, other));
            }
            if edge.same || (edge.joins && by == By::Evidence) {
                let ids = edge.ends.map(|end| all.members[end].id);
                edges.push(((!edge.same, Reverse((edge.last_seen, edge.count)), ids), (one, other)));
            }
        }
    }
    edges.sort_unstable();
    for ((only_seen, ..), (one, other)) in edges {
        parts.join(one, other, !only_seen);
    }
    parts.done(all, members)
}

/// What has been brought together so far, by place in the list of members.
struct Parts {
    places: HashMap<Place, usize, FixedState>,
    /// Who leads to the root of its part; a root leads to itself.
    above: Vec<usize>,
    sizes: Vec<u32>,
    /// By root: of which crowded namespaces it holds one, as bits.
    anchors: Vec<u64>,
    /// Members that are stated to be two customers.
    different: Vec<(usize, usize)>,
}

impl Parts {
    fn new(all: &Adjacency, members: &[Place], crowded: &[NamespaceIndex]) -> Self {
        let anchor = |member: &Place| {
            let namespace = all.members[*member].namespace;
            crowded.iter().position(|crowded| *crowded == namespace).map_or(0, |bit| 1 << bit)
        };
        Self {
            places: members.iter().enumerate().map(|(index, member)| (*member, index)).collect(),
            above: (0..members.len()).collect(),
            sizes: vec![1; members.len()],
            anchors: members.iter().map(anchor).collect(),
            different: Vec::new(),
        }
    }

    fn place(&self, member: Place) -> Option<usize> {
        self.places.get(&member).copied()
    }

    fn root(&self, mut at: usize) -> usize {
        while let Some(above) = self.above.get(at).filter(|above| **above != at) {
            at = *above;
        }
        at
    }

    fn join(&mut self, one: usize, other: usize, stated: bool) {
        let (one, other) = (self.root(one), self.root(other));
        let anchors = |root: usize| self.anchors.get(root).copied().unwrap_or(0);
        if one == other || (!stated && anchors(one) & anchors(other) != 0) {
            return;
        }
        let are_the_two = |a: usize, b: usize| (a, b) == (one, other) || (b, a) == (one, other);
        if self.different.iter().any(|(a, b)| are_the_two(self.root(*a), self.root(*b))) {
            return;
        }
        let size = |root: usize| self.sizes.get(root).copied().unwrap_or(0);
        let joined = (anchors(one) | anchors(other), size(one) + size(other));
        let (below, root) = if size(one) < size(other) { (one, other) } else { (other, one) };
        if let (Some(above), Some(anchors), Some(size)) =
            (self.above.get_mut(below), self.anchors.get_mut(root), self.sizes.get_mut(root))
        {
            *above = root;
            (*anchors, *size) = joined;
        }
    }

    fn done(&self, all: &Adjacency, members: &[Place]) -> Vec<Vec<Place>> {
        let mut parts: Vec<Vec<Place>> = vec![Vec::new(); members.len()];
        for (index, member) in members.iter().enumerate() {
            if let Some(part) = parts.get_mut(self.root(index)) {
                part.push(*member);
            }
        }
        parts.retain(|part| !part.is_empty());
        for part in &mut parts {
            let best = (0..part.len()).min_by_key(|index| part.get(*index).map(|member| all.rank(*member)));
            part.swap(0, best.unwrap_or(0));
        }
        parts
    }
}
