//! An identifier while an epoch works on it: its facts before and after, and how the difference is to be written.

use foldhash::HashMap;
use std::collections::BTreeSet;
use tributary_dataflows::profile::plan::Observed;
use tributary_dataflows::profile::{Change, Features, IdentifierFacts, Plan};
use tributary_model::{Event, Identifier, IdentifierId, Millis};

/// Facts with more values than this are not written whole each time: a busy customer's windows are many kilobytes.
pub(super) const FEW_VALUES: usize = 48;
/// After so many additions the facts are written whole again, so that few are to be merged when they are read.
pub(super) const ADDITIONS: u8 = 32;

/// Facts in memory. They have a place of their own: they go to and fro between the epochs and what is held.
pub(super) struct Held {
    pub(super) facts: Box<IdentifierFacts>,
    /// How many more additions may be written before all of them are.
    pub(super) additions_left: u8,
}

/// The identifiers that an epoch touches. Each has a place of its own: it would be moved each time that the map grows.
pub(super) type AllTouched = HashMap<IdentifierId, Box<Touched>>;

/// An identifier that this epoch touches.
pub(super) struct Touched {
    pub(super) facts: Box<IdentifierFacts>,
    pub(super) change: Change,
    /// When it was first seen, as far as was known before: all of its node that events change.
    pub(super) first_seen_before: Option<Millis>,
    /// What the epoch adds, if that alone may be written.
    pub(super) added: Option<IdentifierFacts>,
    pub(super) additions_left: u8,
}

impl Touched {
    /// As before this epoch.
    pub(super) fn known(Held { facts, additions_left }: Held) -> Box<Self> {
        let first_seen_before = Some(facts.first_seen);
        Box::new(Self { facts, change: Change::default(), first_seen_before, added: None, additions_left })
    }

    /// Never seen before.
    pub(super) fn new(identifier: &Identifier, at: Millis) -> Box<Self> {
        let facts = Box::new(IdentifierFacts::new(identifier.clone(), at));
        let change = Change { features: Features::presence(), ..Change::default() };
        Box::new(Self { facts, change, first_seen_before: None, added: None, additions_left: 0 })
    }

    pub(super) fn seen(&mut self, at: Millis) {
        self.facts.seen(at);
        if self.additions_left > 0 {
            let added = self.added.get_or_insert_with(|| IdentifierFacts::new(self.facts.identifier.clone(), at));
            added.seen(at);
        }
    }

    pub(super) fn apply(&mut self, plan: &Plan, event: &Event, now: Millis) {
        if self.facts.timer.is_some_and(|timer| timer <= now) {
            self.expire(plan, now);
        }
        self.facts.apply(plan, event, now, &mut self.change);
        if let Some(added) = &mut self.added {
            added.apply(plan, event, now, &mut Change::default());
        }
    }

    /// Takes in what an aggregate has seen in a past event.
    pub(super) fn observe(&mut self, seen: Observed<'_>, now: Millis) {
        self.change.estimated += u64::from(self.facts.observe(seen, now, &mut self.change.features));
        self.write_whole();
    }

    /// Drops aggregates that nothing reads any more.
    pub(super) fn forget(&mut self, plan: &Plan, dropped: &BTreeSet<u64>) {
        if self.facts.forget(plan, dropped, &mut self.change.features) {
            self.write_whole();
        }
    }

    pub(super) fn wake(&mut self, plan: &Plan, now: Millis) {
        self.facts.wake(plan, now, &mut self.change.features);
        self.write_whole();
    }

    pub(super) fn expire(&mut self, plan: &Plan, now: Millis) {
        self.facts.expire(plan, now, &mut self.change.features);
        self.write_whole();
    }

    /// What has gone cannot be told by an addition.
    pub(super) fn write_whole(&mut self) {
        self.added = None;
        self.additions_left = 0;
    }
}
