//! What is said of a mistake: where it is, and what to write instead.

use super::{definitions, mistake};
use crate::segments::{Place, Program};

#[test]
fn text_that_is_no_expression() {
    mistake("", "1:1 there is no expression; write one, as `traits.country = 'DE'`");
    mistake("-- nothing", "1:1 there is no expression; write one, as `traits.country = 'DE'`");
    mistake("1 +", "1:4 the text ends where a value should follow; write one, or remove what waits for it");
    mistake("(1 + 2", "1:7 the text ends where ) should follow; write )");
    mistake("1 + 2)", "1:6 this `)` closes nothing; remove it, or write the `(` that it should close");
    mistake("1 = ) 2", "1:5 `)` stands where a value should; write a value before it, or remove it");
    mistake("ltv > 5;", "1:8 an expression has no semicolon; remove the `;`");
    mistake("1, 2", "1:2 a `,` separates values in a list only; join conditions by AND or OR");
    mistake(
        "ltv > 5\n  in_segment('vip')",
        "2:3 `in_segment` is not expected here; join conditions by AND or OR, write text in '…' and a name with spaces in \"…\"",
    );
    mistake("ltv > 'a", "1:7 this text has no end; close it with ', and write a ' within it twice, as 'it''s'");
    mistake("traits.\"a > 1", "1:8 this quoted name has no end; close it with \"");
    mistake(
        "CASE WHEN TRUE THEN 1",
        "1:6 this belongs to a CASE that is not whole; write CASE WHEN condition THEN value ELSE value END",
    );
    let filter = "a filter is written FILTER (WHERE event = 'Order Completed'); write it so, or remove it";
    for text in ["count(*) FILTER (event = 'A')", "count(*) FILTER > 5", "count(*) filter ( > 5", "count(*) FILTER"] {
        mistake(text, &format!("1:10 {filter}"));
    }
}

#[test]
fn sql_that_is_not_of_the_language() {
    mistake(
        "SELECT 1",
        "1:1 a query (`SELECT`) cannot stand in an expression; it sees one customer by traits.…, by aggregates such as \
         count(*) FILTER (WHERE event = 'Order Completed'), and by in_segment('…')",
    );
    mistake(
        "ltv IN (SELECT 1)",
        "1:9 a query (`SELECT`) cannot stand in an expression; it sees one customer by traits.…, by aggregates such as \
         count(*) FILTER (WHERE event = 'Order Completed'), and by in_segment('…')",
    );
    mistake("traits.a && traits.b", "1:1 the operator `&&` is not available; write AND");
    mistake(
        "traits.a ~ 'x'",
        "1:1 the operator `~` is not available; regular expressions are not available; write LIKE with % and _",
    );
    mistake(
        "traits->>'a' = 'x'",
        "1:1 the operator `->>` is not available; write a path with dots, as properties.address.city",
    );
    mistake("traits.a['b'] = 'x'", "1:1 `[…]` cannot be read; write a path with dots, as properties.address.city");
    mistake(
        "traits.a::uuid IS NULL",
        "1:1 `UUID` is no type to cast to; write one of integer, numeric, text, boolean, timestamp, date",
    );
    mistake("1 = ANY(ARRAY[1, 2])", "1:1 a list stands only behind IN; write x IN ('a', 'b')");
    mistake(
        "1 ~ ANY(traits.a)",
        "1:1 the operator `~` is not available; regular expressions are not available; write LIKE with % and _",
    );
    mistake(
        "max(timestamp) AT TIME ZONE 'CET' IS NULL",
        "1:1 a time zone stands in date_trunc and extract; write date_trunc('day', x, 'Europe/Berlin') or \
         extract(hour FROM x AT TIME ZONE 'Europe/Berlin')",
    );
    mistake(
        "trim(BOTH 'x' FROM traits.a) = 'a'",
        "1:20 trim takes spaces away; write trim(text), or replace(text, 'x', '')",
    );
    mistake("ceil(traits.a, 2) > 1", "1:6 ceil and floor give whole numbers; write round(x, 2)");
    mistake("$1 = 1", "1:1 `$1` stands for a value that nobody gives; write the value");
    mistake(
        "sum(properties.a) OVER () > 1",
        "1:1 OVER has no place here: an expression sees all events of one customer; write sum(…) FILTER (WHERE …)",
    );
    mistake(
        "sum(DISTINCT properties.total) > 1",
        "1:1 DISTINCT stands in count(DISTINCT x); write sum(x), which takes each event",
    );
    mistake(
        "first_value(event) IGNORE NULLS",
        "1:1 first_value(x) leaves NULLs out by itself; remove IGNORE NULLS or RESPECT NULLS",
    );
    mistake(
        "last(event ORDER BY timestamp)",
        "1:1 last(…) takes values only; first(x) and last(x) are by event time, conditions stand in FILTER (WHERE …) behind it",
    );
}

