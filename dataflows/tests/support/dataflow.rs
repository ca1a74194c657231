//! The real dataflow under a driver of a few lines: facts in a map, epochs closed by hand.

use super::definitions::{BLOCKED, Choice, Ruleset};
use super::naive::LinkEnds;
use super::running::{Epoch, Running};
use differential_dataflow::difference::{Abelian, IsZero, Semigroup};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tributary_dataflows::identity::{Conflict, Evidence, Link, Node, Rules, Stated, ends};
use tributary_dataflows::profile::{Change, Features, IdentifierFacts, Plan};
use tributary_dataflows::segments::Program;
use tributary_dataflows::{Output, SegmentIndex, Tick};
use tributary_model::{Event, GroupId, IdentifierId, MessageId, Millis, ProfileId};

pub struct Dataflow {
    plan: Arc<Plan>,
    rules: Arc<Rules>,
    facts: HashMap<IdentifierId, IdentifierFacts>,
    /// Facts as they were, and what this epoch adds: merged they must be the facts.
    apart: HashMap<IdentifierId, (IdentifierFacts, IdentifierFacts)>,
    links: HashMap<LinkEnds, Link>,
    stated: HashMap<LinkEnds, Stated>,
    seen: HashSet<MessageId>,
    epoch: Epoch,
    now: Millis,
    running: Running,
    truths: BTreeMap<Output, isize>,
    /// Every event that counts, by the identifier that it belongs to.
    past: Vec<(IdentifierId, Event)>,
    defined: Choice,
    /// Other definitions on their way.
    next: Option<Next>,
}

/// Other definitions on their way: what they need of the past is taken in piece by piece.
struct Next {
    choice: Choice,
    plan: Arc<Plan>,
    past: Vec<(IdentifierId, Event)>,
    /// Whether the dataflow has been told.
    told: bool,
}

/// Customers who are looked at in one epoch because definitions have changed.
const SHARE: usize = 2;

impl Dataflow {
    pub fn start(workers: usize) -> Self {
        let plan = Arc::new(Plan::new(program(Choice::ALL)));
        let rules = Arc::new(Rules::new(&Ruleset::default().identity()));
        Self {
            running: Running::start(workers, plan.clone(), rules.clone()),
            plan,
            rules,
            facts: HashMap::new(),
            apart: HashMap::new(),
            links: HashMap::new(),
            stated: HashMap::new(),
            seen: HashSet::new(),
            epoch: Epoch::default(),
            now: 0,
            truths: BTreeMap::new(),
            past: Vec::new(),
            defined: Choice::ALL,
            next: None,
        }
    }

    /// Begins to take other definitions over, unless it still is at it.
    pub fn redefine(&mut self, choice: Choice) {
        if self.next.is_some() {
            return;
        }
        // What no definition read of groups when it started needs a start.
        let Ok(plan) = Plan::after(program(choice), 1, &self.plan) else { return };
        let plan = Arc::new(plan);
        // From now on events are observed as the new definitions need it too; those so far follow, and the traits so far.
        for (id, facts) in &self.facts {
            let mut change = facts.features(&plan);
            change.identifiers = 0;
            let is_new = |slot| plan.new_trait_slots(&self.plan).any(|new| new == slot);
            let change = change.only(is_new);
            if !change.is_zero() {
                self.epoch.facts.push((*id, change));
            }
        }
        self.next = Some(Next { choice, plan: plan.clone(), past: self.past.clone(), told: false });
        self.plan = plan;
        self.apart.clear();
    }

    /// What is defined, and what is on its way to be so for some customers already.
    pub fn defined(&self) -> (Choice, Option<Choice>) {
        (self.defined, self.next.as_ref().filter(|next| next.told).map(|next| next.choice))
    }

    /// Takes in some of the past; tells the dataflow once all of it is.
    fn gather(&mut self, most: usize) -> Option<Arc<Plan>> {
        let next = self.next.as_mut()?;
        let rest = next.past.split_off(most.min(next.past.len()));
        for (id, event) in std::mem::replace(&mut next.past, rest) {
            let Some(facts) = self.facts.get_mut(&id) else { continue };
            let mut change = Features::default();
            let indexes: Vec<usize> = next.plan.gained().collect();
            for observed in next.plan.observed_by(indexes.into_iter(), &event) {
                facts.observe(observed, self.now, &mut change);
            }
            if !change.is_zero() {
                self.epoch.facts.push((id, change));
            }
        }
        let is_ready = next.past.is_empty() && !next.told;
        next.told |= is_ready;
        is_ready.then(|| next.plan.clone())
    }

    /// Once all customers are told of by the new definitions, what only the old ones needed is dropped.
    fn settle(&mut self) {
        if self.truths.remove(&Output::Current(1)) != Some(self.running.inputs.len() as isize) {
            return;
        }
        let Some(next) = self.next.take() else { return };
        self.defined = next.choice;
        let settled = Arc::new(next.plan.settled());
        let dropped = next.plan.dropped_by(&settled);
        for (id, facts) in &mut self.facts {
            let mut change = Features::default();
            facts.forget(&next.plan, &dropped, &mut change);
            let mut traits = facts.traits_in(&next.plan, &next.plan.new_trait_slots(&settled).collect());
            traits.negate();
            change.plus_equals(&traits);
            if !change.is_zero() {
                self.epoch.facts.push((*id, change));
            }
        }
        self.plan = settled;
    }

