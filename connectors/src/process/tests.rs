//! What is an event and what is none: each case a line of JSON through one of two helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tributary_model::{Namespace, Normalise, limits};

/// 2026-03-01T12:00:00Z.
const NOON: Millis = 1_772_366_400_000;
const SECOND: Millis = 1_000;
const DAY: Millis = 86_400 * SECOND;

fn processor() -> Processor {
    let mut rules = IdentityRules::default();
    let from = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    let email = Namespace {
        priority: 2,
        normalise: Normalise::EMAIL,
        from: from(&["traits.email", "context.traits.email", "properties.order.email"]),
        ..Namespace::default()
    };
    let device = Namespace { priority: 5, ..Namespace::default() };
    rules.namespaces.extend([("email".to_owned(), email), ("ios.id".to_owned(), device)]);
    rules.block = ["Staff@Example.com", "Nobody", "re:^[0-]*$"].map(str::to_owned).to_vec();
    Processor::new(&rules).unwrap()
}

fn process(body: impl Into<Bytes>) -> Result<Event, Reason> {
    processor().process(&body.into(), NOON, None, "log/0/17")
}

/// A track call with some fields changed; `null` is as good as not there.
fn track(changes: Json) -> String {
    let mut event = json!({ "type": "track", "event": "Signed Up", "userId": "u1" });
    event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    event.to_string()
}

#[track_caller]
fn is_rejected(body: impl Into<Bytes>, code: &str) -> String {
    let reason = process(body).expect_err("it should be rejected");
    assert_eq!(reason.code(), code, "{reason}");
    reason.to_string()
}

#[track_caller]
fn has_identifiers(event: Json, expected: &[&str]) {
    let event = process(event.to_string()).unwrap();
    let identifiers: Vec<_> = event.identifiers.iter().map(ToString::to_string).collect();
    assert_eq!(identifiers, expected);
}

#[track_caller]
fn happened(changes: Json, expected: Millis) {
    assert_eq!(process(track(changes)).unwrap().timestamp, expected);
}

#[test]
fn the_six_calls_keep_what_the_spec_gives_them() {
    let all = |kind: &str| {
        let event = json!({ "type": kind, "userId": "u1", "event": "E", "name": "N", "groupId": 7, "previousId": "p",
            "properties": { "p": 1 }, "traits": { "t": 2 }, "context": { "c": 3 } });
        process(event.to_string()).unwrap()
    };
    for (kind, event, name, has_properties, has_traits) in [
        ("track", Some("E"), None, true, false),
        ("page", None, Some("N"), true, false),
        ("screen", None, Some("N"), true, false),
        ("identify", None, None, false, true),
        ("group", None, None, false, true),
        ("alias", None, None, false, false),
    ] {
        let is = all(kind);
        assert_eq!(is.kind.name(), kind);
        assert_eq!((is.event.as_deref(), is.name.as_deref()), (event, name), "{kind}");
        assert_eq!((!is.properties.is_empty(), !is.traits.is_empty()), (has_properties, has_traits), "{kind}");
        assert_eq!(is.context["c"], 3);
    }
}

#[test]
fn an_event_keeps_its_bytes() {
    let body = Bytes::from(track(json!({ "unknown": [1, { "deep": null }], "": 7 })));
    assert_eq!(process(body.clone()).unwrap().body, body);
}

