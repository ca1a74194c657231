//! What may stand in `definitions/*.yaml`, and what is said of a mistake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use tributary_model::{Likeness, Normalise, On};

pub(super) fn read_files(files: &[(&str, &str)], variables: &Variables) -> Result<Loaded, Vec<String>> {
    let mistakes = Mistakes::default();
    let files: Vec<_> = files.iter().map(|(name, text)| Source::file(*name, *text)).collect();
    let loaded = read(&files, Surroundings { variables, has_cluster: false, has_public_url: false }, &mistakes);
    let told: Vec<String> = mistakes.into_sorted().iter().map(ToString::to_string).collect();
    assert_eq!(loaded.is_none(), !told.is_empty(), "something is wrong if and only if something is said: {told:?}");
    loaded.ok_or(told)
}

pub(super) fn good(yaml: &str) -> Definitions {
    read_files(&[("t.yaml", yaml)], &Variables::default()).expect("no mistake").definitions
}

#[track_caller]
pub(super) fn check(yaml: &str, expected: &[&str]) {
    assert_eq!(read_files(&[("t.yaml", yaml)], &Variables::default()).err().unwrap_or_default(), expected);
}

#[test]
fn nothing_at_all_is_no_mistake() {
    for empty in ["", "# a comment\n", "segments:\ntriggers: {}\n"] {
        let definitions = good(empty);
        assert!(definitions.segments.is_empty());
        assert_eq!(definitions.identity.namespaces.len(), 2);
    }
}

#[test]
fn everything_that_can_be_defined() {
    let yaml = r#"
identity:
  namespaces:
    user_id: { max_per_profile: 1 }
    email: { priority: 2, max_per_profile: 5, normalise: email, from: [traits.email, context.traits.email] }
    anonymous_id: { shared_after: { user_id: 3 } }
    phone: { priority: 3, normalise: phone, region: DE, from: [traits.phone] }
    mailbox: { priority: 4, normalise: email, drop_plus_tag: true, drop_gmail_dots: true, from: [traits.mailbox] }
  block: ["null", "re:^[0-]*$"]
  max_links: 500
  suggestions:
    compare:
      name: { from: [traits.name, traits.full_name], as: name }
      postcode: { from: [traits.address.postcode], as: code }
    min_percent: 90
    every: 1 day
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  vip: { name: VIP customers, where: ltv > 500 }
  plain: { where: ltv > 1 }
destinations:
  crm: { type: webhook, url: "https://example.com/hook", secret: "env:CRM_SECRET", timeout: 3 s, max_attempts: 4,
         concurrency: 2 }
  out: { type: kafka, topic: triggers, bootstrap_servers: "localhost:9092" }
triggers:
  welcome: { on: { enter: vip }, send: { to: crm, body: '{"ltv": {{ computed.ltv | tojson }}}' } }
  bye: { on: { exit: vip }, send: { to: out, body: "{}" } }
  thanks: { on: { event: Order Completed, where: properties.total > 100 }, send: { to: out, body: "{}" } }
"#;
    let variables = Variables::from([("CRM_SECRET", "whsec_c2VjcmV0")]);
    let definitions = read_files(&[("t.yaml", yaml)], &variables).unwrap().definitions;

    let email = &definitions.identity.namespaces["email"];
    assert_eq!((email.priority, email.max_per_profile, email.normalise), (2, Some(5), Normalise::EMAIL));
    assert_eq!(email.from, ["traits.email", "context.traits.email"]);
    assert_eq!(definitions.identity.namespaces["user_id"].priority, 1, "what is not given keeps its default");
    assert_eq!(definitions.identity.namespaces["anonymous_id"].shared_after["user_id"], 3);
    let phone = definitions.identity.namespaces["phone"].normalise;
    assert_eq!(phone.apply("030 901820"), Some("+4930901820".to_owned()));
    let mailbox = definitions.identity.namespaces["mailbox"].normalise;
    assert_eq!(mailbox.apply("A.da+shop@gmail.com"), Some("ada@gmail.com".to_owned()));
    assert_eq!(definitions.identity.block, ["null", "re:^[0-]*$"]);
    assert_eq!(definitions.identity.max_links, 500);
    let suggestions = definitions.identity.suggestions.as_ref().unwrap();
    assert_eq!((suggestions.min_percent, suggestions.every_ms), (90, 86_400_000));
    assert_eq!(suggestions.compare["name"].from, ["name", "full_name"]);
    assert_eq!(suggestions.compare["postcode"].likeness, Likeness::Code);
    assert_eq!(definitions.segments["vip"].name, "VIP customers");
    assert_eq!(definitions.segments["plain"].name, "plain");
    assert_eq!(definitions.destinations["crm"].kind.name(), "webhook");
    assert_eq!(definitions.triggers["welcome"].on, On::Enter { segment: "vip".into() });
    assert_eq!(definitions.triggers["bye"].on, On::Exit { segment: "vip".into() });
    let thanks = On::Event { event: "Order Completed".into(), condition: Some("properties.total > 100".into()) };
    assert_eq!(definitions.triggers["thanks"].on, thanks);
}

