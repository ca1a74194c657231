//! Texts in the language of whoever reads them, and what ends when it would go on for ever.
#![allow(clippy::unwrap_used)]

use super::{Languages, add_texts, environment, render};
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::json;
use std::collections::BTreeMap;
use tributary_model::{Locales, limits};

fn locales(from: Option<&str>, texts: &[(&str, &[(&str, &str)])]) -> Locales {
    let by_key =
        |texts: &[(&str, &str)]| texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let texts: BTreeMap<_, _> = texts.iter().map(|(locale, texts)| ((*locale).to_owned(), by_key(texts))).collect();
    Locales { default: "en".to_owned(), from: from.map(str::to_owned), texts }
}

/// A shop's texts: all in English, most in German, one of them for Austria.
fn shop() -> Environment<'static> {
    let english: &[(&str, &str)] = &[
        ("welcome", "Welcome, <b>{{ traits.name }}</b>"),
        ("paid", "Paid on {{ args.at | date }}: {{ args.total | money(\"EUR\") }}"),
        ("terms", "Terms of {{ \"2026-01-31\" | date }}"),
        ("all", "{{ t(\"welcome\") }} — {{ t(\"terms\") }}"),
        ("for_ever", "{{ t(\"for_ever\") }}"),
    ];
    let german: &[(&str, &str)] = &[
        ("welcome", "Willkommen, <b>{{ traits.name }}</b>"),
        ("paid", "Bezahlt am {{ args.at | date }}: {{ args.total | money(\"EUR\") }}"),
    ];
    let austrian: &[(&str, &str)] = &[("welcome", "Servus, <b>{{ traits.name }}</b>")];
    let mut environment = environment();
    add_texts(&mut environment, &locales(None, &[("en", english), ("de", german), ("de-AT", austrian)])).unwrap();
    environment
}

fn rendered(environment: &Environment<'_>, name: &str, locale: &str, template: &str) -> Result<String, Error> {
    let values = context! { traits => context! { name => "Ada & Co" }, locale };
    render(&environment.template_from_named_str(name, template).unwrap(), values)
}

#[track_caller]
fn check(locale: &str, template: &str, expected: &str) {
    let text = rendered(&shop(), "welcome/text", locale, template);
    assert_eq!(text.as_deref().map_err(ToString::to_string), Ok(expected), "{locale}: {template}");
}

#[track_caller]
fn check_failure(template: &str, kind: ErrorKind, expected: &str) {
    let error = rendered(&shop(), "welcome/text", "en", template).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_text_is_that_of_the_nearest_locale() {
    check("de-AT", "{{ t(\"welcome\") }}", "Servus, <b>Ada & Co</b>");
    check("de-CH", "{{ t(\"welcome\") }}", "Willkommen, <b>Ada & Co</b>");
    check("de_DE", "{{ t(\"welcome\") }}", "Willkommen, <b>Ada & Co</b>");
    check("en-GB", "{{ t(\"welcome\") }}", "Welcome, <b>Ada & Co</b>");
    for stranger in ["fr", "", "nonsense"] {
        check(stranger, "{{ t(\"welcome\") }}", "Welcome, <b>Ada & Co</b>");
    }
    check("en", "{{ t(\"welcome\", locale=\"de\") }}", "Willkommen, <b>Ada & Co</b>");
}

#[test]
fn a_text_has_arguments_and_is_written_in_its_own_language() {
    let paid = "{{ t(\"paid\", at=\"2026-11-28\", total=\"1234.5\") }}";
    check("de", paid, "Bezahlt am 28.11.2026: 1.234,50\u{a0}€");
    check("en", paid, "Paid on Nov 28, 2026: €1,234.50");
    // There are no terms in German: their date is English too.
    check("de", "{{ t(\"terms\") }}", "Terms of Jan 31, 2026");
}

#[test]
fn values_are_escaped_in_html_and_the_text_around_them_is_not() {
    let template = "<p title=\"{{ traits.name }}\">{{ t(\"welcome\") }}</p>";
    let html = rendered(&shop(), "welcome/html", "en", template).unwrap();
    assert_eq!(html, "<p title=\"Ada &amp; Co\">Welcome, <b>Ada &amp; Co</b></p>");
}

#[test]
fn texts_ask_for_texts_within_bounds() {
    check("de", "{{ t(\"all\") }}", "Welcome, <b>Ada & Co</b> — Terms of Jan 31, 2026");
    let deep = "`t`: texts ask for texts more than 5 deep, at last for `for_ever`";
    check_failure("{{ t(\"for_ever\") }}", ErrorKind::InvalidOperation, deep);
    check_failure("{{ t(\"wellcome\") }}", ErrorKind::InvalidOperation, "`t`: there is no text `wellcome`");
    // Each has fuel of its own, and takes what it burns from whoever asks for it.
    let often =
        "{% for i in range(100) %}{% for j in range(100) %}{{ t(\"paid\", at=1, total=1) }}{% endfor %}{% endfor %}";
    check_failure(often, ErrorKind::OutOfFuel, "");
}

#[test]
fn what_a_customer_speaks_is_a_trait() {
    let of = |locales: &Locales, told: serde_json::Value| {
        let traits = json!({ "locale": told });
        Languages::new(locales).of(traits.as_object().unwrap())
    };
    let hello: &[(&str, &str)] = &[("hello", "x")];
    let both = locales(Some("locale"), &[("en", hello), ("de", hello)]);
    for (told, expected) in [
        (json!("de_AT"), "de-AT"),
        (json!("EN-gb"), "en-GB"),
        // Dates and numbers are in the language that is around them.
        (json!("fr-FR"), "en"),
        (json!("klingon"), "en"),
        (json!(5), "en"),
        (json!(null), "en"),
    ] {
        assert_eq!(of(&both, told.clone()), expected, "{told}");
    }
    assert_eq!(of(&locales(Some("locale"), &[]), json!("fr-FR")), "fr-FR", "there are no texts to go with");
    assert_eq!(of(&locales(None, &[]), json!("fr-FR")), "en", "nobody has said where it stands");
    let chinese = locales(Some("locale"), &[("en", hello), ("zh-Hans", hello)]);
    assert_eq!(of(&chinese, json!("zh-CN")), "zh-CN");
    assert_eq!(
        of(&chinese, json!("zh-TW")),
        "en",
        "whoever reads traditional characters does not read simplified ones"
    );
}

#[test]
fn what_doubles_itself_ends_with_the_fuel() {
    let doubling = "{% set x = \"abcdefgh\" %}".to_owned() + &"{% set x = x ~ x %}".repeat(60);
    check_failure(&doubling, ErrorKind::OutOfFuel, "");
    check_failure("{% for i in range(99999) %}{{ i | date }}{% endfor %}", ErrorKind::OutOfFuel, "");
}

#[test]
fn what_is_written_is_no_longer_than_a_message() {
    let third = limits::MESSAGE_BYTES / 3;
    let long = "{% for i in range(1000) %}".to_owned() + &"x".repeat(third / 1_000) + "{% endfor %}";
    assert_eq!(rendered(&shop(), "welcome/text", "en", &long).unwrap().len(), third / 1_000 * 1_000);
    check_failure(&long.repeat(4), ErrorKind::WriteFailure, "");
}

#[test]
fn a_text_that_is_no_template_is_told_by_its_name() {
    let broken: &[(&str, &str)] = &[("welcome", "{{ traits.name")];
    let error = add_texts(&mut environment(), &locales(None, &[("en", broken)])).unwrap_err();
    assert!(error.to_string().starts_with("locales.texts.en.welcome: syntax error"), "{error}");
}
