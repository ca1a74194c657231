//! SQL's three truths.

use super::{Customer, check, check_of, evaluate};
use serde_json::{Value as Json, json};

const TRUTHS: [(&str, Json); 3] = [("TRUE", Json::Bool(true)), ("FALSE", Json::Bool(false)), ("NULL", Json::Null)];

/// The table of an operator, row by row for true, false, unknown on the left.
#[track_caller]
fn table(operator: &str, expected: [[Option<bool>; 3]; 3]) {
    for (row, (left, _)) in expected.iter().zip(&TRUTHS) {
        for (cell, (right, _)) in row.iter().zip(&TRUTHS) {
            check(&format!("{left} {operator} {right}"), json!(cell));
            // Also where the truths are known only when the customer is.
            let known = |truth: &str| format!("(CASE WHEN traits.vip THEN {truth} END)");
            check(&format!("{} {operator} {}", known(left), known(right)), json!(cell));
        }
    }
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);
const U: Option<bool> = None;

#[test]
fn and_or_and_comparisons_know_what_is_not_known() {
    table("AND", [[T, F, U], [F, F, F], [U, F, U]]);
    table("OR", [[T, T, T], [T, F, U], [T, U, U]]);
    table("=", [[T, F, U], [F, T, U], [U, U, U]]);
    table("<>", [[F, T, U], [T, F, U], [U, U, U]]);
    table("IS DISTINCT FROM", [[F, T, T], [T, F, T], [T, T, F]]);
    table("IS NOT DISTINCT FROM", [[T, F, F], [F, T, F], [F, F, T]]);
}

#[test]
fn not_and_is() {
    for (operator, expected) in [
        ("NOT {}", [F, T, U]),
        ("{} IS NULL", [F, F, T]),
        ("{} IS NOT NULL", [T, T, F]),
        ("{} IS TRUE", [T, F, F]),
        ("{} IS NOT TRUE", [F, T, T]),
        ("{} IS FALSE", [F, T, F]),
        ("{} IS NOT FALSE", [T, F, T]),
        ("{} IS UNKNOWN", [F, F, T]),
        ("{} IS NOT UNKNOWN", [T, T, F]),
    ] {
        for ((truth, _), expected) in TRUTHS.iter().zip(expected) {
            check(&operator.replace("{}", truth), json!(expected));
        }
    }
}

#[test]
fn lists_ranges_and_patterns_with_null() {
    check("1 IN (1, NULL)", json!(true));
    check("2 IN (1, NULL)", json!(null));
    check("2 NOT IN (1, NULL)", json!(null));
    check("1 NOT IN (1, NULL)", json!(false));
    check("NULL IN (1)", json!(null));
    check("5 BETWEEN NULL AND 4", json!(false));
    check("5 BETWEEN NULL AND 6", json!(null));
    check("5 NOT BETWEEN NULL AND 4", json!(true));
    check("traits.missing LIKE '%'", json!(null));
    check("starts_with(traits.missing, '')", json!(null));
}

#[test]
fn null_goes_through_operators_and_functions() {
    for expression in [
        "1 + traits.missing",
        "-traits.missing",
        "'a' || traits.missing",
        "lower(traits.missing)",
        "length(traits.missing)",
        "TIMESTAMP 'epoch' + NULL",
        "NULL + INTERVAL '1 day'",
        "TIMESTAMP 'epoch' - NULL",
        "traits.missing - INTERVAL '1 day'",
        "coalesce(NULL, NULL)",
        "nullif(NULL, 1)",
        "CASE WHEN NULL THEN 1 END",
        "CASE NULL WHEN NULL THEN 1 END",
    ] {
        check(expression, json!(null));
    }
    check("nullif(1, NULL)", json!(1));
}

#[test]
fn what_is_no_truth_is_not_known() {
    check("traits.country AND TRUE", json!(null));
    check("traits.age OR TRUE", json!(true));
    check("traits.country IS TRUE", json!(false));
    check("traits.country IS NULL", json!(false));
    check("NOT traits.age", json!(null));
}

#[test]
fn of_a_stranger_sums_are_unknown_and_counts_are_zero() {
    let nobody = Customer::nobody();
    check_of(&nobody, "count(*)", json!(0));
    check_of(&nobody, "count(properties.total)", json!(0));
    for function in ["sum", "avg", "min", "max", "first", "last"] {
        check_of(&nobody, &format!("{function}(properties.total)"), json!(null));
    }
    check_of(&nobody, "coalesce(ltv, 0)", json!(0));
    check_of(&nobody, "in_segment('vip')", json!(false));
    check_of(&nobody, "NOT in_segment('vip')", json!(true));
    assert!(evaluate("ltv > 0", &nobody).unwrap().is_null());
}
