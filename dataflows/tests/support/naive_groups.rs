//! Groups recomputed from the full list of events, the slow and obvious way.

use std::collections::BTreeMap;
use tributary_model::{Event, MessageId, Millis, ProfileId};

/// What is known of a group.
#[derive(Debug, Default)]
pub struct Group {
    pub members: i64,
    cents: i64,
    plan: Option<(Millis, MessageId, String)>,
}

fn spent(events: &[&Event]) -> i64 {
    let orders = events.iter().filter(|event| event.event.as_deref() == Some("Order Completed"));
    orders.map(|order| (order.properties["total"].as_f64().unwrap() * 100.0).round() as i64).sum()
}

/// The groups that a customer belongs to, the latest first.
fn groups_of(events: &[&Event]) -> Vec<String> {
    let calls = events.iter().filter_map(|event| Some((event.timestamp, event.message_id, event.group.clone()?)));
    let mut calls: Vec<_> = calls.collect();
    calls.sort_by(|a, b| b.cmp(a));
    let mut groups: Vec<String> = Vec::new();
    for (_, _, group) in calls {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// What all members of each group add up to.
pub fn groups(events_of: &BTreeMap<ProfileId, Vec<&Event>>) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for events in events_of.values() {
        for id in groups_of(events) {
            let group = groups.entry(id.clone()).or_default();
            group.members += 1;
            group.cents += spent(events);
            for event in events.iter().filter(|event| event.group.as_ref() == Some(&id)) {
                let Some(plan) = event.traits.get("plan").and_then(|plan| plan.as_str()) else { continue };
                let said = Some((event.timestamp, event.message_id, plan.to_owned()));
                group.plan = group.plan.take().max(said);
            }
        }
    }
    groups
}

pub fn of_groups(events: &[&Event], groups: &BTreeMap<String, Group>) -> Vec<&'static str> {
    let mine = groups_of(events);
    let is_pro = |id: &String| groups[id].plan.as_ref().is_some_and(|(_, _, plan)| plan == "pro");
    let account = mine.first().map(|id| (id, &groups[id]));
    let country = events.iter().any(|event| event.traits.contains_key("country"));
    let truths = [
        ("big_account", account.is_some_and(|(_, group)| group.cents > 80_000 && group.members >= 2)),
        ("alone_on_pro", account.is_some_and(|(id, group)| !country && is_pro(id) && group.members < 2)),
        ("in_any_pro", mine.iter().any(|id| is_pro(id) && id != "g2")),
        ("no_account", account.is_none() && !country),
        ("small_account", account.is_none_or(|(_, group)| group.cents < 10_000)),
        ("more_than_half", account.is_some_and(|(_, group)| spent(events) * 2 > group.cents)),
    ];
    truths.into_iter().filter(|(_, is_in)| *is_in).map(|(segment, _)| segment).collect()
}
