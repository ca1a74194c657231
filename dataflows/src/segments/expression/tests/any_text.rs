//! Whatever stands in a definition, compiling answers; whatever a customer holds, evaluating answers.

use super::{Customer, Values, definitions, evaluate, event};
use crate::segments::Program;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rust_decimal::Decimal;
use serde_json::json;
use tributary_model::{Millis, Value};

/// Compiles a text as every kind of definition.
fn compile(text: &str) -> bool {
    let all = definitions(&[("it", text)], &[("it", text)], &[("it", text)]);
    match Program::compile(&all) {
        Ok(_) => true,
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in &errors {
                let lines = text.split('\n').count();
                assert!(error.line >= 1 && error.line <= lines.max(1) && error.column >= 1, "{error} in {text:?}");
                assert!(!error.message.is_empty());
            }
            false
        }
    }
}

#[test]
fn deep_and_long_texts_are_refused_in_time() {
    let refused = |text: String| assert!(!compile(&text), "{}…", &text[..20]);
    refused("(".repeat(60_000));
    refused(format!("{}1{}", "(".repeat(3_000), ")".repeat(3_000)));
    refused("NOT ".repeat(3_000) + "TRUE");
    refused("- ".repeat(3_000) + "1");
    refused("lower(".repeat(3_000));
    refused("CASE WHEN ".repeat(1_000));
    refused("INTERVAL ".repeat(3_000));
    refused("1 + ".repeat(3_900) + "1");
    refused("1 = ".repeat(3_900) + "1");
    refused("x".to_owned() + &" IS NULL".repeat(1_900));
    refused("x".to_owned() + &"::int".repeat(1_900));
    refused("x".to_owned() + &"[1]".repeat(1_900));
    refused("a.".repeat(1_900) + "a");
    refused("'x' || ".repeat(5_000) + "'x'");
    refused("x".repeat(70_000));
}

#[test]
fn what_is_long_but_flat_is_taken() {
    let taken = |text: String| assert!(compile_condition(&text), "{}…", &text[..20]);
    taken("traits.vip OR ".repeat(900) + "TRUE");
    taken(format!("traits.id IN ({}'z')", "'some id', ".repeat(5_000)));
    taken(format!("{}TRUE{}", "(".repeat(40), ")".repeat(40)));
    taken("TRUE AND ".repeat(1_000) + "TRUE");
}

fn compile_condition(text: &str) -> bool {
    Program::compile(&definitions(&[], &[("it", text)], &[])).is_ok()
}

/// Pieces that make texts which are nearly SQL, or are.
fn nearly_sql() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "traits.a",
        "traits.b.c",
        "properties.x",
        "context.y",
        "event",
        "type",
        "timestamp",
        "ltv",
        "it",
        "1",
        "0",
        "-1",
        "19.99",
        "1e5",
        "79228162514264337593543950335",
        "''",
        "'a'",
        "'%_\\'",
        "'2026-01-01'",
        "TRUE",
        "FALSE",
        "NULL",
        "TIMESTAMP 'epoch'",
        "TIMESTAMP '9999-12-31'",
        "INTERVAL '30 days'",
        "INTERVAL '106751991167 days'",
        "now()",
        "+",
        "-",
        "*",
        "/",
        "%",
        "||",
        "=",
        "<>",
        "<",
        ">=",
        "AND",
        "OR",
        "NOT",
        "IS NULL",
        "IS TRUE",
        "IN (1, 2)",
        "IN ('a', NULL)",
        "BETWEEN",
        "LIKE",
        "ILIKE",
        "(",
        ")",
        ",",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "count(*)",
        "count(",
        "sum(",
        "avg(",
        "min(",
        "max(",
        "first(",
        "last(",
        "lower(",
        "length(",
        "coalesce(",
        "nullif(",
        "starts_with(",
        "in_segment('it')",
        "in_segment('vip')",
        "FILTER (WHERE",
        "timestamp > now() - INTERVAL '1 day'",
        "event = 'A'",
        "::int",
        "[1]",
        ";",
        "--",
        "\"",
        "'",
        "$1",
        "SELECT",
        "FROM",
        ".",
        "é",
        "\n",
    ]);
    prop::collection::vec(word, 1..25).prop_map(|words| words.join(" "))
}

