//! From evidence to owners, one epoch after the other: what every rule says, computed where something has changed.

use super::adjacency::{ALONE, Adjacency, GONE, TANGLED};
use super::arena::{NOWHERE, Place};
use super::components::Components;
use super::evidence::{Conflict, Ends, Evidence, Link, MANY, Resolved, Stated};
use super::rules::{NamespaceIndex, Rules};
use super::split::{By, split};
use differential_dataflow::consolidation::consolidate;
use std::collections::BTreeSet;
use std::sync::Arc;
use tributary_model::{IdentifierId, Millis};

/// Who is one customer, by the evidence so far.
///
/// What it says depends on the evidence alone, whatever the epochs in which it came.
///
/// ```
/// # use std::sync::Arc;
/// # use tributary_dataflows::identity::{Evidence, Link, Node, Resolved, Resolver, Rules, ends};
/// # use tributary_model::{IdentifierId, IdentityRules};
/// let mut resolver = Resolver::new(Arc::new(Rules::new(&IdentityRules::default())));
/// let (user, device) = (IdentifierId(17), IdentifierId(4));
/// let node = |id, priority| Evidence::Node(Node { priority, first_seen: 0, id, namespace: 0 });
/// let link = Evidence::Link(Link { ends: ends(user, device), last_seen: 0, count: 1 });
///
/// let owners = resolver.apply(vec![(node(user, 1), 1), (node(device, 9), 1), (link, 1)]);
/// assert_eq!(owners, [(Resolved::Owner(device, user), 1), (Resolved::Owner(user, user), 1)]);
/// let owners = resolver.apply(vec![(link, -1)]);
/// assert_eq!(owners, [(Resolved::Owner(device, device), 1), (Resolved::Owner(device, user), -1)]);
/// ```
#[derive(Debug)]
pub struct Resolver {
    rules: Arc<Rules>,
    all: Adjacency,
    components: Components,
}

/// What an epoch has to look at again.
#[derive(Default)]
struct Again {
    /// Identifiers that may have become shared.
    more: Vec<Place>,
    /// Identifiers that may no longer be shared.
    fewer: Vec<Place>,
    /// Edges that may join or no longer do.
    edges: Vec<Place>,
    /// Identifiers that are gone.
    gone: Vec<Place>,
    /// Identifiers of which something was stated, or is no more.
    stated: Vec<Place>,
}

