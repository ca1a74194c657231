//! The definitions that the test's dataflow runs; the oracle has them by hand.

use tributary_model::{ComputedTrait, Definitions, IdentityRules, Namespace, Segment};

/// Identity rules: three namespaces, of which one can be shared, and of two a profile holds few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// Users that one profile holds.
    pub users: Option<u32>,
    /// Addresses that one profile holds.
    pub emails: Option<u32>,
    /// Users that a device may be linked to before it is shared.
    pub shared_after: u32,
    /// Links that one customer has at most.
    pub max_links: u32,
    /// Whether an address is better than a user.
    pub email_first: bool,
    /// Whether one of the addresses identifies nobody.
    pub blocks: bool,
}

/// The address that may identify nobody.
pub const BLOCKED: &str = "e0@example.com";

impl Default for Ruleset {
    fn default() -> Self {
        Self { users: Some(1), emails: Some(2), shared_after: 2, max_links: 8, email_first: false, blocks: false }
    }
}

impl Ruleset {
    /// The priority of a namespace.
    pub fn priority(&self, namespace: &str) -> u8 {
        match (namespace, self.email_first) {
            ("user_id", false) | ("email", true) => 1,
            ("user_id", true) | ("email", false) => 2,
            _ => 9,
        }
    }

    /// As definitions have them.
    pub fn identity(&self) -> IdentityRules {
        let namespace = |name: &str, max_per_profile| {
            let namespace = Namespace { priority: self.priority(name), max_per_profile, ..Namespace::default() };
            (name.to_owned(), namespace)
        };
        let mut identity = IdentityRules { max_links: self.max_links, ..IdentityRules::default() };
        identity.namespaces.extend([namespace("user_id", self.users), namespace("email", self.emails)]);
        let device = identity.namespaces.get_mut("anonymous_id").unwrap();
        device.shared_after.insert("user_id".to_owned(), self.shared_after);
        identity
    }
}

/// Which of the segments are defined: a bit each, in the order of their ids; and whether two have changed their conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub segments: u32,
    pub swapped: bool,
}

/// Two to which no other refers.
pub const SWAPPED: [&str; 2] = ["bargain", "big_last"];

impl Choice {
    pub const ALL: Self = Self { segments: u32::MAX, swapped: false };

    /// What is defined, with what that needs.
    pub fn definitions(self) -> Definitions {
        let mut all = definitions();
        let names: Vec<String> = all.segments.keys().cloned().collect();
        let is_chosen = |id: &str| {
            let bit = names.iter().position(|name| name == id).unwrap();
            self.segments >> bit & 1 == 1
        };
        // Without any that reads groups, none would be computed after a restart.
        let needed = [("vip", is_chosen("plain")), ("lapsed", is_chosen("fresh")), ("in_any_pro", true)];
        let keep = |id: &str| is_chosen(id) || needed.contains(&(id, true));
        if self.swapped {
            let [one, other] = SWAPPED.map(|id| all.segments[id].condition.clone());
            all.segments.get_mut(SWAPPED[0]).unwrap().condition = other;
            all.segments.get_mut(SWAPPED[1]).unwrap().condition = one;
        }
        all.segments.retain(|id, _| keep(id));
        all
    }
}

/// One segment for each kind of aggregate, window and reference.
pub fn definitions() -> Definitions {
    let segment = |(id, condition): (&str, &str)| {
        (id.to_owned(), Segment { name: id.to_owned(), condition: condition.to_owned() })
    };
    let segments = [
        ("vip", "ltv > 500"),
        ("german", "traits.country = 'DE'"),
        ("repeat", "count(*) FILTER (WHERE event = 'Order Completed' AND timestamp > now() - INTERVAL '1 day') >= 2"),
        (
            "hesitant",
            "count(*) FILTER (WHERE event = 'Checkout Started' AND timestamp > now() - INTERVAL '2 days') >= 2",
        ),
        (
            "abandoned",
            "max(timestamp) FILTER (WHERE event = 'Checkout Started') \
             > coalesce(max(timestamp) FILTER (WHERE event = 'Order Completed'), TIMESTAMP 'epoch')",
        ),
        ("converted", "followed_by('Checkout Started', 'Order Completed', INTERVAL '12 hours')"),
        ("hesitates", "not_followed_by('Checkout Started', 'Order Completed', INTERVAL '90 minutes')"),
        ("looks_around", "count_since('Product Viewed', 'Order Completed') >= 2"),
        ("varied", "count(DISTINCT properties.total) FILTER (WHERE timestamp > now() - INTERVAL '1 day') >= 3"),
        ("browser", "mode(event) = 'Product Viewed' AND count(DISTINCT event) > 1"),
        ("small_first", "first(properties.total) FILTER (WHERE event = 'Order Completed') < 100"),
        ("big_last", "last(properties.total) FILTER (WHERE event = 'Order Completed') > 200"),
        (
            "bargain",
            "min(properties.total) FILTER (WHERE event = 'Order Completed' AND timestamp > now() - INTERVAL '1 day') < 50",
        ),
        ("lapsed", "max(timestamp) FILTER (WHERE event = 'Order Completed') < now() - INTERVAL '36 hours'"),
        ("fresh", "now() - max(timestamp) <= INTERVAL '2 hours' AND NOT in_segment('lapsed')"),
        (
            "today",
            "count(*) FILTER (WHERE event = 'Order Completed' AND timestamp >= date_trunc('day', now(), 'Asia/Kolkata')) >= 1",
        ),
        ("odd_hour", "extract(hour FROM now()) % 2 = 1 AND traits.country = 'DE'"),
        ("plain", "NOT in_segment('vip') AND traits.country IS NULL"),
        ("big_account", "group.ltv > 800 AND group.members >= 2"),
        ("alone_on_pro", "traits.country IS NULL AND group.traits.plan = 'pro' AND group.members < 2"),
        ("in_any_pro", "in_group(group.traits.plan = 'pro' AND group.id <> 'g2')"),
        ("no_account", "group.id IS NULL AND traits.country IS NULL"),
        ("small_account", "coalesce(group.ltv, 0) < 100"),
        ("more_than_half", "ltv * 2 > group.ltv"),
    ];
    let ltv = "sum(properties.total) FILTER (WHERE event = 'Order Completed')";
    Definitions {
        identity: Ruleset::default().identity(),
        traits: [("ltv".to_owned(), ComputedTrait { expression: ltv.to_owned() })].into(),
        segments: segments.into_iter().map(segment).collect(),
        ..Definitions::default()
    }
}
