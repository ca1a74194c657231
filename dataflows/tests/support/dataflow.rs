//! The real dataflow under a driver of a few lines: facts in a map, epochs closed by hand.

use super::definitions::{BLOCKED, Ruleset, definitions};
use super::naive::LinkEnds;
use differential_dataflow::difference::IsZero;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use timely::dataflow::ProbeHandle;
use tributary_dataflows::identity::{Conflict, Evidence, Link, Node, Rules, Stated, ends};
use tributary_dataflows::profile::{Belongs, Change, Features, IdentifierFacts, Plan};
use tributary_dataflows::segments::Program;
use tributary_dataflows::{Output, build};
use tributary_model::{Event, GroupId, IdentifierId, MessageId, Millis, ProfileId};

#[derive(Default)]
struct Epoch {
    evidence: Vec<(Evidence, isize)>,
    facts: Vec<(IdentifierId, Features)>,
    belongs: Vec<((IdentifierId, Belongs), isize)>,
    groups: Vec<(GroupId, Features)>,
    clock: Millis,
}

impl Epoch {
    fn take_in(&mut self, id: IdentifierId, change: Change, plan: &Plan) {
        self.belongs.extend(change.belongs.iter().map(|(belongs, times)| ((id, *belongs), *times)));
        self.groups.extend(change.of_groups(plan));
        if !change.features.is_zero() {
            self.facts.push((id, change.features));
        }
    }
}

type Outputs = Vec<(Output, isize)>;

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
}

impl Dataflow {
    pub fn start(workers: usize) -> Self {
        let plan = Arc::new(Plan::new(Program::compile(&definitions()).expect("the definitions compile")));
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
        }
    }

    /// Starts anew with what is known, by other rules: what identifies nobody by them links nobody.
    pub fn restart(&mut self, ruleset: &Ruleset) {
        self.rules = Arc::new(Rules::new(&ruleset.identity()));
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

    /// Closes the epoch and takes in what comes out.
    pub fn close(&mut self) {
        let mut epoch = Some(std::mem::take(&mut self.epoch));
        self.apart.clear();
        for input in &self.running.inputs {
            let epoch = epoch.take().unwrap_or_default();
            input.send(Epoch { clock: self.now, ..epoch }).unwrap();
        }
        for _ in 0..self.running.inputs.len() {
            for (output, times) in self.running.outputs.recv().unwrap() {
                *self.truths.entry(output).or_default() += times;
            }
        }
        self.truths.retain(|_, times| *times != 0);
        assert!(self.truths.values().all(|times| *times == 1), "every truth stands once: {:?}", self.truths);
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

    fn segment(&self, index: u16) -> String {
        self.plan.program.segments[usize::from(index)].id.clone()
    }
}

/// The workers' threads.
struct Running {
    inputs: Vec<Sender<Epoch>>,
    outputs: Receiver<Outputs>,
    guards: Option<timely::communication::WorkerGuards<()>>,
}

impl Running {
    fn start(workers: usize, plan: Arc<Plan>, rules: Arc<Rules>) -> Self {
        let (inputs, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel::<Epoch>()).unzip();
        let (send, outputs) = channel::<Outputs>();
        let shared = Mutex::new((receivers.into_iter().map(Some).collect::<Vec<_>>(), send));
        let config = if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
        let guards = timely::execute(config, move |worker| {
            let (receiver, send) = {
                let mut shared = shared.lock().unwrap();
                (shared.0[worker.index()].take().unwrap(), shared.1.clone())
            };
            let probe = ProbeHandle::new();
            let collected = std::rc::Rc::new(std::cell::RefCell::new(Outputs::new()));
            let mut inputs = worker.dataflow::<u64, _, _>(|scope| {
                let (inputs, outputs) = build(scope, plan.clone(), rules.clone());
                let collected = collected.clone();
                outputs
                    .inspect_batch(move |_, batch| {
                        collected.borrow_mut().extend(batch.iter().map(|(output, _, times)| (output.clone(), *times)));
                    })
                    .probe_with(&probe);
                inputs
            });
            for (epoch, changes) in receiver.into_iter().enumerate() {
                let next = epoch as u64 + 1;
                changes.evidence.into_iter().for_each(|(evidence, times)| inputs.evidence.update(evidence, times));
                changes.facts.into_iter().for_each(|(id, features)| inputs.facts.update(id, features));
                changes.belongs.into_iter().for_each(|(belongs, times)| inputs.belongs.update(belongs, times));
                changes.groups.into_iter().for_each(|(group, features)| inputs.groups.update(group, features));
                inputs.clock.insert(changes.clock);
                inputs.advance_to(next);
                worker.step_while(|| probe.less_than(&next));
                send.send(collected.take()).unwrap();
            }
        });
        Self { inputs, outputs, guards: Some(guards.unwrap()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inputs.clear();
        drop(self.guards.take());
    }
}
