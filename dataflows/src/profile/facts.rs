//! All that is kept of one identifier: the base facts, from which a restart rebuilds everything.
//!
//! Facts are a function of the *set* of events that the identifier was attributed, whatever their order: latest
//! wins by (time, message id), counts add, buckets combine. Each change is also given as a difference of
//! [`Features`], which is what the dataflow is fed.

use super::aggregates::AggregateState;
use super::features::{Features, Slot, Valued};
use super::plan::{Plan, TraitSlot};
use crate::segments::Aggregate;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tributary_model::{Event, EventKind, Identifier, MessageId, Millis, Value, limits};

/// The latest word on one trait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraitFact {
    /// When it was said.
    pub at: Millis,
    /// Which message said it: breaks ties.
    pub tie: MessageId,
    /// The value as JSON text; `None` where the trait was removed by a null.
    pub json: Option<String>,
}

/// The base facts of one identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifierFacts {
    /// Whose facts these are.
    pub identifier: Identifier,
    /// The earliest event that carried it.
    pub first_seen: Millis,
    /// The latest event that carried it.
    pub last_seen: Millis,
    /// Events attributed to it.
    pub events: u64,
    /// Latest traits by name.
    pub traits: BTreeMap<String, TraitFact>,
    /// Aggregates by their stable id, sorted.
    pub aggregates: Vec<(u64, AggregateState)>,
    /// The clock up to which windows have been expired.
    pub clock: Millis,
    /// The pending timer, which is never later than the next expiry.
    pub timer: Option<Millis>,
}

impl IdentifierFacts {
    /// Facts of an identifier that was first carried by an event at `at`.
    pub fn new(identifier: Identifier, at: Millis) -> Self {
        Self {
            identifier,
            first_seen: at,
            last_seen: at,
            events: 0,
            traits: BTreeMap::new(),
            aggregates: Vec::new(),
            clock: Millis::MIN,
            timer: None,
        }
    }

    /// Notes that an event carried this identifier.
    pub fn seen(&mut self, at: Millis) {
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
    }

