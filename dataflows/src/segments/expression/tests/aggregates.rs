//! Aggregates: what is kept, how far back, and how often.

use super::{MARCH, check, definitions, event};
use crate::segments::{AggregateFunction, Program};
use serde_json::{Value as Json, json};
use tributary_model::Value;

const ORDERS: &str = "FILTER (WHERE event = 'Order Completed')";

#[test]
fn aggregates_of_all_time() {
    check("count(*)", json!(4));
    check(&format!("count(*) {ORDERS}"), json!(3));
    check(&format!("COUNT(properties.total) {ORDERS}"), json!(3));
    check("count(properties.note)", json!(1));
    // The order that was "free" is no number.
    check(&format!("sum(properties.total) {ORDERS}"), json!(119.99));
    check(&format!("avg(properties.total) {ORDERS}"), json!(59.995));
    check(&format!("first(properties.total) {ORDERS}"), json!(100));
    check(&format!("last(properties.total) {ORDERS}"), json!("free"));
    check(&format!("first_value(event) {ORDERS}"), json!("Order Completed"));
    check("last_value(event)", json!("Checkout Started"));
    check("min(timestamp) = first(timestamp)", json!(true));
    check("count(DISTINCT event)", json!(2));
    check("count(DISTINCT properties.missing)", json!(0));
    check(&format!("count(DISTINCT properties.total) {ORDERS}"), json!(3));
    check("mode(event)", json!("Order Completed"));
    check("mode(properties.missing)", json!(null));
    check("max(DISTINCT length(event))", json!(16));
    check("max(timestamp)", json!("2026-03-01T00:00:00.000Z"));
    check("max(length(event))", json!(16));
    check("sum(properties.total * 2) FILTER (WHERE properties.total > 20)", json!(300));
}

fn orders(window: &str) -> String {
    format!("count(*) FILTER (WHERE event = 'Order Completed' AND {window})")
}

#[test]
fn windows_slide_with_the_clock() {
    check(&orders("timestamp > now() - INTERVAL '7 days'"), json!(1));
    check(&orders("timestamp >= now() - INTERVAL '90 days'"), json!(2));
    check(&orders("now() - INTERVAL '365' DAY < timestamp"), json!(3));
    // The shorter of two windows decides.
    check(&orders("timestamp > now() - INTERVAL '90 days' AND timestamp > now() - INTERVAL '7 days'"), json!(1));
    check("count(*) FILTER (WHERE timestamp > now() - INTERVAL '1 hour')", json!(1));
    // A fixed edge is no window.
    check(&orders("timestamp > TIMESTAMP '2026-01-01'"), json!(2));
}

/// The aggregates that expressions need together, as their canonical texts.
#[track_caller]
fn kept(expressions: &[&str], expected: &[&str]) -> Program {
    let traits: Vec<_> = ["a", "b", "c", "d"].into_iter().zip(expressions.iter().copied()).collect();
    let program = Program::compile(&definitions(&traits, &[], &[])).unwrap();
    let texts: Vec<_> = program.aggregates.iter().map(|aggregate| aggregate.text.as_str()).collect();
    assert_eq!(texts, expected);
    program
}

#[test]
fn what_means_the_same_is_kept_once() {
    kept(
        &[
            "sum(properties.total) FILTER (WHERE event = 'Order Completed')",
            "avg( properties.total )  filter (where ((EVENT = 'Order Completed')))",
            "sum(properties.\"total\") FILTER (WHERE event='Order Completed') / 2",
        ],
        &["sum(properties.total) FILTER (WHERE event = 'Order Completed')"],
    );
    kept(
        &[
            "count(*) FILTER (WHERE timestamp > now() - INTERVAL '7 days' AND (event = 'A' AND type = 'track'))",
            "count(*) FILTER (WHERE event = 'A' AND now() - INTERVAL '1 week' <= timestamp AND type = 'track')",
            "count(*) FILTER (WHERE event = 'A' AND type = 'track')",
        ],
        &[
            "count(*) FILTER (WHERE event = 'A' AND type = 'track' AND timestamp > now() - INTERVAL '7 days')",
            "count(*) FILTER (WHERE event = 'A' AND type = 'track')",
        ],
    );
    kept(
        &[
            "count(*) FILTER (WHERE timestamp >= date_trunc('MONTH', now(), 'UTC'))",
            "count(*) FILTER (WHERE timestamp >= date_trunc('day', now() - INTERVAL '1 week', 'Europe/Berlin'))",
        ],
        &[
            "count(*) FILTER (WHERE timestamp >= date_trunc('month', now()))",
            "count(*) FILTER (WHERE timestamp >= date_trunc('day', now() - INTERVAL '7 days', 'Europe/Berlin'))",
        ],
    );
    kept(
        &[
            "sum((properties.a + 1) * 2)",
            "sum(properties.a + 1 * 2)",
            "count(*) FILTER (WHERE (name = 'a' OR name = 'b') AND type = 'c')",
        ],
        &[
            "sum((properties.a + 1) * 2)",
            "sum(properties.a + (1 * 2))",
            "count(*) FILTER (WHERE (name = 'a' OR name = 'b') AND type = 'c')",
        ],
    );
    kept(&["first(event)", "first_value(event)", "last(event)"], &["first(event)", "last(event)"]);
    kept(
        &["count(*)", "count(*) FILTER (WHERE timestamp > now() - INTERVAL '90 minutes')"],
        &["count(*)", "count(*) FILTER (WHERE timestamp > now() - INTERVAL '90 minutes')"],
    );
}

