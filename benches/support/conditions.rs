//! Definitions of any number of segments.

use std::fmt::Write;

pub(crate) const IDENTITY: &str = "identity:
  namespaces:
    user_id: { priority: 1 }
    email: { priority: 2, normalise: email, from: [traits.email] }
    anonymous_id: { priority: 9 }
";
/// Ten aggregates, which segments compare with numbers of their own.
/// Aggregates that segments are about.
pub(crate) const SHARED: [&str; 10] = [
    "count(*) FILTER (WHERE event = 'Order Completed')",
    "sum(properties.total) FILTER (WHERE event = 'Order Completed')",
    "max(properties.total) FILTER (WHERE event = 'Order Completed')",
    "count(*) FILTER (WHERE event = 'Checkout Started')",
    "sum(properties.value) FILTER (WHERE event = 'Checkout Started')",
    "count(*) FILTER (WHERE event = 'Product Viewed')",
    "count(*) FILTER (WHERE event = 'Product Added')",
    "sum(properties.price * properties.quantity) FILTER (WHERE event = 'Product Added')",
    "count(*) FILTER (WHERE type = 'page')",
    "count(*) FILTER (WHERE event = 'Product Viewed' AND timestamp > now() - INTERVAL '30 days')",
];

/// Segments over the same ten aggregates.
pub(crate) fn shared(count: usize) -> String {
    let segment = |at: usize| format!("{} > {}", SHARED[at % SHARED.len()], 2 + at / SHARED.len());
    definitions(count, segment)
}

/// Segments that each count something of their own.
pub(crate) fn own(count: usize) -> String {
    let segment = |at: usize| {
        format!(
            "count(*) FILTER (WHERE event = 'Product Viewed' AND properties.product_id = 'SKU-{}') >= 2",
            1_000 + at
        )
    };
    definitions(count, segment)
}

/// So many segments with their conditions.
pub(crate) fn definitions(count: usize, segment: impl Fn(usize) -> String) -> String {
    let mut yaml = format!("{IDENTITY}segments:\n");
    for at in 0..count {
        writeln!(yaml, "  s{at}: {{ where: \"{}\" }}", segment(at)).unwrap();
    }
    yaml
}
