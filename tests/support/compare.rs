//! Compares all that a server answers with what the oracle says.

use super::client::{Client, path_segment};
use super::oracle::{self, Fired, Profile};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Every profile, count and membership; `Err` tells the first difference.
pub(crate) fn state(client: &Client, expected: &[Profile]) -> Result<(), String> {
    let mut ids = BTreeMap::new();
    for wanted in expected {
        let id = profile(client, wanted).map_err(|why| format!("{}: {why}", wanted.best))?;
        if let Some(other) = ids.insert(id, wanted) {
            return Err(format!("{} and {} are one profile", other.best, wanted.best));
        }
    }
    let answer = client.get("/v1/segments").ok();
    for segment in oracle::SEGMENTS {
        let wanted: BTreeSet<String> =
            ids.iter().filter(|(_, profile)| profile.segments.contains(segment)).map(|(id, _)| id.clone()).collect();
        let shown = answer["segments"].as_array().unwrap().iter().find(|shown| shown["id"] == segment);
        let count = shown.ok_or_else(|| format!("no segment {segment} in {answer}"))?["count"].as_u64();
        if count != Some(wanted.len() as u64) {
            return Err(format!("{segment} has count {count:?} and should have {}", wanted.len()));
        }
        let members = client.members(segment, 97);
        let distinct: BTreeSet<String> = members.iter().cloned().collect();
        if distinct.len() != members.len() {
            return Err(format!("{segment} lists a member twice"));
        }
        if distinct != wanted {
            let extra = distinct.difference(&wanted).next();
            return Err(format!("{segment} lists others than the oracle; too many is {extra:?}"));
        }
    }
    Ok(())
}

/// Checks one profile; gives its id.
fn profile(client: &Client, wanted: &Profile) -> Result<String, String> {
    let ask = |identifier: &String| {
        let answer = client.get(&format!("/v1/profiles/{}", path_segment(identifier)));
        if answer.status == 200 { Ok(answer.json()) } else { Err(format!("{identifier}: {}", answer.text())) }
    };
    let shown = ask(&wanted.best)?;
    let other = ask(wanted.identifiers.iter().next().unwrap())?;
    if shown["id"] != other["id"] {
        return Err(format!("is {} by one identifier and {} by another", shown["id"], other["id"]));
    }
    let named = |identifier: &Value| {
        format!("{}:{}", identifier["namespace"].as_str().unwrap(), identifier["value"].as_str().unwrap())
    };
    let identifiers: BTreeSet<String> = shown["identifiers"].as_array().unwrap().iter().map(named).collect();
    let segments = shown["segments"].as_array().unwrap().iter();
    let segments: BTreeSet<String> = segments.map(|segment| segment["id"].as_str().unwrap().to_owned()).collect();
    same("identifiers", &identifiers, &wanted.identifiers)?;
    same("best identifier", &shown["identifiers"].get(0).map(named), &Some(wanted.best.clone()))?;
    same("traits", &shown["traits"], &Value::Object(wanted.traits.clone()))?;
    for (name, value) in &wanted.computed {
        if !same_number(&shown["computed"][name], value) {
            return Err(format!("computed.{name} is {} and should be {value}", shown["computed"][name]));
        }
    }
    same("computed traits", &names(&shown["computed"]), &names(&Value::Object(wanted.computed.clone())))?;
    same("segments", &segments, &wanted.segments)?;
    Ok(shown["id"].as_str().unwrap().to_owned())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, shown: &T, wanted: &T) -> Result<(), String> {
    if shown == wanted { Ok(()) } else { Err(format!("{what}: {shown:?} should be {wanted:?}")) }
}

/// The fields that are not null: one that is absent is null too.
fn names(object: &Value) -> BTreeSet<String> {
    let fields: Option<&Map<String, Value>> = object.as_object();
    fields.into_iter().flatten().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.clone()).collect()
}

fn same_number(shown: &Value, wanted: &Value) -> bool {
    match (shown.as_f64(), wanted.as_f64()) {
        (Some(shown), Some(wanted)) => (shown - wanted).abs() < 1e-6,
        _ => shown == wanted,
    }
}

/// Compares messages that triggers sent with what must have fired: each exactly once.
pub(crate) fn messages<'a>(bodies: impl IntoIterator<Item = &'a Value>, wanted: &Fired) -> Result<(), String> {
    let mut refunds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut loyal = vec![0usize; wanted.loyal.len()];
    for body in bodies {
        match body["trigger"].as_str() {
            Some("refund") => {
                let refund = body["refund"].as_str().ok_or_else(|| format!("no refund in {body}"))?;
                *refunds.entry(refund).or_default() += 1;
            }
            Some("loyal") => *loyal.get_mut(whose(body, wanted)?).unwrap() += 1,
            _ => return Err(format!("no such trigger: {body}")),
        }
    }
    if let Some((refund, times)) = refunds.iter().find(|(_, times)| **times != 1) {
        return Err(format!("refund {refund} came {times} times"));
    }
    let came: BTreeSet<&str> = refunds.into_keys().collect();
    let due: BTreeSet<&str> = wanted.refunds.iter().map(String::as_str).collect();
    if came != due {
        let missing = due.difference(&came).next();
        return Err(format!("of {} refunds {} came; missing is {missing:?}", due.len(), came.len()));
    }
    match loyal.iter().zip(&wanted.loyal).find(|(times, _)| **times != 1) {
        Some((times, identifiers)) => Err(format!("{identifiers:?} came to be loyal {times} times")),
        None => Ok(()),
    }
}

/// Which of the loyal a message is about. It may name the profile as it was before a later merge.
fn whose(body: &Value, wanted: &Fired) -> Result<usize, String> {
    let identifiers = body["identifiers"].as_array().ok_or_else(|| format!("no identifiers in {body}"))?;
    let user = identifiers.iter().find(|identifier| identifier["namespace"] == "user_id");
    let user = user.and_then(|user| user["value"].as_str()).ok_or_else(|| format!("no user id in {body}"))?;
    let user = format!("user_id:{user}");
    let found = wanted.loyal.iter().position(|identifiers| identifiers.contains(&user));
    found.ok_or_else(|| format!("{user} is not loyal, but {body}"))
}
