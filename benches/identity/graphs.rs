//! Customers as they come, and graphs that nobody wishes for.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use tributary_dataflows::identity::{Link, Node};
use tributary_model::{IdentifierId, IdentityRules, Namespace};

/// One account a customer, five addresses, any number of devices.
pub(crate) fn rules() -> IdentityRules {
    let mut rules = IdentityRules::default();
    let namespace = |priority, most| Namespace { priority, max_per_profile: most, ..Namespace::default() };
    rules.namespaces.insert("user_id".to_owned(), namespace(1, Some(1)));
    rules.namespaces.insert("email".to_owned(), namespace(2, Some(5)));
    rules
}

/// Namespaces are numbered in the order of their names.
pub(crate) fn node(namespace: &str, id: IdentifierId) -> Node {
    let (namespace, priority) = match namespace {
        "anonymous_id" => (0, 9),
        "email" => (1, 2),
        _ => (2, 1),
    };
    Node { priority, first_seen: 0, id, namespace }
}

/// Identifiers are hashes: any random number is one.
fn id(random: &mut SmallRng) -> IdentifierId {
    IdentifierId(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
}

/// Customers with four identifiers each: an account that is linked to an address and two devices.
pub(crate) struct Customers {
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
}

const fn link(a: Node, b: Node) -> Link {
    let (smaller, larger) = if a.id.0 < b.id.0 { (a.id, b.id) } else { (b.id, a.id) };
    Link { ends: (smaller, larger), last_seen: 0, count: 1 }
}

impl Customers {
    pub(crate) fn new(identifiers: usize) -> Self {
        let random = &mut SmallRng::seed_from_u64(1);
        let (mut nodes, mut links) = (Vec::new(), Vec::new());
        for _ in 0..identifiers / 4 {
            let user = node("user_id", id(random));
            let others = ["email", "anonymous_id", "anonymous_id"].map(|namespace| node(namespace, id(random)));
            nodes.push(user);
            nodes.extend(others);
            links.extend(others.map(|other| link(user, other)));
        }
        nodes.shuffle(random);
        links.shuffle(random);
        Self { nodes, links }
    }

    /// New devices: half of them of known customers, half of new ones.
    pub(crate) fn more(&self, count: usize) -> Vec<(Vec<Node>, Link)> {
        let random = &mut SmallRng::seed_from_u64(2);
        let users: Vec<_> = self.nodes.iter().filter(|node| node.priority == 1).collect();
        let one = |_| {
            let device = node("anonymous_id", id(random));
            let known = *users[random.random_range(0..users.len())];
            match random.random_bool(0.5) {
                true => (vec![device], link(known, device)),
                false => {
                    let new = node("user_id", id(random));
                    (vec![new, device], link(new, device))
                }
            }
        };
        (0..count).map(one).collect()
    }
}

type Pairs = Vec<(Node, Node)>;

/// The hostile graphs, each smaller by a factor.
pub(crate) fn hostile(smaller: usize) -> Vec<(&'static str, Pairs)> {
    let random = &mut SmallRng::seed_from_u64(3);
    let mut any =
        |namespace: &str, count: usize| -> Vec<Node> { (0..count).map(|_| node(namespace, id(random))).collect() };
    let (million, hundred_thousand, ten_thousand) = (1_000_000 / smaller, 100_000 / smaller, 10_000 / smaller);
    let address = any("email", 1);
    let devices = any("anonymous_id", million);
    let users = any("user_id", hundred_thousand);
    let one_address = devices.iter().map(|device| (address[0], *device)).collect();
    let chain = devices.windows(2).take(hundred_thousand).map(|two| (two[0], two[1])).collect();
    let one_profile = devices.iter().take(ten_thousand).map(|device| (users[0], *device)).collect();
    let random = &mut SmallRng::seed_from_u64(4);
    let all: Vec<Node> = devices.iter().chain(&users).copied().collect();
    let mut pair = || (all[random.random_range(0..all.len())], all[random.random_range(0..all.len())]);
    let everything = std::iter::repeat_with(&mut pair).filter(|(a, b)| a.id != b.id).take(2 * million).collect();
    vec![
        ("one address on a million devices", one_address),
        ("a chain of a hundred thousand links", chain),
        ("ten thousand devices of one account", one_profile),
        ("random merging of everything", everything),
    ]
}
