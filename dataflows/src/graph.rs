//! The whole dataflow on one page.
//!
//! ```text
//! links ─► merging links ─► components ─► split ─► owner of each identifier ─┬─► Owner
//! nodes ────────────────────▲             ▲                                  │
//! evidence ───────────────────────────────┘                                  │
//! facts (identifier, ±features) ─────────────────────────────────────────────┴─► (profile, ±features)
//!                                  ─► all of a profile's features ─► segments ─┬─► Member
//!                                                                              └─► Count
//! ```

use crate::identity::components::best_connected;
use crate::identity::shared::merging_links;
use crate::identity::split::split_crowded;
use crate::identity::{Evidence, Link, Node, Rules};
use crate::output::{Output, SegmentIndex};
use crate::profile::{Features, Plan};
use crate::segments::membership::members;
use differential_dataflow::VecCollection;
use differential_dataflow::input::{Input, InputSession};
use differential_dataflow::operators::CountTotal;
use std::sync::Arc;
use timely::dataflow::Scope;
use tributary_model::{Epoch, IdentifierId, ProfileId};

/// What a worker feeds. All advance together, one epoch at a time.
pub struct Inputs {
    /// Distinct links; one is inserted when its first evidence comes and retracted with its last.
    pub links: InputSession<Epoch, Link, isize>,
    /// One node for each identifier that was ever seen.
    pub nodes: InputSession<Epoch, Node, isize>,
    /// What speaks for each link, where the rules ask for it ([`Rules::any_limited`]).
    pub evidence: InputSession<Epoch, Evidence, isize>,
    /// Changes of what is known of each identifier.
    pub facts: InputSession<Epoch, IdentifierId, Features>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs at epoch {}", self.links.time())
    }
}

impl Inputs {
    /// Closes all epochs before this one.
    pub fn advance_to(&mut self, epoch: Epoch) {
        self.links.advance_to(epoch);
        self.nodes.advance_to(epoch);
        self.evidence.advance_to(epoch);
        self.facts.advance_to(epoch);
        self.links.flush();
        self.nodes.flush();
        self.evidence.flush();
        self.facts.flush();
    }
}

/// Builds the dataflow; its outputs are consolidated, so that what does not change in an epoch is not in it.
pub fn build(
    scope: Scope<'_, Epoch>,
    plan: Arc<Plan>,
    rules: Arc<Rules>,
) -> (Inputs, VecCollection<'_, Epoch, Output, isize>) {
    let (links_in, links) = scope.new_collection::<Link, isize>();
    let (nodes_in, nodes) = scope.new_collection::<Node, isize>();
    let (evidence_in, evidence) = scope.new_collection::<Evidence, isize>();
    let (facts_in, facts) = scope.new_collection::<IdentifierId, Features>();

    let merging = merging_links(links, rules.clone());
    let edges = merging.clone().map(|(from, to)| (to, from)).concat(merging).arrange_by_key_named("Links");
    let named = best_connected(edges.clone(), nodes.clone());
    let owner = split_crowded(named, edges, nodes, evidence, rules)
        .map(|(identifier, best)| (identifier, ProfileId::from(best.id)))
        .arrange_by_key_named("Owner");
    let owners = owner.clone().as_collection(|identifier, profile| Output::Owner(*identifier, *profile));

    let profiles = facts
        .arrange_by_self_named("Facts")
        .join_core(owner, |_identifier, (), profile| Some(*profile))
        .arrange_by_self_named("Profiles")
        .count_total();

    let members = members(profiles, plan);
    let counts = members.clone().map(|(_profile, segment)| segment).count_total();

    let outputs = owners
        .concat(members.map(|(profile, segment)| Output::Member(profile, segment)))
        .concat(counts.map(|(segment, count): (SegmentIndex, isize)| Output::Count(segment, count as i64)));
    (Inputs { links: links_in, nodes: nodes_in, evidence: evidence_in, facts: facts_in }, outputs)
}
