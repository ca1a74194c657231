//! Who is one person: connected components, each named by its best identifier.

use super::links::Node;
use super::split::Edges;
use differential_dataflow::VecCollection;
use differential_dataflow::algorithms::graphs::propagate::propagate_core;
use differential_dataflow::lattice::Lattice;
use std::hash::Hash;
use timely::progress::Timestamp;
use tributary_model::IdentifierId;

/// For each identifier the best one it is connected to.
///
/// Labels are [`Node`]s, whose order is that of SEMANTICS rule 6, so the smallest label of a component *is* the
/// profile's name. They enter the loop by priority: the best spread first, and the many that will lose anyway
/// find their place taken instead of being relabelled again and again. A merge relabels the side with the worse
/// name, which mostly is the small, new one.
pub fn best_connected<'scope, T: Timestamp + Lattice + Hash>(
    edges: Edges<'scope, T>,
    nodes: VecCollection<'scope, T, Node, isize>,
) -> VecCollection<'scope, T, (IdentifierId, Node), isize> {
    let labelled = nodes.map(|node| (node.id, node));
    propagate_core(edges, labelled, |label: &Node| 1u64 << label.priority.min(63))
}
