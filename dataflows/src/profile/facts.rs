//! All that is kept of one identifier: the base facts, from which a restart rebuilds everything.
//!
//! Facts are a function of the *set* of events that the identifier was attributed, whatever their order: latest
//! wins by (time, message id), counts add, buckets combine. Each change is also given as a difference of
//! [`Features`], which is what the dataflow is fed.

use super::aggregates::AggregateState;
use super::features::{Features, Slot, Valued};
use super::groups::{Belongs, GroupFacts, GroupTrait, merge_traits};
use super::plan::{Observed, Plan, TraitSlot};
use crate::segments::AggregateFunction;
use differential_dataflow::difference::{Abelian, IsZero, Semigroup};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{Event, EventKind, GroupId, Identifier, MessageId, Millis, Value, limits};

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

impl TraitFact {
    fn new(json: &Json, event: &Event) -> Self {
        Self { at: event.timestamp, tie: event.message_id, json: (!json.is_null()).then(|| json.to_string()) }
    }
}

/// What events change, or all that facts say, as the dataflow is fed it.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What is known of the customer.
    pub features: Features,
    /// Groups that the identifier belongs to (+1) and what is no longer the latest word on it (−1).
    pub belongs: Vec<(Belongs, isize)>,
    /// The same of what is said of groups.
    pub group_traits: Vec<(GroupTrait, isize)>,
    /// Ids of groups, with how many more of the identifiers belong to them.
    pub group_ids: Vec<(String, isize)>,
    /// Traits and groups that are more than an identifier may have.
    pub dropped: u64,
    /// Counts of different values that have become estimates.
    pub estimated: u64,
}

