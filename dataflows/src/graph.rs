//! The whole dataflow on one page.
//!
//! ```text
//! evidence (identifiers, links, statements) ─► resolve ─┬─► Conflict
//!                                                       └─► owner of each identifier ─┬─► Owner
//! facts (identifier, ±features) ──────────────────────────────────────────────────────┼─► (profile, ±features) ─┐
//! group calls (identifier, group), (group, ±features) ─► groups (if any are read) ────┴─► Group                 │
//!                                                             └─► (profile, ±features) ─────────────────────────┤
//! ticks ─────────────────────────────────────────────────────┐                                                   │
//!                                    Member, Count, Wake ◄─ segments ◄─ all of a profile's features ◄─────────────┘
//! ```

use crate::groups::accounts;
use crate::identity::operator::resolve;
use crate::identity::{Evidence, Resolved, Rules};
use crate::output::{Output, SegmentIndex};
use crate::profile::{Belongs, Features, Plan};
use crate::segments::membership::{Said, Tick, evaluate};
use differential_dataflow::VecCollection;
use differential_dataflow::input::{Input, InputSession};
use differential_dataflow::operators::CountTotal;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Input as TimelyInput;
use timely::dataflow::{InputHandle, Scope};
use tributary_model::{Epoch, GroupId, IdentifierId, ProfileId};

/// What a worker feeds. All advance together, one epoch at a time.
pub struct Inputs {
    /// Which identifiers there are, who was seen with whom, and what was stated.
    pub evidence: InputSession<Epoch, Evidence, isize>,
    /// Changes of what is known of each identifier.
    pub facts: InputSession<Epoch, IdentifierId, Features>,
    /// Which groups identifiers belong to; left aside where no definition reads groups.
    pub belongs: InputSession<Epoch, (IdentifierId, Belongs), isize>,
    /// Changes of what is said of groups; left aside where no definition reads groups.
    pub groups: InputSession<Epoch, GroupId, Features>,
    /// What each epoch begins with.
    ticks: InputHandle<Epoch, CapacityContainerBuilder<Vec<(Epoch, Tick)>>>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs at epoch {}", self.evidence.time())
    }
}

impl Inputs {
    /// Tells what time it is in the open epoch, and other definitions that hold from it on; every worker is told, each epoch.
    pub fn tick(&mut self, tick: Tick) {
        let epoch = *self.ticks.time();
        self.ticks.send((epoch, tick));
    }

    /// Closes all epochs before this one.
    pub fn advance_to(&mut self, epoch: Epoch) {
        self.evidence.advance_to(epoch);
        self.facts.advance_to(epoch);
        self.belongs.advance_to(epoch);
        self.groups.advance_to(epoch);
        self.ticks.advance_to(epoch);
        self.evidence.flush();
        self.facts.flush();
        self.belongs.flush();
        self.groups.flush();
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
    let (belongs_in, belongs) = scope.new_collection::<(IdentifierId, Belongs), isize>();
    let (groups_in, groups) = scope.new_collection::<GroupId, Features>();
    let (ticks_in, ticks) = TimelyInput::new_input(&scope);

    let resolved = resolve(evidence, rules);
    let owner = resolved
        .clone()
        .flat_map(|resolved| match resolved {
            Resolved::Owner(identifier, best) => Some((identifier, ProfileId::from(best))),
            Resolved::Conflict(_) => None,
        })
        .arrange_by_key_named("Owner");
    let mut outputs = resolved.map(|resolved| match resolved {
        Resolved::Owner(identifier, best) => Output::Owner(identifier, ProfileId::from(best)),
        Resolved::Conflict(conflict) => Output::Conflict(conflict),
    });

    let facts = facts.arrange_by_self_named("Facts");
    let mut features = facts.clone().join_core(owner.clone(), |_identifier, (), profile| Some(*profile));
    if plan.reads_groups() {
        let accounts = accounts(belongs, groups, facts, owner, plan.clone());
        features = features.concat(accounts.features);
        let told = accounts.evaluated.map(|(group, evaluation)| Output::Group(group, evaluation));
        outputs = outputs.concat(told);
    }
    let profiles = features.arrange_by_self_named("Profiles");

    let said = evaluate(profiles, ticks, plan);
    let members = said.clone().flat_map(|said| match said {
        Said::Member(_profile, segment) => Some(segment),
        Said::Wake(..) | Said::Redefined(..) | Said::Current(_) => None,
    });
    let counts = members.count_total();

    let outputs = outputs
        .concat(said.map(|said| match said {
            Said::Member(profile, segment) => Output::Member(profile, segment),
            Said::Wake(profile, at) => Output::Wake(profile, at),
            Said::Redefined(profile, segment) => Output::Redefined(profile, segment),
            Said::Current(version) => Output::Current(version),
        }))
        .concat(counts.map(|(segment, count): (SegmentIndex, isize)| Output::Count(segment, count as i64)));
    let inputs =
        Inputs { evidence: evidence_in, facts: facts_in, belongs: belongs_in, groups: groups_in, ticks: ticks_in };
    (inputs, outputs)
}
