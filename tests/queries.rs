//! What can be asked: profiles, segments and their members, live counts, and the description of it all.

use crate::support::client::{ADMIN_TOKEN, As, READ_TOKEN, WRITE_KEY};
use crate::support::compare;
use crate::support::oracle;
use crate::support::server::Site;
use crate::support::sse::Stream;
use crate::support::traffic::{SHOP, Traffic, seed};
use crate::support::wait::{SOON, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    email: { priority: 2, normalise: email, from: [traits.email] }
    anonymous_id: { priority: 9, shared_after: { user_id: 2 } }
traits:
  orders: count(*) FILTER (WHERE event = 'Order Completed')
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  buyers: { name: Bought once, where: orders >= 1 }
  vip: { where: ltv > 100 AND NOT in_segment('staff') }
  staff: { where: traits.staff }
"#;

fn order(user: &str, total: f64) -> Value {
    json!({ "type": "track", "userId": user, "event": "Order Completed", "properties": { "total": total } })
}

#[test]
fn a_profile_tells_identifiers_traits_and_segments_as_of_an_epoch() {
    let server = Site::new(DEFINITIONS).start();
    let before = jiff::Timestamp::now();
    let position = server.client.batch(&[
        json!({ "type": "identify", "userId": "u1", "anonymousId": "a1", "traits": { "email": "Ada@Example.com", "age": 36 } }),
        order("u1", 70.5),
        order("u1", 49.6),
    ]);
    let profile = server.client.profile_at("anonymous_id:a1", &position);
    let named: Vec<_> = profile["identifiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}:{}", one["namespace"].as_str().unwrap(), one["value"].as_str().unwrap()))
        .collect();
    assert_eq!(named, ["user_id:u1", "email:ada@example.com", "anonymous_id:a1"], "best first");
    assert_eq!(profile["traits"], json!({ "email": "Ada@Example.com", "age": 36 }));
    assert_eq!(profile["computed"], json!({ "orders": 2, "ltv": 120.1 }), "sums of money are exact");
    let segments: Vec<_> = profile["segments"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(segments, ["buyers", "vip"]);
    let since: jiff::Timestamp = profile["segments"][0]["since"].as_str().unwrap().parse().unwrap();
    let second = jiff::SignedDuration::from_secs(1);
    assert!(since >= before - second && since <= jiff::Timestamp::now() + second, "{since}");
    assert!(profile["epoch"].as_u64().is_some_and(|epoch| epoch > 0), "{profile}");
    assert!(profile["position"].as_str().is_some_and(|position| !position.is_empty()), "{profile}");
    // Its id finds it too.
    let by_id = server.client.get(&format!("/v1/profiles/{}", profile["id"].as_str().unwrap())).ok();
    assert_eq!(by_id["identifiers"], profile["identifiers"]);
}

#[test]
fn segments_tell_name_condition_and_count() {
    let server = Site::new(DEFINITIONS).start();
    let position = server.client.batch(&[
        order("u1", 500.0),
        order("u2", 500.0),
        json!({ "type": "identify", "userId": "u2", "traits": { "staff": true } }),
        order("u3", 5.0),
    ]);
    let answer = server.client.get_at("/v1/segments", &position).ok();
    let counts: Vec<_> = answer["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| (segment["id"].as_str().unwrap(), segment["count"].as_i64().unwrap()))
        .collect();
    assert_eq!(counts, [("buyers", 3), ("staff", 1), ("vip", 1)]);
    let one = server.client.get("/v1/segments/buyers").ok();
    assert_eq!(one["name"], "Bought once");
    assert_eq!(one["where"], "orders >= 1");
    assert!(one["version"].is_u64(), "{one}");
    let position = server.client.batch(&[json!({ "type": "identify", "userId": "u2", "traits": { "staff": null } })]);
    assert_eq!(server.client.count_at("vip", &position), 2);
    assert_eq!(server.client.count_at("staff", &position), 0);
}

#[test]
fn members_are_paged_by_a_cursor() {
    let server = Site::new(DEFINITIONS).start();
    let orders: Vec<Value> = (0..1_234).map(|number| order(&format!("u{number}"), 1.0)).collect();
    let position = server.client.batches(&orders);
    assert_eq!(server.client.count_at("buyers", &position), 1_234);
    let members = server.client.members("buyers", 100);
    assert_eq!(members.len(), 1_234);
    assert!(members.windows(2).all(|two| two[0] < two[1]), "each once, in order");
    assert_eq!(server.client.members("buyers", 617), members, "whatever the size of a page");
    let first = server.client.get(&format!("/v1/profiles/{}", members[0])).ok();
    assert_eq!(first["segments"][0]["id"], "buyers");
    assert!(server.client.members("vip", 10).is_empty());
    server.client.get("/v1/segments/buyers/members?cursor=wrong").error(400);
}

#[test]
fn a_login_merges_and_a_shared_device_does_not() {
    let server = Site::new(DEFINITIONS).start();
    let page = |user: &str| json!({ "type": "page", "userId": user, "anonymousId": "kiosk", "name": "Home" });
    let position = server.client.batch(&[page("u1"), order("u1", 60.0), page("u2"), order("u2", 60.0)]);
    let merged = server.client.profile_at("user_id:u1", &position);
    assert_eq!(merged["computed"]["ltv"], 120, "two who share a device are one");
    assert_eq!(server.client.profile_at("user_id:u2", &position)["id"], merged["id"]);
    assert_eq!(server.client.count_at("vip", &position), 1);
    // A third user makes it a kiosk: what it had joined comes apart, with all that follows.
    let position = server.client.batch(&[page("u3")]);
    for user in ["u1", "u2"] {
        assert_eq!(server.client.profile_at(&format!("user_id:{user}"), &position)["computed"]["ltv"], 60);
    }
    assert_eq!(server.client.count_at("vip", &position), 0);
    assert_eq!(server.client.count_at("buyers", &position), 2);
}

#[test]
fn counts_are_streamed_as_they_change() {
    let server = Site::new(DEFINITIONS).start();
    let mut stream = Stream::open(server.client.base(), "/v1/segments/stream");
    let (event, first) = stream.next(SOON).unwrap();
    assert_eq!(event, "counts");
    assert_eq!(first["counts"]["buyers"], 0);
    let started = Instant::now();
    let mut last = 0;
    for number in 0..300 {
        server.client.batch(&[order(&format!("u{number}"), 1.0)]);
    }
    let mut events = 0;
    let mut epoch = first["epoch"].as_u64().unwrap();
    while last < 300 {
        let (_, data) = stream.next(SOON).unwrap();
        let count = data["counts"]["buyers"].as_i64().unwrap();
        assert!(count >= last, "{count} after {last}");
        assert!(data["epoch"].as_u64().unwrap() > epoch, "epochs grow");
        epoch = data["epoch"].as_u64().unwrap();
        (last, events) = (count, events + 1);
    }
    // Reading began after the sending: what was buffered counts for the time of sending too.
    let tenths = started.elapsed().as_millis() as usize / 100;
    assert!(events <= tenths + 2, "{events} events in {tenths} tenths of a second");
    // The stream does not keep a server from ending.
    server.stop();
    while stream.next(Duration::from_secs(10)).is_some() {}
}

#[test]
fn tokens_read_and_write_keys_write() {
    let server = Site::new(DEFINITIONS).start();
    let get = |path: &str, who: As<'_>| server.client.request(Method::GET, path, who, &[], vec![]).unwrap();
    let reads = [
        "/v1/segments",
        "/v1/segments/buyers",
        "/v1/segments/buyers/members",
        "/v1/profiles/user_id:u1",
        "/v1/rejected",
        "/v1/segments/stream",
    ];
    for path in reads {
        for who in [As::Nobody, As::Basic(WRITE_KEY), As::Bearer(WRITE_KEY), As::Bearer("wrong"), As::Bearer("")] {
            let status = get(path, who).status;
            assert!(matches!(status, 401 | 403), "{path} as {who:?} is {status}");
        }
    }
    server.client.batch(&[order("u1", 1.0)]);
    for path in &reads[..5] {
        for token in [READ_TOKEN, ADMIN_TOKEN] {
            let answer = get(path, As::Bearer(token));
            assert!(matches!(answer.status, 200 | 404), "{path}: {}", answer.text());
        }
    }
}

#[test]
fn openapi_describes_every_route() {
    let server = Site::new(DEFINITIONS).start();
    let answer = server.client.request(Method::GET, "/openapi.json", As::Nobody, &[], vec![]).unwrap().ok();
    assert!(answer["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{}", answer["openapi"]);
    let paths = answer["paths"].as_object().unwrap();
    // A parameter's name is the server's choice.
    let generic = |path: &str| {
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    };
    let described: Vec<String> = paths.keys().map(|path| generic(path)).collect();
    let calls = ["track", "identify", "page", "screen", "group", "alias", "batch"].map(|call| format!("/v1/{call}"));
    let queries = [
        "/v1/profiles/{}",
        "/v1/profiles/{}/messages",
        "/v1/segments",
        "/v1/segments/{}",
        "/v1/segments/{}/members",
        "/v1/segments/stream",
        "/v1/rejected",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ];
    for wanted in calls.iter().map(String::as_str).chain(queries) {
        assert!(described.iter().any(|path| path == wanted), "{wanted} is in {described:?}");
    }
    // And what is described is there.
    for (path, methods) in paths {
        for method in
            methods.as_object().unwrap().keys().filter(|method| *method == "get" && !path.ends_with("/stream"))
        {
            let status = server.client.get(&path.replace(['{', '}'], "x")).status;
            assert_ne!(status, 405, "{method} {path}");
            assert!(status < 500, "{method} {path} is {status}");
        }
    }
}

#[test]
fn metrics_cover_rates_lag_epochs_queues_and_deliveries() {
    let server = Site::new(DEFINITIONS).start();
    let position = server.client.batch(&[order("u1", 1.0), order("u2", 1.0)]);
    server.client.count_at("buyers", &position);
    let text = server.client.request(Method::GET, "/metrics", As::Bearer(ADMIN_TOKEN), &[], vec![]).unwrap().text();
    for name in [
        "tributary_events_total",
        "tributary_ingested_events_total",
        "tributary_epoch",
        "tributary_epochs_total",
        "tributary_epoch_seconds_bucket",
        "tributary_commit_seconds_bucket",
        "tributary_log_lag_records",
        "tributary_profiles",
        "tributary_segment_members",
        "tributary_http_requests_total",
        "tributary_http_request_seconds_bucket",
        "tributary_queue_depth",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is in\n{text}");
    }
    assert_eq!(server.client.metric("tributary_segment_members", &["segment=\"buyers\""]), 2.0);
    assert_eq!(server.client.metric("tributary_profiles", &[]), 2.0);
    eventually("nothing is left to read", SOON, || {
        let lag = server.client.metric("tributary_log_lag_records", &[]);
        if lag == 0.0 { Ok(()) } else { Err(lag) }
    });
}

#[test]
fn a_mistake_in_an_address_is_told_as_json() {
    let server = Site::new(DEFINITIONS).start();
    for (path, status, code) in [
        ("/v1/rejected?cursor=-1", 400, "invalid_parameter"),
        ("/v1/segments/vip/members?limit=many", 400, "invalid_parameter"),
        ("/v1/segments/vip/members?cursor=zzz", 400, "invalid_cursor"),
        ("/v1/segments?min_position=abc", 400, "invalid_position"),
        ("/v1/profiles/user_id:%ff", 400, "invalid_path"),
        ("/v1/profiles/u1", 400, "invalid_profile"),
        ("/v1/profiles/user_id:nobody", 404, "profile_not_found"),
        ("/v1/nothing", 404, "no_such_route"),
    ] {
        assert_eq!(server.client.get(path).error(status), code, "{path}");
    }
}

/// The whole of a random shop's traffic, in any order, against plain loops.
#[test]
fn all_answers_equal_the_oracles() {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut traffic = Traffic::new(seed(), 150, now);
    let events = [traffic.prelude(), traffic.take(2_000)].concat();
    let server = Site::new(SHOP).with("TRIBUTARY_WORKERS", "2").start();
    let position = server.client.batches(&events);
    server.client.count_at("buyers", &position);
    compare::state(&server.client, &oracle::profiles(&events, now)).unwrap();
}
