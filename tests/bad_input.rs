//! Bad input: each piece gets a clear answer or stands in `GET /v1/rejected` with its reason and original bytes, is
//! counted, and stops nothing.

use crate::support::client::{As, Client, WRITE_KEY};
use crate::support::server::{Server, Site};
use crate::support::wait::{SOON, eventually};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    email: { priority: 2, normalise: email, from: [traits.email] }
  block: ["null", "re:^[0-]*$"]
traits:
  spent: sum(properties.total) FILTER (WHERE event = 'Order Completed')
  events: count(*)
segments:
  everybody: { where: events >= 1 }
"#;

/// Sends what is bad and looks at what became of it.
struct Case {
    server: Server,
    sent: usize,
}

impl Case {
    fn new() -> Self {
        Self { server: Site::new(DEFINITIONS).start(), sent: 0 }
    }

    fn client(&self) -> &Client {
        &self.server.client
    }

    /// The body is refused with this status, and the answer says why.
    #[track_caller]
    fn refused(&mut self, path: &str, body: impl Into<Vec<u8>>, status: u16) {
        self.client().post_bytes(path, body).error(status);
        self.goes_on();
    }

    /// The body is either refused with 400, or is taken and then stands in the rejected stream as it was sent.
    #[track_caller]
    fn refused_or_rejected(&mut self, path: &str, body: impl Into<Vec<u8>>) {
        let body = body.into();
        let answer = self.client().post_bytes(path, body.clone());
        match answer.status {
            200 => self.is_rejected(&body),
            _ => {
                answer.error(400);
            }
        }
        self.goes_on();
    }

    /// These bytes stand in the rejected stream, with a reason, and are counted.
    #[track_caller]
    fn is_rejected(&self, original: &[u8]) {
        let found = eventually("the original bytes are among the rejected", SOON, || {
            let rejected = self.client().rejected();
            let found = rejected.iter().find(|one| original_bytes(one) == original).cloned();
            found.ok_or_else(|| format!("{rejected:?}"))
        });
        for field in ["reason", "source", "received_at"] {
            assert!(found[field].as_str().is_some_and(|text| !text.is_empty()), "{field} is in {found}");
        }
        assert!(self.client().metric("tributary_rejected_total", &[]) >= 1.0);
    }

    /// A good event is still taken, applied and shown.
    #[track_caller]
    fn goes_on(&mut self) {
        self.sent += 1;
        let event = json!({ "userId": "witness", "event": "Order Completed", "properties": { "total": 1 } });
        let position = self.client().post("/v1/track", &event).position();
        assert_eq!(self.client().profile_at("user_id:witness", &position)["computed"]["spent"], self.sent);
        self.server.assert_alive();
    }
}

/// What was sent, byte for byte.
fn original_bytes(rejected: &Value) -> Vec<u8> {
    match rejected["body_base64"].as_str() {
        Some(text) => BASE64_STANDARD.decode(text).unwrap(),
        None => rejected["body"].as_str().unwrap().as_bytes().to_vec(),
    }
}

#[test]
fn malformed_json() {
    let mut case = Case::new();
    for body in
        ["", " ", "{", "nonsense", "{\"userId\":}", "[1, 2", "\"text\"", "{\"userId\": \"u1\"} trailing", "\0\0\0"]
    {
        case.refused("/v1/track", body, 400);
        case.refused("/v1/batch", body, 400);
    }
}

#[test]
fn json_of_the_wrong_shape() {
    let mut case = Case::new();
    for body in ["null", "7", "true", "[]", "[[]]", "{}"] {
        case.refused("/v1/batch", body, 400);
        case.refused_or_rejected("/v1/track", body);
    }
    for batch in [json!({ "batch": {} }), json!({ "batch": "x" }), json!({ "batch": null })] {
        case.refused("/v1/batch", batch.to_string(), 400);
    }
}

#[test]
fn wrong_types_of_fields() {
    let mut case = Case::new();
    for event in [
        json!({ "userId": { "id": 1 }, "event": "A" }),
        json!({ "userId": ["u1"], "event": "A" }),
        json!({ "userId": true, "event": "A" }),
        json!({ "userId": "u1", "event": 7 }),
        json!({ "userId": "u1", "event": ["A"] }),
        json!({ "userId": "u1", "event": "A", "properties": "none" }),
        json!({ "userId": "u1", "event": "A", "properties": [1] }),
        json!({ "userId": "u1", "event": "A", "context": 7 }),
        json!({ "userId": "u1", "event": "A", "timestamp": "yesterday" }),
        json!({ "userId": "u1", "event": "A", "timestamp": { "at": 1 } }),
        json!({ "userId": "u1", "event": "A", "messageId": ["m"] }),
    ] {
        case.refused_or_rejected("/v1/track", event.to_string());
    }
    case.refused_or_rejected("/v1/identify", json!({ "userId": "u1", "traits": [1] }).to_string());
}

