//! Bytes from outside, changed at random for a while, make nothing panic, hang or overflow: one target for each parser of them.
//!
//! `FUZZ_SECONDS` says how long each target is tried (2 if not set); `FUZZ_SEED` repeats a run. A failing input is printed.

use bytes::Bytes;
use minijinja::value::Serde;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::time::{Duration, Instant};
use tributary::activation::templates::{check, environment, render};
use tributary::config::{Paths, Variables, load};
use tributary::store::codec;
use tributary::store::history::events_of;
use tributary_connectors::log::Record;
use tributary_connectors::process::{Processor, STATEMENTS, Statement};
use tributary_dataflows::profile::IdentifierFacts;
use tributary_dataflows::segments::Program;
use tributary_model::{Definitions, Identifier, IdentityRules, Position, Segment};

/// Pieces that mean something to some parser.
const PIECES: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-0",
    "1e999",
    "9223372036854775808",
    "-1",
    "\n",
    "  ",
    "- ",
    "&a",
    "*a",
    "<<: *a",
    "!!binary",
    "'''",
    "(",
    ")",
    " AND ",
    " OR NOT ",
    "now()",
    "INTERVAL '9 days'",
    "{{",
    "}}",
    "{% for x in range(9) %}",
    "\u{feff}",
    "\u{10ffff}",
];
/// The most bytes of an input.
const LONGEST: usize = 64 << 10;
/// Inputs that are kept to be changed on, besides the seeds.
const KEPT: usize = 200;
/// For one input; past it something hangs.
const SLOW: Duration = Duration::from_secs(10);

fn seconds() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").map_or(2, |text| text.parse().expect("FUZZ_SECONDS is a number"));
    Duration::from_secs(seconds)
}

/// Tries a target with what becomes of some seeds. Inputs that were taken are changed on.
#[track_caller]
fn fuzz(target: impl Fn(&[u8]) -> bool, seeds: &[&[u8]]) {
    let seed = std::env::var("FUZZ_SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    let mut rng = StdRng::seed_from_u64(seed);
    let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    for seed in seeds {
        assert!(target(seed), "what is right is taken: {}", String::from_utf8_lossy(seed));
    }
    let (started, mut tried, mut taken) = (Instant::now(), 0, 0);
    while started.elapsed() < seconds() {
        let mut input = pool[rng.random_range(0..pool.len())].clone();
        for _ in 0..rng.random_range(1..6) {
            change(&mut input, &pool, &mut rng);
        }
        input.truncate(LONGEST);
        let begun = Instant::now();
        let told = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let is_taken = told.unwrap_or_else(|_| panic!("FUZZ_SEED={seed}, with {:?}", String::from_utf8_lossy(&input)));
        let took = begun.elapsed();
        assert!(took < SLOW, "FUZZ_SEED={seed}, {took:?} for {:?}", String::from_utf8_lossy(&input));
        tried += 1;
        if is_taken {
            taken += 1;
            let at = rng.random_range(seeds.len()..seeds.len() + KEPT);
            if at < pool.len() { pool[at] = input } else { pool.push(input) }
        }
    }
    assert!(tried > 20 && taken > 0, "{tried} tried, {taken} taken");
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], rng: &mut StdRng) {
    let at = rng.random_range(0..=input.len());
    let piece = PIECES[rng.random_range(0..PIECES.len())].as_bytes();
    match rng.random_range(0..8) {
        0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
        1 if at < input.len() => input[at] = rng.random(),
        2 => input.truncate(at),
        3 => drop(input.drain(at..(at + rng.random_range(1..40)).min(input.len()))),
        4 => drop(input.splice(at..at, piece.iter().copied())),
        // Deep, or long.
        5 => {
            let times = 1 << rng.random_range(0..14);
            input.splice(at..at, piece.repeat(times).into_iter().take(LONGEST));
        }
        6 => {
            let other = &pool[rng.random_range(0..pool.len())];
            let from = rng.random_range(0..=other.len());
            let to = rng.random_range(from..=other.len());
            input.splice(at..at, other[from..to].iter().copied());
        }
        _ => {
            let to = rng.random_range(at..=input.len());
            let again = input[at..to].to_vec();
            input.splice(at..at, again);
        }
    }
}

const EVENT: &[u8] = br#"{"type":"track","event":"Order Completed","userId":"u1","anonymousId":"a1","messageId":"m1",
    "timestamp":"2026-11-25T10:00:00.000Z","properties":{"total":12.5,"list":[1,"a",null]},"context":{"ip":"1.2.3.4"}}"#;
const IDENTIFY: &[u8] = br#"{"type":"identify","userId":7,"traits":{"email":"A@b.de","address":{"city":"Ulm"}}}"#;

