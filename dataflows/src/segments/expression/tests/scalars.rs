//! Values, operators and functions.

use super::check;
use serde_json::json;

#[test]
fn literals_are_as_in_postgresql() {
    check("'it''s'", json!("it's"));
    check("E'tab\\t'", json!("tab\t"));
    check("$$it's$$", json!("it's"));
    check("19.99", json!(19.99));
    check("-5", json!(-5));
    check("1e3", json!(1000));
    check("true", json!(true));
    check("NULL", json!(null));
    check("TIMESTAMP 'epoch'", json!("1970-01-01T00:00:00.000Z"));
    check("TIMESTAMP '2026-03-01 12:30'", json!("2026-03-01T12:30:00.000Z"));
    check("TIMESTAMP WITH TIME ZONE '2026-03-01T12:30:00+02:00'", json!("2026-03-01T10:30:00.000Z"));
    check("1 /* one */ + 1 -- and one", json!(2));
}

#[test]
fn traits_are_read_by_path_and_keep_their_case() {
    check("traits.country", json!("DE"));
    check("traits.address.city", json!("Berlin"));
    check("traits.firstName", json!("Ada"));
    check("traits.\"firstName\"", json!("Ada"));
    check("TRAITS.country", json!("DE"));
    check("traits.missing", json!(null));
    check("traits.country.missing", json!(null));
    // An object is no value.
    check("traits.address", json!(null));
}

#[test]
fn lists_of_the_json_are_looked_through() {
    check("traits.tags", json!(["a"]));
    check("'a' = ANY (traits.tags)", json!(true));
    check("'b' = ANY (traits.tags)", json!(false));
    check("'b' <> ALL (traits.tags)", json!(true));
    check("'a' < SOME (traits.tags)", json!(false));
    check("cardinality(traits.tags)", json!(1));
    check("traits.tags IS NOT NULL", json!(true));
    // What is no list has no values, and what is not there is not known.
    check("'a' = ANY (traits.country)", json!(null));
    check("'a' = ANY (traits.missing)", json!(null));
    check("1 = ANY (traits.tags)", json!(null));
    check("NULL = ANY (traits.tags)", json!(null));
    check("last(properties.total) FILTER (WHERE 'a' = ANY (properties.tags))", json!(null));
}

#[test]
fn a_cast_of_what_is_none_is_null() {
    check("traits.address.zip::integer + 1", json!(10116));
    check("CAST('19.99' AS numeric)", json!(19.99));
    check("CAST(' 2.5 ' AS int)", json!(3));
    check("CAST(-2.5 AS int)", json!(-3));
    check("TRY_CAST(traits.country AS integer)", json!(null));
    check("traits.age::text || ' years'", json!("36 years"));
    check("true::text", json!("true"));
    check("'YES'::boolean", json!(true));
    check("0::boolean", json!(false));
    check("'maybe'::boolean", json!(null));
    check("true::int", json!(1));
    check("traits.born::timestamp", json!("1815-12-10T00:00:00.000Z"));
    check("'2026-03-01 17:30'::date", json!("2026-03-01T00:00:00.000Z"));
    check("traits.age::timestamp", json!(null));
    check("traits.tags::text", json!(null));
    check("NULL::integer", json!(null));
}

#[test]
fn texts_are_cut_and_changed_as_in_postgresql() {
    check("trim('  a b ') || '|'", json!("a b|"));
    check("ltrim('  a ') || rtrim('b  ') || '|'", json!("a b|"));
    check("replace('a-b-c', '-', '+')", json!("a+b+c"));
    check("replace('abc', '', '+')", json!("abc"));
    check("substring('Zoë Lang' FROM 3 FOR 3)", json!("ë L"));
    check("substring('Zoë', 2)", json!("oë"));
    check("substring('Zoë', 0, 2)", json!("Z"));
    check("substring('Zoë', 2, -1)", json!(null));
    check("left('Zoë', 2) || right('Zoë', 1)", json!("Zoë"));
    check("left('Zoë', -1) || right('Zoë', -2)", json!("Zoë"));
    check("strpos('Zoë Lang', 'Lang')", json!(5));
    check("position('x' IN 'Zoë')", json!(0));
    check("split_part('ada@example.com', '@', 2)", json!("example.com"));
    check("split_part('ada', '@', 2)", json!(""));
    check("split_part('ada', '@', 0)", json!(null));
    check("concat(traits.firstName, traits.missing, 1)", json!("Ada1"));
}