#[test]
fn literals_that_mean_nothing() {
    mistake(
        "TIMESTAMP 'yesterday' IS NULL",
        "1:11 'yesterday' is no instant; write TIMESTAMP '2026-03-01', TIMESTAMP '2026-03-01 12:00:00' (both in UTC), TIMESTAMP '2026-03-01T12:00:00+02:00' or TIMESTAMP 'epoch'",
    );
    mistake("DATE '2026-03-01' IS NULL", "1:6 write TIMESTAMP '2026-03-01'");
    mistake(
        "INTERVAL '1 month' IS NULL",
        "1:10 months and years have no fixed length; write days, as INTERVAL '30 days' or INTERVAL '365 days'",
    );
    mistake(
        "INTERVAL 'soon' IS NULL",
        "1:10 'soon' is no length of time; write it as INTERVAL '30 days', in weeks, days, hours, minutes, seconds",
    );
    mistake(
        "123456789012345678901234567890 > 1",
        "1:1 `123456789012345678901234567890` is no number of at most 28 digits; write one such as 19.99",
    );
    mistake("event 'x'", "1:7 `event` and 'x' stand side by side; write an operator between them, as event = 'x'");
}

#[test]
fn names_that_nothing_has() {
    mistake("ltw > 5", "1:1 there is no computed trait `ltw`; did you mean `ltv`?");
    mistake(
        "country = 'DE'",
        "1:1 there is no computed trait `country`; a trait that was sent is written traits.country; known are it, ltv",
    );
    mistake(
        "ltv > 1 AND \"Germany\" = 'x'",
        "1:13 there is no computed trait \"Germany\"; text stands in single quotes, as 'Germany'",
    );
    mistake("traits = 'x'", "1:1 `traits` holds many values; write the name of one behind it, as traits.country");
    mistake("trait.country = 'x'", "1:1 there is nothing named `trait` with parts; did you mean `traits`?");
    mistake(
        "profile.country = 'x'",
        "1:1 there is nothing named `profile` with parts; a customer's traits are written traits.…, an event's properties within an aggregate properties.…",
    );
    mistake("computed.ltv > 1", "1:1 a computed trait is written by its name alone; write ltv");
    mistake(
        "properties.total > 1",
        "1:1 `properties.total` is an event's, and a customer has many events; write an aggregate, as last(properties.total) FILTER (WHERE event = 'Order Completed')",
    );
    mistake(
        "event = 'A'",
        "1:1 `event` is an event's, and a customer has many events; write an aggregate, as last(event) FILTER (WHERE event = 'Order Completed')",
    );
    mistake("traits.\"a.b\" = 1", "1:1 a trait named \"a.b\" cannot be read; send it under a name without a dot");
    mistake("in_segment('vp')", "1:1 there is no segment `vp`; did you mean `vip`?");
    mistake("in_segment('customers')", "1:1 there is no segment `customers`; known are employees, vip");
    mistake("in_segment(vip)", "1:1 in_segment takes the id of one segment; write in_segment('vip')");
    mistake("cuont(*) > 1", "1:1 there is no function `cuont`; did you mean `count`?");
    mistake("ifnull(ltv, 0) > 1", "1:1 there is no function `ifnull`; write coalesce(a, b)");
}