#[test]
fn events() {
    let processor = Processor::new(&IdentityRules::default()).unwrap();
    let read = |bytes: &[u8]| processor.process(&Bytes::copy_from_slice(bytes), 1_797_000_000_000, None, "seed");
    let target = |bytes: &[u8]| match read(bytes) {
        Ok(event) => {
            assert_eq!(read(bytes).unwrap().message_id, event.message_id, "the same each time");
            true
        }
        Err(reason) => {
            assert!(!reason.to_string().is_empty() && !reason.code().is_empty());
            false
        }
    };
    fuzz(target, &[EVENT, IDENTIFY, br#"{"type":"group","userId":"u","groupId":"g","traits":{}}"#]);
}

#[test]
fn statements() {
    let target = |bytes: &[u8]| {
        let body = Bytes::copy_from_slice(bytes);
        let record = Record { source: STATEMENTS.to_owned(), received_at: 0, sent_at: None, body, key: None };
        Statement::of(&record).is_some_and(|read| read.is_ok())
    };
    let ada = Identifier::new("user_id", "ada");
    let kind = tributary_connectors::process::StatementKind::Link;
    let link = Statement { kind, a: ada.clone(), b: Some(ada), by: None, reason: Some("asked".to_owned()) };
    fuzz(target, &[&link.record(5).body]);
}

#[test]
fn identifiers_and_positions() {
    let processor = Processor::new(&IdentityRules::default()).unwrap();
    let target = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(position) = Position::from_str(&text) {
            assert_eq!(Position::from_str(&position.to_string()).unwrap(), position);
            return true;
        }
        processor.identifier(&text).is_ok()
    };
    fuzz(target, &[b"0:17,3:5", b"user_id:ada", b"anonymous_id:5f0c2a9e"]);
}

#[test]
fn settings() {
    let folder = tempfile::tempdir().unwrap();
    let (file, definitions) = (folder.path().join("t.toml"), folder.path().join("definitions"));
    std::fs::create_dir(&definitions).unwrap();
    std::fs::write(definitions.join("a.yaml"), "traits: {}\n").unwrap();
    let paths = Paths { config: Some(file.clone()), definitions: Some(definitions) };
    let target = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let read = load(&paths, &Variables::default());
        read.map_err(|mistakes| assert!(!mistakes.is_empty())).is_ok()
    };
    fuzz(target, &[include_bytes!("../config/tributary.toml"), b"[http]\naddr = \"127.0.0.1:1\"\n"]);
}

#[test]
fn definitions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    let target = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let paths = Paths { config: None, definitions: Some(folder.path().to_owned()) };
        let read = load(&paths, &Variables::default());
        read.map_err(|mistakes| assert!(!mistakes.is_empty())).is_ok()
    };
    fuzz(target, &[include_bytes!("../config/definitions/shop.yaml"), b"segments:\n  a: { where: traits.b = 1 }\n"]);
}

#[test]
fn expressions() {
    let target = |bytes: &[u8]| {
        let condition = String::from_utf8_lossy(bytes).into_owned();
        let mut definitions = Definitions::default();
        definitions.segments.insert("s".to_owned(), Segment { name: "s".to_owned(), condition });
        Program::compile(&definitions).map_err(|mistakes| assert!(!mistakes.is_empty())).is_ok()
    };
    let seeds: [&[u8]; 4] = [
        b"traits.age > 18 AND traits.country IN ('DE', 'FR')",
        b"count(*) FILTER (WHERE event = 'Viewed' AND timestamp > now() - INTERVAL '7 days') >= 3",
        b"followed_by(event = 'A', event = 'B', INTERVAL '1 day') OR NOT (traits.a LIKE 'x%')",
        b"max(timestamp) < now() - INTERVAL '30 days'",
    ];
    fuzz(target, &seeds);
}

#[test]
fn templates() {
    let environment = environment();
    let event = serde_json::json!({ "event": { "properties": { "total": 5, "items": [1, 2, 3] } }, "name": "Ada" });
    let target = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        // Others are refused when definitions are read.
        let template = check(&text).is_ok().then(|| environment.template_from_str(&text).ok()).flatten();
        template.is_some_and(|template| render(&template, minijinja::Value::from(Serde(&event))).is_ok())
    };
    let seeds: [&[u8]; 5] = [
        b"{{ event.properties.total | money(\"EUR\", locale=\"de\") }}{{ 5 | plural(one=\"a\", other=\"b\") }}",
        b"{{ \"2026-11-28T10:00:00Z\" | datetime(length=\"full\", time_zone=\"Asia/Tokyo\") }}",
        b"{\"total\": {{ event.properties.total | tojson }}}",
        b"{% for x in event.properties.items %}{{ loop.index }}{{ x | times(2) | number(digits=1) }}{% endfor %}",
        b"{% if name is string %}{{ name | upper }}{% else %}-{% endif %}",
    ];
    fuzz(target, &seeds);
}

/// What the disk has may be damaged, and is then told, not believed.
#[test]
fn what_is_stored() {
    let facts = IdentifierFacts::new(Identifier::new("user_id", "u1"), 5);
    let stored = codec::encode(&facts).unwrap();
    let target = |bytes: &[u8]| {
        drop(events_of(bytes));
        drop(tributary_connectors::lz4::decompress(bytes));
        codec::decode::<IdentifierFacts>(bytes).is_ok()
    };
    fuzz(target, &[&stored]);
}

/// What goes one level deeper with each piece of it, found by changing bytes: refused before it is compiled.
#[test]
fn templates_that_are_deeper_than_the_stack_are_refused() {
    let deep = |before: &str, piece: &str, times: usize, after: &str| before.to_owned() + &piece.repeat(times) + after;
    for (before, piece, after) in [
        ("{{ 1", "-1", " }}"),
        ("{{ ", "-", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ event", ".a", " }}"),
        ("{{ event", "()", " }}"),
        ("{{ 1", "|e", " }}"),
        ("{{ \"}}\" ~ {'a': {}} ", "~1", " }}"),
        ("{% if 1 %}", "{% elif 1 %}", "{% endif %}"),
    ] {
        let few = deep(before, piece, 200, after);
        check(&few).unwrap();
        assert!(environment().template_from_str(&few).is_ok(), "{few}");
        check(&deep(before, piece, 2_000, after)).unwrap_err();
    }
}
