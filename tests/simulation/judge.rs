//! What is stored against what the oracle says.

use super::shop::shop;
use super::world::{Sabotage, World};
use crate::support::oracle;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tributary::definitions::Definer;
use tributary::engine::Profile;
use tributary::store::definitions::Kind;
use tributary::store::{Meta, Store};
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_model::{Identifier, Millis, ProfileId};

/// A segment that is defined while events come, with the same condition as a plain function.
pub(super) type Extra = (&'static str, &'static str, fn(&oracle::Profile) -> bool);

/// Segments that come and go. The second needs an aggregate that nothing else reads, and that counts twice what it is told
/// twice.
pub(super) const EXTRA: [Extra; 2] = [
    ("repeat", "orders >= 2", |profile| orders(profile) >= 2),
    ("paying", "count(*) FILTER (WHERE event = 'Order Completed' AND properties.total > 0) >= 3", |profile| {
        orders(profile) >= 3
    }),
];

fn orders(profile: &oracle::Profile) -> u64 {
    profile.computed["orders"].as_u64().unwrap()
}

/// Every profile, membership and count of a state as of some events; `Err` tells the first difference.
pub(super) fn state(
    store: &Store,
    plan: &Plan,
    rules: &Rules,
    events: &[Value],
    extra: &[&Extra],
    now: Millis,
) -> Result<(), String> {
    let view = store.view();
    let failed = |error: tributary::store::StoreError| error.to_string();
    let meta = view.meta().map_err(failed)?.unwrap_or_default();
    let mut ids: BTreeMap<ProfileId, BTreeSet<&str>> = BTreeMap::new();
    let expected = oracle::profiles(events, now);
    for wanted in &expected {
        let best = &wanted.best;
        let mut owners = BTreeSet::new();
        for identifier in &wanted.identifiers {
            let id = Identifier::parse(identifier).unwrap().id();
            owners.insert(view.owner(id).map_err(failed)?);
        }
        let Some(Some(id)) = owners.pop_first().filter(|_| owners.is_empty()) else {
            return Err(format!("{best} is no profile, or several"));
        };
        let profile = Profile::read(&view, id, plan, rules).map_err(failed)?;
        let shown: BTreeSet<String> = profile.identifiers.iter().map(|facts| facts.identifier.to_string()).collect();
        same(best, "identifiers", &shown, &wanted.identifiers)?;
        same(best, "traits", &profile.traits, &wanted.traits)?;
        same(best, "computed traits", &numbers(&profile.computed), &numbers(&wanted.computed))?;
        let mut segments: BTreeSet<&str> = wanted.segments.iter().map(String::as_str).collect();
        segments.extend(extra.iter().filter(|(.., is_in)| is_in(wanted)).map(|(name, ..)| *name));
        let stored = view.memberships(id).map_err(failed)?;
        let stored: BTreeSet<&str> = stored.iter().map(|(segment, _)| segment.as_str()).collect();
        same(best, "segments", &stored, &segments)?;
        if ids.insert(id, segments).is_some() {
            return Err(format!("{best} is one profile with another"));
        }
    }
    same("all", "profiles", &meta.profiles, &(expected.len() as i64))?;
    for segment in oracle::SEGMENTS.iter().chain(extra.iter().map(|(name, ..)| name)) {
        let wanted: Vec<ProfileId> = ids.iter().filter(|(_, in_)| in_.contains(segment)).map(|(id, _)| *id).collect();
        let members = view.members(segment, None, usize::MAX).map_err(failed)?;
        same(segment, "members", &members.into_iter().map(|(id, _)| id).collect(), &wanted)?;
        same(segment, "count", &meta.counts.get(*segment).copied().unwrap_or(0), &(wanted.len() as i64))?;
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(whose: &str, what: &str, shown: &T, wanted: &T) -> Result<(), String> {
    if shown == wanted { Ok(()) } else { Err(format!("{whose}, {what}: {shown:?} should be {wanted:?}")) }
}

/// Numbers without regard to how they are written, and no nulls.
fn numbers(object: &Map<String, Value>) -> BTreeMap<&str, String> {
    let text = |value: &Value| value.as_f64().map_or_else(|| value.to_string(), |number| format!("{number:.6}"));
    object.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.as_str(), text(value))).collect()
}

/// What of the log a state covers.
pub(super) fn read_to(meta: &Meta) -> usize {
    let position = meta.positions.get("log").and_then(|position| position.0.get(&0));
    position.map_or(0, |offset| usize::try_from(*offset).unwrap())
}

impl World {
    /// What is on the disk is the state as of what the log had up to its position: nothing half-done.
    pub(super) fn check_start(&mut self, store: &Store, definer: &Definer) -> Result<(), String> {
        let view = store.view();
        let meta = view.meta().map_err(|error| error.to_string())?.unwrap_or_default();
        // What facts hold besides what definitions ask is known not to be relied on.
        let unsettled = view.unsettled().map_err(|error| error.to_string())?;
        let mut known: BTreeSet<u64> = meta.aggregates.iter().chain(&unsettled).copied().collect();
        known.extend(if meta.epoch == 0 { definer.at_start().aggregate_ids() } else { Vec::new() });
        let mut unknown = None;
        let checked = store.each_facts(|id, facts| {
            unknown = unknown.or(facts.aggregates.iter().find(|(held, _)| !known.contains(held)).map(|_| id));
            Ok(())
        });
        checked.map_err(|error| error.to_string())?;
        if let Some(id) = unknown {
            return Err(format!("{id:?} holds an aggregate that is relied on though it may not be whole"));
        }
        let kept = definer.wanted().borrow().kept.clone();
        for (is_on, (name, ..)) in self.extra.iter_mut().zip(EXTRA) {
            // A change that was not answered may have been made.
            *is_on = kept.get(&(Kind::Segment, name.to_owned())).is_some_and(|kept| kept.says.is_some());
        }
        let position = read_to(&meta);
        if position == 0 || self.sabotage == Sabotage::LogForgets {
            return Ok(());
        }
        let events = self.log.events(position.min(self.log.end()));
        let expected = oracle::profiles(&events, self.now());
        let stored = meta.profiles;
        if stored == expected.len() as i64 {
            Ok(())
        } else {
            Err(format!("at a start {stored} profiles are stored of {} at position {position}", expected.len()))
        }
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        let Some(process) = &self.process else { return Err("nothing runs".to_owned()) };
        let plan = process.engine.committed().borrow().plan.clone();
        let extra: Vec<&Extra> =
            EXTRA.iter().zip(self.extra).filter(|(_, is_on)| *is_on).map(|(extra, _)| extra).collect();
        let events = self.log.events(self.log.end());
        state(&process.store, &plan, &shop().rules, &events, &extra, self.now())
    }
}
