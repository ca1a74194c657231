//! What travels from thread to thread: one epoch's input to the dataflow, and what is to be committed with it.

use crate::store::links::Ends;
use crate::store::{LinkFacts, Rejected};
use foldhash::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_dataflows::identity::{Evidence, Link, Node};
use tributary_dataflows::profile::{Features, IdentifierFacts};
use tributary_model::{Epoch, Event, IdentifierId, MessageId, Millis, Position};

/// Changes of the dataflow's inputs.
#[derive(Debug, Default)]
pub struct Feed {
    /// Links that are new or gone.
    pub links: Vec<(Link, isize)>,
    /// Identifiers that are new, or whose first event is another.
    pub nodes: Vec<(Node, isize)>,
    /// What speaks for links, before (to be taken back) and after.
    pub evidence: Vec<(Evidence, isize)>,
    /// What is newly known of identifiers.
    pub facts: Vec<(IdentifierId, Features)>,
}

impl Feed {
    /// How many changes.
    pub fn changes(&self) -> usize {
        self.links.len() + self.nodes.len() + self.evidence.len() + self.facts.len()
    }
}

/// What is to be stored of an identifier's facts.
#[derive(Clone, Debug)]
pub enum FactsChange {
    /// All of them, as they are now.
    Whole(Arc<IdentifierFacts>),
    /// What the epoch has added to facts that are many.
    Added(IdentifierFacts),
}

/// What the driver has made of one epoch's events, to be written when the dataflow is through with it.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Which epoch.
    pub epoch: Epoch,
    /// What time it is in this epoch.
    pub clock: Millis,
    /// Changed facts of the identifiers that were touched.
    pub facts: HashMap<IdentifierId, FactsChange>,
    /// New evidence of the links that were seen.
    pub links: Vec<(Ends, LinkFacts)>,
    /// Those of them that are new.
    pub new_links: Vec<Ends>,
    /// Timers to set.
    pub timers_set: Vec<(Millis, IdentifierId)>,
    /// Timers that were answered.
    pub timers_done: Vec<(Millis, IdentifierId)>,
    /// Accepted events with the identifier that each belongs to.
    pub events: Vec<(IdentifierId, Event)>,
    /// Which of the events (by place) set off which event triggers (by id).
    pub fired: Vec<(usize, String)>,
    /// Messages that were seen for the first time.
    pub seen: Vec<MessageId>,
    /// What could not be taken in.
    pub rejected: Vec<Rejected>,
    /// What has been read of each stream after this epoch.
    pub positions: BTreeMap<String, Position>,
    /// When the epoch's earliest event was received.
    pub earliest: Option<Millis>,
}

/// What reaches the committer, in order; the dataflow's outputs come beside it.
#[derive(Debug)]
pub enum Work {
    /// The dataflow has been re-fed from the base facts, and its outputs are all it says.
    Hydrated {
        /// What time it is.
        now: Millis,
        /// The aggregates that the facts hold now, as [`Meta`](crate::store::Meta) has them.
        aggregates: Vec<u64>,
    },
    /// One epoch.
    Epoch(Box<Prepared>),
}
