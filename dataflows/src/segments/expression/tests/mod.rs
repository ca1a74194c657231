//! A manual of the language: what expressions mean, one test a topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod scalars;
mod nulls;
mod events;
mod aggregates;
mod references;
mod groups;
mod mistakes;
mod mistakes_of_time;
mod any_text;

use crate::segments::{AggregateFunction, DefinitionError, ProfileValues, Program};
use bytes::Bytes;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tributary_model::{
    ComputedTrait, Definitions, Event, EventKind, Identifier, MessageId, Millis, On, Segment, Send, Trigger,
    TriggerPolicy, Value,
};

/// 2026-03-01T00:00:00Z, the customer's latest event.
pub(super) const MARCH: Millis = 1_772_323_200_000;
const DAY: Millis = 86_400_000;

/// A customer: traits and events.
pub(super) struct Customer {
    traits: Json,
    events: Vec<Event>,
}

impl Customer {
    /// Ada, who ordered thrice and left a cart.
    pub(super) fn ada() -> Self {
        let order = |days, total: Json| event("Order Completed", MARCH - days * DAY, json!({ "total": total }));
        Self {
            traits: json!({
                "country": "DE", "age": 36, "vip": true, "firstName": "Ada", "born": "1815-12-10",
                "address": { "city": "Berlin", "zip": "10115" }, "nothing": null, "tags": ["a"],
            }),
            events: vec![
                order(200, json!(100)),
                order(40, json!(19.99)),
                order(3, json!("free")),
                event("Checkout Started", MARCH, json!({ "total": 50, "note": "100% wool" })),
            ],
        }
    }

    /// Someone of whom nothing is known.
    pub(super) fn nobody() -> Self {
        Self { traits: json!({}), events: Vec::new() }
    }

    /// What the program's slots hold of this customer as of the latest event.
    fn values(&self, program: &Program) -> Values {
        let at_path = |path: &String| {
            let found = path.split('.').try_fold(&self.traits, |json, step| json.get(step));
            found.map(Value::from_json).unwrap_or_default()
        };
        let mut events: Vec<&Event> = self.events.iter().collect();
        events.sort_by_key(|event| (event.timestamp, event.message_id));
        let mut values = Values { traits: program.trait_paths.iter().map(at_path).collect(), ..Values::default() };
        for aggregate in &program.aggregates {
            let counts = |at| aggregate.window.as_ref().is_none_or(|window| window.holds(at, MARCH));
            let seen = events.iter().filter(|event| counts(event.timestamp));
            let seen: Vec<_> = seen.collect();
            let timeline = seen.iter().filter(|event| aggregate.observe(event).is_some());
            values.instants.push(timeline.map(|event| (event.timestamp, event.message_id)).collect());
            let observed: Vec<Value> = seen.into_iter().filter_map(|event| aggregate.observe(event)).collect();
            let numbers = observed.iter().filter_map(|value| match value {
                Value::Number(number) => Some(*number),
                _ => None,
            });
            values.additive.push((observed.len() as i64, Some(numbers.sum())));
            let value = match aggregate.function {
                AggregateFunction::Count | AggregateFunction::Sum | AggregateFunction::Timeline => None,
                AggregateFunction::Min => observed.iter().min(),
                AggregateFunction::Max => observed.iter().max(),
                AggregateFunction::First => observed.first(),
                AggregateFunction::Last => observed.last(),
                AggregateFunction::Distinct => {
                    let different: std::collections::BTreeSet<_> = observed.iter().collect();
                    values.values.push(Value::Number(different.len().into()));
                    continue;
                }
                AggregateFunction::Mode => {
                    let times = |value: &&Value| observed.iter().filter(|other| other == value).count();
                    observed.iter().max_by_key(|value| (times(value), std::cmp::Reverse(*value)))
                }
            };
            values.values.push(value.cloned().unwrap_or_default());
        }
        values
    }
}

#[derive(Default)]
pub(super) struct Values {
    traits: Vec<Value>,
    additive: Vec<(i64, Option<Decimal>)>,
    values: Vec<Value>,
    instants: Vec<Vec<(Millis, MessageId)>>,
}

