//! Which identifiers are connected, kept while links come and go.
//!
//! A component is a circle of its members. Two that meet become one by relabelling the smaller; one that loses a link is
//! walked anew. More links than one customer has are a *tangle*, whose members are joined to nobody: so it needs no
//! circle, and whether a part of it has become small enough is found by a walk that ends at the limit. So nothing that
//! happens costs more than the links of one customer at most.

use super::adjacency::{ALONE, Adjacency, TANGLED};
use super::arena::{Arena, NOWHERE, Place};
use super::evidence::Conflict;
use super::rules::{NamespaceIndex, Rules};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// Identifiers that are connected, two at least.
#[derive(Debug)]
pub(super) struct Component {
    /// Any member.
    first: Place,
    pub(super) members: u32,
    /// Links that join.
    links: u32,
    /// The best member.
    pub(super) best: Place,
    /// Whether it has to be looked at when the epoch ends.
    touched: bool,
}

/// All components.
#[derive(Debug)]
pub(super) struct Components {
    rules: Arc<Rules>,
    components: Arena<Component>,
    /// By component: how many of each limited namespace it holds, and how many members are stated to differ from some.
    held: Vec<u32>,
    /// Components to be looked at when the epoch ends.
    touched: Vec<Place>,
    /// Identifiers whose owner may be another when the epoch ends.
    pub(super) moved: Vec<Place>,
    /// What was told of components.
    pub(super) told: HashMap<Place, Vec<Conflict>, foldhash::fast::FixedState>,
    /// What was told of components that are no more.
    pub(super) over: Vec<Conflict>,
}