#[test]
fn numbers_are_rounded_and_compared() {
    check("abs(-3.5) + floor(1.5) + ceil(1.5)", json!(6.5));
    check("round(2.5)", json!(3));
    check("round(-2.5)", json!(-3));
    check("round(19.995, 2)", json!(20));
    check("floor(-1.5)", json!(-2));
    check("greatest(1, traits.missing, traits.age, 2)", json!(36));
    check("least('b', 'a')", json!("a"));
    check("greatest(traits.missing, NULL)", json!(null));
    check("greatest(traits.age, traits.country)", json!(null));
}

#[test]
fn instants_have_a_calendar() {
    check("date_trunc('month', TIMESTAMP '2026-08-19 15:42')", json!("2026-08-01T00:00:00.000Z"));
    check("date_trunc('day', TIMESTAMP '2026-08-19 23:00', 'Europe/Berlin')", json!("2026-08-19T22:00:00.000Z"));
    check("date_trunc('year', traits.born)", json!("1815-01-01T00:00:00.000Z"));
    check("date_trunc('year', traits.missing)", json!(null));
    check("extract(year FROM traits.born)", json!(1815));
    check("extract(dow FROM TIMESTAMP '2026-03-01')", json!(0));
    check("extract(isodow FROM TIMESTAMP '2026-03-01')", json!(7));
    check("extract(week FROM TIMESTAMP '2027-01-01')", json!(53));
    check("extract(doy FROM TIMESTAMP '2028-12-31')", json!(366));
    check("extract(quarter FROM TIMESTAMP '2026-08-19')", json!(3));
    check("extract(hour FROM TIMESTAMP '2026-07-01 12:00' AT TIME ZONE 'Europe/Berlin')", json!(14));
    check("date_part('hour', TIMESTAMP '2026-01-01 12:00', 'Europe/Berlin')", json!(13));
    check("extract(second FROM TIMESTAMP '2026-03-01 00:00:01.250')", json!(1.25));
    check("extract(epoch FROM TIMESTAMP '1970-01-02')", json!(86400));
}

#[test]
fn arithmetic_is_exact_and_never_fails() {
    check("0.1 + 0.2 = 0.3", json!(true));
    check("2 + 3 * 4 - 1", json!(13));
    check("(2 + 3) * 4", json!(20));
    check("7 / 2", json!(3.5));
    check("7 % 4", json!(3));
    check("-7 % 4", json!(-3));
    check("-traits.age + 1", json!(-35));
    check("- - 5", json!(5));
    check("+5 - +traits.age", json!(-31));
    check("1 / 0", json!(null));
    check("1 % 0", json!(null));
    check("79228162514264337593543950335 * 2", json!(null));
    check("1=-1", json!(false));
    check("traits.country + 1", json!(null));
}

#[test]
fn comparisons_are_between_values_of_one_type() {
    check("traits.age >= 36", json!(true));
    check("traits.age <> 36", json!(false));
    check("traits.age != 35", json!(true));
    check("traits.country < 'DF'", json!(true));
    check("'a' < 'B'", json!(false));
    check("1.0 = 1", json!(true));
    check("true > false", json!(true));
    // What the JSON holds is not of the type that was asked for.
    check("traits.age = '36'", json!(null));
    check("traits.country > 5", json!(null));
    check("traits.age = traits.country", json!(null));
}

#[test]
fn conditions_join_as_in_sql() {
    check("traits.vip AND NOT traits.age < 18", json!(true));
    check("FALSE OR TRUE AND FALSE", json!(false));
    check("(FALSE OR TRUE) AND TRUE", json!(true));
    check("NOT traits.country = 'FR'", json!(true));
    check("traits.vip IS TRUE", json!(true));
    check("traits.vip IS NOT FALSE", json!(true));
}

#[test]
fn lists_and_ranges() {
    check("traits.country IN ('FR', 'DE')", json!(true));
    check("traits.country NOT IN ('FR', 'DE')", json!(false));
    check("traits.age IN (1, 30 + 6)", json!(true));
    check("traits.age BETWEEN 36 AND 40", json!(true));
    check("traits.age NOT BETWEEN 36 AND 40 OR FALSE", json!(false));
    check("traits.age BETWEEN 40 AND 30", json!(false));
}

#[test]
fn text_is_matched_joined_and_measured() {
    check("traits.address.city LIKE 'B%n'", json!(true));
    check("traits.address.city LIKE 'b%'", json!(false));
    check("traits.address.city ILIKE 'b%'", json!(true));
    check("traits.address.city NOT LIKE '_erlin'", json!(false));
    check("'100%' LIKE '100\\%'", json!(true));
    check("'100%' LIKE '100!%' ESCAPE '!'", json!(true));
    check("'a\\b' LIKE 'a\\b' ESCAPE ''", json!(true));
    check("traits.age LIKE '3%'", json!(null));
    check("lower('ÄB') || upper('ß')", json!("äbSS"));
    check("length('Zoë')", json!(3));
    check("starts_with(traits.address.city, 'Ber')", json!(true));
    check("traits.firstName || ' (' || traits.age || ')'", json!("Ada (36)"));
    check("upper(traits.age)", json!(null));
}