#[test]
fn what_goes_with_a_normalisation_goes_with_no_other() {
    let yaml = "identity:\n  max_links: 0\n  namespaces:\n    \
         phone: { priority: 3, normalise: phone, region: Germany, drop_plus_tag: true, from: [traits.phone] }\n    \
         email: { priority: 2, normalise: email, region: DE, from: [traits.email] }\n    \
         card: { priority: 4, drop_gmail_dots: true, from: [traits.card] }\n";
    check(
        yaml,
        &[
            "t.yaml:2:14: identity.max_links: 0 is out of range; write a whole number from 1 to 1000000",
            "t.yaml:4:53: identity.namespaces.phone.region: no country has this code; write two capital letters, for \
             example DE",
            "t.yaml:4:77: identity.namespaces.phone.drop_plus_tag: `drop_plus_tag` goes with `normalise: email` only",
            "t.yaml:5:53: identity.namespaces.email.region: `region` goes with `normalise: phone` only",
            "t.yaml:6:43: identity.namespaces.card.drop_gmail_dots: `drop_gmail_dots` goes with `normalise: email` only",
        ],
    );
}

#[test]
fn what_is_compared_is_a_trait_and_says_how() {
    let yaml = "identity:\n  suggestions:\n    compare:\n      name: { from: [name], as: names }\n      \
         born: { as: date }\n    min_percent: 20\n    every: 1 s\n";
    check(
        yaml,
        &[
            "t.yaml:4:22: identity.suggestions.compare.name.from[0]: `name` is no trait; write a path below traits, such \
             as `traits.name`",
            "t.yaml:4:33: identity.suggestions.compare.name.as: `names` is unknown; did you mean `name`?",
            "t.yaml:5:13: identity.suggestions.compare.born: `from` is missing; write for example `from: [traits.name]`",
            "t.yaml:6:18: identity.suggestions.min_percent: 20 is out of range; write a whole number from 50 to 100",
            "t.yaml:7:12: identity.suggestions.every: 1 s is out of range; write a time from 1 min to 365 days",
        ],
    );
    check(
        "identity:\n  suggestions: { compare: {} }\n",
        &[
            "t.yaml:2:27: identity.suggestions.compare: compare from one to 16 fields, as `name: { from: [traits.name], as: \
           name }`",
        ],
    );
}

#[test]
fn files_are_read_together() {
    let files = [
        ("a.yaml", "segments:\n  a: { where: in_segment('b') }\n"),
        (
            "b.yaml",
            "segments:\n  b: { where: 1 = 1 \
         }\n",
        ),
    ];
    assert_eq!(read_files(&files, &Variables::default()).unwrap().definitions.segments.len(), 2);
}

#[test]
fn an_id_that_stands_twice_names_both_places() {
    let files = [("a.yaml", "segments:\n  a: { where: 1 = 1 }\n"), ("b.yaml", "segments:\n  a: { where: 1 = 1 }\n")];
    assert_eq!(
        read_files(&files, &Variables::default()).unwrap_err(),
        ["b.yaml:2:3: segments.a: the segment `a` stands already at a.yaml:2:3; rename or remove one"]
    );
    check(
        "segments:\n  a: { where: 1 = 1 }\n  a: { where: 1 = 1 }\n",
        &["t.yaml:3:3: this key stands here twice; remove or rename one"],
    );
}

#[test]
fn broken_yaml_has_a_line_and_the_other_files_are_checked_all_the_same() {
    let files = [("a.yaml", "segments:\n  a: [\n"), ("b.yaml", "segmnets: {}\n")];
    let told = read_files(&files, &Variables::default()).unwrap_err();
    assert!(told[0].starts_with("a.yaml:3:1: this is no valid YAML: "), "{told:?}");
    assert_eq!(told[1], "b.yaml:1:1: segmnets: there is no such field; did you mean `segments`?");
    check(
        "a: 1\n---\nb: 2\n",
        &["t.yaml:3:1: a second document begins here; keep one document a file, without `---` between"],
    );
    check("segments: !what {}\n", &["t.yaml:1:11: tags such as `!name` mean nothing here; write the plain value"]);
    check("traits:\n  5: x\n", &["t.yaml:2:3: a key is a text; put it in quotes"]);
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let mut yaml = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        yaml += &format!("b{level}: &a{level} [{before}]\n");
    }
    let told = read_files(&[("t.yaml", &yaml)], &Variables::default()).unwrap_err();
    assert!(told[0].contains("alias expansion exceeded"), "{told:?}");
}

