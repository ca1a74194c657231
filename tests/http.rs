//! Events by HTTP, as the Segment spec has them: what is taken, who may send, and when it can be read.

use crate::support::client::{ADMIN_TOKEN, As, Client, READ_TOKEN, WRITE_KEY};
use crate::support::server::Site;
use crate::support::wait::{SOON, equal, eventually};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    email: { priority: 2, normalise: email, from: [traits.email] }
traits:
  carts: count(*) FILTER (WHERE event = 'Cart Viewed')
  last_page: last(properties.path)
segments:
  shoppers: { where: carts >= 1 }
"#;

#[test]
fn each_of_the_six_calls_is_taken_and_can_be_read() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    let calls = [
        ("track", json!({ "anonymousId": "a1", "event": "Cart Viewed", "properties": { "total": 10 } })),
        ("page", json!({ "anonymousId": "a1", "name": "Home", "properties": { "path": "/" } })),
        ("screen", json!({ "anonymousId": "a1", "name": "Cart", "properties": { "path": "cart" } })),
        ("identify", json!({ "anonymousId": "a1", "userId": "u1", "traits": { "email": " Ada@Example.com " } })),
        ("group", json!({ "userId": "u1", "groupId": "g1", "traits": { "name": "Analysts" } })),
        ("alias", json!({ "userId": "u1", "previousId": "u0" })),
    ];
    let mut position = String::new();
    for (call, body) in calls {
        position = client.post(&format!("/v1/{call}"), &body).position();
    }
    let profile = client.profile_at("user_id:u1", &position);
    let identifiers: Vec<_> = profile["identifiers"].as_array().unwrap().iter().map(|one| &one["value"]).collect();
    for wanted in ["u1", "ada@example.com", "a1"] {
        assert!(identifiers.contains(&&json!(wanted)), "{wanted} is in {profile}");
    }
    assert_eq!(profile["traits"]["email"], " Ada@Example.com ");
    assert_eq!(profile["computed"]["carts"], 1);
    assert_eq!(profile["segments"][0]["id"], "shoppers");
    assert_eq!(client.profile_at("email:ADA@example.com", &position)["id"], profile["id"]);
}

#[test]
fn an_alias_joins_what_came_before_it() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    client.post("/v1/track", &json!({ "anonymousId": "old", "event": "Cart Viewed" })).position();
    client.post("/v1/track", &json!({ "userId": "new", "event": "Cart Viewed" })).position();
    let position = client.post("/v1/alias", &json!({ "userId": "new", "previousId": "old" })).position();
    let profile = client.profile_at("user_id:new", &position);
    assert_eq!(profile["computed"]["carts"], 2);
    assert_eq!(client.profile_at("anonymous_id:old", &position)["id"], profile["id"]);
}

#[test]
fn a_batch_mixes_calls_and_its_context_holds_for_all() {
    let server = Site::new(DEFINITIONS).start();
    let batch = json!({ "context": { "library": { "name": "test" } }, "batch": [
        { "type": "identify", "userId": "u1", "traits": { "plan": "gold" } },
        { "type": "track", "userId": "u1", "event": "Cart Viewed" },
        { "type": "track", "userId": "u2", "event": "Cart Viewed" },
    ] });
    let position = server.client.post("/v1/batch", &batch).position();
    assert_eq!(server.client.profile_at("user_id:u1", &position)["traits"]["plan"], "gold");
    assert_eq!(server.client.count_at("shoppers", &position), 2);
}

#[test]
fn the_write_key_comes_by_basic_or_bearer_or_in_the_body() {
    let server = Site::new(DEFINITIONS).start();
    let send = |who: As<'_>, event: Value| {
        server.client.request(Method::POST, "/v1/track", who, &[], event.to_string().into_bytes()).unwrap()
    };
    let event = json!({ "userId": "u1", "event": "Cart Viewed" });
    let with_key = |key: &str| json!({ "userId": "u1", "event": "Cart Viewed", "writeKey": key });
    send(As::Basic(WRITE_KEY), event.clone()).position();
    send(As::Bearer(WRITE_KEY), event.clone()).position();
    send(As::Nobody, with_key(WRITE_KEY)).position();
    for (who, event) in [
        (As::Nobody, event.clone()),
        (As::Basic("another"), event.clone()),
        (As::Bearer("another"), event.clone()),
        (As::Nobody, with_key("another")),
        // Tokens read; they do not write.
        (As::Bearer(READ_TOKEN), event),
    ] {
        let answer = send(who, event);
        assert!(matches!(answer.status, 401 | 403), "{who:?}: {}", answer.text());
        answer.error(answer.status);
    }
    let batch =
        json!({ "writeKey": WRITE_KEY, "batch": [{ "type": "track", "userId": "u2", "event": "Cart Viewed" }] });
    let body = batch.to_string().into_bytes();
    let position = server.client.request(Method::POST, "/v1/batch", As::Nobody, &[], body).unwrap().position();
    assert_eq!(server.client.profile_at("user_id:u1", &position)["computed"]["carts"], 3);
    assert_eq!(server.client.count_at("shoppers", &position), 2);
}

#[test]
fn bodies_may_be_gzipped_and_called_plain_text() {
    let server = Site::new(DEFINITIONS).start();
    let event = json!({ "userId": "u1", "event": "Cart Viewed" }).to_string();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(event.as_bytes()).unwrap();
    let gzipped = [("content-encoding", "gzip"), ("content-type", "application/json")];
    let send = |headers: &[(&str, &str)], body: Vec<u8>| {
        server.client.request(Method::POST, "/v1/track", As::Basic(WRITE_KEY), headers, body).unwrap()
    };
    send(&gzipped, encoder.finish().unwrap()).position();
    // The browser's library sends JSON as plain text, to spare a preflight request.
    let position = send(&[("content-type", "text/plain")], event.clone().into_bytes()).position();
    assert_eq!(server.client.profile_at("user_id:u1", &position)["computed"]["carts"], 2);
    send(&gzipped, event.into_bytes()).error(400);
}

