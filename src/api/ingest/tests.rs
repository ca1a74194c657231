//! Every answer of the front door, over a log that only remembers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::config::{Auth, KeyHash, WriteKey};
use axum::http::{Request, Response, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Mutex, MutexGuard};
use tower::ServiceExt;
use tributary_connectors::log::{BoxFuture, LogError, LogReader};
use tributary_model::{IdentityRules, Millis, Position};

/// 2026-03-01T12:00:00Z.
const NOON: Millis = 1_772_366_400_000;

/// A log that remembers, until it is told to do something else.
#[derive(Debug, Default)]
struct Memory {
    records: Mutex<Vec<Record>>,
    refuses: Mutex<Option<AppendError>>,
    hangs: bool,
}

impl Memory {
    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap()
    }
}

impl Log for Memory {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async move {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            if let Some(refused) = self.refuses.lock().unwrap().clone() {
                return Err(refused);
            }
            let mut all = self.records();
            all.extend(records);
            Ok(Position::single(all.len() as i64))
        })
    }

    fn reader(&self, _from: &Position) -> Result<Box<dyn LogReader>, LogError> {
        unreachable!("the front door does not read")
    }

    fn committed(&self, _position: &Position) {}

    fn queued(&self) -> usize {
        0
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn close(&self) {}
}

/// A front door with the write keys `web` and `app`.
struct Door {
    log: Arc<Memory>,
    state: IngestState,
}

impl Door {
    fn new(log: Memory) -> Self {
        let write = |key: &str| {
            let hash = KeyHash::of(key.as_bytes());
            WriteKey { hash, source: format!("{key} source"), rate: None }
        };
        let auth = Auth { write_keys: vec![write("web"), write("app")], tokens: Vec::new(), open: false };
        let log = Arc::new(log);
        let processor = Arc::new(Processor::new(&IdentityRules::default()).unwrap());
        let tokens = Arc::new(Tokens::new(&auth));
        let state = IngestState::new(log.clone(), processor, tokens, Arc::new(|| NOON), 8, CancellationToken::new());
        Self { log, state }
    }

    async fn request(&self, request: Request<Body>) -> Response<Body> {
        routes(self.state.clone()).oneshot(request).await.unwrap()
    }

    async fn post_as(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, Value) {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(self.request(request.body(body.into()).unwrap()).await).await
    }

    /// Posts with the key of the web.
    async fn post(&self, path: &str, body: impl Into<Body>) -> (u16, Value) {
        self.post_as(path, &[("authorization", "Bearer web")], body).await
    }

    /// What came into the log, as JSON.
    fn taken(&self) -> Vec<Value> {
        self.log.records().iter().map(|record| serde_json::from_slice(&record.body).unwrap()).collect()
    }
}

impl Default for Door {
    fn default() -> Self {
        Self::new(Memory::default())
    }
}

