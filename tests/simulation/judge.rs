//! What is stored against what the oracle says.

use crate::support::oracle;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tributary::engine::Profile;
use tributary::store::Store;
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
