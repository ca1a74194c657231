//! What an expression sees of one event.

use super::{MARCH, definitions, event};
use crate::segments::Program;
use serde_json::json;
use tributary_model::{Event, EventKind};

/// Whether a trigger's condition holds for an event.
fn matches(condition: &str, event: &Event) -> bool {
    let program = Program::compile(&definitions(&[], &[], &[("t", condition)])).unwrap();
    program.event_conditions["t"].matches(event)
}

#[track_caller]
fn check(condition: &str, expected: bool) {
    let order = event(
        "Order Completed",
        MARCH,
        json!({
            "total": 19.99, "currency": "EUR", "order Id": "o1", "order": { "end": true }, "due": "2026-03-05T00:00:00Z",
            "a.b": 1,
        }),
    );
    assert_eq!(matches(condition, &order), expected, "{condition}");
}

#[test]
fn columns_of_an_event() {
    check("event = 'Order Completed'", true);
    check("type = 'track'", true);
    check("name IS NULL", true);
    check("timestamp = TIMESTAMP '2026-03-01'", true);
    check("properties.total > 19.98", true);
    check("properties.currency = 'EUR'", true);
    check("properties.\"order Id\" = 'o1'", true);
    check("properties.order.end", true);
    check("properties.\"a.b\" = 1", true);
    check("properties.a.b = 1", false);
    check("context.app.name = 'shop'", true);
    check("context.ip LIKE '127.%'", true);
    check("properties.missing IS NULL", true);
    check("properties.due - INTERVAL '4 days' = timestamp", true);
}

#[test]
fn only_what_is_true_matches() {
    check("properties.missing = 1", false);
    check("NOT properties.missing = 1", false);
    check("properties.total", false);
}

#[test]
fn a_trigger_sees_track_events_of_its_name_only() {
    assert!(!matches("TRUE", &event("Order Cancelled", MARCH, json!({}))));
    let mut page = event("Order Completed", MARCH, json!({}));
    page.kind = EventKind::Page;
    assert!(!matches("TRUE", &page));
}

#[test]
fn a_page_has_a_name_and_no_event() {
    let program =
        Program::compile(&definitions(&[("pages", "count(*) FILTER (WHERE name = 'Home')")], &[], &[])).unwrap();
    let mut page = event("", MARCH, json!({}));
    (page.kind, page.event, page.name) = (EventKind::Page, None, Some("Home".to_owned()));
    assert!(program.aggregates[0].observe(&page).is_some());
}