#[test]
fn values_of_a_wrong_type() {
    mistake(
        "count(*) > '3'",
        "1:1 `count(*)` is a number and `'3'` is text, so they never compare; write 3 without quotes",
    );
    mistake(
        "max(timestamp) > '2026-01-01'",
        "1:1 `max(…)` is an instant and `'2026-01-01'` is text, so they never compare; write TIMESTAMP '2026-01-01'",
    );
    mistake(
        "in_segment('vip') = 'true'",
        "1:1 `in_segment(…)` is true or false and `'true'` is text, so they never compare; write TRUE without quotes",
    );
    mistake(
        "count(*) = last(event)",
        "1:1 `count(*)` is a number and `last(…)` is text, so they never compare; compare values of one type",
    );
    mistake(
        "max(timestamp) - min(timestamp) > 5",
        "1:1 `… - …` is a length of time and `5` is a number, so they never compare; compare a length of time with INTERVAL '…'",
    );
    mistake(
        "count(*) AND TRUE",
        "1:1 `count(*)` is a number, and a condition is true or false; compare it, as `count(*) > 0`",
    );
    mistake("NOT 'x'", "1:5 `'x'` is text, and a condition is true or false; compare it, as `'x' = …`");
    mistake("count(*) + 'x'", "1:1 `'x'` is text, and `+` takes numbers; join texts by ||");
    mistake(
        "max(timestamp) + 1",
        "1:1 `max(…)` is an instant; to an instant add a length of time, as `timestamp + INTERVAL '30 days'`, or take one instant from another",
    );
    mistake("count(*) LIKE '3%'", "1:1 `count(*)` is a number, and LIKE takes text; write text");
    mistake(
        "traits.a LIKE traits.b",
        "1:1 the pattern of LIKE is written out, and `traits.b` is no text literal; write x LIKE 'a%', or starts_with(x, y)",
    );
    mistake(
        "traits.a LIKE 'a\\'",
        "1:1 the pattern 'a\\' ends in its escape character, which then escapes nothing; write it twice",
    );
    mistake("lower(count(*))", "1:7 `count(*)` is a number, and lower takes text; write text");
    mistake("lower()", "1:1 lower(…) does not take 0 values; write lower(text)");
    mistake("nullif(1)", "1:1 nullif(…) does not take 1 value; write nullif(a, b)");
    mistake("round('a')", "1:7 `'a'` is text, and round takes a number; write a number");
    mistake("greatest(1, 'a')", "1:1 `'a'` is text, and another result is a number; give all results one type");
    mistake("date_trunc('mont', max(timestamp))", "1:1 'mont' is not a unit; did you mean `month`?");
    mistake(
        "date_trunc(traits.unit, max(timestamp))",
        "1:1 a unit is written out, and `traits.unit` is no text literal; write one of minute, hour, day, week, month, \
         quarter, year",
    );
    mistake(
        "extract(hour FROM max(timestamp) AT TIME ZONE 'Europe/Bonn')",
        "1:19 there is no time zone 'Europe/Bonn'; write one such as 'Europe/Berlin' or 'UTC'",
    );
    mistake(
        "'a' = ANY ('b')",
        "1:1 `'b'` is text, and ANY takes a list of the JSON; write x = ANY (properties.tags), or x IN ('a', 'b')",
    );
    mistake("1 || 2", "1:1 || joins texts and none of these is one; write + between numbers, OR between conditions");
    mistake(
        "traits.a IN ('a', 1)",
        "1:1 `1` is a number, and another value of the list is text; write values of one type",
    );
    mistake(
        "CASE WHEN TRUE THEN 1 ELSE 'a' END",
        "1:1 `'a'` is text, and another result is a number; give all results one type",
    );
    mistake(
        "coalesce(count(*), 'none')",
        "1:1 `'none'` is text, and another result is a number; give all results one type",
    );
    mistake(
        "max(timestamp) - min(timestamp)",
        "1:1 a computed trait cannot be a length of time; compare it, as max(timestamp) - min(timestamp) > INTERVAL '30 days'",
    );
}

#[test]
fn aggregates_that_make_no_sense() {
    mistake("sum(*) > 1", "1:1 `*` stands only in count(*); write sum(properties.total)");
    mistake("count() > 1", "1:1 count() counts nothing; write count(*)");
    mistake("sum(1, 2) > 1", "1:1 sum(…) takes one value, not 2; write sum(properties.total)");
    mistake("sum(event) > 1", "1:5 `event` is text, and sum takes numbers; write one, as sum(properties.total)");
    mistake(
        "max(properties.a = 1)",
        "1:5 `… = …` is true or false, and max takes what has an order; write count(*) FILTER (WHERE …) > 0",
    );
    mistake("sum(count(*))", "1:5 count(…) stands within another aggregate; write the two side by side");
    mistake(
        "sum(total) > 1",
        "1:5 an event has no column `total`; what the event carries is written properties.total; known are event, type, name, timestamp, properties, context",
    );
    mistake("sum(propertys.total) > 1", "1:5 an event has no column `propertys`; did you mean `properties`?");
    mistake(
        "count(*) FILTER (WHERE event = \"Order Completed\")",
        "1:32 an event has no column \"Order Completed\"; text stands in single quotes, as 'Order Completed'",
    );
    mistake(
        "count(*) FILTER (WHERE properties > 1)",
        "1:24 `properties` holds many values; write the name of one behind it, as properties.total",
    );
    mistake(
        "count(*) FILTER (WHERE traits.country = 'DE')",
        "1:24 an aggregate sees one event at a time, and traits are a customer's; write that condition beside the aggregate, joined by AND",
    );
    mistake(
        "count(*) FILTER (WHERE in_segment('vip'))",
        "1:24 an aggregate sees one event at a time, and in_segment is about a customer; write that condition beside the aggregate, joined by AND",
    );
    mistake(
        "count(*) FILTER (WHERE properties.total)\n  > 'x'",
        "1:1 `count(*)` is a number and `'x'` is text, so they never compare; compare values of one type",
    );
    mistake(
        "lower(traits.a) FILTER (WHERE TRUE)",
        "1:1 FILTER stands behind an aggregate, and lower(…) is none; put it behind count(*) or sum(…)",
    );
}

