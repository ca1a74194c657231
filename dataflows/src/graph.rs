//! The whole dataflow on one page.
//!
//! ```text
//! evidence (identifiers, links, statements) ─► resolve ─┬─► Conflict
//!                                                       └─► owner of each identifier ─┬─► Owner
//! facts (identifier, ±features) ──────────────────────────────────────────────────────┴─► (profile, ±features)
//!                                          ─► all of a profile's features ─► segments ─┬─► Member
//!                                                                                      └─► Count
//! ```

use crate::identity::operator::resolve;
use crate::identity::{Evidence, Resolved, Rules};
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
    /// Which identifiers there are, who was seen with whom, and what was stated.
    pub evidence: InputSession<Epoch, Evidence, isize>,
    /// Changes of what is known of each identifier.
    pub facts: InputSession<Epoch, IdentifierId, Features>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs at epoch {}", self.evidence.time())
    }
}

impl Inputs {
    /// Closes all epochs before this one.
    pub fn advance_to(&mut self, epoch: Epoch) {
        self.evidence.advance_to(epoch);
        self.facts.advance_to(epoch);
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
    let (evidence_in, evidence) = scope.new_collection::<Evidence, isize>();
    let (facts_in, facts) = scope.new_collection::<IdentifierId, Features>();

    let resolved = resolve(evidence, rules);
    let owner = resolved
        .clone()
        .flat_map(|resolved| match resolved {
            Resolved::Owner(identifier, best) => Some((identifier, ProfileId::from(best))),
            Resolved::Conflict(_) => None,
        })
        .arrange_by_key_named("Owner");
    let resolved = resolved.map(|resolved| match resolved {
        Resolved::Owner(identifier, best) => Output::Owner(identifier, ProfileId::from(best)),
        Resolved::Conflict(conflict) => Output::Conflict(conflict),
    });

    let profiles = facts
        .arrange_by_self_named("Facts")
        .join_core(owner, |_identifier, (), profile| Some(*profile))
        .arrange_by_self_named("Profiles")
        .count_total();

    let members = members(profiles, plan);
    let counts = members.clone().map(|(_profile, segment)| segment).count_total();

    let outputs = resolved
        .concat(members.map(|(profile, segment)| Output::Member(profile, segment)))
        .concat(counts.map(|(segment, count): (SegmentIndex, isize)| Output::Count(segment, count as i64)));
    (Inputs { evidence: evidence_in, facts: facts_in }, outputs)
}