#[test]
fn what_is_no_json_object_is_rejected() {
    for body in ["", " ", "{", "nonsense", "{\"userId\":}", "[1, 2", "{} {}", "\0", "{\"a\":1e999999,\"userId\":1e999}"]
    {
        is_rejected(body, "invalid_json");
    }
    for body in ["null", "7", "true", "\"text\"", "[]", " [\"track\"]"] {
        is_rejected(body, "not_an_object");
    }
    assert!(is_rejected(r#"{"userId":"a","userId":"b"}"#, "invalid_json").contains("duplicate field `userId`"));
    is_rejected(r#"{"type":"track","event":"A","userId":"u\ud800"}"#, "invalid_json");
    assert!(is_rejected(&b"{\"type\":\"\xff\"}"[..], "invalid_utf8").contains("from byte 9 on"));
}

#[test]
fn size_and_depth_are_bounded() {
    let padded = |bytes: usize| {
        let around = track(json!({ "padding": "" })).len();
        track(json!({ "padding": "x".repeat(bytes - around) }))
    };
    assert!(process(padded(limits::EVENT_BYTES)).is_ok());
    is_rejected(padded(limits::EVENT_BYTES + 1), "too_large");
    // The event itself is the first level.
    let nested = |depth: usize| {
        let nest = |open: &str, close: &str| format!("{}{}", open.repeat(depth - 1), close.repeat(depth - 1));
        format!(r#"{{"type":"track","event":"A","userId":"u","properties":{{"p":{}}}}}"#, nest("[", "]"))
    };
    assert!(process(nested(limits::JSON_DEPTH - 1)).is_ok());
    is_rejected(nested(limits::JSON_DEPTH), "too_deep");
    is_rejected(nested(10_000), "too_deep");
    // Brackets in texts are no levels.
    assert!(process(track(json!({ "text": "[{\"\\[".repeat(50), "more": "[".repeat(50) }))).is_ok());
}

#[test]
fn types_and_names_are_needed() {
    is_rejected("{}", "missing_type");
    is_rejected(track(json!({ "type": null })), "missing_type");
    assert!(is_rejected(track(json!({ "type": "dance" })), "unknown_type").contains("track, identify, page"));
    is_rejected(track(json!({ "type": "Track" })), "unknown_type");
    for event in [json!(null), json!(""), json!("  ")] {
        is_rejected(track(json!({ "event": event })), "missing_event");
    }
    assert!(process(track(json!({ "event": "ü".repeat(limits::EVENT_NAME_CHARS) }))).is_ok());
    is_rejected(track(json!({ "event": "x".repeat(limits::EVENT_NAME_CHARS + 1) })), "event_name_too_long");
    is_rejected(r#"{"type":"group","userId":"u1"}"#, "missing_group");
}

#[test]
fn a_wrong_type_is_told_by_the_fields_name() {
    for (field, value, found) in [
        ("type", json!(7), "a number"),
        ("event", json!(["A"]), "an array"),
        ("userId", json!({ "id": 1 }), "an object"),
        ("userId", json!(true), "true or false"),
        ("userId", json!(1.5), "a number with a fraction"),
        ("anonymousId", json!(["a"]), "an array"),
        ("messageId", json!(["m"]), "an array"),
        ("properties", json!("none"), "text"),
        ("properties", json!([1]), "an array"),
        ("traits", json!(7), "a number"),
        ("context", json!(false), "true or false"),
        ("timestamp", json!({ "at": 1 }), "an object"),
        ("sentAt", json!(1.5), "a number with a fraction"),
    ] {
        let message = is_rejected(track(json!({ field: value })), "wrong_type");
        assert!(message.contains(&format!("`{field}`")) && message.contains(found), "{message}");
    }
    // PHP cannot tell an empty object from an empty array.
    assert!(process(track(json!({ "properties": [], "traits": null, "context": [] }))).is_ok());
}

#[test]
fn identifiers_come_best_first_and_once() {
    has_identifiers(
        json!({ "type": "identify", "anonymousId": "a1", "userId": " u1 ", "traits": { "email": "Ada@Example.com " },
            "context": { "traits": { "email": "ada@example.com" }, "externalIds": [
                { "id": "zeta", "type": "ios.id", "collection": "users", "encoding": "none" },
                { "id": 7, "type": "ios.id" },
                { "id": "u0", "type": "user_id" },
                { "id": "x", "type": "not.defined" }, { "id": null, "type": "ios.id" }, 7,
            ] } }),
        &["user_id:u0", "user_id:u1", "email:ada@example.com", "ios.id:7", "ios.id:zeta", "anonymous_id:a1"],
    );
    has_identifiers(json!({ "type": "page", "userId": 17 }), &["user_id:17"]);
    has_identifiers(json!({ "type": "page", "anonymousId": u64::MAX }), &["anonymous_id:18446744073709551615"]);
}

#[test]
fn identifiers_stand_where_the_definitions_say() {
    let order = json!({ "order": { "email": "b@example.com" } });
    has_identifiers(
        json!({ "type": "track", "event": "A", "anonymousId": "a", "properties": order }),
        &["email:b@example.com", "anonymous_id:a"],
    );
    // What is no text there is no identifier, and no mistake either.
    has_identifiers(
        json!({ "type": "identify", "userId": "u", "traits": { "email": ["x@y.z"] }, "context": { "traits": 7 } }),
        &["user_id:u"],
    );
    has_identifiers(json!({ "type": "identify", "userId": "u", "traits": { "email": "none yet" } }), &["user_id:u"]);
    // The traits of a group call are the group's.
    has_identifiers(
        json!({ "type": "group", "userId": "u", "groupId": "g", "traits": { "email": "info@example.com" } }),
        &["user_id:u"],
    );
}

#[test]
fn an_alias_names_who_it_was_before() {
    has_identifiers(json!({ "type": "alias", "userId": "u", "previousId": "a" }), &["user_id:u", "anonymous_id:a"]);
    has_identifiers(json!({ "type": "page", "userId": "u", "previousId": "a" }), &["user_id:u"]);

    // Where accounts are renamed, it is an account.
    let rules = IdentityRules { previous_id: "user_id".to_owned(), ..IdentityRules::default() };
    let body = json!({ "type": "alias", "userId": "u", "previousId": "a" }).to_string();
    let event = Processor::new(&rules).unwrap().process(&body.into(), 0, None, "seed").unwrap();
    let names: Vec<_> = event.identifiers.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["user_id:a", "user_id:u"]);
}

#[test]
fn what_identifies_nobody_is_dropped() {
    let nil = "00000000-0000-0000-0000-000000000000";
    for nobody in ["NULL", "undefined", nil, "0", "[object Object]", "N/A", " anonymous ", "Nobody", "--0--"] {
        has_identifiers(json!({ "type": "page", "userId": nobody, "anonymousId": "a" }), &["anonymous_id:a"]);
        is_rejected(json!({ "type": "page", "userId": nobody }).to_string(), "all_identifiers_blocked");
    }
    // The user's own texts are exact, as the namespace writes them.
    has_identifiers(json!({ "type": "page", "userId": "nobody" }), &["user_id:nobody"]);
    let staff = json!({ "type": "identify", "userId": "u", "traits": { "email": "STAFF@example.com" } });
    has_identifiers(staff, &["user_id:u"]);
    for nothing in [json!(null), json!(""), json!("  ")] {
        is_rejected(json!({ "type": "page", "userId": nothing }).to_string(), "missing_identifier");
    }
}

#[test]
fn an_identifier_has_a_length() {
    let long = |chars: usize| json!({ "type": "page", "userId": "ü".repeat(chars) }).to_string();
    assert!(process(long(limits::IDENTIFIER_CHARS)).is_ok());
    is_rejected(long(limits::IDENTIFIER_CHARS + 1), "identifier_too_long");
}

#[test]
fn a_message_has_an_id_of_its_own_or_of_its_place() {
    let id = |changes: Json, seed: &str| {
        processor().process(&track(changes).into(), NOON, None, seed).map(|event| event.message_id)
    };
    assert_eq!(id(json!({ "messageId": "m1" }), "log/0/1").unwrap(), MessageId::of("m1"));
    let none = id(json!({}), "log/0/1").unwrap();
    assert_eq!(id(json!({ "messageId": "" }), "log/0/1").unwrap(), none);
    assert_ne!(id(json!({}), "log/0/2").unwrap(), none);
    // No client can take the place of another's event.
    for forged in ["log/0/1", "position/log/0/1"] {
        assert_ne!(id(json!({ "messageId": forged }), "log/0/9").unwrap(), none);
    }
    assert!(id(json!({ "messageId": "x".repeat(limits::MESSAGE_ID_CHARS) }), "").is_ok());
    is_rejected(track(json!({ "messageId": "x".repeat(limits::MESSAGE_ID_CHARS + 1) })), "message_id_too_long");
}

#[test]
fn times_are_read_as_clients_write_them() {
    for text in [
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000000+00:00",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01T14:00:00+0200",
        "2026-03-01T12:00:00",
        "2026-03-01 12:00:00.000",
        " 2026-03-01t12:00:00z ",
    ] {
        happened(json!({ "timestamp": text }), NOON);
    }
    happened(json!({ "timestamp": "2026-03-01" }), NOON - DAY / 2);
    happened(json!({ "timestamp": NOON }), NOON);
    happened(json!({ "timestamp": NOON / 1000 }), NOON);
    for text in
        ["yesterday", "2026-13-45T99:00:00Z", "2026-03-01T12:00:00+99:99", "2026-03-01T12:00:00[Mars/Crater]", ""]
    {
        is_rejected(track(json!({ "timestamp": text })), "invalid_timestamp");
    }
}

#[test]
fn a_wrong_clock_is_corrected_by_when_it_sent() {
    happened(json!({}), NOON);
    happened(json!({ "sentAt": "1999-01-01T00:00:00Z" }), NOON);
    // Ten days slow, and a minute before sending.
    let (did, sent) = ("2026-02-19T11:59:00Z", "2026-02-19T12:00:00Z");
    happened(json!({ "timestamp": did }), NOON - 10 * DAY - 60 * SECOND);
    happened(json!({ "timestamp": did, "sentAt": sent }), NOON - 60 * SECOND);
    happened(json!({ "originalTimestamp": did, "sentAt": sent }), NOON - 60 * SECOND);
    // The record's own, which is the batch's, counts more.
    let body = Bytes::from(track(json!({ "timestamp": did, "sentAt": "2020-01-01T00:00:00Z" })));
    let sent_at = Some(NOON - 10 * DAY);
    assert_eq!(processor().process(&body, NOON, sent_at, "").unwrap().timestamp, NOON - 60 * SECOND);
    // A clock of another age is no hindrance, as long as it knows itself.
    happened(json!({ "timestamp": "9999-12-31T23:00:00Z", "sentAt": "9999-12-31T23:00:01Z" }), NOON - SECOND);
}

#[test]
fn times_that_cannot_be_are_rejected() {
    happened(json!({ "timestamp": NOON + limits::FUTURE_MS }), NOON + limits::FUTURE_MS);
    happened(json!({ "timestamp": "1970-01-02T00:00:00Z" }), limits::EARLIEST_MS);
    for timestamp in [
        json!(NOON + limits::FUTURE_MS + 1),
        json!("1970-01-01T23:59:59.999Z"),
        json!("0001-01-01T00:00:00Z"),
        json!("-009999-01-01T00:00:00Z"),
        json!("9999-12-31T23:59:59.999Z"),
        json!("9999-12-31T23:59:59-23:59"),
        json!(i64::MAX),
        json!(i64::MIN),
    ] {
        is_rejected(track(json!({ "timestamp": timestamp })), "timestamp_out_of_range");
    }
    let ages = json!({ "timestamp": "2024-01-01T00:00:00Z", "sentAt": "0001-01-01T00:00:00Z" });
    is_rejected(track(ages), "timestamp_out_of_range");
    is_rejected(track(json!({ "timestamp": u64::MAX })), "invalid_timestamp");
}

#[test]
fn what_was_taken_in_once_is_read_again_whatever_its_clock_said() {
    let body = Bytes::from(track(json!({ "timestamp": "2031-01-01T00:00:00Z" })));
    let event = processor().reread(&body, NOON, MessageId(7)).unwrap();
    assert_eq!((event.timestamp, event.message_id), (NOON, MessageId(7)));
}

#[test]
fn rules_that_cannot_be_read_are_refused() {
    let block = IdentityRules { block: vec!["re:(".to_owned()], ..IdentityRules::default() };
    assert!(matches!(Processor::new(&block), Err(ProcessorError::Pattern(_))));
    let mut from = IdentityRules::default();
    from.namespaces.get_mut("user_id").unwrap().from = vec!["body.id".to_owned()];
    assert!(matches!(Processor::new(&from), Err(ProcessorError::Path(path)) if path == "body.id"));
}

/// Anything that JSON can say, with the fields of events more often than chance would have them.
fn any_json() -> impl Strategy<Value = Json> {
    let time = prop::sample::select(vec!["2026-03-01T12:00:00Z", "9999-12-31T23:59:59Z", "-009999-01-01", "null"]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        time.prop_map(Json::from),
        prop::sample::select(EventKind::ALL.map(EventKind::name).to_vec()).prop_map(Json::from),
    ];
    let fields = "type|event|name|messageId|userId|anonymousId|previousId|groupId|timestamp|originalTimestamp|sentAt|\
         properties|traits|context|email|externalIds|id|.*";
    leaf.prop_recursive(4, 64, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::hash_map(fields, inner, 0..12).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_whatever_do_harm(body: Vec<u8>, received_at: Millis, sent_at: Option<Millis>) {
        let result = processor().process(&body.into(), received_at, sent_at, "seed");
        prop_assert!(result.is_err());
    }

    #[test]
    fn no_json_whatever_does_harm(
        json in any_json(),
        kind in prop::sample::select(EventKind::ALL.to_vec()),
        received_at: Millis,
        sent_at: Option<Millis>,
    ) {
        let mut json = json;
        if let Some(event) = json.as_object_mut() {
            event.insert("type".to_owned(), kind.name().into());
        }
        match processor().process(&json.to_string().into(), received_at, sent_at, "seed") {
            Ok(event) => {
                prop_assert!(!event.identifiers.is_empty());
                let mut once = event.identifiers.clone();
                once.dedup();
                prop_assert_eq!(once, event.identifiers);
            }
            Err(reason) => prop_assert!(!reason.to_string().is_empty()),
        }
    }
}

#[test]
fn what_nobody_looks_into_is_right_all_the_same() {
    let with = |properties: &str| {
        format!(r#"{{"type":"track","event":"Seen","userId":"u1","context":{{}},"properties":{{{properties}}}}}"#)
    };
    is_rejected(with(r#""half": "\ud800""#), "invalid_json");
    is_rejected(with(r#""large": [1, 2E999]"#), "invalid_json");
    is_rejected(with(&format!(r#""long": {}"#, "9".repeat(400))), "invalid_json");
    // A name may be written with escapes, and a field may be found behind one that only holds its name.
    let event =
        process(with(r#""tot\u0061l": 7, "order": {"email": "Ada@Example.com"}, "text": "1e5 \"a\"""#)).unwrap();
    assert_eq!(event.properties.field("total"), Some(&json!(7)));
    assert_eq!(event.identifiers.len(), 2);
    let event = process(with(r#""a": "total", "b": {"total": 1}"#)).unwrap();
    assert_eq!((event.properties.field("total"), event.properties.len()), (None, 2));
}
