//! One customer, as of a committed epoch: the base facts of the identifiers, summed and evaluated.
//!
//! Nothing of a profile is stored twice: its traits and aggregates are the sum of its identifiers' facts, by the same
//! functions that the dataflow uses.

use super::epoch::FactsChange;
use super::intake::node;
use crate::store::{StoreError, View};
use differential_dataflow::difference::Semigroup;
use foldhash::HashMap;
use serde_json::{Map, Value as Json};
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::{Belongs, Features, IdentifierFacts, Plan, merged_groups, merged_traits};
use tributary_dataflows::segments::GroupEvaluation;
use tributary_model::{GroupId, IdentifierId, Millis, ProfileId};

/// A customer.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The profile's id.
    pub id: ProfileId,
    /// What is kept of each identifier, best first.
    pub identifiers: Vec<IdentifierFacts>,
    /// Latest traits.
    pub traits: Map<String, Json>,
    /// Computed traits.
    pub computed: Map<String, Json>,
    /// Groups that the customer belongs to, the account first.
    pub groups: Vec<ProfileGroup>,
    /// What expressions read.
    pub features: Features,
}

/// A group that a customer belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileGroup {
    /// The `groupId` as it was sent.
    pub id: String,
    /// The earliest group call of the customer.
    pub first_seen: Millis,
    /// The latest.
    pub last_seen: Millis,
}

/// What a profile is read with, besides the facts of its identifiers.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// What the definitions ask.
    pub plan: &'a Plan,
    /// Whose name of a customer is the best.
    pub rules: &'a Rules,
    /// What time it is.
    pub now: Millis,
    /// What is computed of a group.
    pub evaluations: &'a dyn Fn(GroupId) -> Result<Option<GroupEvaluation>, StoreError>,
}

impl Profile {
    /// Sums and evaluates the facts of a profile's identifiers.
    ///
    /// # Errors
    /// Those of looking up groups.
    fn new(id: ProfileId, mut identifiers: Vec<IdentifierFacts>, reading: &Reading<'_>) -> Result<Self, StoreError> {
        let Reading { plan, rules, now, evaluations } = *reading;
        let mut features = Features::default();
        for facts in &identifiers {
            features.plus_equals(&facts.features(plan));
        }
        let merged = merged_groups(identifiers.iter().map(|facts| &facts.groups));
        for (place, (_, belongs, _)) in merged.iter().enumerate().filter(|_| plan.reads_groups()) {
            if let Some(evaluation) = evaluations(belongs.group)? {
                features.plus_equals(&plan.of_group(place == 0, &evaluation.expressions));
            }
        }
        let group = |(id, belongs, first_seen): (&str, Belongs, Millis)| ProfileGroup {
            id: id.to_owned(),
            first_seen,
            last_seen: belongs.last_seen,
        };
        let groups = merged.into_iter().map(group).collect();
        let evaluation = plan.evaluate(&features, now);
        let names = plan.program.computed.iter().map(|computed| computed.name.clone());
        let computed = names.zip(evaluation.computed.iter().map(tributary_model::Value::to_json)).collect();
        let traits = merged_traits(&identifiers);
        identifiers.sort_by_cached_key(|facts| node(rules, facts));
        Ok(Self { id, identifiers, traits, computed, groups, features })
    }

    /// The profile in a view.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(view: &View<'_>, id: ProfileId, plan: &Plan, rules: &Rules) -> Result<Self, StoreError> {
        let identifiers = view.identifiers(id)?;
        let facts = view.facts(&identifiers)?.into_iter().flatten().collect();
        let now = view.meta()?.unwrap_or_default().clock;
        Self::new(id, facts, &Reading { plan, rules, now, evaluations: &|group| view.evaluation(group) })
    }

    /// The profile as an epoch that is being committed will leave it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) fn read_with(
        view: &View<'_>,
        id: ProfileId,
        identifiers: &[IdentifierId],
        newer: &HashMap<IdentifierId, FactsChange>,
        reading: &Reading<'_>,
    ) -> Result<Self, StoreError> {
        let mut facts = Vec::with_capacity(identifiers.len());
        let mut stored = Vec::new();
        for id in identifiers {
            match newer.get(id) {
                Some(FactsChange::Whole(whole)) => facts.push(whole.read()?),
                Some(FactsChange::Gone) => {}
                Some(FactsChange::Added(_)) | None => stored.push(*id),
            }
        }
        for (id, found) in stored.iter().zip(view.facts(&stored)?) {
            let Some(mut found) = found else { continue };
            if let Some(FactsChange::Added(added)) = newer.get(id) {
                found.merge(added.read()?);
            }
            facts.push(found);
        }
        Self::new(id, facts, reading)
    }
}
