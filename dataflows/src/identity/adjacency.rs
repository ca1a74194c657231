//! Identifiers and the links between them, as small as they can be kept: 48 bytes an identifier, 32 a link.

use super::arena::{Arena, NOWHERE, Place};
use super::evidence::Node;
use super::rules::NamespaceIndex;
use foldhash::fast::FixedState;
use hashbrown::hash_table::Entry;
use hashbrown::{HashSet, HashTable};
use tributary_model::{IdentifierId, Millis};

/// What is known of one identifier.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: IdentifierId,
    first_seen: Millis,
    first_link: Place,
    links: u32,
    /// Its component, [`ALONE`] or [`TANGLED`].
    pub(super) component: Place,
    /// The next identifier of the component, in a circle.
    pub(super) next: Place,
    /// The owner that was told last; [`NOWHERE`] before the first time.
    pub(super) owner: Place,
    priority: u8,
    pub(super) namespace: NamespaceIndex,
    /// Whether it is linked to too many to join on.
    pub(super) shared: bool,
    /// Whether it was told that it is tangled.
    pub(super) tangled: bool,
    /// Whether it was stated to be the same as some identifier, and to differ from some.
    pub(super) stated: (bool, bool),
}

/// In no component: joined to nobody.
pub(super) const ALONE: Place = NOWHERE;
/// Among more links than one customer has.
pub(super) const TANGLED: Place = NOWHERE - 1;
/// No longer there when the epoch ends.
pub(super) const GONE: Place = NOWHERE - 2;

/// What is known of one link.
#[derive(Debug)]
pub(super) struct Edge {
    /// The smaller identifier first.
    pub(super) ends: [Place; 2],
    next: [Place; 2],
    pub(super) last_seen: Millis,
    /// Events that carried both, up to four billion; none where there are only statements.
    pub(super) count: u32,
    /// Whether it was stated that the two are the same, or are not.
    pub(super) same: bool,
    pub(super) different: bool,
    /// Whether it joins its ends.
    pub(super) joins: bool,
}

/// Identifiers and links.
#[derive(Debug)]
pub(super) struct Adjacency {
    /// By the low bits of the hash: a small table that grows holds nobody up.
    index: Vec<HashTable<Place>>,
    pub(super) members: Arena<Member>,
    pub(super) edges: Arena<Edge>,
}

/// Tables of the index.
const TABLES: usize = 1 << 10;

/// Identifiers are hashes already; which of the tables one is in is told by other bits than where it is there.
const fn hash(id: IdentifierId) -> u64 {
    id.0 as u64
}

const fn table(id: IdentifierId) -> usize {
    (id.0 >> 64) as usize % TABLES
}

impl Adjacency {
    pub(super) fn new() -> Self {
        Self { index: vec![HashTable::new(); TABLES], members: Arena::new(), edges: Arena::new() }
    }

    pub(super) fn find(&self, id: IdentifierId) -> Option<Place> {
        self.index.get(table(id))?.find(hash(id), |place| self.members[*place].id == id).copied()
    }

    /// Takes an identifier in, or what is newly known of it. Tells whether it is new.
    #[expect(clippy::indexing_slicing, reason = "every identifier has a table")]
    pub(super) fn put(&mut self, node: Node) -> (Place, bool) {
        let Node { priority, first_seen, id, namespace } = node;
        let members = &mut self.members;
        let index = &mut self.index[table(id)];
        let entry = index.entry(hash(id), |place| members[*place].id == id, |place| hash(members[*place].id));
        match entry {
            Entry::Occupied(known) => {
                let place = *known.get();
                let member = &mut self.members[place];
                (member.priority, member.first_seen) = (priority, first_seen);
                (place, false)
            }
            Entry::Vacant(room) => {
                let place = self.members.put(Member {
                    id,
                    first_seen,
                    first_link: NOWHERE,
                    links: 0,
                    component: ALONE,
                    next: NOWHERE,
                    owner: NOWHERE,
                    priority,
                    namespace,
                    shared: false,
                    tangled: false,
                    stated: (false, false),
                });
                room.insert(place);
                (place, true)
            }
        }
    }

    /// Forgets an identifier that has no links.
    pub(super) fn remove(&mut self, place: Place) {
        let id = self.members[place].id;
        let index = self.index.get_mut(table(id));
        if let Some(Ok(found)) = index.map(|index| index.find_entry(hash(id), |other| *other == place)) {
            found.remove();
            self.members.free(place);
        }
    }