#[test]
fn missing_ids_and_names() {
    let mut case = Case::new();
    for event in [
        json!({ "event": "A" }),
        json!({ "userId": "", "event": "A" }),
        json!({ "userId": null, "anonymousId": null, "event": "A" }),
        // Values that identify nobody, by the definitions.
        json!({ "userId": "null", "anonymousId": "000-000", "event": "A" }),
        json!({ "userId": "u1" }),
        json!({ "userId": "u1", "event": "" }),
        json!({ "userId": "u".repeat(5_000), "event": "A" }),
        json!({ "userId": "u1", "event": "A".repeat(5_000) }),
        json!({ "userId": "u1", "event": "A", "messageId": "m".repeat(5_000) }),
    ] {
        case.refused_or_rejected("/v1/track", event.to_string());
    }
}

#[test]
fn bodies_that_are_too_large() {
    let mut case = Case::new();
    let event = |bytes: usize| json!({ "userId": "u1", "event": "A", "properties": { "text": "x".repeat(bytes) } });
    case.refused("/v1/track", event(10_000_000).to_string(), 413);
    case.refused("/v1/batch", json!({ "batch": [event(10_000_000)] }).to_string(), 413);
    let many: Vec<Value> = (0..60).map(|_| event(10_000)).collect();
    case.refused("/v1/batch", json!({ "batch": many }).to_string(), 413);
    // One event of more than 32 KB.
    let answer = case.client().post("/v1/track", &event(40_000));
    assert!(matches!(answer.status, 400 | 413), "{}", answer.text());
    answer.error(answer.status);
    case.goes_on();
    // What fits is taken.
    let many: Vec<Value> = (0..40)
        .map(|number| {
            json!({ "type": "track", "userId": format!("n{number}"), "event": "A",
        "properties": { "text": "x".repeat(10_000) } })
        })
        .collect();
    case.client().batch(&many);
    case.goes_on();
}

#[test]
fn a_small_body_that_unpacks_to_a_large_one() {
    let mut case = Case::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"{\"userId\":\"u1\",\"event\":\"").unwrap();
    for _ in 0..200 {
        encoder.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let headers = [("content-encoding", "gzip"), ("content-type", "application/json")];
    let answer = case.client().request(Method::POST, "/v1/track", As::Basic(WRITE_KEY), &headers, bomb).unwrap();
    answer.error(413);
    case.goes_on();
}

#[test]
fn deep_nesting() {
    let mut case = Case::new();
    for depth in [40, 1_000, 15_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let event = format!("{{\"userId\":\"u1\",\"event\":\"A\",\"properties\":{{\"deep\":{open}{close}}}}}");
        case.refused_or_rejected("/v1/track", event);
        let objects = format!("{}1{}", "{\"a\":".repeat(depth / 10), "}".repeat(depth / 10));
        if depth / 10 > 32 {
            let event = format!("{{\"userId\":\"u1\",\"event\":\"A\",\"properties\":{objects}}}");
            case.refused_or_rejected("/v1/track", event);
        }
    }
}

#[test]
fn text_that_is_no_utf_8() {
    let mut case = Case::new();
    let mut event = b"{\"userId\":\"u1\",\"event\":\"A\",\"properties\":{\"text\":\"".to_vec();
    event.extend([0xff, 0xfe, 0xc3, 0x28]);
    event.extend(b"\"}}");
    case.refused_or_rejected("/v1/track", event);
    // Half of a surrogate pair, escaped: valid bytes, no text.
    case.refused_or_rejected("/v1/track", r#"{"userId":"u\ud800","event":"A"}"#);
}

#[test]
fn times_that_cannot_be() {
    let mut case = Case::new();
    for timestamp in
        ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "-009999-01-01T00:00:00Z", "2026-13-45T99:00:00Z"]
    {
        let event = json!({ "userId": "u1", "event": "A", "timestamp": timestamp }).to_string();
        case.refused_or_rejected("/v1/track", event);
    }
    // A client whose clock stands in another age altogether, but that knows by how much: this can be mended, or not.
    for (timestamp, sent_at) in
        [("9999-12-31T23:00:00Z", "9999-12-31T23:00:01Z"), ("2024-01-01T00:00:00Z", "0001-01-01T00:00:00Z")]
    {
        let event = json!({ "userId": "u1", "event": "A", "timestamp": timestamp, "sentAt": sent_at });
        let answer = case.client().post("/v1/track", &event);
        assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
        case.goes_on();
    }
}