#[test]
fn wrong_kinds_and_missing_fields_say_what_to_write() {
    check(
        "traits:\n  ltv: 5\n  Big-One: sum(properties.total)\nsegments:\n  vip: { name: VIP }\n  Big: { where: 1 = 1 \
         }\n  all: { where: true }\n  list: []\n",
        &[
            "t.yaml:2:8: traits.ltv: this is a number; a text is needed: put it in quotes",
            "t.yaml:3:3: traits.Big-One: `Big-One` is no name for a trait; a name is made of a-z, 0-9 and `_`, and \
             begins \
             with no digit, at most 100 of them",
            "t.yaml:5:8: segments.vip: `where` is missing; write for example `where: ltv > 500`",
            "t.yaml:6:3: segments.Big: `Big` is no name for a segment; an id is made of a-z, 0-9, `_` and `-`, at \
             most 100 \
             of them",
            "t.yaml:7:17: segments.all.where: this is true or false; a text is needed: put it in quotes",
            "t.yaml:8:9: segments.list: this is a list; write fields, each as a name and a value",
        ],
    );
}

#[test]
fn identity_rules_that_make_no_sense() {
    check(
        "identity:\n  namespaces:\n    email: { priority: 1, normalise: mail, from: [email] }\n    phone: { from: \
         [traits.phone] }\n    \
         device: { priority: 300, shared_after: { usr_id: 3, anonymous_id: 0 } }\n    \
         card: { priority: 5, shared_after: { anonymous_id: 2 }, from: [properties.card] }\n    \
         loyalty: { priority: 5, from: [traits.loyalty] }\n  block: [null, \"re:[\"]\n",
        &[
            "t.yaml:3:38: identity.namespaces.email.normalise: `mail` is unknown; did you mean `email`?",
            "t.yaml:3:51: identity.namespaces.email.from[0]: `email` is no place in an event; write a path below \
             traits, \
             properties or context, such as `context.traits.email`",
            "t.yaml:4:12: identity.namespaces.phone: `priority` is missing; write for example `priority: 2`",
            "t.yaml:5:13: identity.namespaces.device: `from` is missing: where in an event do its values stand? \
             write for \
             example `from: [traits.email]`",
            "t.yaml:5:25: identity.namespaces.device.priority: 300 is out of range; write a whole number from 1 to \
             255",
            "t.yaml:5:46: identity.namespaces.device.shared_after.usr_id: there is no namespace `usr_id`; did you \
             mean \
             `user_id`?",
            "t.yaml:5:71: identity.namespaces.device.shared_after.anonymous_id: 0 is out of range; write a whole \
             number from \
             1 to 1000000",
            "t.yaml:6:42: identity.namespaces.card.shared_after.anonymous_id: `anonymous_id` (priority 9) is no \
             better than \
             `card` (priority 5); name one with a smaller priority",
            "t.yaml:7:14: identity.namespaces.loyalty: `card` has priority 5 too; which of them is better must be \
             clear, so \
             give each its own",
            "t.yaml:8:11: identity.block[0]: this is empty; write a text (the word null itself needs quotes)",
            "t.yaml:8:17: identity.block[1]: `[` is no regular expression: unclosed character class",
        ],
    );
}

#[test]
fn triggers_that_could_not_fire() {
    check(
        "segments:\n  vip: { where: 1 = 1 }\ndestinations:\n  crm: { type: webhook, url: \"https://example.com/\" \
         }\ntriggers:\n  \
         a: { on: { enter: vpi }, send: { to: crn, body: x } }\n  \
         b: { on: { enter: vip, exit: vip }, send: { to: crm } }\n  \
         c: { on: { enter: vip, where: 1 = 1 }, send: { to: crm, body: x } }\n  \
         d: { send: { to: crm, body: x } }\n  \
         e: { on: { event: Seen }, send: { to: crm, body: x }, fire_on_backfill: true }\n",
        &[
            "t.yaml:6:21: triggers.a.on.enter: there is no segment `vpi`; did you mean `vip`?",
            "t.yaml:6:40: triggers.a.send.to: there is no destination `crn`; did you mean `crm`?",
            "t.yaml:7:12: triggers.b.on: write exactly one of `enter`, `exit` and `event`, such as `on: { enter: vip \
             }`",
            "t.yaml:7:45: triggers.b.send: `body` is missing; write for example `body: '{\"profile\": {{ profile.id \
             | tojson }}}'`",
            "t.yaml:8:33: triggers.c.on.where: only `event` takes a condition; put this one into the segment",
            "t.yaml:9:6: triggers.d: `on` is missing; write for example `on: { enter: vip }`",
            "t.yaml:10:75: triggers.e.fire_on_backfill: a definition that changes sets off no event; only triggers on \
             `enter` and `exit` take this",
        ],
    );
}