    /// Starts anew with what is known, by other rules: what identifies nobody by them links nobody.
    pub fn restart(&mut self, ruleset: &Ruleset) {
        self.rules = Arc::new(Rules::new(&ruleset.identity()));
        self.gather(usize::MAX);
        self.apart.clear();
        if let Some(next) = self.next.take() {
            self.defined = next.choice;
        }
        let plan = Plan::new(program(self.defined));
        let kept: HashSet<u64> = plan.program.aggregates.iter().map(|aggregate| aggregate.id).collect();
        self.facts.values_mut().for_each(|facts| facts.aggregates.retain(|(id, _)| kept.contains(id)));
        self.plan = Arc::new(plan);
        self.running = Running::start(self.running.inputs.len(), self.plan.clone(), self.rules.clone());
        self.truths.clear();
        let mut epoch = Epoch::default();
        for (id, facts) in &self.facts {
            epoch.evidence.push((Evidence::Node(self.node(facts)), 1));
            epoch.take_in(*id, facts.told(&self.plan, 1), &self.plan);
        }
        let is_blocked = |id: &IdentifierId| ruleset.blocks && self.facts[id].identifier.value == BLOCKED;
        let counts = self.links.iter().filter(|(ends, _)| !is_blocked(&ends.0) && !is_blocked(&ends.1));
        epoch.evidence.extend(counts.map(|(_, link)| (Evidence::Link(*link), 1)));
        let stated = self.stated.iter().map(|(ends, stated)| (Evidence::Statement(*ends, *stated), 1));
        epoch.evidence.extend(stated);
        self.epoch = epoch;
    }

    fn node(&self, facts: &IdentifierFacts) -> Node {
        let namespace = self.rules.namespace(&facts.identifier.namespace).unwrap();
        Node {
            priority: self.rules.priority(namespace),
            first_seen: facts.first_seen,
            id: facts.identifier.id(),
            namespace,
        }
    }

    /// Takes in an event; one whose message was seen changes nothing.
    pub fn event(&mut self, event: &Event, now: Millis) {
        self.now = now;
        if !self.seen.insert(event.message_id) {
            return;
        }
        for identifier in &event.identifiers {
            let before = self.facts.get(&identifier.id()).map(|facts| self.node(facts));
            if before.is_none() {
                self.epoch.facts.push((identifier.id(), Features::presence()));
            }
            let fresh = || IdentifierFacts::new(identifier.clone(), event.timestamp);
            self.facts.entry(identifier.id()).or_insert_with(fresh).seen(event.timestamp);
            if let Some((_, added)) = self.apart.get_mut(&identifier.id()) {
                added.seen(event.timestamp);
            }
            let after = self.node(&self.facts[&identifier.id()]);
            if before != Some(after) {
                self.epoch.evidence.extend(before.map(|before| (Evidence::Node(before), -1)));
                self.epoch.evidence.push((Evidence::Node(after), 1));
            }
        }
        let best = event.identifiers[0].id();
        self.past.push((best, event.clone()));
        let mut change = Change::default();
        let facts = self.facts.get_mut(&best).unwrap();
        let nothing = || (facts.clone(), IdentifierFacts::new(event.identifiers[0].clone(), event.timestamp));
        let (before, added) = self.apart.entry(best).or_insert_with(nothing);
        added.apply(&self.plan, event, now, &mut Change::default());
        facts.apply(&self.plan, event, now, &mut change);
        let mut merged = before.clone();
        merged.merge(added.clone());
        assert_eq!(merged, *facts, "what the epoch adds, merged");
        self.epoch.take_in(best, change, &self.plan);
        for other in &event.identifiers[1..] {
            let ends = ends(best, other.id());
            let before = self.links.get(&ends).copied();
            let mut after = before.unwrap_or(Link { ends, last_seen: event.timestamp, count: 0 });
            after.last_seen = after.last_seen.max(event.timestamp);
            after.count += 1;
            self.links.insert(ends, after);
            self.epoch.evidence.push((Evidence::Link(after), 1));
            self.epoch.evidence.extend(before.map(|before| (Evidence::Link(before), -1)));
        }
    }

    /// Takes a link back.
    pub fn take_back(&mut self, ends: LinkEnds) {
        if let Some(link) = self.links.remove(&ends) {
            self.epoch.evidence.push((Evidence::Link(link), -1));
        }
    }