impl Change {
    /// What changes of groups, as differences; nothing where no definition reads groups.
    pub fn of_groups<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (GroupId, Features)> + 'a {
        let ids = self.group_ids.iter().map(|(id, times)| (GroupId::of(id), plan.group_id(id, *times)));
        let traits = self.group_traits.iter();
        let traits = traits.map(|(said, times)| (said.group, plan.group_trait(&said.name, &said.fact, *times)));
        ids.chain(traits).filter(|(_, features)| plan.reads_groups() && !features.is_zero())
    }
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
    /// Groups by their id as it was sent.
    pub groups: BTreeMap<String, GroupFacts>,
    /// Aggregates by their stable id, sorted.
    pub aggregates: Vec<(u64, AggregateState)>,
    /// The clock up to which windows have been expired.
    pub clock: Millis,
    /// The pending timer, which is never later than the next expiry.
    pub timer: Option<Millis>,
    /// When time alone last changed an answer about the customer whom this identifier names.
    pub woken: Option<Millis>,
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
            groups: BTreeMap::new(),
            aggregates: Vec::new(),
            clock: Millis::MIN,
            timer: None,
            woken: None,
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
        merge_traits(&mut self.traits, other.traits);
        for (id, more) in other.groups {
            match self.groups.get_mut(&id) {
                Some(held) => held.merge(more),
                None => drop(self.groups.insert(id, more)),
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
        self.woken = self.woken.max(other.woken);
    }

    /// Whether there may be no room for another trait or group, so that what comes first decides.
    pub fn is_full(&self) -> bool {
        self.traits.len() >= limits::TRAITS_PER_IDENTIFIER
            || self.groups.len() >= limits::GROUPS_PER_IDENTIFIER
            || self.groups.values().any(|group| group.traits.len() >= limits::TRAITS_PER_IDENTIFIER)
    }

    /// How many values these facts hold: about a dozen bytes each, when they are stored.
    pub fn values(&self) -> usize {
        let of_groups: usize = self.groups.values().map(|group| 1 + group.traits.len()).sum();
        self.traits.len() + of_groups + self.aggregates.iter().map(|(_, state)| state.values()).sum::<usize>()
    }

    /// Takes in an event that belongs to this identifier; adds what changed to `change`.
    ///
    /// Windows must have been brought to `now` by [`expire`](Self::expire) first.
    pub fn apply(&mut self, plan: &Plan, event: &Event, now: Millis, change: &mut Change) {
        self.events += 1;
        for observed in plan.observed(event) {
            change.estimated += u64::from(self.observe(observed, now, &mut change.features));
        }
        // First: of two words of one event on one trait the first counts.
        for said in &event.consent {
            self.hear(plan, event, said, limits::TRAITS_PER_IDENTIFIER + limits::CONSENT_TRAITS, change);
        }
        if event.kind == EventKind::Identify {
            for said in event.traits.iter() {
                self.hear(plan, event, said, limits::TRAITS_PER_IDENTIFIER, change);
            }
        }
        if let Some(group) = &event.group {
            self.belong(group, event, change);
        }
    }

    /// Takes in a word on a trait, of which there may be so many.
    fn hear(&mut self, plan: &Plan, event: &Event, said: (&String, &Json), most: usize, change: &mut Change) {
        let (name, fact) = (said.0, TraitFact::new(said.1, event));
        let said = say(&mut self.traits, name, &fact, most);
        change.dropped += u64::from(said == Said::NoRoom);
        if let Said::Instead(old) = said {
            let slots = plan.trait_slots(name);
            old.into_iter().for_each(|old| hold_trait(slots, &old, -1, &mut change.features));
            hold_trait(slots, &fact, 1, &mut change.features);
        }
    }

    fn belong(&mut self, id: &str, event: &Event, change: &mut Change) {
        let group = GroupId::of(id);
        let before = self.groups.get(id).map(|held| held.belongs(group));
        if before.is_none() && self.groups.len() >= limits::GROUPS_PER_IDENTIFIER {
            change.dropped += 1;
            return;
        }
        let new = || GroupFacts::new(event.timestamp, event.message_id);
        let held = self.groups.entry(id.to_owned()).or_insert_with(new);
        held.seen(event.timestamp, event.message_id);
        let after = held.belongs(group);
        if before != Some(after) {
            change.belongs.extend(before.map(|before| (before, -1)));
            change.belongs.push((after, 1));
        }
        if before.is_none() {
            change.group_ids.push((id.to_owned(), 1));
        }
        for (name, json) in event.traits.iter() {
            let fact = TraitFact::new(json, event);
            match say(&mut held.traits, name, &fact, limits::TRAITS_PER_IDENTIFIER) {
                Said::Instead(old) => {
                    let said = |fact, times| (GroupTrait { group, name: name.clone(), fact }, times);
                    change.group_traits.extend(old.map(|old| said(old, -1)));
                    change.group_traits.push(said(fact, 1));
                }
                Said::NoRoom => change.dropped += 1,
                Said::TooOld => {}
            }
        }
    }

    /// Takes in one observation of one aggregate. Gives whether what it counts has become an estimate by that.
    pub fn observe(&mut self, observed: Observed<'_>, now: Millis, change: &mut Features) -> bool {
        let Observed { aggregate, slot, said, .. } = observed;
        let found = self.aggregates.binary_search_by_key(&aggregate.id, |(id, _)| *id);
        let at = match found {
            Ok(at) => at,
            Err(at) => {
                if let Some(new) = AggregateState::observe(None, aggregate, slot, said, now, change) {
                    self.aggregates.insert(at, (aggregate.id, new));
                }
                return false;
            }
        };
        let Some((_, held)) = self.aggregates.get_mut(at) else { return false };
        let may_become = aggregate.function == AggregateFunction::Distinct && !held.is_estimate();
        AggregateState::observe(Some(held), aggregate, slot, said, now, change);
        may_become && held.is_estimate()
    }

    /// Brings the windows to `now`; adds what has left them to `change`.
    pub fn expire(&mut self, plan: &Plan, now: Millis, change: &mut Features) {
        self.clock = self.clock.max(now);
        self.aggregates.retain_mut(|(id, state)| match plan.aggregate(*id) {
            Some((index, aggregate)) => state.expire(aggregate, plan.slots.aggregate(index), now, change),
            None => true,
        });
    }

    /// Drops some aggregates, by stable id; adds what that takes away to `change`. Gives whether there were any.
    pub fn forget(&mut self, plan: &Plan, dropped: &BTreeSet<u64>, change: &mut Features) -> bool {
        let before = self.aggregates.len();
        let mut gone = Features::default();
        self.aggregates.retain(|(id, state)| {
            let drops = dropped.contains(id);
            if let Some((index, _)) = plan.aggregate(*id).filter(|_| drops) {
                state.contribute(plan.slots.aggregate(index), &mut gone);
            }
            !drops
        });
        gone.negate();
        change.plus_equals(&gone);
        self.aggregates.len() < before
    }

    /// Has the customer whom this identifier names looked at again, since time alone has changed what is said of them.
    pub fn wake(&mut self, plan: &Plan, now: Millis, change: &mut Features) {
        self.woken.into_iter().for_each(|before| change.hold(plan.woken(before, -1)));
        change.hold(plan.woken(now, 1));
        self.woken = Some(now);
    }

    /// When time alone next changes these facts.
    pub fn next_expiry(&self, plan: &Plan) -> Option<Millis> {
        let windows = self.aggregates.iter().filter(|(_, state)| state.is_windowed());
        windows.filter_map(|(id, state)| state.next_expiry(plan.aggregate(*id)?.1)).min()
    }

    /// All that these facts say, times one or minus one.
    pub fn told(&self, plan: &Plan, times: isize) -> Change {
        let mut features = self.features(plan);
        if times < 0 {
            features.negate();
        }
        let mut told = Change { features, ..Change::default() };
        for (id, held) in &self.groups {
            let group = GroupId::of(id);
            told.belongs.push((held.belongs(group), times));
            told.group_ids.push((id.clone(), times));
            let traits = held.traits.iter();
            let traits = traits.map(|(name, fact)| GroupTrait { group, name: name.clone(), fact: fact.clone() });
            told.group_traits.extend(traits.map(|said| (said, times)));
        }
        told
    }

    /// What traits say in some slots.
    pub fn traits_in(&self, plan: &Plan, slots: &BTreeSet<Slot>) -> Features {
        let mut features = Features::default();
        for (name, fact) in &self.traits {
            let wanted = plan.trait_slots(name).iter().filter(|slot| slots.contains(&slot.slot));
            hold_trait(wanted, fact, 1, &mut features);
        }
        features
    }

    /// What these facts say of a customer, as of the clock they were last brought to.
    pub fn features(&self, plan: &Plan) -> Features {
        self.features_without(plan, |_| false)
    }

    /// The same without some aggregates, by stable id.
    pub fn features_without(&self, plan: &Plan, skips: impl Fn(u64) -> bool) -> Features {
        let mut features = Features::presence();
        for (id, state) in self.aggregates.iter().filter(|(id, _)| !skips(*id)) {
            if let Some((index, _)) = plan.aggregate(*id) {
                state.contribute(plan.slots.aggregate(index), &mut features);
            }
        }
        for (name, fact) in &self.traits {
            hold_trait(plan.trait_slots(name), fact, 1, &mut features);
        }
        self.woken.into_iter().for_each(|at| features.hold(plan.woken(at, 1)));
        features
    }
}

/// What became of a word on a trait.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// It is the latest, instead of another one.
    Instead(Option<TraitFact>),
    /// There is a later one.
    TooOld,
    /// There are as many traits as there may be.
    NoRoom,
}

fn say(traits: &mut BTreeMap<String, TraitFact>, name: &str, fact: &TraitFact, most: usize) -> Said {
    let held = traits.get(name);
    if held.is_some_and(|held| (held.at, held.tie) >= (fact.at, fact.tie)) {
        return Said::TooOld;
    }
    if held.is_none() && traits.len() >= most {
        return Said::NoRoom;
    }
    Said::Instead(traits.insert(name.to_owned(), fact.clone()))
}

pub(super) fn hold_trait<'a>(
    slots: impl IntoIterator<Item = &'a TraitSlot>,
    fact: &TraitFact,
    copies: i32,
    to: &mut Features,
) {
    let mut slots = slots.into_iter().peekable();
    if slots.peek().is_none() {
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