impl Components {
    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            components: Arena::new(),
            held: Vec::new(),
            touched: Vec::new(),
            moved: Vec::new(),
            told: HashMap::default(),
            over: Vec::new(),
        }
    }

    pub(super) fn get(&self, component: Place) -> &Component {
        &self.components[component]
    }

    /// The members of a component.
    pub(super) fn members(&self, all: &Adjacency, component: Place) -> Vec<Place> {
        let Component { first, members, .. } = self.components[component];
        let mut found = Vec::with_capacity(members as usize);
        let mut at = first;
        for _ in 0..members {
            found.push(at);
            at = all.members[at].next;
        }
        found
    }

    /// Has a component looked at when the epoch ends.
    pub(super) fn touch(&mut self, component: Place) {
        if component != ALONE && component != TANGLED && !self.components[component].touched {
            self.components[component].touched = true;
            self.touched.push(component);
        }
    }

    /// The components to be looked at.
    pub(super) fn take_touched(&mut self) -> Vec<Place> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.retain(|component| std::mem::take(&mut self.components[*component].touched));
        touched
    }

    /// Whether a component may be more than one customer.
    pub(super) fn is_crowded(&self, component: Place) -> bool {
        self.held_by(component).iter().zip(self.rules.columns()).any(|(held, limit)| held > limit)
    }

    /// The limited namespaces of which a component holds too many.
    pub(super) fn crowded(&self, component: Place) -> impl Iterator<Item = NamespaceIndex> {
        let held = self.held_by(component).iter().zip(self.rules.limited());
        held.filter(|(held, (_, limit))| *held > limit).map(|(_, (namespace, _))| *namespace)
    }

    fn held_by(&self, component: Place) -> &[u32] {
        let width = self.rules.columns().len();
        self.held.get(component as usize * width..).and_then(|held| held.get(..width)).unwrap_or_default()
    }

    /// What one identifier adds to a component's row.
    fn hold(&mut self, all: &Adjacency, component: Place, member: Place) {
        let width = self.rules.columns().len();
        let member = &all.members[member];
        let different = member.stated.1.then_some(width - 1);
        for column in self.rules.column(member.namespace).into_iter().chain(different) {
            if let Some(held) = self.held.get_mut(component as usize * width + column) {
                *held += 1;
            }
        }
    }

    fn add(&mut self, all: &mut Adjacency, members: &[Place], links: u32) -> Place {
        let Some(first) = members.first().copied() else { return NOWHERE };
        let new = Component { first, members: members.len() as u32, links, best: first, touched: false };
        let component = self.components.put(new);
        let width = self.rules.columns().len();
        let end = (component as usize + 1) * width;
        if self.held.len() < end {
            self.held.resize(end, 0);
        }
        self.held.get_mut(end - width..end).into_iter().for_each(|held| held.fill(0));
        let mut best = first;
        for (index, member) in members.iter().enumerate() {
            best = all.better(best, *member);
            let next = members.get(index + 1).copied().unwrap_or(first);
            (all.members[*member].component, all.members[*member].next) = (component, next);
            self.hold(all, component, *member);
        }
        self.components[component].best = best;
        self.touch(component);
        component
    }

    fn remove(&mut self, component: Place) {
        self.components[component].touched = false;
        self.over.extend(self.told.remove(&component).into_iter().flatten());
        self.components.free(component);
    }

    /// Joins what a link connects.
    pub(super) fn join(&mut self, all: &mut Adjacency, [a, b]: [Place; 2]) {
        let most = self.rules.max_links();
        match (all.members[a].component, all.members[b].component) {
            (TANGLED, TANGLED) => {}
            (TANGLED, component) => self.entangle(all, component, b),
            (component, TANGLED) => self.entangle(all, component, a),
            (ALONE, ALONE) => {
                self.add(all, &[a, b], 1);
                self.moved.extend([a, b]);
            }
            (one, other) if one == other => {
                self.components[one].links += 1;
                self.touch(one);
                if self.components[one].links > most {
                    self.entangle(all, one, a);
                }
            }
            (ALONE, component) => self.join_single(all, component, a),
            (component, ALONE) => self.join_single(all, component, b),
            (one, other) => {
                let links = self.components[one].links + self.components[other].links + 1;
                if links > most {
                    self.entangle(all, one, a);
                    self.entangle(all, other, b);
                    return;
                }
                let smaller = self.components[one].members < self.components[other].members;
                let (small, large) = if smaller { (one, other) } else { (other, one) };
                let members = self.members(all, small);
                let best = all.better(self.components[large].best, self.components[small].best);
                self.rename(all, large, best);
                for member in &members {
                    all.members[*member].component = large;
                    self.hold(all, large, *member);
                }
                // Two circles become one by exchanging where one member of each goes on.
                let (in_small, in_large) = (self.components[small].first, self.components[large].first);
                let next = all.members[in_small].next;
                all.members[in_small].next = std::mem::replace(&mut all.members[in_large].next, next);
                self.components[large].members += members.len() as u32;
                self.components[large].links = links;
                self.moved.extend(members);
                self.remove(small);
                self.touch(large);
            }
        }
    }

    fn join_single(&mut self, all: &mut Adjacency, component: Place, single: Place) {
        if self.components[component].links >= self.rules.max_links() {
            self.entangle(all, component, single);
            self.entangle(all, ALONE, single);
            return;
        }
        let best = all.better(self.components[component].best, single);
        self.rename(all, component, best);
        let first = self.components[component].first;
        let next = std::mem::replace(&mut all.members[first].next, single);
        (all.members[single].component, all.members[single].next) = (component, next);
        self.hold(all, component, single);
        self.components[component].members += 1;
        self.components[component].links += 1;
        self.moved.push(single);
        self.touch(component);
    }

    /// Gives a component another best member: all of its members move.
    fn rename(&mut self, all: &Adjacency, component: Place, best: Place) {
        if self.components[component].best != best {
            let members = self.members(all, component);
            self.moved.extend(members);
            self.components[component].best = best;
        }
    }

    /// Takes in that a member's rank has changed.
    pub(super) fn rank_again(&mut self, all: &Adjacency, member: Place) {
        self.moved.push(member);
        let component = all.members[member].component;
        if component == ALONE || component == TANGLED {
            return;
        }
        self.touch(component);
        let known = self.components[component].best;
        let best = if known == member {
            // It may have become worse than any other.
            self.members(all, component).into_iter().fold(member, |best, other| all.better(best, other))
        } else {
            all.better(known, member)
        };
        self.rename(all, component, best);
    }

    /// Makes a component, or a single identifier, part of a tangle.
    fn entangle(&mut self, all: &mut Adjacency, component: Place, member: Place) {
        let members = if component == ALONE { vec![member] } else { self.members(all, component) };
        for member in &members {
            all.members[*member].component = TANGLED;
        }
        self.moved.extend(members);
        if component != ALONE {
            self.remove(component);
        }
    }

    /// Finds anew what is connected after links have stopped joining: in the components that had them, and from the
    /// tangled identifiers that they ended at.
    pub(super) fn separate(&mut self, all: &mut Adjacency, broken: &[Place], ends: &[Place]) {
        let mut open = Vec::new();
        for component in broken {
            let members = self.members(all, *component);
            self.remove(*component);
            members.iter().for_each(|member| all.members[*member].component = ALONE);
            open.extend(members);
        }
        for member in &open {
            // Members of a new component have been found from another one.
            if all.members[*member].component == ALONE {
                let (members, links) = connected(all, *member, u32::MAX, &HashSet::default()).unwrap_or_default();
                if members.len() > 1 {
                    self.add(all, &members, links);
                }
            }
        }
        self.moved.extend(open);

        let mut large = HashSet::default();
        for end in ends {
            if all.members[*end].component != TANGLED || large.contains(end) {
                continue;
            }
            match connected(all, *end, self.rules.max_links(), &large) {
                Ok((members, _)) if members.len() == 1 => {
                    all.members[*end].component = ALONE;
                    self.moved.push(*end);
                }
                Ok((members, links)) => {
                    self.add(all, &members, links);
                    self.moved.extend(members);
                }
                Err(seen) => large.extend(seen),
            }
        }
    }

    /// The identifier that names the customer who has a member, in a component that is one customer.
    pub(super) fn best_of(&self, all: &Adjacency, member: Place) -> Place {
        match all.members[member].component {
            ALONE | TANGLED => member,
            component => self.components[component].best,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.components.bytes() + self.held.capacity() * size_of::<u32>()
    }
}

type Seen = HashSet<Place, foldhash::fast::FixedState>;

/// What a member is connected to, and by how many links. What was seen so far, if there are more than so many links, or
/// if it leads to what is known to be `large`.
fn connected(all: &Adjacency, from: Place, most_links: u32, large: &Seen) -> Result<(Vec<Place>, u32), Vec<Place>> {
    let mut seen = Seen::default();
    let mut members = vec![from];
    seen.insert(from);
    let (mut at, mut ends) = (0, 0u64);
    while let Some(member) = members.get(at).copied() {
        at += 1;
        for edge in all.edges_of(member) {
            let edge = &all.edges[edge];
            if !edge.joins {
                continue;
            }
            ends += 1;
            let other = edge.other(member);
            if seen.insert(other) {
                members.push(other);
            }
            if ends > 2 * u64::from(most_links) || large.contains(&other) {
                return Err(members);
            }
        }
    }
    // Each link has been met from both its ends.
    Ok((members, (ends / 2) as u32))
}
