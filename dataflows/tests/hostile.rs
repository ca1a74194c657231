//! Graphs that nobody wishes for, at a tenth of the size that `make bench-identity` gives them: what they cost is
//! bounded, what cuts them is told, and nobody else is touched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(unreachable_pub, missing_debug_implementations, dead_code)] // the graphs are the bench's

#[path = "../../benches/identity/graphs.rs"]
mod graphs;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tributary_dataflows::identity::{Conflict, Evidence, Link, Node, Resolved, Resolver, Rules, ends};
use tributary_model::IdentifierId;

/// Far more than an epoch takes on any machine that tests run on, and far less than one takes that looks at everything.
const LONGEST: Duration = Duration::from_secs(2);

struct World {
    resolver: Resolver,
    known: HashSet<IdentifierId>,
    owners: BTreeMap<IdentifierId, IdentifierId>,
    conflicts: BTreeSet<Conflict>,
}

impl World {
    fn new() -> Self {
        let resolver = Resolver::new(Arc::new(Rules::new(&graphs::rules())));
        Self { resolver, known: HashSet::new(), owners: BTreeMap::new(), conflicts: BTreeSet::new() }
    }

    fn apply(&mut self, changes: Vec<(Evidence, isize)>) {
        let started = Instant::now();
        let changes = self.resolver.apply(changes);
        assert!(started.elapsed() < LONGEST, "an epoch took {:?}", started.elapsed());
        let (gone, new): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, times)| *times < 0);
        for (resolved, times) in gone.into_iter().chain(new) {
            match resolved {
                Resolved::Owner(identifier, owner) if times > 0 => drop(self.owners.insert(identifier, owner)),
                Resolved::Owner(..) => {}
                Resolved::Conflict(conflict) if times > 0 => assert!(self.conflicts.insert(conflict), "{conflict:?}"),
                Resolved::Conflict(conflict) => assert!(self.conflicts.remove(&conflict), "{conflict:?}"),
            }
        }
    }

    fn link(&mut self, links: &[(Node, Node)], at: i64) {
        let mut changes = Vec::new();
        for (a, b) in links {
            let fresh = [a, b].into_iter().filter(|node| self.known.insert(node.id));
            changes.extend(fresh.map(|node| (Evidence::Node(*node), 1)));
            changes.push((Evidence::Link(Link { ends: ends(a.id, b.id), last_seen: at, count: 1 }), 1));
        }
        self.apply(changes);
    }

    /// Someone else, who must not notice.
    fn stranger(&mut self, number: u128) {
        let node = |namespace, id| graphs::node(namespace, IdentifierId(id));
        let (user, device) =
            (node("user_id", u128::MAX - 2 * number), node("anonymous_id", u128::MAX - 2 * number - 1));
        self.link(&[(user, device)], 0);
        assert_eq!(self.owners[&device.id], user.id);
    }
}

fn graph(name: &str) -> Vec<(Node, Node)> {
    graphs::hostile(10).into_iter().find(|(found, _)| found.contains(name)).unwrap().1
}

fn play(name: &str) -> World {
    let mut world = World::new();
    for (epoch, links) in graph(name).chunks(1_000).enumerate() {
        world.link(links, epoch as i64);
        world.stranger(epoch as u128);
    }
    let (identifiers, links, bytes) = world.resolver.weight();
    let empty = 500_000;
    assert!(bytes < empty + 150 * identifiers.max(links), "{bytes} bytes: {identifiers} identifiers, {links} links");
    world
}

#[test]
fn one_address_on_a_hundred_thousand_devices_joins_nobody_and_is_told() {
    let world = play("one address");
    let tangled = world.conflicts.iter().filter(|conflict| matches!(conflict, Conflict::Tangled(_))).count();
    assert_eq!(tangled, 100_001);
    for (device, owner) in world.owners.iter().filter(|(id, _)| world.conflicts.contains(&Conflict::Tangled(**id))) {
        assert_eq!(device, owner);
    }
}

#[test]
fn a_chain_of_ten_thousand_links_is_one_customer_and_one_link_more_is_none() {
    let mut world = play("a chain");
    let chain = graph("a chain");
    assert_eq!(chain.len(), 10_000);
    let of_chain = |world: &World| chain.iter().map(|(a, _)| world.owners[&a.id]).collect::<BTreeSet<_>>().len();
    assert_eq!(of_chain(&world), 1);
    let one_more = graphs::node("anonymous_id", IdentifierId(7));
    world.link(&[(chain[0].0, one_more)], 0);
    assert_eq!(of_chain(&world), 10_000);

    // What is taken back in the middle leaves two customers.
    let (a, b) = chain[5_000];
    world.apply(vec![(Evidence::Link(Link { ends: ends(a.id, b.id), last_seen: 5, count: 1 }), -1)]);
    assert_eq!(of_chain(&world), 2);
    assert!(!world.conflicts.iter().any(|conflict| matches!(conflict, Conflict::Tangled(_))));
}

#[test]
fn a_thousand_devices_of_one_account_are_one_large_customer() {
    let world = play("devices of one account");
    let large: Vec<_> = world.conflicts.iter().collect();
    assert!(matches!(large[..], [Conflict::Large { identifiers: 1_001, .. }]), "{large:?}");
}

#[test]
fn random_merging_of_everything_ends_in_a_tangle_that_joins_nobody() {
    let world = play("everything");
    let tangled = world.conflicts.iter().filter(|conflict| matches!(conflict, Conflict::Tangled(_))).count();
    assert!(tangled > 100_000, "{tangled}");
}
