//! Too many of one namespace in a profile: it is split along its weakest evidence.
//!
//! Where a component holds more identifiers of a namespace than `max_per_profile`, each of them anchors a profile of its
//! own. Links are taken best evidence first (latest, then most often seen, then the smaller identifiers), and one that
//! would bring two anchors together is cut; so every other identifier goes where its best evidence leads. That depends on
//! the evidence alone, not on the order in which it came.

use super::links::{Evidence, NamespaceIndex, Node, Rules};
use differential_dataflow::VecCollection;
use differential_dataflow::algorithms::graphs::propagate::propagate_core;
use differential_dataflow::lattice::Lattice;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::implementations::ValSpine;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::Arc;
use timely::progress::Timestamp;
use tributary_model::IdentifierId;

/// Links in both directions, by either end.
pub type Edges<'scope, T> = Arranged<'scope, TraceAgent<ValSpine<IdentifierId, IdentifierId, T, isize>>>;

/// What a component is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Part {
    Member(Node),
    /// Smaller identifier first.
    Edge(IdentifierId, IdentifierId),
    Evidence(Evidence),
}

/// For each identifier the name of its profile: that of its component (`named`), or of its part of one that is split.
pub fn split_crowded<'scope, T: Timestamp + Lattice + Hash>(
    named: VecCollection<'scope, T, (IdentifierId, Node), isize>,
    edges: Edges<'scope, T>,
    nodes: VecCollection<'scope, T, Node, isize>,
    evidence: VecCollection<'scope, T, Evidence, isize>,
    rules: Arc<Rules>,
) -> VecCollection<'scope, T, (IdentifierId, Node), isize> {
    if !rules.any_limited() {
        return named;
    }
    let limited = {
        let rules = rules.clone();
        nodes.clone().flat_map(move |node| Some((node.id, (node.namespace, rules.max_per_profile(node.namespace)?))))
    };
    let crowded = limited
        .join_map(named.clone(), |id, limit, name| ((*name, *limit), *id))
        .reduce_named("Crowded", |(_, (_, limit)), ids, output| {
            if ids.len() > *limit as usize {
                output.push(((), 1isize));
            }
        })
        .map(|((name, _), ())| name)
        .distinct();

    // Only what is in such a component is looked at further: it is found from the component's name along the links.
    let named_by_itself = crowded.map(|name| (name.id, name));
    let members = propagate_core(edges.clone(), named_by_itself, |_| 1);
    let members_by_id = members.clone().arrange_by_key_named("Crowded members");
    let parts = nodes
        .map(|node| (node.id, node))
        .join_core(members_by_id.clone(), |_id, node, name| Some((*name, Part::Member(*node))));
    let links = edges
        .join_core(members_by_id.clone(), |id, other, name| (id < other).then_some((*name, Part::Edge(*id, *other))));
    let evidence = evidence
        .map(|evidence| (evidence.ends.0, evidence))
        .join_core(members_by_id, |_id, evidence, name| Some((*name, Part::Evidence(*evidence))));
    let split = parts
        .concat(links)
        .concat(evidence)
        .reduce_named("Split", move |_name, parts, output| {
            let parts: Vec<Part> = parts.iter().map(|(part, _)| **part).collect();
            output.extend(split(&parts, &rules).into_iter().map(|owner| (owner, 1isize)));
        })
        .map(|(_name, owner)| owner);
    // The component's own names are taken back where it is split.
    named.concat(members.negate()).concat(split)
}

/// Each member of a component with the best member of its part.
fn split(parts: &[Part], rules: &Rules) -> Vec<(IdentifierId, Node)> {
    let mut members = BTreeMap::new();
    let mut edges = BTreeSet::new();
    let mut order = Vec::new();
    for part in parts {
        match part {
            Part::Member(node) => drop(members.insert(node.id, *node)),
            Part::Edge(a, b) => drop(edges.insert((*a, *b))),
            Part::Evidence(evidence) => order.push(*evidence),
        }
    }
    let mut held: BTreeMap<_, u32> = BTreeMap::new();
    for node in members.values() {
        *held.entry(node.namespace).or_default() += 1;
    }
    let is_anchor = |node: &Node| {
        rules.max_per_profile(node.namespace).is_some_and(|limit| held.get(&node.namespace) > Some(&limit))
    };

    order.sort_unstable_by_key(|evidence| (Reverse((evidence.last_seen, evidence.count)), evidence.ends));
    let mut groups: BTreeMap<IdentifierId, Group> = BTreeMap::new();
    let mut group_of: BTreeMap<IdentifierId, IdentifierId> = BTreeMap::new();
    for node in members.values() {
        let anchors = is_anchor(node).then_some(node.namespace).into_iter().collect();
        groups.insert(node.id, Group { members: vec![node.id], best: *node, anchors });
        group_of.insert(node.id, node.id);
    }
    for Evidence { ends: (a, b), .. } in order {
        // Evidence through a shared identifier, or of a link that was taken back, joins nobody.
        if !edges.contains(&(a.min(b), a.max(b))) {
            continue;
        }
        let (Some(a), Some(b)) = (group_of.get(&a).copied(), group_of.get(&b).copied()) else { continue };
        let (Some(one), Some(other)) = (groups.get(&a), groups.get(&b)) else { continue };
        if a == b || !one.anchors.is_disjoint(&other.anchors) {
            continue;
        }
        let (small, large) = if one.members.len() < other.members.len() { (a, b) } else { (b, a) };
        if let Some(moved) = groups.remove(&small)
            && let Some(group) = groups.get_mut(&large)
        {
            group_of.extend(moved.members.iter().map(|id| (*id, large)));
            group.take_in(moved);
        }
    }
    groups.into_values().flat_map(|group| group.members.into_iter().map(move |id| (id, group.best))).collect()
}

/// Members that have been brought together so far.
struct Group {
    members: Vec<IdentifierId>,
    best: Node,
    /// The crowded namespaces that it has an identifier of: never two.
    anchors: BTreeSet<NamespaceIndex>,
}

impl Group {
    fn take_in(&mut self, other: Self) {
        self.members.extend(other.members);
        self.best = self.best.min(other.best);
        self.anchors.extend(other.anchors);
    }
}