#[test]
fn limits_say_what_to_do() {
    let deep = "this is nested deeper than 50 levels; give a part of it a name under `traits` and write the name here";
    mistake(&format!("{}1{}", "(".repeat(60), ")".repeat(60)), &format!("1:1 {deep}"));
    mistake(&("1 + ".repeat(200) + "1"), &format!("1:1 {deep}"));
    mistake(
        &("1 + ".repeat(5_000) + "1"),
        "1:16003 the expression has more than 4000 words and signs; give parts of it names under `traits`, and write long \
         lists as x IN ('a', 'b', …)",
    );
    mistake(
        &"x".repeat(70_000),
        "1:1 the expression has 70000 bytes and at most 65536 are read; give parts of it names under `traits`",
    );
}

/// All errors of definitions, as `place line:column message`.
#[track_caller]
fn all(traits: &[(&str, &str)], segments: &[(&str, &str)], triggers: &[(&str, &str)], expected: &[&str]) {
    let errors = Program::compile(&definitions(traits, segments, triggers)).unwrap_err();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told, expected);
}

#[test]
fn every_mistake_is_told_at_once_and_only_once() {
    all(
        &[("a", "nope + 1"), ("b", "a > 'x' AND nope2")],
        &[("s", "in_segment('t')\n AND b"), ("t", "cuont(*) > 1 OR\n lowr(traits.x) = 'y'")],
        &[("g", "properties.x > 1 AND count(*) > 1")],
        &[
            "trait `a`, line 1, column 1: there is no computed trait `nope`; a trait that was sent is written traits.nope; known are a, b",
            "trait `b`, line 1, column 13: there is no computed trait `nope2`; a trait that was sent is written traits.nope2; known are a, b",
            "segment `t`, line 1, column 1: there is no function `cuont`; did you mean `count`?",
            "segment `t`, line 2, column 2: there is no function `lowr`; did you mean `lower`?",
            "trigger `g`, line 1, column 22: a trigger's condition sees one event, and count(…) reads many; put it into a segment, and let the trigger be on its `enter`",
        ],
    );
}

#[test]
fn a_cycle_is_named() {
    all(
        &[("a", "1 + a")],
        &[],
        &[],
        &["trait `a`, line 1, column 5: `a` needs itself: a → a; take one of these references out"],
    );
    all(
        &[("ltv", "CASE WHEN in_segment('vip') THEN 1 END")],
        &[("gold", "ltv > 1"), ("vip", "traits.x AND in_segment('gold')")],
        &[],
        &[
            "trait `ltv`, line 1, column 11: `ltv` needs itself: ltv → vip → gold → ltv; take one of these references out",
        ],
    );
}

#[test]
fn a_condition_of_a_trigger_sees_one_event() {
    all(
        &[],
        &[("vip", "TRUE")],
        &[("a", "traits.x = 1"), ("b", "in_segment('vip')"), ("c", "timestamp > now() - INTERVAL '1 day'"), ("d", "1")],
        &[
            "trigger `a`, line 1, column 1: a trigger's condition sees one event, and traits are a customer's; put it into a segment, and let the trigger be on its `enter`",
            "trigger `b`, line 1, column 1: a trigger's condition sees one event, and in_segment is about a customer; put it into a segment, and let the trigger be on its `enter`",
            "trigger `c`, line 1, column 13: a trigger sees an event as it comes, so there is no now(); remove it, or let the trigger be on `enter` of a segment with a window",
            "trigger `d`, line 1, column 1: `1` is a number, and a condition is true or false; compare it, as `1 > 0`",
        ],
    );
}

#[test]
fn an_error_names_its_place() {
    let errors = Program::compile(&definitions(&[], &[("s", "1")], &[])).unwrap_err();
    assert_eq!((errors[0].place.clone(), errors[0].line, errors[0].column), (Place::Segment("s".to_owned()), 1, 1));
}