#[test]
fn a_canonical_text_means_what_it_was_made_of() {
    for expression in [
        "count(properties.a.\"b c\".\"it\"\"s\") FILTER (WHERE NOT (event = 'it''s' OR type IN ('a', 'b')) AND properties.n IS NOT TRUE)",
        "sum(-properties.a * (properties.b + 1) - 2 / -3 % 4) FILTER (WHERE properties.x NOT LIKE '%a\\_\\%''\\\\' AND NOT properties.y)",
        "last(CASE WHEN properties.a THEN 'x' WHEN name ILIKE 'A%' THEN lower(name) ELSE upper(name || 'x' || properties.z) END)",
        "last(CASE name WHEN 'a' THEN 1 ELSE length(event) END)",
        "max(timestamp + INTERVAL '90 minutes') FILTER (WHERE timestamp - TIMESTAMP '2026-01-01T00:00:00.000Z' > INTERVAL '3 days')",
        "min(coalesce(nullif(properties.a, 'x'), properties.b)) FILTER (WHERE properties.c BETWEEN 1 AND 2 OR starts_with(name, 'a'))",
        "count(*) FILTER (WHERE name IS DISTINCT FROM event AND (properties.a = properties.b) = TRUE)",
        "count(*) FILTER (WHERE (properties.a OR properties.b) AND properties.c IS NULL AND timestamp > now() - INTERVAL '30 days')",
        "last(NULL)",
        "count(DISTINCT lower(properties.sku)) FILTER (WHERE event = 'A')",
        "mode(extract('hour', timestamp, 'Europe/Berlin')) FILTER (WHERE timestamp >= date_trunc('month', now()))",
    ] {
        let canonical = |text: &str| {
            let errors = |errors| panic!("{text}: {errors:?}");
            let program = Program::compile(&definitions(&[("a", text)], &[], &[])).unwrap_or_else(errors);
            program.aggregates[0].text.clone()
        };
        let once = canonical(expression);
        assert_eq!(canonical(&once), once, "of {expression}");
    }
}

/// Stored state is found by these: they never change.
#[test]
fn ids_are_the_same_in_every_version() {
    let program = kept(
        &["count(*)", "sum(properties.total) FILTER (WHERE event = 'Order Completed')"],
        &["count(*)", "sum(properties.total) FILTER (WHERE event = 'Order Completed')"],
    );
    let ids: Vec<_> = program.aggregates.iter().map(|aggregate| aggregate.id).collect();
    assert_eq!(ids, [1_375_346_399_173_159_593, 13_985_521_462_075_971_676]);
}

#[test]
fn windows_of_the_calendar_begin_anew() {
    check(&orders("timestamp >= date_trunc('month', now())"), json!(0));
    check("count(*) FILTER (WHERE timestamp >= date_trunc('month', now()))", json!(1));
    check(&orders("timestamp >= date_trunc('week', now())"), json!(1));
    check(&orders("date_trunc('year', now() - INTERVAL '60 days', 'Europe/Berlin') <= timestamp"), json!(3));
}

#[test]
fn an_aggregate_knows_what_it_asks_of_an_event() {
    let asks = |filter: &str| {
        let text = format!("count(*) FILTER (WHERE {filter})");
        let program = Program::compile(&definitions(&[("a", &text)], &[], &[])).unwrap();
        let asks = program.aggregates[0].asks().iter().map(|(column, text)| format!("{column} {text}"));
        asks.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(asks("event = 'A'"), "event A");
    assert_eq!(asks("properties.x > 1 AND ('A' = event AND timestamp > now() - INTERVAL '1 day')"), "event A");
    assert_eq!(asks("type = 'page' AND properties.a.b = 'C'"), "type page, properties.a.b C");
    assert_eq!(asks("event = 'A' OR event = 'B'"), "");
    assert_eq!(asks("NOT event = 'A'"), "");
    assert_eq!(asks("event <> 'A'"), "");
    assert_eq!(asks("properties.a = 1"), "");
}

#[test]
fn an_observation_is_what_the_event_adds() {
    let observe = |text: &str, properties: Json| {
        let program = Program::compile(&definitions(&[("a", text)], &[], &[])).unwrap();
        program.aggregates[0].observe(&event("Order Completed", MARCH, properties))
    };
    let number = |json: Json| Some(Value::from_json(&json));
    assert_eq!(observe("count(*)", json!({})), Some(Value::Bool(true)));
    assert_eq!(observe("count(*) FILTER (WHERE properties.x = 1)", json!({ "x": 2 })), None);
    assert_eq!(observe("count(*) FILTER (WHERE properties.x = 1)", json!({})), None);
    assert_eq!(observe("count(properties.x)", json!({ "x": null })), None);
    assert_eq!(observe("count(properties.x)", json!({ "x": "a" })), Some(Value::text("a")));
    assert_eq!(observe("sum(properties.x)", json!({ "x": 1.50 })), number(json!(1.5)));
    assert_eq!(observe("sum(properties.x)", json!({ "x": "1.50" })), None);
    assert_eq!(observe("sum(properties.x)", json!({ "x": true })), None);
    assert_eq!(observe("max(properties.x)", json!({ "x": "b" })), Some(Value::text("b")));
    assert_eq!(observe("last(properties.x)", json!({ "x": [1] })), number(json!([1])));
    assert_eq!(observe("last(properties.x)", json!({ "x": { "y": 1 } })), None);
    assert_eq!(observe("max(timestamp)", json!({})), Some(Value::Timestamp(MARCH)));
    // A window is not looked at: what has left it is the engine's business.
    assert_eq!(
        observe("count(*) FILTER (WHERE timestamp > now() - INTERVAL '1 hour')", json!({})),
        Some(Value::Bool(true))
    );
    let function =
        |text: &str| Program::compile(&definitions(&[("a", text)], &[], &[])).unwrap().aggregates[0].function;
    assert_eq!(function("avg(properties.x)"), AggregateFunction::Sum);
}
