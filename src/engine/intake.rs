//! From valid events to base facts: what one epoch's events change, for the dataflow and for the store.
//!
//! The current facts of an identifier are found in memory if they were touched lately, else in the store. Everything
//! here is keyed by identifier and commutes, so the order of events in an epoch does not matter.

use super::epoch::{Arrived, FactsChange, Feed, Prepared};
use super::gather::{Observation, Piece};
use super::recent::Recent;
use super::redefine::SHARE;
use super::statements::MadeAt;
use super::timers::Due;
use super::touched::{ADDITIONS, AllTouched, FEW_VALUES, Held, Touched};
use crate::store::facts::StoredFacts;
use crate::store::{LinkFacts, Store, StoreError};
use crate::telemetry;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::collections::hash_map::Entry;
use std::sync::Arc;
use tributary_dataflows::Tick;
use tributary_dataflows::identity::{Ends, Evidence, Node, Rules, ends};
use tributary_dataflows::profile::{IdentifierFacts, Plan};
use tributary_model::{Epoch, Identifier, IdentifierId, MessageId, Millis};

/// Bounds of the intake's memory.
#[derive(Clone, Copy, Debug)]
pub struct IntakeOptions {
    /// Identifiers (and links, and message ids) held in memory.
    pub cache_entries: usize,
    /// How long a message id is remembered, in milliseconds.
    pub dedupe_horizon_ms: i64,
}

/// A link that this epoch's events carry: its evidence before and after them.
#[derive(Default)]
struct Seen {
    before: Option<LinkFacts>,
    after: Option<LinkFacts>,
}

/// Turns events into changes of base facts.
pub struct Intake {
    pub(super) plan: Arc<Plan>,
    pub(super) rules: Arc<Rules>,
    pub(super) store: Arc<Store>,
    options: IntakeOptions,
    pub(super) facts: Recent<IdentifierId, Held>,
    pub(super) links: Recent<Ends, LinkFacts>,
    seen: Recent<MessageId, ()>,
    /// Identifiers that were deleted, and up to when what was received of them does not count.
    pub(super) deleted: HashMap<IdentifierId, Millis>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intake with {} identifiers in memory", self.facts.entries())
    }
}

