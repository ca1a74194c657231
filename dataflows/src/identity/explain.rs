//! Why identifiers are one customer, or are not: each link with what it does, and which links hold a profile together.

use super::evidence::{Ends, Stated};
use super::rules::{NamespaceIndex, Rules};
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{IdentifierId, ProfileId};

/// One identifier as the explanation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its namespace.
    pub namespace: NamespaceIndex,
    /// The profile that has it.
    pub owner: Option<ProfileId>,
    /// By namespace, how many distinct identifiers it is linked to.
    pub neighbours: BTreeMap<NamespaceIndex, u32>,
    /// Whether it is among more links than one customer has.
    pub tangled: bool,
    /// Whether it identifies nobody by the rules of today.
    pub blocked: bool,
}

/// What a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It joins two identifiers of one profile.
    Merges {
        /// Whether the profile would fall apart without it.
        bridge: bool,
    },
    /// One of its ends is shared: linked to more identifiers of a better namespace than it may be.
    Shared {
        /// Which end.
        identifier: IdentifierId,
        /// Which namespace it is linked to too often.
        namespace: NamespaceIndex,
        /// To how many of it.
        count: u32,
        /// How many are allowed.
        limit: u32,
    },
    /// One of its ends identifies nobody by the rules of today.
    Blocked {
        /// Which end.
        identifier: IdentifierId,
    },
    /// It would bring together more of a namespace than one profile may hold, and has the weaker evidence.
    TooMany,
    /// It is among more links than one customer has.
    Tangled,
    /// It was stated that two which it would bring together are two customers.
    Different {
        /// Which two.
        stated: Ends,
    },
}

/// What makes an identifier a shared one, if anything does.
pub fn shared(known: &Known, rules: &Rules) -> Option<(NamespaceIndex, u32, u32)> {
    known.neighbours.iter().find_map(|(namespace, count)| {
        let limit = rules.shared_after(known.namespace, *namespace)?;
        (*count > limit).then_some((*namespace, *count, limit))
    })
}

/// Each link, and what was stated of its ends, with what it does. `known` has both ends of all of them, and every link of
/// a profile whose bridges are asked for.
pub fn explain(links: &[(Ends, Option<Stated>)], known: &BTreeMap<IdentifierId, Known>, rules: &Rules) -> Vec<Verdict> {
    let owner = |id: IdentifierId| known.get(&id).and_then(|known| known.owner);
    let different = links.iter().filter(|(_, stated)| *stated == Some(Stated::Different));
    let different: BTreeMap<_, Ends> = different.map(|(ends, _)| ((owner(ends.0), owner(ends.1)), *ends)).collect();
    let shared_end = |id: IdentifierId| {
        let (namespace, count, limit) = shared(known.get(&id)?, rules)?;
        Some(Verdict::Shared { identifier: id, namespace, count, limit })
    };
    let blocked_end = |(one, other): Ends| {
        let blocked = [one, other].into_iter().find(|id| known.get(id).is_some_and(|known| known.blocked));
        blocked.map(|identifier| Verdict::Blocked { identifier })
    };
    let is_tangled = |id: IdentifierId| known.get(&id).is_some_and(|known| known.tangled);
    let cut = |(ends, stated): &(Ends, Option<Stated>)| {
        let owners = (owner(ends.0), owner(ends.1));
        let apart = (owners.0 != owners.1).then(|| {
            let stated = different.get(&owners).or_else(|| different.get(&(owners.1, owners.0)));
            stated.map_or(Verdict::TooMany, |stated| Verdict::Different { stated: *stated })
        });
        match stated {
            Some(Stated::Different) => Some(Verdict::Different { stated: *ends }),
            Some(Stated::Same) => apart,
            None if blocked_end(*ends).is_some() => blocked_end(*ends),
            None if is_tangled(ends.0) || is_tangled(ends.1) => Some(Verdict::Tangled),
            None => shared_end(ends.0).or_else(|| shared_end(ends.1)).or(apart),
        }
    };
    let cuts: Vec<Option<Verdict>> = links.iter().map(cut).collect();
    let merging = links.iter().zip(&cuts).filter(|(_, cut)| cut.is_none());
    let merging: Vec<Ends> = merging.map(|((ends, _), _)| *ends).collect();
    let bridges = bridges(&merging);
    let verdicts = links.iter().zip(cuts);
    verdicts.map(|((ends, _), cut)| cut.unwrap_or(Verdict::Merges { bridge: bridges.contains(ends) })).collect()
}