    /// Takes in facts of the same identifier from other events, with windows as of the same clock.
    pub fn merge(&mut self, other: Self) {
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.events += other.events;
        for (name, fact) in other.traits {
            match self.traits.entry(name) {
                Entry::Occupied(mut held) if (held.get().at, held.get().tie) < (fact.at, fact.tie) => {
                    held.insert(fact);
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(room) => drop(room.insert(fact)),
            }
        }
        for (id, state) in other.aggregates {
            match self.aggregates.binary_search_by_key(&id, |(held, _)| *held) {
                Ok(at) => {
                    if let Some((_, held)) = self.aggregates.get_mut(at) {
                        held.merge(&state);
                    }
                }
                Err(at) => self.aggregates.insert(at, (id, state)),
            }
        }
        self.clock = self.clock.max(other.clock);
        self.timer = other.timer.or(self.timer);
    }

    /// How many values these facts hold: about a dozen bytes each, when they are stored.
    pub fn values(&self) -> usize {
        self.traits.len() + self.aggregates.iter().map(|(_, state)| state.partials()).sum::<usize>()
    }

    /// Takes in an event that belongs to this identifier; adds what changed to `change`.
    ///
    /// Windows must have been brought to `now` by [`expire`](Self::expire) first.
    pub fn apply(&mut self, plan: &Plan, event: &Event, now: Millis, change: &mut Features) {
        self.events += 1;
        for (index, aggregate) in plan.touched_by(event.event.as_deref()) {
            if let Some(value) = aggregate.observe(event) {
                let slot = plan.slots.aggregate(index);
                self.observe(aggregate, slot, (value, event.timestamp, event.message_id), now, change);
            }
        }
        if event.kind == EventKind::Identify {
            for (name, json) in &event.traits {
                self.say(plan, name, json, event.timestamp, event.message_id, change);
            }
        }
    }

    /// Takes in one observation of one aggregate.
    pub fn observe(
        &mut self,
        aggregate: &Aggregate,
        slot: Slot,
        observed: (Value, Millis, MessageId),
        now: Millis,
        change: &mut Features,
    ) {
        let found = self.aggregates.binary_search_by_key(&aggregate.id, |(id, _)| *id);
        let mut held = match found {
            Ok(at) => self.aggregates.get_mut(at).map(|(_, state)| std::mem::replace(state, EMPTY)),
            Err(_) => None,
        };
        AggregateState::observe(&mut held, aggregate, slot, observed, now, change);
        match (found, held) {
            (Ok(at), Some(state)) => {
                if let Some(entry) = self.aggregates.get_mut(at) {
                    entry.1 = state;
                }
            }
            (Err(at), Some(state)) => self.aggregates.insert(at, (aggregate.id, state)),
            (Ok(_) | Err(_), None) => {}
        }
    }

    fn say(&mut self, plan: &Plan, name: &str, json: &Json, at: Millis, tie: MessageId, change: &mut Features) {
        let held = self.traits.get(name);
        if held.is_some_and(|fact| (fact.at, fact.tie) >= (at, tie)) {
            return;
        }
        if held.is_none() && self.traits.len() >= limits::TRAITS_PER_IDENTIFIER {
            return;
        }
        let fact = TraitFact { at, tie, json: (!json.is_null()).then(|| json.to_string()) };
        let slots = plan.trait_slots(name);
        if !slots.is_empty() {
            if let Some(old) = held {
                hold_trait(slots, old, -1, change);
            }
            hold_trait(slots, &fact, 1, change);
        }
        self.traits.insert(name.to_owned(), fact);
    }

    /// Brings the windows to `now`; adds what has left them to `change`.
    pub fn expire(&mut self, plan: &Plan, now: Millis, change: &mut Features) {
        self.clock = self.clock.max(now);
        self.aggregates.retain_mut(|(id, state)| match plan.aggregate(*id) {
            Some((index, aggregate)) => state.expire(aggregate, plan.slots.aggregate(index), now, change),
            None => true,
        });
    }

    /// When time alone next changes these facts.
    pub fn next_expiry(&self, plan: &Plan) -> Option<Millis> {
        let due = |(id, state): &(u64, AggregateState)| state.next_expiry(plan.aggregate(*id)?.1);
        self.aggregates.iter().filter_map(due).min()
    }

    /// All that these facts say, as of the clock they were last brought to.
    pub fn features(&self, plan: &Plan) -> Features {
        let mut features = Features::presence();
        for (id, state) in &self.aggregates {
            if let Some((index, _)) = plan.aggregate(*id) {
                state.contribute(plan.slots.aggregate(index), &mut features);
            }
        }
        for (name, fact) in &self.traits {
            hold_trait(plan.trait_slots(name), fact, 1, &mut features);
        }
        features
    }
}

/// Stands in an entry's place while its state is being changed.
const EMPTY: AggregateState = AggregateState::All(super::aggregates::Partial::Additive { count: 0, sum: 0 });

fn hold_trait(slots: &[TraitSlot], fact: &TraitFact, copies: i32, to: &mut Features) {
    if slots.is_empty() {
        return;
    }
    let json = fact.json.as_deref().and_then(|text| serde_json::from_str::<Json>(text).ok()).unwrap_or(Json::Null);
    for TraitSlot { slot, below } in slots {
        let at_path = below.iter().try_fold(&json, |json, step| json.get(step));
        let value = at_path.map(Value::from_json).unwrap_or_default();
        to.hold(Valued { slot: *slot, at: fact.at, tie: fact.tie, value, copies });
    }
}

/// Latest traits over several identifiers' facts, as one JSON object: last writer wins, nulls are gone.
pub fn merged_traits<'a>(facts: impl IntoIterator<Item = &'a IdentifierFacts>) -> serde_json::Map<String, Json> {
    let mut latest: BTreeMap<&str, &TraitFact> = BTreeMap::new();
    for (name, fact) in facts.into_iter().flat_map(|facts| &facts.traits) {
        let held = latest.entry(name).or_insert(fact);
        if (fact.at, fact.tie) > (held.at, held.tie) {
            *held = fact;
        }
    }
    let parsed = |(name, fact): (&str, &TraitFact)| {
        let json = serde_json::from_str(fact.json.as_deref()?).ok()?;
        Some((name.to_owned(), json))
    };
    latest.into_iter().filter_map(parsed).collect()
}
