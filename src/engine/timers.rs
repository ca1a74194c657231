//! Which timers are due: windows that lose a bucket, and customers of whom time alone changes something.
//!
//! They stand in the store, in the order of their time; those answered in epochs under way are remembered here. A bounded
//! number is answered in each epoch: with more due, the epoch's clock stands still at the last one that fits, so that what
//! an epoch says is still a function of its clock.

use crate::store::{Store, StoreError, View};
use std::collections::HashSet;
use tributary_model::{Epoch, IdentifierId, Millis};

/// A timer: when it is due, and whose it is. A profile's is that of the identifier that names it.
pub(super) type Timer = (Millis, IdentifierId);

/// Both kinds of timers.
#[derive(Debug)]
pub(super) struct Timers {
    windows: Table,
    wakes: Table,
}

/// What is due in an epoch.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Identifiers whose windows lose a bucket.
    pub(super) windows: Vec<Timer>,
    /// Identifiers whose customers are to be looked at again.
    pub(super) wakes: Vec<IdentifierId>,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.wakes.is_empty()
    }
}

impl Timers {
    pub(super) fn new(limit: usize) -> Self {
        let wakes = |view: &View<'_>, from: Millis, limit: usize| {
            let wakes = view.wakes(from, limit)?.into_iter();
            Ok(wakes.map(|(due, profile)| (due, IdentifierId(profile.0))).collect())
        };
        Self {
            windows: Table::new(limit, |view, from, limit| view.timers(from, limit)),
            wakes: Table::new(limit, wakes),
        }
    }

    /// When to look again, at the latest.
    pub(super) fn next(&self, next_wake: Option<Millis>) -> Option<Millis> {
        self.windows.next.into_iter().chain(self.wakes.next).chain(next_wake).min()
    }

    /// Windows will lose a bucket at these times.
    pub(super) fn set(&mut self, dues: impl Iterator<Item = Millis>) {
        dues.min().into_iter().for_each(|due| self.windows.there_is(due));
    }

    /// What is due now, and the clock that goes with it. `next_wake` is the earliest one that is committed.
    pub(super) fn due(
        &mut self,
        store: &Store,
        now: Millis,
        last: Millis,
        (committed, next_wake): (Epoch, Option<Millis>),
        epoch: Epoch,
    ) -> Result<(Due, Millis), StoreError> {
        next_wake.into_iter().for_each(|due| self.wakes.there_is(due));
        let view = store.view();
        let clock = self.windows.look(&view, now, last, committed)?;
        let clock = self.wakes.look(&view, clock, last, committed)?;
        let windows = self.windows.take(clock, committed, epoch);
        let wakes = self.wakes.take(clock, committed, epoch).into_iter().map(|(_, id)| id).collect();
        Ok((Due { windows, wakes }, clock))
    }
}

/// Timers of one table.
struct Table {
    read: fn(&View<'_>, Millis, usize) -> Result<Vec<Timer>, StoreError>,
    limit: usize,
    /// When to look again; at the start at once.
    next: Option<Millis>,
    /// There is none earlier.
    from: Millis,
    answered: HashSet<Timer>,
    answered_in: Epoch,
    /// What was found when it was looked at last, in order; `None` if there was no need to look.
    found: Option<Vec<Timer>>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Timers, the next at {:?}", self.next)
    }
}

impl Table {
    fn new(limit: usize, read: fn(&View<'_>, Millis, usize) -> Result<Vec<Timer>, StoreError>) -> Self {
        let next = Some(Millis::MIN);
        Self { read, limit, next, from: Millis::MIN, answered: HashSet::new(), answered_in: 0, found: None }
    }

    /// There is, or will be, a timer of that time, maybe earlier than those answered last: it was set by an epoch under way then.
    fn there_is(&mut self, due: Millis) {
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
        self.from = self.from.min(due);
    }

    /// Looks what is due; gives the latest clock by which no more is than an epoch may hold.
    fn look(&mut self, view: &View<'_>, now: Millis, last: Millis, committed: Epoch) -> Result<Millis, StoreError> {
        self.found = None;
        if self.next.is_none_or(|next| next > now) {
            return Ok(now);
        }
        if committed >= self.answered_in {
            self.answered.clear();
        }
        let mut timers = (self.read)(view, self.from, self.limit + self.answered.len() + 1)?;
        timers.retain(|timer| !self.answered.contains(timer));
        let one_too_many = timers.get(self.limit).filter(|(due, _)| *due <= now);
        // Those of one instant are answered together, however many: the clock cannot stand between them.
        let clock = one_too_many.and(timers.get(self.limit - 1)).map_or(now, |(due, _)| (*due).max(last));
        self.found = Some(timers);
        Ok(clock)
    }

    /// Takes what is due by a clock.
    fn take(&mut self, clock: Millis, committed: Epoch, epoch: Epoch) -> Vec<Timer> {
        let Some(mut timers) = self.found.take() else { return Vec::new() };
        let later = timers.split_off(timers.partition_point(|(due, _)| *due <= clock).min(self.limit));
        // What was set by epochs still under way is not in the store yet: look again when they are.
        let pending = (committed + 1 < epoch).then_some(clock.saturating_add(1));
        self.next = later.first().map(|(due, _)| *due).into_iter().chain(pending).min();
        if let Some((last_due, _)) = timers.last() {
            self.from = *last_due;
            self.answered.extend(timers.iter().copied());
            self.answered_in = epoch;
        }
        timers
    }
}
