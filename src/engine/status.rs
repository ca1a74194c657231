//! What the rest of the process knows of the engine: the last committed epoch.

use crate::store::Meta;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_dataflows::profile::Plan;
use tributary_model::{Epoch, Millis, Position};

/// Where the engine stands. A new one is published with every commit.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The last committed epoch.
    pub epoch: Epoch,
    /// Its clock.
    pub clock: Millis,
    /// What it covers of each stream.
    pub positions: BTreeMap<String, Position>,
    /// Members of each segment.
    pub counts: Arc<BTreeMap<String, i64>>,
    /// Profiles there are.
    pub profiles: i64,
    /// The next number in the outbox: it grows when there is something to send.
    pub next_message: u64,
    /// When what is said of some customer next changes by itself.
    pub next_wake: Option<Millis>,
    /// Why the next epoch could not be committed so far, while it is tried again.
    pub trouble: Option<String>,
    /// Whether the dataflow has been re-fed since the start.
    pub hydrated: bool,
    /// The definitions by which all customers are told of.
    pub plan: Arc<Plan>,
}

impl Committed {
    /// What a meta row says.
    pub fn new(meta: &Meta, next_wake: Option<Millis>, hydrated: bool, plan: Arc<Plan>) -> Self {
        Self {
            epoch: meta.epoch,
            clock: meta.clock,
            positions: meta.positions.clone(),
            counts: Arc::new(meta.counts.clone()),
            profiles: meta.profiles,
            next_message: meta.next_message,
            next_wake,
            trouble: None,
            hydrated,
            plan,
        }
    }

    /// Whether all that `position` covers of a stream is committed.
    pub fn covers(&self, stream: &str, position: &Position) -> bool {
        self.positions.get(stream).map_or(position.0.is_empty(), |committed| committed.covers(position))
    }
}