async fn answer(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn track() -> Value {
    json!({ "type": "track", "event": "Signed Up", "userId": "u1" })
}

/// The code of an answer that must have this status.
#[track_caller]
fn code((status, answer): (u16, Value), expected: u16) -> String {
    assert_eq!(status, expected, "{answer}");
    assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    answer["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_call_has_a_long_and_a_short_address() {
    for (paths, kind) in [
        (["/v1/track", "/v1/t"], "track"),
        (["/v1/identify", "/v1/i"], "identify"),
        (["/v1/page", "/v1/p"], "page"),
        (["/v1/screen", "/v1/s"], "screen"),
        (["/v1/group", "/v1/g"], "group"),
        (["/v1/alias", "/v1/a"], "alias"),
    ] {
        for path in paths {
            let door = Door::default();
            let event = json!({ "event": "E", "groupId": "g", "userId": "u1" }).to_string();
            let answer = door.post(path, event.clone()).await;
            assert_eq!(answer, (200, json!({ "success": true, "position": "0:1" })), "{path}");
            // The address says the type where the call does not.
            let body = format!("{{\"type\":\"{kind}\",{}", &event[1..]);
            let key = Some("u1".to_owned());
            let source = "web source".to_owned();
            assert_eq!(
                *door.log.records(),
                [Record { source, received_at: NOON, sent_at: None, body: body.into(), key }]
            );
        }
    }
}

#[tokio::test]
async fn a_call_says_its_type_itself_or_not() {
    let door = Door::default();
    let said = track().to_string();
    assert_eq!(door.post("/v1/track", said.clone()).await.0, 200);
    assert_eq!(door.log.records()[0].body, said, "what is whole is kept byte for byte");
    assert_eq!(door.post("/v1/page", r#" {"userId":7, "type" : null}"#).await.0, 200);
    assert_eq!(door.log.records()[1].body, r#" {"userId":7, "type" : "page"}"#);
    assert_eq!(code(door.post("/v1/identify", said).await, 400), "wrong_address");
    assert_eq!(code(door.post("/v1/track", r#"{"type":"dance","userId":"u"}"#).await, 400), "unknown_type");
    assert_eq!(code(door.post("/v1/track", r#"{"type":[],"userId":"u"}"#).await, 400), "wrong_type");
}

#[tokio::test]
async fn a_batch_becomes_its_events_as_they_were_sent() {
    for path in ["/v1/batch", "/v1/b", "/v1/import"] {
        let door = Door::default();
        let items = [
            r#"{"type":"track" , "event":"A","userId":"u1", "n":1.50}"#,
            r#"{"type":"page","anonymousId":"a1","userId":null}"#,
            r#"{"userId":["no","id"]}"#,
            r#"7"#,
        ];
        let body = format!(r#"{{"sentAt":"2026-03-01T11:59:00Z","batch":[{}],"more":{{}}}}"#, items.join(" , "));
        assert_eq!(door.post(path, body).await, (200, json!({ "success": true, "position": "0:4" })));
        let records = door.log.records();
        assert_eq!(records.iter().map(|record| &record.body[..]).collect::<Vec<_>>(), items.map(str::as_bytes));
        let keys: Vec<_> = records.iter().map(|record| record.key.as_deref()).collect();
        assert_eq!(keys, [Some("u1"), Some("a1"), None, None]);
        assert!(records.iter().all(|record| record.sent_at == Some(NOON - 60_000) && record.received_at == NOON));
    }
}

#[tokio::test]
async fn what_a_batch_says_for_all_stands_in_each() {
    let door = Door::default();
    let batch = json!({
        "context": { "ip": "1.2.3.4", "library": { "name": "l" } }, "integrations": { "All": false },
        "batch": [track(), { "userId": "u", "context": { "ip": "5.6.7.8" }, "integrations": { "X": true } }, "text"],
    });
    assert_eq!(door.post("/v1/batch", batch.to_string()).await.0, 200);
    let mut first = track();
    first["context"] = batch["context"].clone();
    first["integrations"] = batch["integrations"].clone();
    let second = json!({ "userId": "u", "context": { "ip": "5.6.7.8", "library": { "name": "l" } },
        "integrations": { "X": true, "All": false } });
    assert_eq!(door.taken(), [first, second, json!("text")]);
    assert_eq!(code(door.post("/v1/batch", r#"{"context":[],"batch":[{}]}"#).await, 400), "wrong_type");
    // Half of the batch, said two thousand times.
    let large = json!({ "context": { "text": "x".repeat(200_000) }, "batch": vec![json!({}); 2_000] });
    assert_eq!(code(door.post("/v1/batch", large.to_string()).await, 413), "too_large");
}

#[tokio::test]
async fn one_bad_event_does_not_spoil_its_batch() {
    let door = Door::default();
    let large = json!({ "type": "track", "text": "x".repeat(limits::EVENT_BYTES) });
    let batch = json!({ "batch": [track(), large, { "type": "dance" }, track()] });
    assert_eq!(door.post("/v1/batch", batch.to_string()).await.1["position"], "0:4");
    let processor = Processor::new(&IdentityRules::default()).unwrap();
    let reasons: Vec<_> = (door.log.records().iter())
        .map(|record| processor.process(&record.body, NOON, None, "").map_err(|reason| reason.code()).err())
        .collect();
    assert_eq!(reasons, [None, Some("too_large"), Some("unknown_type"), None]);
}

#[tokio::test]
async fn what_is_no_batch_is_told() {
    let door = Door::default();
    let many = json!({ "batch": vec![0; limits::BATCH_EVENTS + 1] }).to_string();
    for (body, expected) in [
        ("", "invalid_json"),
        ("{\"batch\":[{]}", "invalid_json"),
        ("[]", "not_an_object"),
        ("null", "not_an_object"),
        ("{}", "missing_batch"),
        (r#"{"batch":null}"#, "missing_batch"),
        (r#"{"batch":{}}"#, "wrong_type"),
        (r#"{"batch":"x"}"#, "wrong_type"),
        (r#"{"batch":[]}"#, "empty_batch"),
        (r#"{"batch":[{}],"sentAt":"soon"}"#, "invalid_timestamp"),
        (&many, "too_many_events"),
    ] {
        assert_eq!(code(door.post("/v1/batch", body.to_owned()).await, 400), expected, "{body:.40}");
    }
    assert_eq!(code(door.post("/v1/batch", vec![b'{', 0xff]).await, 400), "invalid_utf8");
    let deep = format!(r#"{{"batch":[{}]}}"#, "[".repeat(100_000) + &"]".repeat(100_000));
    assert_eq!(door.post("/v1/batch", deep).await.0, 200, "a deep event is rejected later, like any other");
    let most = json!({ "batch": vec![0; limits::BATCH_EVENTS] }).to_string();
    assert_eq!(door.post("/v1/batch", most).await.0, 200);
}

#[tokio::test]
async fn a_single_event_is_validated_at_once() {
    let door = Door::default();
    for (body, status, expected) in [
        ("{", 400, "invalid_json"),
        ("[]", 400, "not_an_object"),
        (r#"{"userId":"u"}"#, 400, "missing_event"),
        (r#"{"event":"A"}"#, 400, "missing_identifier"),
        (r#"{"event":"A","userId":"null"}"#, 400, "all_identifiers_blocked"),
        (r#"{"event":"A","userId":{}}"#, 400, "wrong_type"),
        (r#"{"event":"A","userId":"u","timestamp":"0001-01-01T00:00:00Z"}"#, 400, "timestamp_out_of_range"),
        (&json!({ "event": "A", "userId": "u", "x": "x".repeat(limits::EVENT_BYTES) }).to_string(), 413, "too_large"),
    ] {
        assert_eq!(code(door.post("/v1/track", body.to_owned()).await, status), expected, "{body:.60}");
    }
    let (_, answer) = door.post("/v1/track", r#"{"event":["A"],"userId":"u"}"#).await;
    assert!(answer["message"].as_str().unwrap().contains("`event`"), "{answer}");
    assert!(door.taken().is_empty());
}

#[tokio::test]
async fn the_write_key_comes_in_one_of_three_ways() {
    let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
    let in_body = |key: Value| {
        let mut event = track();
        event["writeKey"] = key;
        event.to_string()
    };
    for (authorization, body, expected) in [
        (basic("web:"), track().to_string(), 200),
        (basic("web"), track().to_string(), 200),
        ("Bearer app".to_owned(), track().to_string(), 200),
        (String::new(), in_body("app".into()), 200),
        ("Bearer token-of-another-kind".to_owned(), in_body("app".into()), 200),
        (String::new(), track().to_string(), 401),
        (basic("other:"), track().to_string(), 401),
        (basic("other:web"), track().to_string(), 401),
        (String::new(), in_body("other".into()), 401),
        (String::new(), in_body(json!(["web"])), 401),
        (String::new(), "{".to_owned(), 401),
    ] {
        let door = Door::default();
        let headers = [("authorization", authorization.as_str())];
        let answer = door.post_as("/v1/track", &headers, body.clone()).await;
        assert_eq!(answer.0, expected, "{authorization} {body}: {}", answer.1);
        if expected == 401 {
            assert_eq!(code(answer, 401), "unknown_write_key");
        }
        assert_eq!(door.taken().len(), usize::from(expected == 200));
    }
    let door = Door::default();
    let batch = json!({ "writeKey": "app", "batch": [track()] }).to_string();
    assert_eq!(door.post_as("/v1/batch", &[], batch).await.0, 200);
    assert_eq!(door.log.records()[0].source, "app source");
}

#[tokio::test]
async fn a_body_may_be_packed_and_called_anything() {
    let door = Door::default();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(track().to_string().as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let key = ("authorization", "Bearer web");
    let gzip = [key, ("content-encoding", "gzip"), ("content-type", "application/json")];
    assert_eq!(door.post_as("/v1/track", &gzip, packed).await.0, 200);
    let plain = [key, ("content-type", "text/plain")];
    assert_eq!(door.post_as("/v1/track", &plain, track().to_string()).await.0, 200);
    assert_eq!(door.taken(), [track(), track()]);
    assert_eq!(code(door.post_as("/v1/track", &gzip, track().to_string()).await, 400), "invalid_gzip");
    let brotli = [key, ("content-encoding", "br")];
    assert_eq!(code(door.post_as("/v1/track", &brotli, "x").await, 415), "unknown_encoding");
    assert_eq!(code(door.post("/v1/batch", vec![b' '; limits::BATCH_BYTES + 1]).await, 413), "too_large");
}

#[tokio::test]
async fn who_cannot_be_served_now_is_told_when_to_come_again() {
    async fn refused(door: &Door, expected: u16) -> String {
        let request = Request::post("/v1/track").header("authorization", "Bearer web");
        let response = door.request(request.body(track().to_string().into()).unwrap()).await;
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["x-ratelimit-reset"], "1");
        assert!(door.taken().is_empty());
        code(answer(response).await, expected)
    }
    let full = Door::default();
    let mut places = Vec::new();
    for _ in 0..8 {
        places.push(full.state.enter(&HeaderMap::new(), "x".into(), 1).await.unwrap());
    }
    assert_eq!(refused(&full, 429).await, "too_many_requests");
    drop(places);
    assert_eq!(full.post("/v1/track", track().to_string()).await.0, 200);

    let log = |error| Memory { refuses: Mutex::new(Some(error)), ..Memory::default() };
    assert_eq!(refused(&Door::new(log(AppendError::Busy)), 429).await, "log_busy");
    let broken = Door::new(log(AppendError::Unavailable("/data/log: no space left".to_owned())));
    assert_eq!(refused(&broken, 503).await, "log_unavailable");
    let (_, answer) = broken.post("/v1/track", track().to_string()).await;
    assert!(!answer.to_string().contains("/data"), "a client learns nothing of our disks: {answer}");

    let mut hanging = Door::new(Memory { hangs: true, ..Memory::default() });
    hanging.state = hanging.state.with_timeout(Duration::from_millis(20));
    assert_eq!(refused(&hanging, 503).await, "log_unavailable");

    let stopping = Door::default();
    stopping.state.shutdown.cancel();
    assert_eq!(refused(&stopping, 503).await, "shutting_down");
}

#[tokio::test]
async fn browsers_of_every_origin_may_send() {
    let request = Request::options("/v1/t")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-retry-count");
    let response = Door::default().request(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let allowed = response.headers()["access-control-allow-headers"].to_str().unwrap().to_lowercase();
    for name in ["authorization", "content-type", "x-retry-count"] {
        assert!(allowed.contains(name), "{allowed}");
    }
}

#[tokio::test]
async fn the_browsers_library_gets_settings_that_send_here() {
    let get = async |key: &str, host: &str| {
        let request = Request::get(format!("/v1/projects/{key}/settings")).header("host", host);
        answer(Door::default().request(request.body(Body::empty()).unwrap()).await).await
    };
    let (status, settings) = get("web", "events.example:8080").await;
    assert_eq!(status, 200);
    let to_here = &settings["integrations"]["Segment.io"];
    assert_eq!(
        (&to_here["apiKey"], &to_here["apiHost"], &to_here["protocol"]),
        (&json!("web"), &json!("events.example:8080/v1"), &json!("http"))
    );
    assert_eq!(settings["plan"]["track"]["__default"]["enabled"], true);
    assert_eq!(get("web", "a/b").await.1["integrations"]["Segment.io"].get("apiHost"), None);
    assert_eq!(code(get("other", "events.example").await, 404), "unknown_write_key");
}

#[tokio::test]
async fn another_method_is_told_in_json() {
    let request = Request::get("/v1/track").body(Body::empty()).unwrap();
    assert_eq!(code(answer(Door::default().request(request).await).await, 405), "wrong_method");
}