/// Expressions that mostly compile.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "traits.a",
        "traits.b",
        "ltv",
        "1",
        "0",
        "-2.5",
        "'a'",
        "'2026-01-01'",
        "TRUE",
        "NULL",
        "TIMESTAMP 'epoch'",
        "79228162514264337593543950335",
        "0.0000000000000000000000000001",
        "INTERVAL '106751991167 days'",
        "TIMESTAMP '9999-12-31'",
        "count(*)",
        "sum(properties.x)",
        "avg(properties.x)",
        "min(properties.x)",
        "last(timestamp)",
        "max(event)",
        "in_segment('vip')",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 30, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "||",
            "=",
            "<>",
            "<",
            "<=",
            ">",
            ">=",
            "AND",
            "OR",
            "IS DISTINCT FROM",
        ]);
        // What it is, is known only when it runs: so that most compile.
        let any = inner.clone().prop_map(|a| format!("CASE WHEN TRUE THEN {a} ELSE traits.a END"));
        let any = prop_oneof![3 => any, 1 => inner];
        prop_oneof![
            3 => (any.clone(), operator, any.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => any.clone().prop_map(|a| format!("(NOT {a})")),
            1 => any.clone().prop_map(|a| format!("(-{a})")),
            1 => any.clone().prop_map(|a| format!("({a} < now() - INTERVAL '1 day')")),
            1 => any.clone().prop_map(|a| format!("date_trunc('month', {a}, 'Europe/Berlin')")),
            1 => any.clone().prop_map(|a| format!("CAST({a} AS integer)")),
            1 => any.clone().prop_map(|a| format!("({a} = ANY (traits.b))")),
            1 => (any.clone(), any.clone()).prop_map(|(a, b)| format!("substring({a}, {b})")),
            1 => any.clone().prop_map(|a| format!("({a} IS NULL)")),
            1 => any.clone().prop_map(|a| format!("lower({a})")),
            1 => any.clone().prop_map(|a| format!("length({a})")),
            1 => any.clone().prop_map(|a| format!("({a} ILIKE '%A_%')")),
            1 => any.clone().prop_map(|a| format!("({a} + INTERVAL '106751991167 days')")),
            1 => (any.clone(), any.clone()).prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            1 => (any.clone(), any.clone()).prop_map(|(a, b)| format!("nullif({a}, {b})")),
            1 => (any.clone(), any.clone(), any.clone()).prop_map(|(a, b, c)| format!("({a} BETWEEN {b} AND {c})")),
            1 => (any.clone(), any.clone(), any.clone()).prop_map(|(a, b, c)| format!("({a} IN ({b}, {c}))")),
            1 => (any.clone(), any.clone(), any).prop_map(|(a, b, c)| format!("CASE {a} WHEN {b} THEN {c} END")),
        ]
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<[u8; 16]>().prop_map(|bytes| Value::Number(Decimal::deserialize(bytes))),
        any::<i64>().prop_map(|number| Value::Number(Decimal::from(number))),
        any::<Millis>().prop_map(Value::Timestamp),
        ".{0,12}".prop_map(Value::text),
        Just(Value::text("2026-03-01T00:00:00Z")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn compiling_any_text_answers(text in "\\PC{0,60}") {
        compile(&text);
    }

    #[test]
    fn compiling_what_is_nearly_sql_answers(text in nearly_sql()) {
        compile(&text);
    }

    #[test]
    fn evaluating_is_total(
        text in expression(),
        values in prop::collection::vec(any_value(), 40),
        sums in prop::collection::vec((0i64..3, any_value()), 40),
    ) {
        let traits = [("it", text.as_str()), ("ltv", "sum(properties.total)")];
        if let Ok(program) = Program::compile(&definitions(&traits, &[("vip", "ltv > 1")], &[])) {
            let additive = sums.into_iter().map(|(count, sum)| match sum {
                Value::Number(sum) => (count, Some(sum)),
                _ => (count, None),
            });
            let values = Values { traits: values.clone(), additive: additive.collect(), values, instants: vec![Vec::new(); 40] };
            let evaluation = program.evaluate(&values);
            prop_assert_eq!(&evaluation, &program.evaluate(&values));
            prop_assert_eq!(evaluation.computed.len(), 2);
        }
    }

    #[test]
    fn observing_is_total(text in nearly_sql(), total in any_value(), at in any::<Millis>()) {
        let text = format!("last(properties.x) FILTER (WHERE {text})");
        if let Ok(program) = Program::compile(&definitions(&[("it", &text)], &[], &[])) {
            program.aggregates[0].observe(&event("A", at, json!({ "x": total.to_json() })));
        }
    }
}

/// The generator above is worth something only if much of what it makes compiles.
#[test]
fn generated_expressions_compile_often_enough() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let all = (0..500).map(|_| expression().new_tree(&mut runner).unwrap().current());
    let deep: Vec<String> = all.filter(|text| text.len() > 100).collect();
    let taken = deep.iter().filter(|text| evaluate(text, &Customer::ada()).is_ok()).count();
    assert!(taken > 50, "{taken} of {}", deep.len());
}
