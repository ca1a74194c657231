//! Compares what came out with what must come out, through the public API.

use super::client::Client;
use super::expected::{Expected, Profile};
use super::receiver::Fired;
use anyhow::Context;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is not as expected, a line each; empty if all is.
///
/// # Errors
/// If the server does not answer.
pub(super) async fn differences(
    client: &Client,
    expected: &Expected,
    profiles: i64,
    fired: &[Fired],
) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    if profiles != expected.profiles.len() as i64 {
        wrong.push(format!("{profiles} profiles, not {}", expected.profiles.len()));
    }
    counts(client, expected, &mut wrong).await?;
    for profile in &expected.profiles {
        compare(client, profile, &mut wrong).await?;
    }
    triggers(client, expected, fired, &mut wrong).await?;
    let metrics = client.get("/metrics").await?.context("there are no metrics")?;
    let made = sum(&metrics, "tributary_triggers_fired_total");
    if made != expected.triggers.len() as f64 {
        wrong.push(format!("{made} messages were made, not {}", expected.triggers.len()));
    }
    Ok(wrong)
}

async fn counts(client: &Client, expected: &Expected, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let answer = client.get_json("/v1/segments").await?.context("there are no segments")?;
    let segments = answer.get("segments").and_then(Value::as_array).context("there are no segments")?;
    let counted: BTreeMap<&str, i64> = segments
        .iter()
        .filter_map(|segment| Some((segment.get("id")?.as_str()?, segment.get("count")?.as_i64()?)))
        .collect();
    if counted != expected.counts {
        wrong.push(format!("segments are {counted:?}, not {:?}", expected.counts));
    }
    Ok(())
}

async fn compare(client: &Client, expected: &Profile, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let key = expected.key();
    let Some(answer) = client.get_json(&format!("/v1/profiles/{key}")).await? else {
        wrong.push(format!("{key}: there is no such profile"));
        return Ok(());
    };
    let identifiers = identifiers(&answer);
    if identifiers != expected.identifiers {
        wrong.push(format!("{key}: identifiers are {identifiers:?}, not {:?}", expected.identifiers));
    }
    let listed = answer.get("segments").and_then(Value::as_array).into_iter().flatten();
    let segments: BTreeSet<&str> = listed.filter_map(|segment| segment.get("id")?.as_str()).collect();
    if segments != expected.segments {
        wrong.push(format!("{key}: segments are {segments:?}, not {:?}", expected.segments));
    }
    let orders = answer.pointer("/computed/orders").and_then(Value::as_u64).unwrap_or(0);
    let spent = answer.pointer("/computed/ltv").and_then(Value::as_f64).unwrap_or(0.0);
    if orders != expected.orders as u64 || (spent * 100.0).round() as i64 != expected.cents {
        let due = expected.cents as f64 / 100.0;
        wrong.push(format!("{key}: {orders} orders of {spent} in all, not {} of {due}", expected.orders));
    }
    Ok(())
}

/// `namespace:value` of all identifiers of an answered profile.
fn identifiers(profile: &Value) -> BTreeSet<String> {
    let listed = profile.get("identifiers").and_then(Value::as_array).into_iter().flatten();
    let name = |identifier: &Value| {
        let (namespace, value) = (identifier.get("namespace")?.as_str()?, identifier.get("value")?.as_str()?);
        Some(format!("{namespace}:{value}"))
    };
    listed.filter_map(name).collect()
}

async fn triggers(
    client: &Client,
    expected: &Expected,
    fired: &[Fired],
    wrong: &mut Vec<String>,
) -> anyhow::Result<()> {
    let all = expected.triggers.iter();
    let mut missing: BTreeSet<(String, String)> = all.map(|(id, about)| ((*id).to_owned(), about.clone())).collect();
    for Fired { trigger, profile, body } in fired {
        let about = match body.get("order").and_then(Value::as_str) {
            Some(order) => order.to_owned(),
            // The profile may have been merged into another since: its old id still leads to it.
            None => {
                let answer = client.get_json(&format!("/v1/profiles/{profile}")).await?.unwrap_or_default();
                identifiers(&answer).pop_last().unwrap_or_else(|| format!("profile {profile}"))
            }
        };
        if !missing.remove(&(trigger.clone(), about.clone())) {
            wrong.push(format!("{trigger} fired for {about}, which it must not, or only once"));
        }
    }
    wrong.extend(missing.iter().map(|(trigger, about)| format!("{trigger} did not fire for {about}")));
    Ok(())
}

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.starts_with(name));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let metrics = "# TYPE fired counter\nfired{trigger=\"a\"} 2\nfired{trigger=\"b\"} 3\nother 7\n";
        assert_eq!(sum(metrics, "fired"), 5.0);
    }
}