#[test]
fn numbers_past_all_bounds() {
    let mut case = Case::new();
    for number in
        ["1e400", "-1e999", "1e-400", "123456789012345678901234567890123456789", "99999999999999999999.99", "-0"]
    {
        let event = format!("{{\"userId\":\"n\",\"event\":\"Order Completed\",\"properties\":{{\"total\":{number}}}}}");
        let answer = case.client().post_bytes("/v1/track", event);
        assert!(matches!(answer.status, 200 | 400), "{number}: {}", answer.text());
        case.goes_on();
    }
    // Sums that leave every range stay an answer.
    let large = json!({ "userId": "n", "event": "Order Completed", "properties": { "total": 1e27 } });
    for _ in 0..20 {
        case.client().post("/v1/track", &large).position();
    }
    case.goes_on();
    assert_eq!(case.client().get("/v1/profiles/user_id:n").status, 200);
}

#[test]
fn unknown_fields_are_no_mistake() {
    let mut case = Case::new();
    let event =
        json!({ "userId": "u1", "event": "A", "colour": "blue", "nested": { "a": [1, null] }, "": "", "version": 9 });
    let position = case.client().post("/v1/track", &event).position();
    assert_eq!(case.client().profile_at("user_id:u1", &position)["computed"]["events"], 1);
    let unknown = json!({ "batch": [{ "type": "dance", "userId": "u1" }] });
    case.client().post("/v1/batch", &unknown);
    case.goes_on();
}

#[test]
fn one_bad_event_does_not_spoil_its_batch() {
    let mut case = Case::new();
    let good = |number: usize| json!({ "type": "track", "userId": format!("g{number}"), "event": "A" });
    let bad = json!({ "type": "track", "userId": ["no", "id"], "event": "A", "note": "the bad one" });
    let position = case.client().batch(&[good(1), bad.clone(), good(2)]);
    for number in [1, 2] {
        assert_eq!(case.client().profile_at(&format!("user_id:g{number}"), &position)["computed"]["events"], 1);
    }
    let kept = eventually("the bad one is among the rejected", SOON, || {
        let rejected = case.client().rejected();
        let found = rejected.iter().find(|one| one["body"].as_str().unwrap().contains("the bad one")).cloned();
        found.ok_or_else(|| format!("{rejected:?}"))
    });
    // As it was sent: the same JSON, whatever the batch put around it.
    let kept: Value = serde_json::from_slice(&original_bytes(&kept)).unwrap();
    for field in ["type", "userId", "event", "note"] {
        assert_eq!(kept[field], bad[field]);
    }
    case.goes_on();
}

#[test]
fn an_event_name_of_every_kind_costs_nothing() {
    let mut case = Case::new();
    let mut position = String::new();
    for thousand in 0..10 {
        let event =
            |number: usize| json!({ "type": "track", "userId": "many", "event": format!("Name {thousand}/{number}") });
        position = case.client().batch(&(0..1_000).map(event).collect::<Vec<_>>());
    }
    assert_eq!(case.client().profile_at("user_id:many", &position)["computed"]["events"], 10_000);
    // No name becomes a label: the exposition stays small.
    let metrics = case.client().request(Method::GET, "/metrics", As::Nobody, &[], vec![]).unwrap();
    let metrics = if metrics.status == 200 { metrics } else { case.client().get("/metrics") };
    assert!(metrics.text().lines().count() < 1_000, "{} lines", metrics.text().lines().count());
    assert!(!metrics.text().contains("Name 3/141"));
    case.goes_on();
}

#[test]
fn rejected_events_are_paged_latest_first_and_survive_a_restart() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let bad = |number: usize| json!({ "type": "track", "userId": "", "event": format!("bad {number}") });
    let good = json!({ "type": "track", "userId": "u1", "event": "A" });
    server.client.batch(&(0..25).map(bad).chain([good]).collect::<Vec<_>>());
    let pages = |client: &Client| {
        let mut bodies = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = client.get(&format!("/v1/rejected?limit=10{cursor}")).ok();
            let rejected = page["rejected"].as_array().unwrap().clone();
            assert!(rejected.len() <= 10);
            bodies.extend(rejected.iter().map(|one| one["body"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return bodies,
            }
        }
    };
    let bodies = eventually("all are there", SOON, || {
        let bodies = pages(&server.client);
        if bodies.len() == 25 { Ok(bodies) } else { Err(bodies.len()) }
    });
    assert!(bodies[0].contains("bad 24") && bodies[24].contains("bad 0"), "{bodies:?}");
    server.kill();
    assert_eq!(pages(&site.start().client), bodies);
}
