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

/// What is kept of each customer; `RECEIVER` is where its triggers go.
pub(crate) const DEFINITIONS: &str = include_str!("definitions.yaml");