    /// Smaller is better.
    pub(super) fn rank(&self, place: Place) -> (u8, Millis, IdentifierId) {
        let member = &self.members[place];
        (member.priority, member.first_seen, member.id)
    }

    pub(super) fn better(&self, a: Place, b: Place) -> Place {
        if self.rank(b) < self.rank(a) { b } else { a }
    }

    /// The edges of an identifier.
    pub(super) fn edges_of(&self, place: Place) -> EdgesOf<'_> {
        EdgesOf { edges: &self.edges, of: place, next: self.members[place].first_link }
    }

    /// What is stated to be the same as an identifier, and as those, and itself.
    pub(super) fn stated_same(&self, place: Place) -> Vec<Place> {
        let mut found = vec![place];
        let mut seen = HashSet::<_, FixedState>::default();
        seen.insert(place);
        let mut at = 0;
        while let Some(member) = found.get(at).copied() {
            at += 1;
            let edges = self.edges_of(member).map(|edge| &self.edges[edge]).filter(|edge| edge.same);
            found.extend(edges.map(|edge| edge.other(member)).filter(|other| seen.insert(*other)));
        }
        found
    }

    /// The edge between two.
    pub(super) fn between(&self, a: Place, b: Place) -> Option<Place> {
        let fewer = if self.members[a].links <= self.members[b].links { a } else { b };
        self.edges_of(fewer).find(|edge| {
            let ends = self.edges[*edge].ends;
            ends == [a, b] || ends == [b, a]
        })
    }

    /// The edge between two, a new one that says nothing if there is none. `a` is the smaller.
    pub(super) fn between_or_new(&mut self, a: Place, b: Place) -> Place {
        if let Some(edge) = self.between(a, b) {
            return edge;
        }
        let next = [self.members[a].first_link, self.members[b].first_link];
        let new =
            Edge { ends: [a, b], next, last_seen: Millis::MIN, count: 0, same: false, different: false, joins: false };
        let edge = self.edges.put(new);
        for end in [a, b] {
            let member = &mut self.members[end];
            member.first_link = edge;
            member.links += 1;
        }
        edge
    }

    /// Forgets an edge.
    pub(super) fn remove_edge(&mut self, edge: Place) {
        for end in self.edges[edge].ends {
            let after = self.edges[edge].next_of(end);
            let before = self.edges_of(end).find(|other| self.edges[*other].next_of(end) == edge);
            match before {
                Some(before) => *self.edges[before].next_of_mut(end) = after,
                None => self.members[end].first_link = after,
            }
            self.members[end].links -= 1;
        }
        self.edges.free(edge);
    }

    pub(super) fn bytes(&self) -> usize {
        // A place and a byte of control for each bucket; a table gives its capacity at a load of 7/8.
        let buckets: usize = self.index.iter().map(|table| table.capacity() * 8 / 7).sum();
        let index = buckets * (size_of::<Place>() + 1) + TABLES * size_of::<HashTable<Place>>();
        index + self.members.bytes() + self.edges.bytes()
    }
}

impl Edge {
    pub(super) fn other(&self, end: Place) -> Place {
        let [a, b] = self.ends;
        if a == end { b } else { a }
    }

    const fn next_of(&self, end: Place) -> Place {
        let ([a, _], [after_a, after_b]) = (self.ends, self.next);
        if a == end { after_a } else { after_b }
    }

    const fn next_of_mut(&mut self, end: Place) -> &mut Place {
        let ([a, _], [after_a, after_b]) = (self.ends, &mut self.next);
        if a == end { after_a } else { after_b }
    }

    /// Whether events or statements still speak of it.
    pub(super) const fn says_something(&self) -> bool {
        self.count > 0 || self.same || self.different
    }
}

/// Goes over the edges of an identifier.
#[derive(Debug)]
pub(super) struct EdgesOf<'a> {
    edges: &'a Arena<Edge>,
    of: Place,
    next: Place,
}

impl Iterator for EdgesOf<'_> {
    type Item = Place;
    fn next(&mut self) -> Option<Place> {
        let edge = self.next;
        if edge == NOWHERE {
            return None;
        }
        self.next = self.edges[edge].next_of(self.of);
        Some(edge)
    }
}
