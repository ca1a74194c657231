//! What travels from thread to thread: one epoch's input to the dataflow, and what is to be committed with it.

use crate::store::facts::StoredFacts;
use crate::store::statements::{Deleted, Made, Standing};
use crate::store::suppressions::{Address, Suppression};
use crate::store::{LinkFacts, Rejected};
use differential_dataflow::difference::IsZero;
use foldhash::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tributary_dataflows::Tick;
use tributary_dataflows::identity::{Ends, Evidence};
use tributary_dataflows::profile::{Belongs, Change, Features, GroupTrait, Plan};
use tributary_model::{Epoch, Event, GroupId, IdentifierId, MessageId, Millis, Position};

/// A valid event as it came.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The event, in a place of its own: it is handed on several times.
    pub event: Box<Event>,
    /// When it was received.
    pub received_at: Millis,
    /// Who sent it: a place in [`Prepared::sources`].
    pub source: u8,
    /// Whether it belonged to an identifier that was deleted after it was received: it only tells that the others were seen.
    pub is_struck: bool,
}

/// Changes of the dataflow's inputs.
#[derive(Debug, Default)]
pub struct Feed {
    /// Identifiers, links and statements that are new, changed (the old is taken back) or gone.
    pub evidence: Vec<(Evidence, isize)>,
    /// What is newly known of identifiers.
    pub facts: Vec<(IdentifierId, Features)>,
    /// Which groups identifiers belong to, where definitions read groups.
    pub belongs: Vec<((IdentifierId, Belongs), isize)>,
    /// What is newly said of groups, where definitions read groups.
    pub groups: Vec<(GroupId, Features)>,
    /// What the epoch begins with; only with its last changes.
    pub tick: Option<Tick>,
}

impl Feed {
    /// How many changes.
    pub fn changes(&self) -> usize {
        self.evidence.len() + self.facts.len() + self.belongs.len() + self.groups.len()
    }

    /// Takes in what has changed of an identifier's facts.
    pub fn take_in(&mut self, id: IdentifierId, change: &mut Change, plan: &Plan) {
        if plan.reads_groups() {
            self.belongs.extend(change.belongs.iter().map(|(belongs, times)| ((id, *belongs), *times)));
            self.groups.extend(change.of_groups(plan));
        }
        let features = std::mem::take(&mut change.features);
        if !features.is_zero() {
            self.facts.push((id, features));
        }
    }
}

/// What is to be stored of an identifier's facts.
#[derive(Clone, Debug)]
pub enum FactsChange {
    /// All of them, as they are now.
    Whole(StoredFacts),
    /// What the epoch has added to facts that are many.
    Added(StoredFacts),
    /// Nothing any more: the identifier was deleted.
    Gone,
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
    /// Links of deleted identifiers.
    pub links_gone: Vec<Ends>,
    /// Identifiers that are deleted, even if events have come after it.
    pub deleted: Vec<(IdentifierId, Deleted)>,
    /// Statements that were made.
    pub statements: Vec<Made>,
    /// What stands of two identifiers since; what is said later in the list holds.
    pub standing: Vec<(Ends, Option<Standing>)>,
    /// The latest word on addresses of which something was said.
    pub suppressions: Vec<(Address, Suppression)>,
    /// Who belongs to a group since (+1) or no longer (−1).
    pub group_members: Vec<(GroupId, IdentifierId, isize)>,
    /// What is said of groups since (+1), and what is no longer an identifier's latest word (−1).
    pub group_traits: Vec<(GroupTrait, isize)>,
    /// Timers to set.
    pub timers_set: Vec<(Millis, IdentifierId)>,
    /// Timers that were answered.
    pub timers_done: Vec<(Millis, IdentifierId)>,
    /// Accepted events with the identifier that each belongs to.
    pub events: Vec<(IdentifierId, Box<Event>)>,
    /// Which of the events (by place) set off which event triggers (by id).
    pub fired: Vec<(usize, String)>,
    /// Messages that were seen for the first time, in the order of their ids.
    pub seen: Vec<MessageId>,
    /// What could not be taken in.
    pub rejected: Vec<Rejected>,
    /// The names of all sources so far, by place.
    pub sources: Arc<Vec<String>>,
    /// What has been read of each stream after this epoch.
    pub positions: BTreeMap<String, Position>,
    /// When the epoch's earliest event was received.
    pub earliest: Option<Millis>,
    /// What changes of the definitions.
    pub redefinition: Redefinition,
}

/// What an epoch changes of the definitions.
#[derive(Clone, Debug, Default)]
pub struct Redefinition {
    /// From this epoch on customers are told of by this plan, one share after the other.
    pub plan: Option<Arc<Plan>>,
    /// The aggregates that the facts hold from this epoch on, as [`Meta`](crate::store::Meta) has them.
    pub aggregates: Option<Vec<u64>>,
}

impl Prepared {
    /// Takes in what an identifier says of groups.
    pub fn take_groups_in(&mut self, id: IdentifierId, change: Change) {
        let members = change.group_ids.iter().map(|(group, times)| (GroupId::of(group), id, *times));
        self.group_members.extend(members);
        self.group_traits.extend(change.group_traits);
    }
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
