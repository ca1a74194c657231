//! Events of any number of properties.

use crate::support::events::{self, CUSTOMERS, Zipf};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, json};

const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;

/// Views of products with so many properties.
pub(crate) fn views(properties: usize, count: usize, now: i64) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(45);
    let zipf = Zipf::new(CUSTOMERS);
    (0..count).map(move |number| {
        let customer = zipf.draw(&mut rng);
        let mut property = |at| (format!("property_{at}"), json!(format!("value {}", rng.random_range(0..999))));
        let all: Map<_, _> = (0..properties).map(&mut property).collect();
        let body = json!({ "type": "track", "event": "Product Viewed", "userId": events::user(customer),
            "timestamp": tributary_model::format_millis(now - rng.random_range(MINUTE..40 * DAY)), "properties": all });
        events::encode(number, &body)
    })
}