#[track_caller]
fn check_body(body: &str, expected: &[&str]) {
    let frame = "traits:\n  ltv: sum(properties.total)\ndestinations:\n  crm: { type: webhook, url: \
     \"https://example.com/\" }\ntriggers:\n  \
                 t:\n    on: { event: X }\n    send:\n      to: crm\n      body: ";
    check(&format!("{frame}{body}\n"), expected);
}

#[test]
fn templates_are_checked_where_they_stand() {
    check_body(
        "'{{ profile.id | tojson }} {{ range(3) }} {% for i in profile.identifiers %}{{ i.value }}{% endfor %}'",
        &[],
    );
    check_body(
        "'{{ profile.id '",
        &["t.yaml:10:25: triggers.t.send.body: this is no valid template: unexpected end of input, expected end of \
             variable block"],
    );
    check_body(
        "'{{ computed.lvt }} {{ user.id }}'",
        &[
            "t.yaml:10:17: triggers.t.send.body: there is no computed trait `lvt`; did you mean `ltv`?",
            "t.yaml:10:36: triggers.t.send.body: there is no variable `user`; known are profile, group, traits, computed, \
             segment, event, \
         trigger, message, locale",
        ],
    );
    check_body(
        "|\n        {\n          {{ profile.id | to_json }}\n        }",
        &["t.yaml:12:27: triggers.t.send.body: this is no valid template: filter to_json is unknown"],
    );
}

#[test]
fn sql_mistakes_stand_where_the_sql_stands() {
    // Bare, quoted, as a block and folded: the place is that of the unknown function.
    for (yaml, place) in [
        ("traits:\n  a: nosuch(1)\n", "t.yaml:2:6: traits.a: "),
        ("segments:\n  a:\n    where: 1 = 1 AND nosuch(1)\n", "t.yaml:3:22: segments.a.where: "),
        ("segments:\n  a:\n    where: 'traits.x = ''a'' AND nosuch(1)'\n", "t.yaml:3:34: segments.a.where: "),
        ("segments:\n  a:\n    where: |\n      1 = 1\n      AND nosuch(1)\n", "t.yaml:5:11: segments.a.where: "),
        ("segments:\n  a:\n    where: >-\n      1 = 1\n      AND nosuch(1)\n", "t.yaml:5:11: segments.a.where: "),
        (
            "destinations:\n  d: { type: webhook, url: \"https://example.com/\" }\n\
             triggers:\n  t: { on: { event: X, where: nosuch(1) }, send: { to: d, body: x } }\n",
            "t.yaml:4:31: triggers.t.on.where: ",
        ),
    ] {
        let told = read_files(&[("t.yaml", yaml)], &Variables::default()).unwrap_err();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("{place}there is no function `nosuch`")), "{told:?} for\n{yaml}");
    }
}

#[test]
fn what_refers_to_a_mistaken_definition_is_not_called_mistaken_too() {
    check(
        "traits:\n  ltv: 5\n  double: ltv * 2\nsegments:\n  vip: { where: ltv > 500 }\n  none: {}\n  \
         some: { where: in_segment('none') AND double > 1 }\n",
        &[
            "t.yaml:2:8: traits.ltv: this is a number; a text is needed: put it in quotes",
            "t.yaml:6:9: segments.none: `where` is missing; write for example `where: ltv > 500`",
        ],
    );
}

#[test]
fn a_folder_is_read_by_name_without_tests_and_hidden_files() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.yaml", "a.yml", "a.test.yaml", ".a.yaml", "notes.txt", ".yaml"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let mistakes = Mistakes::default();
    let names: Vec<_> =
        sources(dir.path(), &mistakes).iter().map(|source| Location::new(source, 0).to_string()).collect();
    let expected = ["a.yml:1:1", "b.yaml:1:1"].map(|name| dir.path().join(name).display().to_string());
    assert_eq!(names, expected);
    assert_eq!(mistakes.count(), 0);
}

#[test]
fn links_lead_to_the_server_as_customers_reach_it() {
    check(
        "destinations:\n  a: { type: webhook, url: \"https://example.com/\" }\ntriggers:\n  \
         t: { on: { event: X }, send: { to: a, body: \"{{ message.preferences_url }}\" } }\n",
        &["t.yaml:4:51: triggers.t.send.body: `message.preferences_url` leads nowhere; set [http] public_url to the \
             address of this server as customers reach it"],
    );
    check(
        "locales: { texts: { en: { footer: \"No more: {{ message.unsubscribe_url }}\" } } }\n",
        &[
            "t.yaml:1:48: locales.texts.en.footer: `message.unsubscribe_url` leads nowhere; set [http] public_url to the \
             address of this server as customers reach it",
        ],
    );
}