impl ProfileValues for Values {
    fn trait_value(&self, slot: usize) -> Value {
        self.traits[slot].clone()
    }
    fn additive(&self, slot: usize) -> (i64, Option<Decimal>) {
        self.additive[slot]
    }
    fn value(&self, slot: usize) -> Value {
        self.values[slot].clone()
    }
    fn account(&self, _index: usize) -> Value {
        Value::Null
    }
    fn groups_where(&self, _index: usize) -> i64 {
        0
    }
    fn now(&self) -> Millis {
        MARCH
    }
    fn instants(&self, slot: usize) -> Vec<(Millis, MessageId)> {
        self.instants[slot].clone()
    }
}

/// A track event.
pub(super) fn event(name: &str, timestamp: Millis, properties: Json) -> Event {
    Event {
        kind: EventKind::Track,
        event: Some(name.to_owned()),
        name: None,
        group: None,
        message_id: MessageId::of(&format!("{name} {timestamp} {properties}")),
        timestamp,
        identifiers: vec![Identifier::new("user_id", "ada")],
        properties: properties.as_object().unwrap().clone().into(),
        traits: tributary_model::Object::default(),
        context: json!({ "app": { "name": "shop" }, "ip": "127.0.0.1" }).as_object().unwrap().clone().into(),
        consent: serde_json::Map::new(),
        body: Bytes::new(),
    }
}

/// Definitions of computed traits, segments and event triggers, each `(name, expression)`.
pub(super) fn definitions(
    traits: &[(&str, &str)],
    segments: &[(&str, &str)],
    triggers: &[(&str, &str)],
) -> Definitions {
    let computed = |(name, text): &(&str, &str)| ((*name).to_owned(), ComputedTrait { expression: (*text).to_owned() });
    let segment = |(id, text): &(&str, &str)| {
        ((*id).to_owned(), Segment { name: id.to_uppercase(), condition: (*text).to_owned() })
    };
    let trigger = |(id, text): &(&str, &str)| {
        let on = On::Event { event: "Order Completed".to_owned(), condition: Some((*text).to_owned()) };
        (
            (*id).to_owned(),
            Trigger {
                on,
                send: Send { to: "crm".to_owned(), content: BTreeMap::new() },
                fire_on_backfill: false,
                retracts: false,
                policy: TriggerPolicy::default(),
            },
        )
    };
    Definitions {
        traits: traits.iter().map(computed).collect(),
        segments: segments.iter().map(segment).collect(),
        triggers: triggers.iter().map(trigger).collect(),
        ..Definitions::default()
    }
}

/// The value of one expression beside a few definitions that it can refer to.
pub(super) fn evaluate(expression: &str, customer: &Customer) -> Result<Value, Vec<DefinitionError>> {
    let ltv = "sum(properties.total) FILTER (WHERE event = 'Order Completed')";
    let traits = [("ltv", ltv), ("it", expression)];
    let program = Program::compile(&definitions(&traits, &[("vip", "ltv > 100"), ("employees", "FALSE")], &[]))?;
    let names: BTreeMap<_, _> = program.computed.iter().map(|computed| computed.name.as_str()).zip(0..).collect();
    let index: usize = names["it"];
    Ok(program.evaluate(&customer.values(&program)).computed.swap_remove(index))
}

/// What Ada's expression is, as JSON.
#[track_caller]
pub(super) fn check(expression: &str, expected: Json) {
    check_of(&Customer::ada(), expression, expected);
}

/// What a customer's expression is, as JSON.
#[track_caller]
pub(super) fn check_of(customer: &Customer, expression: &str, expected: Json) {
    match evaluate(expression, customer) {
        Ok(value) => assert_eq!(value.to_json(), expected, "{expression}"),
        Err(errors) => panic!("{expression}: {}", errors[0]),
    }
}

/// The first mistake in an expression, as `line:column message`.
#[track_caller]
pub(super) fn mistake(expression: &str, expected: &str) {
    let errors = evaluate(expression, &Customer::nobody()).expect_err(expression);
    let error = &errors[0];
    assert_eq!(format!("{}:{} {}", error.line, error.column, error.message), expected, "{expression}");
}