impl Intake {
    /// An intake that remembers nothing but which identifiers were deleted.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn new(
        plan: Arc<Plan>,
        rules: Arc<Rules>,
        store: Arc<Store>,
        options: IntakeOptions,
    ) -> Result<Self, StoreError> {
        let entries = options.cache_entries;
        let mut deleted = HashMap::new();
        store.view().each_deleted(|id, until| {
            deleted.insert(id, until.received_until);
            Ok(())
        })?;
        Ok(Self {
            plan,
            rules,
            store,
            options,
            facts: Recent::new(entries),
            links: Recent::new(entries),
            seen: Recent::new(entries),
            deleted,
        })
    }

    /// Drops the events whose message was seen before, and remembers the others.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn deduplicate(
        &mut self,
        mut events: Vec<Arrived>,
        prepared: &mut Prepared,
        committed: Epoch,
    ) -> Result<Vec<Arrived>, StoreError> {
        let ids = events.iter().map(|arrived| arrived.event.message_id);
        // Looked up before anything is put, which may push out what is committed.
        let (held, mut asked): (Vec<MessageId>, Vec<MessageId>) = ids.partition(|id| self.seen.contains(id));
        asked.sort_unstable();
        asked.dedup();
        let horizon = prepared.clock.saturating_sub(self.options.dedupe_horizon_ms);
        let mut known: HashSet<MessageId> = held.into_iter().collect();
        for (id, at) in asked.iter().zip(self.store.seen(&asked)?) {
            if at.is_some_and(|at| at >= horizon) {
                known.insert(*id);
            } else {
                prepared.seen.push(*id);
            }
        }
        // What this epoch puts stays until it is committed: one that comes twice in it is found.
        let mut is_new = |id| !known.contains(&id) && self.seen.put(id, (), prepared.epoch, committed);
        events.retain(|arrived| is_new(arrived.event.message_id));
        Ok(events)
    }

    /// Takes in an epoch's events, statements and due timers.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) fn take_in(
        &mut self,
        events: Vec<Arrived>,
        statements: &[MadeAt],
        due: &Due,
        piece: Option<Piece>,
        prepared: &mut Prepared,
        committed: Epoch,
    ) -> Result<Feed, StoreError> {
        let now = prepared.clock;
        let tick = Tick { now, plan: prepared.redefinition.plan.clone(), share: SHARE };
        let mut feed = Feed { tick: Some(tick), ..Feed::default() };
        let gone = self.delete(statements, &mut feed, prepared)?;
        let (struck, events): (Vec<_>, Vec<_>) = events.into_iter().partition(|arrived| arrived.is_struck);
        let carried = |arrived: &Arrived| arrived.event.identifiers.iter().map(Identifier::id).collect::<Vec<_>>();
        let ids: Vec<Vec<IdentifierId>> = events.iter().map(carried).collect();
        let of_timers = due.windows.iter().map(|(_, id)| *id).chain(due.wakes.iter().copied());
        let of_struck = struck.iter().flat_map(carried);
        let of_events = ids.iter().flatten().copied().chain(of_timers).chain(of_struck);
        let of_piece = piece.iter().flat_map(Piece::identifiers);
        let wanted = of_events.chain(statements.iter().flat_map(MadeAt::ids)).chain(of_piece);
        let mut touched = self.load(wanted.filter(|id| !gone.contains(id)))?;
        let mut links = self.load_links(&ids, &gone)?;

        for Arrived { event, .. } in &struck {
            for identifier in &event.identifiers {
                let entry = touched.entry(identifier.id()).or_insert_with(|| Touched::new(identifier, event.timestamp));
                entry.seen(event.timestamp);
            }
        }
        for (Arrived { event, source, .. }, ids) in events.iter().zip(&ids) {
            for (identifier, id) in event.identifiers.iter().zip(ids) {
                let entry = touched.entry(*id).or_insert_with(|| Touched::new(identifier, event.timestamp));
                entry.seen(event.timestamp);
            }
            let Some((best, others)) = ids.split_first() else { continue };
            if let Some(best) = touched.get_mut(best) {
                best.apply(&self.plan, event, now);
            }
            for other in others {
                let seen = links.entry(ends(*best, *other)).or_insert_with(Seen::default);
                seen.after = Some(LinkFacts::seen(seen.after, event.timestamp, *source));
            }
        }
        self.take_piece(piece, &gone, &mut touched, &mut feed, now);
        for id in &due.wakes {
            // Whoever is gone needs no waking.
            touched.get_mut(id).into_iter().for_each(|touched| touched.wake(&self.plan, now));
        }
        for (due, id) in &due.windows {
            prepared.timers_done.push((*due, *id));
            // A timer that the facts no longer name has been answered before.
            let named = touched.get_mut(id).filter(|touched| touched.facts.timer == Some(*due));
            if let Some(named) = named {
                named.expire(&self.plan, now);
                named.facts.timer = None;
            }
        }
        self.state(statements, &gone, &mut touched, &mut feed, prepared)?;
        self.note_links(links, &mut feed, prepared, committed);
        self.note_facts(touched, &mut feed, prepared, committed)?;
        self.note_events(events, ids, prepared);
        Ok(feed)
    }

    /// Takes in what was gathered for definitions that change.
    fn take_piece(
        &self,
        piece: Option<Piece>,
        gone: &HashSet<IdentifierId>,
        touched: &mut AllTouched,
        feed: &mut Feed,
        now: Millis,
    ) {
        match piece {
            Some(Piece::Observations(observations)) => {
                for Observation { identifier, aggregate, said } in observations {
                    // The past of one that is deleted in this epoch does not count, even if there are events after it.
                    let Some(touched) = touched.get_mut(&identifier).filter(|_| !gone.contains(&identifier)) else {
                        continue;
                    };
                    self.plan.seen(aggregate, said).into_iter().for_each(|seen| touched.observe(seen, now));
                }
            }
            Some(Piece::Traits(traits)) => feed.facts.extend(traits),
            Some(Piece::Holding(identifiers, dropped, plan)) => {
                for id in identifiers {
                    touched.get_mut(&id).into_iter().for_each(|touched| touched.forget(&plan, &dropped));
                }
            }
            None => {}
        }
    }

    /// Current facts of the identifiers that exist.
    fn load(&mut self, wanted: impl Iterator<Item = IdentifierId>) -> Result<AllTouched, StoreError> {
        let mut touched = AllTouched::new();
        let mut missing = Vec::new();
        let mut asked = HashSet::new();
        for id in wanted {
            let Entry::Vacant(room) = touched.entry(id) else { continue };
            match self.facts.take(&id) {
                Some(held) => drop(room.insert(Touched::known(held))),
                None if asked.insert(id) => missing.push(id),
                None => {}
            }
        }
        for (id, found) in missing.iter().zip(self.store.facts(&missing)?) {
            if let Some(facts) = found {
                touched.insert(*id, Touched::known(Held { facts: Box::new(facts), additions_left: 0 }));
            }
        }
        Ok(touched)
    }

    pub(super) fn node(&self, id: IdentifierId, facts: &IdentifierFacts) -> Node {
        node_of(&self.rules, id, facts)
    }

    /// Current evidence of the links that the events carry.
    fn load_links(
        &mut self,
        ids: &[Vec<IdentifierId>],
        gone: &HashSet<IdentifierId>,
    ) -> Result<HashMap<Ends, Seen>, StoreError> {
        let mut links = HashMap::new();
        let mut missing = Vec::new();
        for ids in ids {
            let Some((best, others)) = ids.split_first() else { continue };
            for other in others {
                let ends = ends(*best, *other);
                if links.contains_key(&ends) || gone.contains(best) || gone.contains(other) {
                    continue;
                }
                let held = self.links.take(&ends);
                if held.is_none() {
                    missing.push(ends);
                }
                links.insert(ends, Seen { before: held, after: held });
            }
        }
        for (ends, found) in missing.iter().zip(self.store.links(&missing)?) {
            links.insert(*ends, Seen { before: found, after: found });
        }
        Ok(links)
    }

    fn note_links(&mut self, links: HashMap<Ends, Seen>, feed: &mut Feed, prepared: &mut Prepared, committed: Epoch) {
        for (ends, Seen { before, after }) in links {
            let Some(facts) = after else { continue };
            match before {
                Some(before) => feed.evidence.push((Evidence::Link(before.link(ends)), -1)),
                None => prepared.new_links.push(ends),
            }
            feed.evidence.push((Evidence::Link(facts.link(ends)), 1));
            prepared.links.push((ends, facts));
            self.links.put(ends, facts, prepared.epoch, committed);
        }
    }

    fn note_facts(
        &mut self,
        touched: AllTouched,
        feed: &mut Feed,
        prepared: &mut Prepared,
        committed: Epoch,
    ) -> Result<(), StoreError> {
        for (id, mut touched) in touched {
            // An earlier timer still comes first and is set anew when it does: no timer is ever moved back.
            let next = touched.facts.next_expiry(&self.plan);
            if let Some(next) = next.filter(|next| touched.facts.timer.is_none_or(|timer| *next < timer)) {
                touched.facts.timer = Some(next);
                touched.write_whole();
                prepared.timers_set.push((next, id));
            }
            // A trait more than there may be is in the facts or not by its turn, which an addition does not know.
            if touched.facts.is_full() {
                touched.write_whole();
            }
            let Touched { facts, mut change, first_seen_before, added, additions_left } = *touched;
            if first_seen_before != Some(facts.first_seen) {
                let node = self.node(id, &facts);
                let before = first_seen_before.map(|first_seen| Node { first_seen, ..node });
                feed.evidence.extend(before.map(|before| (Evidence::Node(before), -1)));
                feed.evidence.push((Evidence::Node(node), 1));
            }
            if change.dropped > 0 {
                telemetry::dropped(change.dropped);
            }
            if change.estimated > 0 {
                telemetry::estimated(change.estimated);
            }
            feed.take_in(id, &mut change, &self.plan);
            prepared.take_groups_in(id, change);
            let (change, additions_left) = match added {
                Some(added) => (FactsChange::Added(StoredFacts::of(&added)?), additions_left - 1),
                None if facts.values() > FEW_VALUES => (FactsChange::Whole(StoredFacts::of(&facts)?), ADDITIONS),
                None => (FactsChange::Whole(StoredFacts::of(&facts)?), 0),
            };
            prepared.facts.insert(id, change);
            self.facts.put(id, Held { facts, additions_left }, prepared.epoch, committed);
        }
        Ok(())
    }

    fn note_events(&self, events: Vec<Arrived>, ids: Vec<Vec<IdentifierId>>, prepared: &mut Prepared) {
        for (Arrived { event, .. }, ids) in events.into_iter().zip(ids) {
            let place = prepared.events.len();
            for (trigger, condition) in &self.plan.program.event_conditions {
                if condition.matches(&event) {
                    prepared.fired.push((place, trigger.clone()));
                }
            }
            if let Some(best) = ids.first() {
                prepared.events.push((*best, event));
            }
        }
    }
}

/// The node that an identifier is in the graph.
pub fn node(rules: &Rules, facts: &IdentifierFacts) -> Node {
    node_of(rules, facts.identifier.id(), facts)
}

/// [`node`], where the identifier's id is known: it is a hash, and a start makes the nodes of all.
pub(super) fn node_of(rules: &Rules, id: IdentifierId, facts: &IdentifierFacts) -> Node {
    let namespace = rules.namespace(&facts.identifier.namespace).unwrap_or(u8::MAX);
    Node { priority: rules.priority(namespace), first_seen: facts.first_seen, id, namespace }
}