#[test]
fn one_reads_ones_own_writes() {
    let server = Site::new(DEFINITIONS).start();
    for number in 1..=30 {
        let event = json!({ "userId": "u1", "event": "Cart Viewed" });
        let position = server.client.post("/v1/track", &event).position();
        // Asked at once, with no pause and no second try: the server waits until the answer is due.
        let path = format!("/v1/profiles/user_id:u1?min_position={position}&timeout_ms=5000");
        assert_eq!(server.client.get(&path).ok()["computed"]["carts"], number);
    }
}

#[test]
fn a_position_that_is_not_there_yet_is_503_after_the_wait() {
    let server = Site::new(DEFINITIONS).start();
    let position = server.client.post("/v1/track", &json!({ "userId": "u1", "event": "Cart Viewed" })).position();
    let (partition, offset) = position.split_once(':').unwrap();
    let later = offset.parse::<u64>().unwrap() + 1_000;
    let path = format!("/v1/profiles/user_id:u1?min_position={partition}:{later}&timeout_ms=100");
    server.client.get(&path).error(503);
    server.client.get("/v1/profiles/user_id:u1?min_position=soon").error(400);
}

#[test]
fn a_message_that_comes_again_changes_nothing() {
    let server = Site::new(DEFINITIONS).start();
    let event = json!({ "type": "track", "userId": "u1", "event": "Cart Viewed", "messageId": "m1" });
    server.client.post("/v1/track", &event).position();
    let position = server.client.batch(&[event.clone(), event.clone()]);
    assert_eq!(server.client.profile_at("user_id:u1", &position)["computed"]["carts"], 1);
    let position = server.client.post("/v1/track", &event).position();
    assert_eq!(server.client.profile_at("user_id:u1", &position)["computed"]["carts"], 1);
    assert!(server.client.metric("tributary_duplicates_total", &[]) >= 3.0);
}

#[test]
fn sent_at_corrects_a_clock_that_is_wrong() {
    let server = Site::new(DEFINITIONS).start();
    // By its own clock, which is ten days slow, the client did this a minute before it sent it.
    let wrong = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(240);
    let minute_before = wrong - jiff::SignedDuration::from_mins(1);
    let event = json!({ "userId": "u1", "event": "Cart Viewed",
        "timestamp": minute_before.to_string(), "sentAt": wrong.to_string() });
    let position = server.client.post("/v1/track", &event).position();
    let seen = server.client.profile_at("user_id:u1", &position)["identifiers"][0]["first_seen"].clone();
    let seen: jiff::Timestamp = seen.as_str().unwrap().parse().unwrap();
    let ago = jiff::Timestamp::now().duration_since(seen);
    assert!((60..120).contains(&ago.as_secs()), "it happened a minute ago, not {ago:?}");
}

#[test]
fn errors_are_json_with_a_code_and_a_message() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    client.get("/v1/profiles/user_id:nobody").error(404);
    client.get("/v1/segments/none").error(404);
    client.get("/v1/segments/none/members").error(404);
    client.get("/v1/nothing").error(404);
    client.get("/v1/track").error(405);
    client.post_bytes("/v1/track", "{").error(400);
    assert_eq!(client.request(Method::GET, "/healthz", As::Nobody, &[], vec![]).unwrap().status, 200);
    // Methods that somebody makes up are no further numbers to keep.
    for made_up in [&b"BREW"[..], b"WHEN"] {
        let method = Method::from_bytes(made_up).unwrap();
        client.request(method, "/healthz", As::Nobody, &[], vec![]).unwrap().error(405);
    }
    assert_eq!(client.metric("tributary_http_requests_total", &["BREW"]), 0.0);
    assert_eq!(client.metric("tributary_http_requests_total", &["method=\"other\"", "/healthz"]), 2.0);
}

#[test]
fn a_browser_of_another_origin_may_send() {
    let server = Site::new(DEFINITIONS).start();
    let headers = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,x-retry-count"),
    ];
    let answer = server.client.request(Method::OPTIONS, "/v1/batch", As::Nobody, &headers, vec![]).unwrap();
    assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_lowercase();
    assert!(["*", "https://shop.example"].contains(&header("access-control-allow-origin").as_str()));
    let allowed = header("access-control-allow-headers");
    for wanted in ["authorization", "content-type", "x-retry-count"] {
        // A star does not cover Authorization.
        assert!(allowed.contains(wanted), "{wanted} is in {allowed}");
    }
}

#[test]
fn many_clients_at_once_lose_nothing() {
    let server = Site::new(DEFINITIONS).start();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let client: Client = server.client.clone();
            scope.spawn(move || {
                for _ in 0..50 {
                    let event = json!({ "userId": format!("u{number}"), "event": "Cart Viewed" });
                    client.post("/v1/track", &event).position();
                }
            });
        }
    });
    eventually("every event is counted", SOON, || {
        let carts = |number: usize| {
            server.client.get(&format!("/v1/profiles/user_id:u{number}")).json()["computed"]["carts"].as_u64()
        };
        equal(&(0..8).filter_map(carts).sum::<u64>(), &400)
    });
    assert!(server.client.metric("tributary_ingested_events_total", &[]) >= 400.0);
    let admin = server.client.request(Method::GET, "/v1/segments", As::Bearer(ADMIN_TOKEN), &[], vec![]).unwrap();
    assert_eq!(admin.ok()["segments"][0]["count"], 8);
}