#[test]
fn a_text_that_grows_past_all_bounds_is_null() {
    let long = |bytes: usize| "x".repeat(bytes);
    check(&format!("length('{}' || '{}')", long(40_000), long(20_000)), json!(60_000));
    let grown = vec![format!("upper('{}')", "ŉ".repeat(5_500)); 5].join(" || ");
    check(&format!("length({grown})"), json!(null));
}

#[test]
fn choices() {
    check("CASE WHEN traits.age < 18 THEN 'young' WHEN traits.age < 65 THEN 'grown' ELSE 'old' END", json!("grown"));
    check("CASE traits.country WHEN 'FR' THEN 1 WHEN 'DE' THEN 2 END", json!(2));
    check("CASE traits.country WHEN 'FR' THEN 1 END", json!(null));
    check("coalesce(traits.missing, traits.nothing, 'x')", json!("x"));
    check("nullif(traits.country, 'DE')", json!(null));
    check("nullif(traits.country, 'FR')", json!("DE"));
}

#[test]
fn instants_move_by_lengths_of_time() {
    check("TIMESTAMP '2026-03-01' + INTERVAL '36 hours'", json!("2026-03-02T12:00:00.000Z"));
    check("INTERVAL '1 day' + TIMESTAMP '2026-03-01'", json!("2026-03-02T00:00:00.000Z"));
    check("TIMESTAMP '2026-03-01' - INTERVAL '30' DAY", json!("2026-01-30T00:00:00.000Z"));
    check("TIMESTAMP '2026-03-01' - TIMESTAMP '2026-02-01' > INTERVAL '4 weeks'", json!(false));
    check("TIMESTAMP '2026-03-02' - TIMESTAMP '2026-02-01' > INTERVAL '4 weeks'", json!(true));
    check("max(timestamp) - min(timestamp) BETWEEN INTERVAL '1 day' AND INTERVAL '200 days'", json!(true));
}

#[test]
fn a_text_of_json_is_an_instant_beside_an_instant() {
    check("traits.born < TIMESTAMP '1900-01-01'", json!(true));
    check("traits.born + INTERVAL '1 day'", json!("1815-12-11T00:00:00.000Z"));
    check("traits.country < TIMESTAMP '1900-01-01'", json!(null));
    check("traits.born BETWEEN TIMESTAMP '1815-01-01' AND TIMESTAMP '1815-12-31'", json!(true));
}

#[test]
fn what_follows_what() {
    // Orders 200, 40 and 3 days ago, a checkout now.
    check("followed_by('Order Completed', 'Checkout Started', INTERVAL '3 days')", json!(true));
    check("followed_by('Order Completed', 'Checkout Started', INTERVAL '71 hours')", json!(false));
    check("followed_by('Order Completed', 'Order Completed', INTERVAL '37 days')", json!(true));
    check("followed_by('Checkout Started', 'Order Completed', INTERVAL '300 days')", json!(false));
    check("not_followed_by('Order Completed', 'Checkout Started', INTERVAL '2 days')", json!(true));
    check("not_followed_by('Order Completed', 'Checkout Started', INTERVAL '4 days')", json!(false));
    check("not_followed_by('Checkout Started', 'Order Completed', INTERVAL '1 hour')", json!(false));
    check("count_since('Order Completed', 'Checkout Started')", json!(0));
    check("count_since('Checkout Started', 'Order Completed')", json!(1));
    check("count_since('Order Completed', 'Nothing')", json!(3));
    check("count_since(event = 'Order Completed' AND properties.total > 50, 'Nothing')", json!(1));
}

/// `now()` is 2026-03-01T00:00:00Z.
#[test]
fn now_is_compared_with_instants() {
    check("max(timestamp) > now() - INTERVAL '30 days'", json!(true));
    check("min(timestamp) > now() - INTERVAL '30 days'", json!(false));
    check("now() - min(timestamp) > INTERVAL '199 days'", json!(true));
    check("now() + INTERVAL '1 day' BETWEEN max(timestamp) AND max(timestamp)", json!(false));
    check("CURRENT_TIMESTAMP = TIMESTAMP '2026-03-01'", json!(true));
    check("date_trunc('year', now())", json!("2026-01-01T00:00:00.000Z"));
    check("now()::date", json!("2026-03-01T00:00:00.000Z"));
    check("extract(year FROM now()) - extract(year FROM traits.born)", json!(211));
    check("traits.missing < now()", json!(null));
    check("now() IS NOT NULL", json!(true));
}