    /// Takes in what somebody says of two identifiers; `None` takes it back.
    pub fn state(&mut self, ends: LinkEnds, stated: Option<Stated>) {
        let before = match stated {
            Some(stated) => self.stated.insert(ends, stated),
            None => self.stated.remove(&ends),
        };
        self.epoch.evidence.extend(before.map(|before| (Evidence::Statement(ends, before), -1)));
        self.epoch.evidence.extend(stated.map(|now| (Evidence::Statement(ends, now), 1)));
    }

    /// Forgets an identifier, with what is known of it and its links.
    pub fn delete(&mut self, id: IdentifierId) {
        let Some(facts) = self.facts.remove(&id) else { return };
        self.apart.remove(&id);
        self.past.retain(|(of, _)| *of != id);
        self.next.iter_mut().for_each(|next| next.past.retain(|(of, _)| *of != id));
        self.epoch.evidence.push((Evidence::Node(self.node(&facts)), -1));
        self.epoch.take_in(id, facts.told(&self.plan, -1), &self.plan);
        let touches = |ends: &LinkEnds| ends.0 == id || ends.1 == id;
        for ends in self.links.keys().copied().filter(touches).collect::<Vec<_>>() {
            self.take_back(ends);
        }
        for ends in self.stated.keys().copied().filter(touches).collect::<Vec<_>>() {
            self.state(ends, None);
        }
    }

    /// Lets what is due by `now` leave its windows, and wakes whom time alone changes.
    pub fn wait_until(&mut self, now: Millis) {
        self.now = now;
        let due = |output: &Output| match output {
            Output::Wake(profile, at) if *at <= now => Some(IdentifierId(profile.0)),
            _ => None,
        };
        for id in self.truths.keys().filter_map(due) {
            // Whoever is gone since the epoch was closed needs no waking.
            let Some(facts) = self.facts.get_mut(&id) else { continue };
            let mut change = Features::default();
            facts.wake(&self.plan, now, &mut change);
            self.epoch.facts.push((id, change));
            self.apart.remove(&id);
        }
        for (id, facts) in &mut self.facts {
            if facts.next_expiry(&self.plan).is_some_and(|due| due <= now) {
                let mut change = Features::default();
                facts.expire(&self.plan, now, &mut change);
                self.epoch.facts.push((*id, change));
                self.apart.remove(id);
            }
        }
    }

    /// Closes an epoch at a later time in which nobody is woken.
    pub fn oversleep_until(&mut self, now: Millis) {
        self.now = now;
        self.close();
    }

    /// Closes the epoch and takes in what comes out.
    pub fn close(&mut self) {
        let plan = self.gather(5);
        let tick = Tick { now: self.now, plan, share: SHARE };
        let mut epoch = Some(std::mem::take(&mut self.epoch));
        self.apart.clear();
        for input in &self.running.inputs {
            let epoch = epoch.take().unwrap_or_default();
            input.send(Epoch { tick: Some(tick.clone()), ..epoch }).unwrap();
        }
        for _ in 0..self.running.inputs.len() {
            for (output, times) in self.running.outputs.recv().unwrap() {
                *self.truths.entry(output).or_default() += times;
            }
        }
        self.truths.retain(|output, times| *times != 0 && !matches!(output, Output::Redefined(..)));
        self.settle();
        assert!(
            self.truths.iter().all(|(output, times)| *times == 1 || matches!(output, Output::Current(_))),
            "every truth stands once: {:?}",
            self.truths
        );
    }

    pub fn owners(&self) -> BTreeMap<IdentifierId, ProfileId> {
        let owner = |output: &Output| match output {
            Output::Owner(identifier, profile) => Some((*identifier, *profile)),
            _ => None,
        };
        self.truths.keys().filter_map(owner).collect()
    }

    pub fn profiles(&self) -> BTreeSet<ProfileId> {
        self.owners().into_values().collect()
    }

    pub fn members(&self) -> BTreeSet<(ProfileId, String)> {
        let member = |output: &Output| match output {
            Output::Member(profile, segment) => Some((*profile, self.segment(*segment))),
            _ => None,
        };
        self.truths.keys().filter_map(member).collect()
    }

    pub fn counts(&self) -> BTreeMap<String, i64> {
        let count = |output: &Output| match output {
            Output::Count(segment, count) => Some((self.segment(*segment), *count)),
            _ => None,
        };
        self.truths.keys().filter_map(count).collect()
    }

    /// How many members each group has.
    pub fn groups(&self) -> BTreeMap<GroupId, i64> {
        let group = |output: &Output| match output {
            Output::Group(group, evaluation) => Some((*group, evaluation.members)),
            _ => None,
        };
        self.truths.keys().filter_map(group).collect()
    }

    pub fn conflicts(&self) -> BTreeSet<Conflict> {
        let conflict = |output: &Output| match output {
            Output::Conflict(conflict) => Some(*conflict),
            _ => None,
        };
        self.truths.keys().filter_map(conflict).collect()
    }

    fn segment(&self, number: SegmentIndex) -> String {
        self.plan.slots.segment_id(number).unwrap().to_owned()
    }
}

fn program(choice: Choice) -> Program {
    Program::compile(&choice.definitions()).expect("the definitions compile")
}
