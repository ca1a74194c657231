//! Identifiers too common to join on: a kiosk, a family tablet. Their links attribute events and merge nobody.

use super::links::{Link, Rules};
use differential_dataflow::VecCollection;
use differential_dataflow::lattice::Lattice;
use std::sync::Arc;
use timely::progress::Timestamp;
use tributary_model::IdentifierId;

/// The links that may merge: those with no shared identifier at either end.
///
/// An identifier is shared once it is linked to more than the stated number of distinct identifiers of a better
/// namespace. Links that no rule looks at go around the joins.
pub fn merging_links<'scope, T: Timestamp + Lattice>(
    links: VecCollection<'scope, T, Link, isize>,
    rules: Arc<Rules>,
) -> VecCollection<'scope, T, (IdentifierId, IdentifierId), isize> {
    let pair = |link: Link| (link.from.id, link.to.id);
    if !rules.any_shared() {
        return links.map(pair);
    }
    let can_be_shared = {
        let rules = rules.clone();
        move |link: &Link| {
            let either = [(link.from, link.to), (link.to, link.from)];
            either.into_iter().any(|(one, other)| rules.shared_after(one.namespace, other.namespace).is_some())
        }
    };
    let judged = {
        let can_be_shared = can_be_shared.clone();
        links.clone().filter(can_be_shared)
    };
    let counted = judged.flat_map(move |link| {
        let either = [(link.from, link.to), (link.to, link.from)];
        let rules = rules.clone();
        either.into_iter().filter_map(move |(one, other)| {
            let limit = rules.shared_after(one.namespace, other.namespace)?;
            Some(((one.id, other.namespace, limit), other.id))
        })
    });
    let shared = counted
        .reduce_named("Shared", |(_, _, limit), others, output| {
            // Each distinct neighbour is one value, whatever its multiplicity.
            if others.len() > *limit as usize {
                output.push(((), 1isize));
            }
        })
        .map(|((id, _, _), ())| id)
        .distinct();
    // Any link may touch a shared identifier, not only those that made it one.
    links.map(pair).antijoin(shared.clone()).map(|(from, to)| (to, from)).antijoin(shared).map(|(to, from)| (from, to))
}
