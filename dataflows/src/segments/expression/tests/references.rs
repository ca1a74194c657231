//! Computed traits and segments that read each other.

use super::{Customer, check, definitions};
use crate::segments::Program;
use serde_json::json;

#[test]
fn names_stand_for_computed_traits_and_segments() {
    check("ltv", json!(119.99));
    check("LTV / 2 > 50", json!(true));
    check("\"ltv\" IS NULL", json!(false));
    check("in_segment('vip') AND NOT in_segment('employees')", json!(true));
}

#[test]
fn a_membership_is_never_unknown() {
    let segments = [("a", "traits.missing > 1"), ("b", "NOT in_segment('a')"), ("c", "in_segment('a') IS NULL")];
    let program = Program::compile(&definitions(&[], &segments, &[])).unwrap();
    let evaluation = program.evaluate(&Customer::nobody().values(&program));
    assert_eq!(evaluation.segments, [false, true, false]);
}

#[test]
fn each_comes_after_what_it_needs() {
    let traits = [("a", "b + 1"), ("b", "CASE WHEN in_segment('z') THEN 1 ELSE 0 END")];
    let segments = [("s", "a = 2 AND in_segment('t')"), ("t", "b = 1"), ("z", "traits.vip")];
    let program = Program::compile(&definitions(&traits, &segments, &[])).unwrap();
    let computed: Vec<_> = program.computed.iter().map(|computed| computed.name.as_str()).collect();
    let order: Vec<_> = program.segments.iter().map(|segment| segment.id.as_str()).collect();
    assert_eq!((computed, order), (vec!["b", "a"], vec!["z", "t", "s"]));
    let evaluation = program.evaluate(&Customer::ada().values(&program));
    assert_eq!(evaluation.segments, [true, true, true]);
}

#[test]
fn a_segment_keeps_its_name_and_text() {
    let program = Program::compile(&definitions(&[], &[("vip", "traits.vip")], &[])).unwrap();
    let segment = &program.segments[0];
    assert_eq!((segment.id.as_str(), segment.name.as_str(), segment.text.as_str()), ("vip", "VIP", "traits.vip"));
}

#[test]
fn a_computed_trait_may_be_named_like_a_column() {
    let traits =
        [("event", "count(*) FILTER (WHERE event = 'Order Completed')"), ("b", "event + 1"), ("type", "last(type)")];
    let program = Program::compile(&definitions(&traits, &[], &[])).unwrap();
    let evaluation = program.evaluate(&Customer::ada().values(&program));
    assert_eq!(evaluation.computed[1].to_json(), json!(4));
}

#[test]
fn traits_are_read_once() {
    let segments = [("a", "traits.x = 1 AND traits.y.z"), ("b", "traits.y.z OR traits.x = 2")];
    let program = Program::compile(&definitions(&[], &segments, &[])).unwrap();
    assert_eq!(program.trait_paths, ["x", "y.z"]);
}

#[test]
fn a_long_chain_of_definitions_is_no_danger_to_the_stack() {
    let names: Vec<(String, String)> = (0..2_000)
        .map(|n| (format!("t{n:05}"), if n == 1_999 { "1".to_owned() } else { format!("t{:05} + 1", n + 1) }))
        .collect();
    let traits: Vec<(&str, &str)> = names.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let program = Program::compile(&definitions(&traits, &[], &[])).unwrap();
    let evaluation = program.evaluate(&Customer::nobody().values(&program));
    assert_eq!(evaluation.computed.last().unwrap().to_json(), json!(2_000));
}
