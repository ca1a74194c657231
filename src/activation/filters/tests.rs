//! What filters write in which language, to the letter; and what they say of what they cannot read.
#![allow(clippy::unwrap_used)]

use super::Mistaken;
use crate::activation::templates::{environment, render, trial};
use minijinja::{Environment, Error, Value, context};
use std::error::Error as _;

fn rendered(environment: &Environment<'_>, template: &str) -> Result<String, Error> {
    let order = context! { total => "1234.50", count => 3, at => "2026-11-28T16:09:35Z", tags => ["a"] };
    let values = context! { order, name => "Ada", locale => "en", nothing => Value::from(()) };
    render(&environment.template_from_str(template).unwrap(), values)
}

#[track_caller]
fn check(template: &str, expected: &str) {
    let written = rendered(&environment(), &format!("{{{{ {template} }}}}"));
    assert_eq!(written.as_deref().map_err(ToString::to_string), Ok(expected), "{template}");
}

/// The same filter in several languages.
#[track_caller]
fn check_in(template: &str, expected: &[(&str, &str)]) {
    for (locale, expected) in expected {
        let template = template.replace("LOCALE", &format!("locale=\"{locale}\""));
        check(&template, expected);
    }
}

#[track_caller]
fn check_failure(template: &str, expected: &str) {
    let error = rendered(&environment(), &format!("{{{{ {template} }}}}")).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn numbers_are_grouped_as_each_language_does() {
    let of_each = [
        ("en", "1,234,567.891"),
        ("de", "1.234.567,891"),
        ("de-DE", "1.234.567,891"),
        ("de-AT", "1\u{a0}234\u{a0}567,891"),
        ("de-CH", "1'234'567.891"),
        ("fr", "1\u{202f}234\u{202f}567,891"),
        ("ja", "1,234,567.891"),
        ("es", "1.234.567,891"),
        ("ar-EG", "١٬٢٣٤٬٥٦٧٫٨٩١"),
    ];
    check_in("1234567.891 | number(LOCALE)", &of_each);
    // Spanish and Polish group from five digits on.
    check_in("1234 | number(LOCALE)", &[("es", "1234"), ("pl", "1234"), ("es-MX", "1,234"), ("de", "1.234")]);
}

#[test]
fn numbers_have_the_digits_that_they_are_told_or_those_that_they_have() {
    check("order.total | number", "1,234.50");
    check("order.total | number(digits=1)", "1,234.5");
    check("5 | number(digits=2)", "5.00");
    check("0.125 | number(digits=2)", "0.13");
    check("\"-0.125\" | number(digits=2)", "-0.13");
    check("-0.001 | number(digits=2)", "0.00");
    check("9.999 | number(digits=2)", "10.00");
    check("\" +007 \" | number", "7");
    check("12345678901234567890 | number", "12,345,678,901,234,567,890");
    // No decimal goes through a float when it comes as a text.
    check("\"0.10000000000000000000000001\" | number", "0.10000000000000000000000001");
    check("0.1 | number", "0.1");
}

#[test]
fn money_has_the_digits_of_its_currency_and_stands_where_the_language_has_it() {
    check_in(
        "order.total | money(\"EUR\", LOCALE)",
        &[
            ("en", "€1,234.50"),
            ("de", "1.234,50\u{a0}€"),
            ("fr", "1\u{202f}234,50\u{a0}€"),
            ("ja", "€1,234.50"),
            ("es", "1234,50\u{a0}€"),
        ],
    );
    check_in(
        "order.total | money(\"usd\", LOCALE)",
        &[("en", "$1,234.50"), ("de", "1.234,50\u{a0}$"), ("fr", "1\u{202f}234,50\u{a0}$US"), ("ja", "$1,234.50")],
    );
    check_in("order.total | money(\"JPY\", LOCALE)", &[("en", "¥1,235"), ("de", "1.235\u{a0}¥"), ("ja", "￥1,235")]);
    check("\"12345.67\" | money(\"EGP\", locale=\"ar-EG\")", "\u{200f}١٢٬٣٤٥٫٦٧\u{a0}ج.م.\u{200f}");
    check("\"-12.3\" | money(\"EUR\", locale=\"de\")", "-12,30\u{a0}€");
    check("\"-0.004\" | money(\"EUR\")", "€0.00");
    check("\"-0.4\" | money(\"JPY\", locale=\"ja\")", "￥0");
    check("\"-0.005\" | money(\"EUR\")", "-€0.01");
    check("99999999999999999.99 | money(\"EUR\")", "€100,000,000,000,000,000.00");
    check("\"99999999999999999.99\" | money(\"EUR\")", "€99,999,999,999,999,999.99");
}

#[test]
fn percentages_are_of_one() {
    check_in("0.256 | percent(LOCALE)", &[("en", "26%"), ("de", "26\u{a0}%"), ("fr", "26\u{a0}%"), ("tr", "%26")]);
    check("\"0.05\" | percent", "5%");
    check("1.5 | percent(digits=1)", "150.0%");
    check("-0.1 | percent", "-10%");
}

#[test]
fn multiplying_is_exact() {
    check("order.total | times(order.count) | money(\"EUR\")", "€3,703.50");
    check("19.99 | times(3)", "59.97");
    check("\"0.1\" | times(3)", "0.3");
    check("2 | times(\"1.5\")", "3");
    check("(19.99 | times(3)) > 59", "True");
    check("\"1.00000000000000000001\" | times(2)", "2.00000000000000000002");
    check_failure(
        "order.tags | times(100000000)",
        "`times` takes a number, or a text that is one; this is of the kind sequence",
    );
}

#[test]
fn dates_are_written_in_four_lengths() {
    for (length, expected) in [
        (
            "short",
            [("en", "11/28/26"), ("de", "28.11.26"), ("fr", "28/11/2026"), ("ja", "2026/11/28"), ("es", "28/11/26")],
        ),
        (
            "medium",
            [
                ("en", "Nov 28, 2026"),
                ("de", "28.11.2026"),
                ("fr", "28 nov. 2026"),
                ("ja", "2026/11/28"),
                ("es", "28 nov 2026"),
            ],
        ),
        (
            "long",
            [
                ("en", "November 28, 2026"),
                ("de", "28. November 2026"),
                ("fr", "28 novembre 2026"),
                ("ja", "2026年11月28日"),
                ("es", "28 de noviembre de 2026"),
            ],
        ),
        (
            "full",
            [
                ("en", "Saturday, November 28, 2026"),
                ("de", "Samstag, 28. November 2026"),
                ("fr", "samedi 28 novembre 2026"),
                ("ja", "2026年11月28日土曜日"),
                ("es", "sábado, 28 de noviembre de 2026"),
            ],
        ),
    ] {
        check_in(&format!("order.at | date(length=\"{length}\", LOCALE)"), &expected);
    }
    check("order.at | date", "Nov 28, 2026");
    check("order.at | date(locale=\"ar-EG\", length=\"long\")", "٢٨ نوفمبر ٢٠٢٦");
    check("order.at | date(locale=\"th\", length=\"medium\")", "28 พ.ย. 2569");
}

#[test]
fn times_are_by_the_clock_of_the_language() {
    check_in(
        "order.at | time(LOCALE)",
        &[("en", "4:09\u{202f}PM"), ("en-GB", "16:09"), ("de", "16:09"), ("fr", "16:09")],
    );
    check_in(
        "order.at | datetime(LOCALE)",
        &[
            ("en", "Nov 28, 2026, 4:09\u{202f}PM"),
            ("de", "28.11.2026, 16:09"),
            ("fr", "28 nov. 2026, 16:09"),
            ("ja", "2026/11/28 16:09"),
        ],
    );
    check("order.at | datetime(length=\"long\", locale=\"de\")", "28. November 2026 um 16:09");
    check("order.at | datetime(length=\"full\", locale=\"fr\")", "samedi 28 novembre 2026 à 16:09");
}

#[test]
fn times_are_those_of_the_place_also_when_its_clocks_change() {
    for (at, there) in [
        ("2026-03-29T00:59:59Z", "29.03.2026, 01:59"),
        ("2026-03-29T01:00:00Z", "29.03.2026, 03:00"),
        ("2026-10-25T00:30:00Z", "25.10.2026, 02:30"),
        ("2026-10-25T01:30:00Z", "25.10.2026, 02:30"),
        ("2026-10-25T02:30:00Z", "25.10.2026, 03:30"),
        ("2026-12-31T23:30:00Z", "01.01.2027, 00:30"),
    ] {
        check(&format!("\"{at}\" | datetime(locale=\"de\", time_zone=\"Europe/Berlin\")"), there);
    }
    check("\"2026-11-28T23:30:00Z\" | date(time_zone=\"Asia/Tokyo\")", "Nov 29, 2026");
    // Whoever was born on a day was born on that day everywhere.
    check("\"1990-05-17\" | date(time_zone=\"America/New_York\")", "May 17, 1990");
    check("\"2026-11-28T10:00:00\" | datetime(time_zone=\"Asia/Tokyo\")", "Nov 28, 2026, 10:00\u{202f}AM");
}

#[test]
fn times_are_told_in_many_ways() {
    for told in [
        "1795882175000",
        "1795882175000.0",
        "\"1795882175000\"",
        "\"2026-11-28T18:09:35+02:00\"",
        "\"2026-11-28 16:09:35Z\"",
    ] {
        check(&format!("{told} | datetime"), "Nov 28, 2026, 4:09\u{202f}PM");
    }
}

#[test]
fn plurals_are_those_of_the_language() {
    let items = "plural(zero=\"zero\", one=\"one\", two=\"two\", few=\"few\", many=\"many\", other=\"other\", LOCALE)";
    for (locale, forms) in [
        ("en", ["other", "one", "other", "other", "other"]),
        ("fr", ["one", "one", "other", "other", "other"]),
        ("ja", ["other", "other", "other", "other", "other"]),
        ("pl", ["many", "one", "few", "many", "many"]),
        ("ar", ["zero", "one", "two", "few", "many"]),
    ] {
        for (number, form) in ["0", "1", "2", "5", "21"].into_iter().zip(forms) {
            check_in(&format!("{number} | {items}"), &[(locale, form)]);
        }
    }
    check("2 | plural(one=\"plik\", few=\"pliki\", other=\"plików\", locale=\"pl\")", "pliki");
    check("5 | plural(one=\"plik\", few=\"pliki\", other=\"plików\", locale=\"pl\")", "plików");
    check("\"1\" | plural(one=\"item\", other=\"items\")", "item");
}

#[test]
fn the_language_is_that_of_the_message_unless_it_is_told() {
    check("1234.5 | number", "1,234.5");
    check("1234.5 | number(locale=nothing)", "1,234.5");
    let set = rendered(&environment(), "{% set locale = \"de_DE\" %}{{ 1234.5 | number }}");
    assert_eq!(set.unwrap(), "1.234,5");
}

#[test]
fn slack_has_three_characters_of_its_own() {
    check("\"<@U1> & 'co'\" | slack", "&lt;@U1&gt; &amp; 'co'");
    check("5 | slack", "5");
    check("order.unknown | slack", "");
    check_failure("order | slack", "`slack` takes a text; this is of the kind map");
}

#[test]
fn what_cannot_be_read_says_so() {
    for filter in ["number", "percent", "money(\"EUR\")", "plural(other=\"x\")"] {
        let name = filter.split('(').next().unwrap();
        for (value, is) in [
            ("name", "the text `Ada`"),
            ("\"1e5\"", "the text `1e5`"),
            ("\"1,5\"", "the text `1,5`"),
            ("order", "of the kind map"),
            ("order.tags", "of the kind sequence"),
            ("order.unknown", "of the kind undefined"),
            ("nothing", "of the kind none"),
            ("true", "of the kind bool"),
        ] {
            check_failure(
                &format!("{value} | {filter}"),
                &format!("`{name}` takes a number, or a text that is one; this is {is}"),
            );
        }
    }
    for filter in ["date", "time", "datetime"] {
        for value in ["name", "order.unknown", "true", "\"2026-13-01\"", "\"2026-11-28T10:00[Europe/Berlin]\""] {
            check_failure(
                &format!("{value} | {filter}"),
                &format!("`{filter}` takes a time: ISO 8601, or milliseconds since 1970"),
            );
        }
    }
    check_failure("\"2026-11-28\" | time", "`time` takes a date with a time; this is the text `2026-11-28`");
    check_failure(
        "1 | money(order.unknown)",
        "`money` takes a currency such as \"EUR\"; this is of the kind undefined",
    );
}

#[test]
fn mistaken_arguments_are_mistakes_of_the_template_in_a_trial_too() {
    for (template, expected) in [
        ("name.x | number(digits=99)", "`digits` is a whole number from 0 to 20"),
        ("name.x | number(locale=\"german\")", "`german` is no locale; write one such as de-AT"),
        ("name.x | money(\"EURO\")", "`EURO` is no currency; write one such as EUR"),
        ("name.x | date(length=\"huge\")", "`length` is one of short, medium, long and full"),
        ("name.x | time(time_zone=\"Berlin\")", "`Berlin` is no time zone; write one such as Europe/Berlin"),
    ] {
        for environment in [environment(), trial()] {
            let error = rendered(&environment, &format!("{{{{ {template} }}}}")).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.source().is_some_and(|source| source.is::<Mistaken>()), "{error:?}");
        }
    }
    check_failure("1 | number(digit=2)", "unknown keyword argument 'digit'");
    check_failure("1 | plural(one=\"x\")", "missing keyword argument 'other'");
}

#[test]
fn what_a_trial_does_not_know_is_no_mistake() {
    let template = "{{ a.b | number }}{{ a.b | money(a.c) }}{{ a.b | date }}{{ a.b | time }}{{ a.b | percent }}\
                    {{ a.b | datetime }}{{ a.b | times(2) }}{{ a.b | plural(one=\"x\", other=\"y\") }}";
    assert_eq!(rendered(&trial(), template).unwrap(), "0y");
    check_failure("5 | money", "missing argument");
}
