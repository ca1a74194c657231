//! The definitions that the test's dataflow runs; the oracle has them by hand.

use tributary_model::{ComputedTrait, Definitions, IdentityRules, Namespace, Segment};

/// Three namespaces: one can be shared, and of two a profile holds few.
pub fn identity() -> IdentityRules {
    let mut identity = IdentityRules::default();
    let email = Namespace { priority: 2, max_per_profile: Some(2), ..Namespace::default() };
    identity.namespaces.insert("email".to_owned(), email);
    identity.namespaces.get_mut("user_id").unwrap().max_per_profile = Some(1);
    let device = identity.namespaces.get_mut("anonymous_id").unwrap();
    device.shared_after.insert("user_id".to_owned(), 2);
    identity.max_links = super::naive::MAX_LINKS as u32;
    identity
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
        ("small_first", "first(properties.total) FILTER (WHERE event = 'Order Completed') < 100"),
        ("big_last", "last(properties.total) FILTER (WHERE event = 'Order Completed') > 200"),
        (
            "bargain",
            "min(properties.total) FILTER (WHERE event = 'Order Completed' AND timestamp > now() - INTERVAL '1 day') < 50",
        ),
        ("plain", "NOT in_segment('vip') AND traits.country IS NULL"),
        ("big_account", "group.ltv > 800 AND group.members >= 2"),
        ("alone_on_pro", "traits.country IS NULL AND group.traits.plan = 'pro' AND group.members < 2"),
        ("in_any_pro", "in_group(group.traits.plan = 'pro' AND group.id <> 'g2')"),
        ("more_than_half", "ltv * 2 > group.ltv"),
    ];
    let ltv = "sum(properties.total) FILTER (WHERE event = 'Order Completed')";
    Definitions {
        identity: identity(),
        traits: [("ltv".to_owned(), ComputedTrait { expression: ltv.to_owned() })].into(),
        segments: segments.into_iter().map(segment).collect(),
        ..Definitions::default()
    }
}
