//! Whether two states say the same.

use crate::store::statements::Standing;
use crate::store::suppressions::Suppression;
use crate::store::{LinkFacts, Store, StoreError, facts, links, members, owners, statements, suppressions};
use std::fmt::Debug;
use tributary_dataflows::profile::{Features, IdentifierFacts, Plan};
use tributary_model::{IdentifierId, Millis, ProfileId};

/// The first difference of each table that has one, in words. When windows were last looked at, and since when somebody is in
/// a segment, depends on when epochs were closed, and is no difference.
///
/// # Errors
/// If one of them cannot be read.
pub fn differences(stored: &Store, replayed: &Store, plan: &Plan, now: Millis) -> Result<Vec<String>, StoreError> {
    let view = stored.view();
    let named = |key: &[u8]| -> Result<String, StoreError> {
        let ids = key.chunks_exact(16).filter_map(|id| id.try_into().ok().map(IdentifierId::from_bytes));
        Ok(view.names(&ids.collect::<Vec<_>>())?.join(" and "))
    };
    let level = |facts: &mut IdentifierFacts| {
        facts.expire(plan, now, &mut Features::default());
        (facts.clock, facts.timer, facts.woken) = (now, None, None);
    };
    let mut found = Vec::new();
    if let Some((key, one, other)) = stored.first_difference(replayed, facts::TABLE, level)? {
        found.push(said(&format!("facts of {}", named(&key)?), &one, &other));
    }
    if let Some((key, one, other)) = stored.first_difference(replayed, links::TABLE, |_: &mut LinkFacts| ())? {
        found.push(said(&format!("link of {}", named(&key)?), &one, &other));
    }
    if let Some((key, one, other)) = stored.first_difference(replayed, statements::TABLE, |_: &mut Standing| ())? {
        found.push(said(&format!("what stands stated of {}", named(&key)?), &one, &other));
    }
    if let Some((key, one, other)) = stored.first_difference(replayed, suppressions::TABLE, |_: &mut Suppression| ())? {
        let address = String::from_utf8_lossy(&key).replace('\0', " ");
        found.push(said(&format!("what stands stated of {address}"), &one, &other));
    }
    if let Some((key, one, other)) = stored.first_difference(replayed, owners::TABLE, |_: &mut ProfileId| ())? {
        found.push(said(&format!("owner of {}", named(&key)?), &one, &other));
    }
    if let Some((key, one, _)) = stored.first_difference(replayed, members::TABLE, |since: &mut Millis| *since = 0)? {
        let segment: Vec<u8> = key.iter().copied().take_while(|byte| *byte != 0).collect();
        let profile = key.get(segment.len() + 1..).unwrap_or_default();
        let (segment, profile) = (String::from_utf8_lossy(&segment).into_owned(), named(profile)?);
        let (is, was) = if one.is_some() { ("is stored", "is not") } else { ("is not stored", "is") };
        found.push(format!("{profile} {is} in segment {segment}, and {was} when replayed"));
    }
    Ok(found)
}

fn said<T: Debug>(what: &str, stored: &Option<T>, replayed: &Option<T>) -> String {
    let shown = |value: &Option<T>| value.as_ref().map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"));
    format!("{what}: stored {}, replayed {}", shown(stored), shown(replayed))
}
