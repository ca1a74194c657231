//! What may stand below `locales`, what templates may ask for, and what is said of a mistake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::config::Variables;
use crate::config::definitions::tests::{check, good, read_files};

#[test]
fn texts_in_many_languages_stand_in_many_files() {
    let english = r#"
locales:
  default: en
  from: traits.language
  texts:
    en:
      welcome: "Welcome, {{ traits.name }}"
      items: "{{ args.count }} {{ args.count | plural(one='item', other='items') }}"
"#;
    let german = "locales:\n  texts:\n    de: { welcome: \"Willkommen\" }\n    de-AT: { welcome: \"Servus\" }\n";
    let more = "locales:\n  texts:\n    de: { items: \"{{ args.count }} Artikel\" }\n";
    let files = [("en.yaml", english), ("de.yaml", german), ("more.yaml", more)];
    let locales = read_files(&files, &Variables::default()).unwrap().definitions.locales;
    assert_eq!((locales.default.as_str(), locales.from.as_deref()), ("en", Some("language")));
    assert_eq!(locales.texts.keys().collect::<Vec<_>>(), ["de", "de-AT", "en"]);
    assert_eq!(locales.texts["de"].keys().collect::<Vec<_>>(), ["items", "welcome"]);
    assert_eq!(locales.texts["de-AT"]["welcome"], "Servus");
}

#[test]
fn customers_are_written_to_alike_unless_definitions_say_otherwise() {
    let locales = good("").locales;
    assert_eq!((locales.default.as_str(), locales.from, locales.texts.len()), ("en", None, 0));
    let locales = good("locales: { default: de }").locales;
    assert_eq!((locales.default.as_str(), locales.from.as_deref()), ("de", Some("locale")));
}

#[test]
fn texts_that_nobody_could_read() {
    check(
        "locales:\n  texts:\n    en: { welcome: hi, \"No Key\": x }\n    \
         de: { wellcome: hallo, welcome: \"{{ traits.name\" }\n",
        &[
            "t.yaml:3:24: locales.texts.en.No Key: `No Key` is no name for a text; a key is made of a-z, 0-9 and \
             `_-.`, at most 100 of them",
            "t.yaml:4:11: locales.texts.de.wellcome: there is no text `wellcome` in `en`; did you mean `welcome`?",
            "t.yaml:4:48: locales.texts.de.welcome: this is no valid template: unexpected end of input, expected end \
             of variable block",
        ],
    );
    check(
        "locales:\n  default: fr\n  from: locale\n  texts:\n    en: { a: x }\n    de_at: { a: x }\n    \
         klingon: { a: x }\n",
        &[
            "t.yaml:2:12: locales.default: there are no texts in `fr`, which whoever has no other language reads",
            "t.yaml:3:9: locales.from: `locale` is no trait; write where the customer's locale stands: traits.locale",
            "t.yaml:6:5: locales.texts.de_at: `de_at` is written `de-AT`",
            "t.yaml:7:5: locales.texts.klingon: `klingon` is no locale; write one such as en or de-AT",
        ],
    );
    check(
        "locales:\n  texts:\n    en: { a: x }\n    zh: { a: x }\n    zh-Hans: { a: x }\n",
        &["t.yaml:5:5: locales.texts.zh-Hans: `zh-Hans` is the same locale as `zh`; write all under one name"],
    );
    check(
        "locales: { default: de-at, text: {} }",
        &[
            "t.yaml:1:21: locales.default: `de-at` is written `de-AT`",
            "t.yaml:1:28: locales.text: there is no such field; did you mean `texts`?",
        ],
    );
}

#[test]
fn what_stands_twice_is_told_with_both_places() {
    let file = "locales:\n  default: en\n  texts:\n    en: { a: x }\n";
    let told = read_files(&[("a.yaml", file), ("b.yaml", file)], &Variables::default()).unwrap_err();
    assert_eq!(
        told,
        [
            "b.yaml:2:12: locales.default: `default` stands already at a.yaml:2:12; remove one",
            "b.yaml:4:11: locales.texts.en.a: the text `a` stands already at a.yaml:4:11; rename or remove one",
        ]
    );
}

/// Templates of a trigger, with two texts; the body stands on line 11, from column 13 on.
#[track_caller]
fn check_body(body: &str, expected: &[&str]) {
    let frame = "locales: { texts: { en: { welcome: Hi, terms: \"{{ t('welcome') }}\" } } }\n\
                 traits:\n  ltv: sum(properties.total)\n\
                 destinations:\n  crm: { type: webhook, url: \"https://example.com/\" }\n\
                 triggers:\n  t:\n    on: { event: X }\n    send:\n      to: crm\n      body: ";
    check(&format!("{frame}{body}\n"), expected);
}

#[test]
fn texts_that_there_are_not_are_told_where_they_are_asked_for() {
    check_body("'{{ t(\"welcome\") }} {{ t(\"terms\", count=3) }} {{ t(\"a\" ~ traits.plan) }} {{ locale }}'", &[]);
    check_body(
        "'{{ t(\"welcom\") }} {% if traits.x %}{{ t(\"goodbye\") }}{% endif %}'",
        &[
            "t.yaml:11:20: triggers.t.send.body: there is no text `welcom`; did you mean `welcome`?",
            "t.yaml:11:55: triggers.t.send.body: there is no text `goodbye`; known are terms, welcome",
        ],
    );
    check(
        "locales: { texts: { en: { welcome: \"{{ t('b') }}\" } } }\n",
        &["t.yaml:1:43: locales.texts.en.welcome: there is no text `b`; known are welcome"],
    );
}

#[test]
fn members_that_there_are_not_are_told() {
    check_body(
        "'{{ profile.id }} {{ traits.any.thing }} {{ event.properties.any }} {{ group.id }} {{ message.created_at }}'",
        &[],
    );
    check_body(
        "'{{ profile.idd }} {{ segment.nmae }} {{ event.timestmp }} {{ group.name }}'",
        &[
            "t.yaml:11:17: triggers.t.send.body: `profile` has no `idd`; did you mean `id`?",
            "t.yaml:11:35: triggers.t.send.body: `segment` has no `nmae`; did you mean `name`?",
            "t.yaml:11:54: triggers.t.send.body: `event` has no `timestmp`; did you mean `timestamp`?",
            "t.yaml:11:75: triggers.t.send.body: `group` has no `name`; known are id",
        ],
    );
    check_body(
        "'{{ args.count }}'",
        &["t.yaml:11:17: triggers.t.send.body: there is no variable `args`; known are profile, group, traits, \
           computed, segment, event, trigger, message, locale"],
    );
}

#[test]
fn filters_are_told_what_they_take() {
    check_body(
        "'{{ traits.total | money(traits.currency) }} {{ traits.at | date(length=\"long\", time_zone=traits.zone) }}'",
        &[],
    );
    check_body(
        "'{{ traits.total | money(\"EURO\") }}'",
        &["t.yaml:11:32: triggers.t.send.body: this is no valid template: `money`: `EURO` is no currency; \
           write one such as EUR"],
    );
    check_body(
        "'{{ traits.total | number(digit=2) }}'",
        &["t.yaml:11:32: triggers.t.send.body: this is no valid template: unknown keyword argument 'digit'"],
    );
    check_body(
        "'{{ traits.price * traits.count }}'",
        &["t.yaml:11:30: triggers.t.send.body: `*` repeats lists and texts too, as often as a customer's data says; \
           write `a | times(b)`"],
    );
}