impl Resolver {
    /// Nobody yet.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { all: Adjacency::new(), components: Components::new(rules.clone()), rules }
    }

    /// Takes in an epoch's changes of the evidence, and gives the changes of what follows, sorted.
    ///
    /// What speaks of identifiers that do not exist is left aside.
    pub fn apply(&mut self, mut changes: Vec<(Evidence, isize)>) -> Vec<(Resolved, isize)> {
        consolidate(&mut changes);
        let mut output = Vec::new();
        let mut again = Again::default();
        self.take_in(&changes, &mut again);
        self.judge_sharing(&again.more, &again.fewer, &mut again.edges, &mut output);
        self.judge_edges(&mut again);
        for place in &again.gone {
            self.all.members[*place].component = GONE;
        }
        self.finish(&mut output);
        for place in again.gone {
            let member = &self.all.members[place];
            if member.owner != NOWHERE {
                output.push((Resolved::Owner(member.id, self.all.members[member.owner].id), -1));
            }
            let shared = member.shared.then_some(Conflict::Shared(member.id));
            let tangled = member.tangled.then_some(Conflict::Tangled(member.id));
            output.extend(shared.into_iter().chain(tangled).map(|conflict| (Resolved::Conflict(conflict), -1)));
            self.all.remove(place);
        }
        consolidate(&mut output);
        output
    }

    /// How many identifiers and links are held, and in how many bytes.
    pub fn weight(&self) -> (usize, usize, usize) {
        let bytes = self.all.bytes() + self.components.bytes();
        (self.all.members.len(), self.all.edges.len(), bytes)
    }

    fn take_in(&mut self, changes: &[(Evidence, isize)], again: &mut Again) {
        let mut gone = BTreeSet::new();
        for (evidence, times) in changes {
            match evidence {
                Evidence::Node(node) if *times < 0 => drop(gone.insert(node.id)),
                Evidence::Node(_) => {}
                Evidence::Link(_) | Evidence::Statement(..) => break,
            }
        }
        let of_same = |(one, _): &(Evidence, isize), (other, _): &(Evidence, isize)| match (one, other) {
            (Evidence::Link(one), Evidence::Link(other)) => one.ends == other.ends,
            (Evidence::Statement(one, _), Evidence::Statement(other, _)) => one == other,
            _ => false,
        };
        for changes in changes.chunk_by(of_same) {
            // What is true now, if anything is, comes with a positive number.
            let now = changes.iter().find(|(_, times)| *times > 0).map(|(evidence, _)| *evidence);
            match (changes.first(), now) {
                (_, Some(Evidence::Node(node))) => {
                    let (place, is_new) = self.all.put(node);
                    gone.remove(&node.id);
                    if is_new {
                        self.components.moved.push(place);
                    } else {
                        self.components.rank_again(&self.all, place);
                    }
                }
                (_, Some(Evidence::Link(link))) => self.set_link(link.ends, Some(link), again),
                (Some((Evidence::Link(link), _)), None) => self.set_link(link.ends, None, again),
                (_, Some(Evidence::Statement(ends, stated))) => self.state(ends, Some(stated), again),
                (Some((Evidence::Statement(ends, _), _)), None) => self.state(*ends, None, again),
                (Some((Evidence::Node(_), _)) | None, None) => {}
            }
        }
        let gone: Vec<_> = gone.into_iter().filter_map(|id| self.all.find(id)).collect();
        for place in gone {
            for edge in self.all.edges_of(place).collect::<Vec<_>>() {
                let [one, other] = self.all.edges[edge].ends.map(|end| self.all.members[end].id);
                self.set_link((one, other), None, again);
                self.state((one, other), None, again);
            }
            again.gone.push(place);
        }
    }

    /// The edge between two identifiers that exist; a new one where there is none, if it is `wanted`.
    fn edge(&mut self, ends: Ends, wanted: bool) -> Option<(Place, [Place; 2])> {
        let [one, other] = [self.all.find(ends.0)?, self.all.find(ends.1)?];
        let edge = if wanted { self.all.between_or_new(one, other) } else { self.all.between(one, other)? };
        Some((edge, [one, other]))
    }

    fn set_link(&mut self, ends: Ends, link: Option<Link>, again: &mut Again) {
        let Some((edge, [one, other])) = self.edge(ends, link.is_some()) else { return };
        let known = &mut self.all.edges[edge];
        let was_seen = known.count > 0;
        known.last_seen = link.map_or(Millis::MIN, |link| link.last_seen);
        known.count = link.map_or(0, |link| u32::try_from(link.count).unwrap_or(u32::MAX).max(1));
        if was_seen == link.is_some() {
            let component = self.all.members[one].component;
            if known.joins && component != TANGLED && self.components.is_crowded(component) {
                self.components.touch(component);
            }
            return;
        }
        again.edges.push(edge);
        for (end, other) in [(one, other), (other, one)] {
            let (namespace, other) = (self.all.members[end].namespace, self.all.members[other].namespace);
            if self.rules.shared_after(namespace, other).is_some() {
                if was_seen { again.fewer.push(end) } else { again.more.push(end) }
            }
        }
    }

    fn state(&mut self, ends: Ends, stated: Option<Stated>, again: &mut Again) {
        let Some((edge, ends)) = self.edge(ends, stated.is_some()) else { return };
        let known = &mut self.all.edges[edge];
        known.same = stated == Some(Stated::Same);
        known.different = stated == Some(Stated::Different);
        again.edges.push(edge);
        again.stated.extend(ends);
    }

    /// Finds out who has become shared, or no longer is; all of their edges are to be judged again.
    fn judge_sharing(
        &mut self,
        more: &[Place],
        fewer: &[Place],
        edges: &mut Vec<Place>,
        output: &mut Vec<(Resolved, isize)>,
    ) {
        for (place, was) in more.iter().map(|place| (*place, false)).chain(fewer.iter().map(|place| (*place, true))) {
            // One that is shared stays so when another link comes.
            if self.all.members[place].shared && !was {
                continue;
            }
            let is = self.is_shared(place);
            let member = &mut self.all.members[place];
            if std::mem::replace(&mut member.shared, is) != is {
                output.push((Resolved::Conflict(Conflict::Shared(member.id)), if is { 1 } else { -1 }));
                edges.extend(self.all.edges_of(place));
            }
        }
    }

    fn is_shared(&self, place: Place) -> bool {
        let linked_to = |namespace: NamespaceIndex| {
            self.all.edges_of(place).filter(move |edge| {
                let edge = &self.all.edges[*edge];
                edge.count > 0 && self.all.members[edge.other(place)].namespace == namespace
            })
        };
        let rules = self.rules.sharing(self.all.members[place].namespace);
        rules.iter().any(|(namespace, limit)| linked_to(*namespace).nth(*limit as usize).is_some())
    }

    /// Separates what edges no longer join, then joins what new ones do.
    fn judge_edges(&mut self, again: &mut Again) {
        let (mut broken, mut tangled, mut joining) = (Vec::new(), Vec::new(), Vec::new());
        for place in &again.stated {
            let edges = || self.all.edges_of(*place).map(|edge| &self.all.edges[edge]);
            let stated = (edges().any(|edge| edge.same), edges().any(|edge| edge.different));
            let member = &mut self.all.members[*place];
            // How many of its members are stated to differ is part of what is known of a component.
            if std::mem::replace(&mut member.stated, stated).1 != stated.1 {
                broken.push(member.component);
            }
        }
        again.edges.sort_unstable();
        again.edges.dedup();
        for place in &again.edges {
            let edge = &mut self.all.edges[*place];
            let shared = edge.ends.iter().any(|end| self.all.members[*end].shared);
            let joins = edge.same || (edge.count > 0 && !edge.different && !shared);
            match (edge.joins, joins) {
                (false, true) => joining.push(*place),
                (true, false) => {
                    edge.joins = false;
                    broken.push(self.all.members[edge.ends[0]].component);
                    tangled.extend(edge.ends);
                }
                _ => {}
            }
        }
        broken.sort_unstable();
        broken.dedup();
        broken.retain(|component| *component != ALONE && *component != TANGLED);
        self.components.separate(&mut self.all, &broken, &tangled);
        for place in joining {
            let edge = &mut self.all.edges[place];
            edge.joins = true;
            let ends = edge.ends;
            self.components.join(&mut self.all, ends);
        }
        for edge in &again.edges {
            if !self.all.edges[*edge].says_something() {
                self.all.remove_edge(*edge);
            }
        }
        for place in &again.stated {
            self.components.touch(self.all.members[*place].component);
        }
        self.components.moved.append(&mut again.stated);
    }

    /// Tells what has changed of who owns what, and of what operators should know.
    fn finish(&mut self, output: &mut Vec<(Resolved, isize)>) {
        for component in self.components.take_touched() {
            let best = self.components.get(component).best;
            let customers = if self.components.is_crowded(component) {
                let members = self.components.members(&self.all, component);
                let crowded: Vec<_> = self.components.crowded(component).collect();
                let parts = split(&self.all, &members, &crowded, By::Evidence);
                self.settle_parts(&parts, output)
            } else {
                vec![(self.all.members[best].id, self.components.get(component).members)]
            };
            let now = conflicts(self.all.members[best].id, &customers);
            let before = if now.is_empty() {
                self.components.told.remove(&component)
            } else {
                self.components.told.insert(component, now.clone())
            };
            output.extend(now.into_iter().map(|conflict| (Resolved::Conflict(conflict), 1)));
            self.components.over.extend(before.into_iter().flatten());
        }
        let over = std::mem::take(&mut self.components.over);
        output.extend(over.into_iter().map(|conflict| (Resolved::Conflict(conflict), -1)));
        for place in std::mem::take(&mut self.components.moved) {
            let component = self.all.members[place].component;
            match component {
                GONE => continue,
                TANGLED if self.all.members[place].stated.0 => {
                    let members = self.all.stated_same(place);
                    let parts = split(&self.all, &members, &[], By::Statements);
                    self.settle_parts(&parts, output);
                }
                // One that is split has been settled with its parts.
                component if component != ALONE && component != TANGLED && self.components.is_crowded(component) => {}
                _ => self.settle(place, self.components.best_of(&self.all, place), output),
            }
            let member = &mut self.all.members[place];
            let is = component == TANGLED;
            if std::mem::replace(&mut member.tangled, is) != is {
                output.push((Resolved::Conflict(Conflict::Tangled(member.id)), if is { 1 } else { -1 }));
            }
        }
    }

    /// Tells the owner of each member of these parts; gives who they are, and how many identifiers each has.
    fn settle_parts(&mut self, parts: &[Vec<Place>], output: &mut Vec<(Resolved, isize)>) -> Vec<(IdentifierId, u32)> {
        let mut customers = Vec::with_capacity(parts.len());
        for part in parts {
            let Some(best) = part.first() else { continue };
            part.iter().for_each(|member| self.settle(*member, *best, output));
            customers.push((self.all.members[*best].id, part.len() as u32));
        }
        customers
    }

    fn settle(&mut self, member: Place, owner: Place, output: &mut Vec<(Resolved, isize)>) {
        let known = std::mem::replace(&mut self.all.members[member].owner, owner);
        if known == owner {
            return;
        }
        let id = self.all.members[member].id;
        if known != NOWHERE {
            output.push((Resolved::Owner(id, self.all.members[known].id), -1));
        }
        output.push((Resolved::Owner(id, self.all.members[owner].id), 1));
    }
}

/// What there is to tell of a component that is these customers, each named and with so many identifiers.
fn conflicts(best: IdentifierId, customers: &[(IdentifierId, u32)]) -> Vec<Conflict> {
    let split = (customers.len() > 1).then_some(Conflict::Split { component: best, parts: customers.len() as u32 });
    let large = customers.iter().filter(|(_, identifiers)| *identifiers >= MANY);
    let large = large.map(|(profile, identifiers)| Conflict::Large { profile: *profile, identifiers: *identifiers });
    split.into_iter().chain(large).collect()
}
