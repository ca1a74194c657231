//! One customer, as of a committed epoch: the base facts of the identifiers, summed and evaluated.
//!
//! Nothing of a profile is stored twice: its traits and aggregates are the sum of its identifiers' facts, by the same
//! functions that the dataflow uses.

use super::epoch::FactsChange;
use super::intake::node;
use crate::store::{StoreError, View};
use foldhash::HashMap;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::{Features, IdentifierFacts, Plan, merged_traits};
use tributary_model::{IdentifierId, ProfileId};

/// A customer.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The profile's id.
    pub id: ProfileId,
    /// What is kept of each identifier, best first.
    pub identifiers: Vec<Arc<IdentifierFacts>>,
    /// Latest traits.
    pub traits: Map<String, Json>,
    /// Computed traits.
    pub computed: Map<String, Json>,
}

impl Profile {
    /// Sums and evaluates the facts of a profile's identifiers.
    pub fn new(id: ProfileId, mut identifiers: Vec<Arc<IdentifierFacts>>, plan: &Plan, rules: &Rules) -> Self {
        use differential_dataflow::difference::Semigroup;
        let mut features = Features::default();
        for facts in &identifiers {
            features.plus_equals(&facts.features(plan));
        }
        let evaluation = plan.evaluate(&features);
        let names = plan.program.computed.iter().map(|computed| computed.name.clone());
        let computed = names.zip(evaluation.computed.iter().map(tributary_model::Value::to_json)).collect();
        let traits = merged_traits(identifiers.iter().map(Arc::as_ref));
        identifiers.sort_by_cached_key(|facts| node(rules, facts));
        Self { id, identifiers, traits, computed }
    }

    /// The profile in a view.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(view: &View<'_>, id: ProfileId, plan: &Plan, rules: &Rules) -> Result<Self, StoreError> {
        let identifiers = view.identifiers(id)?;
        let facts = view.facts(&identifiers)?.into_iter().flatten().map(Arc::new).collect();
        Ok(Self::new(id, facts, plan, rules))
    }

    /// The profile as an epoch that is being committed will leave it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read_with(
        view: &View<'_>,
        id: ProfileId,
        identifiers: &[IdentifierId],
        newer: &HashMap<IdentifierId, FactsChange>,
        plan: &Plan,
        rules: &Rules,
    ) -> Result<Self, StoreError> {
        let mut facts = Vec::with_capacity(identifiers.len());
        let mut stored = Vec::new();
        for id in identifiers {
            match newer.get(id) {
                Some(FactsChange::Whole(whole)) => facts.push(whole.clone()),
                Some(FactsChange::Gone) => {}
                Some(FactsChange::Added(_)) | None => stored.push(*id),
            }
        }
        for (id, found) in stored.iter().zip(view.facts(&stored)?) {
            let Some(mut found) = found else { continue };
            if let Some(FactsChange::Added(added)) = newer.get(id) {
                found.merge(added.clone());
            }
            facts.push(Arc::new(found));
        }
        Ok(Self::new(id, facts, plan, rules))
    }
}
