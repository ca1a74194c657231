//! What the benches share: events, the plain loop that all is compared with, the server, the broker, and what they use.
//! None of them needs all of it.
#![allow(dead_code)]

pub(crate) mod events;
pub(crate) mod conditions;
pub(crate) mod yardstick;
pub(crate) mod server;
pub(crate) mod load;
pub(crate) mod broker;
pub(crate) mod process;

use std::time::Duration;

/// What is kept of each customer; `RECEIVER` is where its triggers go.
pub(crate) const DEFINITIONS: &str = include_str!("definitions.yaml");

/// The same where no trigger fires, so that it does not matter where they go.
pub(crate) fn quiet_definitions() -> String {
    DEFINITIONS.replace("RECEIVER", "http://127.0.0.1:9")
}

/// The time that so much of all is at most.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}