/// The links without which their ends would not be connected: Tarjan's low links, without recursion.
pub fn bridges(links: &[Ends]) -> BTreeSet<Ends> {
    let mut neighbours: BTreeMap<IdentifierId, Vec<(IdentifierId, usize)>> = BTreeMap::new();
    for (index, (a, b)) in links.iter().enumerate() {
        neighbours.entry(*a).or_default().push((*b, index));
        neighbours.entry(*b).or_default().push((*a, index));
    }
    let mut found = BTreeSet::new();
    // When each identifier was reached, and the earliest that is reachable from below it by another way.
    let mut reached: BTreeMap<IdentifierId, usize> = BTreeMap::new();
    let mut low: BTreeMap<IdentifierId, usize> = BTreeMap::new();
    for start in neighbours.keys() {
        if reached.contains_key(start) {
            continue;
        }
        reached.insert(*start, reached.len());
        low.insert(*start, reached.len() - 1);
        // (identifier, the link that led to it, the next neighbour to look at)
        let mut path = vec![(*start, usize::MAX, 0)];
        while let Some((at, by, next)) = path.last_mut() {
            let (at, by) = (*at, *by);
            let turn = neighbours.get(&at).and_then(|all| all.get(*next)).copied();
            *next += 1;
            match turn {
                Some((_, link)) if link == by => {}
                Some((other, link)) => match reached.get(&other) {
                    Some(when) => {
                        let when = *when;
                        low.entry(at).and_modify(|low| *low = (*low).min(when));
                    }
                    None => {
                        low.insert(other, reached.len());
                        reached.insert(other, reached.len());
                        path.push((other, link, 0));
                    }
                },
                None => {
                    path.pop();
                    let Some((above, ..)) = path.last() else { break };
                    let below = low.get(&at).copied().unwrap_or(usize::MAX);
                    low.entry(*above).and_modify(|low| *low = (*low).min(below));
                    if reached.get(above).is_some_and(|above| below > *above) {
                        found.extend(links.get(by));
                    }
                }
            }
        }
    }
    found
}

/// The shortest chain of links from one identifier to another, those that are cut counting as a thousand; empty if
/// there is none.
pub fn chain(from: IdentifierId, to: IdentifierId, links: &[(Ends, Verdict)]) -> Vec<(Ends, Verdict)> {
    const CUT: usize = 1_000;
    let mut neighbours: BTreeMap<IdentifierId, Vec<(IdentifierId, usize)>> = BTreeMap::new();
    for (index, ((a, b), _)) in links.iter().enumerate() {
        neighbours.entry(*a).or_default().push((*b, index));
        neighbours.entry(*b).or_default().push((*a, index));
    }
    let cost = |index: usize| match links.get(index) {
        Some((_, Verdict::Merges { .. })) => 1,
        _ => CUT,
    };
    let mut best: BTreeMap<IdentifierId, (usize, Option<usize>)> = BTreeMap::from([(from, (0, None))]);
    let mut open = BTreeSet::from([(0, from)]);
    while let Some((cost_here, at)) = open.pop_first() {
        if at == to {
            break;
        }
        for (other, index) in neighbours.get(&at).into_iter().flatten() {
            let there = cost_here + cost(*index);
            if best.get(other).is_none_or(|(known, _)| there < *known) {
                best.insert(*other, (there, Some(*index)));
                open.insert((there, *other));
            }
        }
    }
    let mut way = Vec::new();
    let mut at = to;
    while let Some((_, Some(index))) = best.get(&at) {
        let Some(link) = links.get(*index) else { break };
        way.push(*link);
        let (a, b) = link.0;
        at = if at == a { b } else { a };
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn connected(links: &[Ends], a: IdentifierId, b: IdentifierId) -> bool {
        let mut together = BTreeSet::from([a]);
        for _ in links {
            for (a, b) in links {
                if together.contains(a) || together.contains(b) {
                    together.extend([*a, *b]);
                }
            }
        }
        together.contains(&b)
    }

    proptest! {
        /// A bridge is what its name says: without it its ends are apart.
        #[test]
        fn bridges_are_what_holds_together(pairs in proptest::collection::btree_set((0..12u128, 12..20u128), 0..18)) {
            let links: Vec<Ends> = pairs.into_iter().map(|(a, b)| (IdentifierId(a), IdentifierId(b))).collect();
            let found = bridges(&links);
            for link in &links {
                let others: Vec<Ends> = links.iter().filter(|other| *other != link).copied().collect();
                prop_assert_eq!(found.contains(link), !connected(&others, link.0, link.1), "{:?}", link);
            }
        }
    }

    #[test]
    fn a_chain_goes_around_what_is_cut() {
        let id = |number: u128| IdentifierId(number);
        let merges = Verdict::Merges { bridge: false };
        let links = [
            ((id(1), id(9)), Verdict::TooMany),
            ((id(1), id(5)), merges),
            ((id(6), id(5)), merges),
            ((id(6), id(9)), merges),
        ];
        let ends = |way: Vec<(Ends, Verdict)>| way.into_iter().map(|(ends, _)| ends).collect::<Vec<_>>();
        assert_eq!(ends(chain(id(1), id(9), &links)), [(id(1), id(5)), (id(6), id(5)), (id(6), id(9))]);
        assert_eq!(ends(chain(id(1), id(9), links.get(..1).unwrap_or_default())), [(id(1), id(9))]);
        assert!(chain(id(1), id(7), &links).is_empty());
    }
}
