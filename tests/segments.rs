//! Segments looked at closely: a condition tried before it is defined, why a customer is in one, how it grew, what they share.

use crate::support::client::{Client, path_segment};
use crate::support::server::Site;
use crate::support::sse::Stream;
use crate::support::wait::SOON;
use serde_json::{Value, json};

const DEFINITIONS: &str = r#"
traits:
  orders: count(*) FILTER (WHERE event = 'Order Completed')
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  loyal: { where: orders >= 3 }
  big: { where: ltv > 100 }
  german: { where: traits.country = 'DE' }
  recent: { where: "count(*) FILTER (WHERE event = 'Order Completed' AND timestamp > now() - INTERVAL '30 days') >= 3 AND NOT in_segment('german')" }
  colleagues: { where: group.members >= 2 }
"#;

fn order(user: &str, total: u32) -> Value {
    json!({ "type": "track", "event": "Order Completed", "userId": user, "properties": { "total": total, "sku": format!("s{total}") } })
}

fn lives(user: &str, country: &str) -> Value {
    json!({ "type": "identify", "userId": user, "traits": { "country": country } })
}

fn preview(client: &Client, position: &str, condition: &str) -> (i64, String, Vec<String>) {
    let path = format!("/v1/segments/preview?min_position={position}");
    let answer = client.read_post(&path, &json!({ "where": condition })).ok();
    let sample = answer["sample"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
    (answer["count"].as_i64().unwrap(), answer["from"].as_str().unwrap().to_owned(), sample.collect())
}

#[test]
fn a_condition_is_counted_before_it_is_a_segment() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let client = &server.client;
    let position = client.batch(&[
        order("ada", 60),
        order("ada", 70),
        order("ben", 150),
        lives("ada", "DE"),
        lives("cleo", "DE"),
        json!({ "type": "track", "event": "Order Completed", "anonymousId": "phone", "properties": { "total": 5 } }),
        json!({ "type": "group", "userId": "ada", "groupId": "acme", "traits": { "plan": "pro" } }),
        json!({ "type": "group", "userId": "ben", "groupId": "acme" }),
    ]);
    assert_eq!(preview(client, &position, "TRUE").0, 4);
    client.state("link", "user_id:cleo", "anonymous_id:phone");
    let position = client.batch(&[order("dora", 10)]);
    let count = |condition: &str| preview(client, &position, condition);
    assert_eq!(count("ltv > 100").0, client.count_at("big", &position));
    assert_eq!(count("TRUE").0, 4, "a merge is one customer");
    let (found, from, sample) = count("ltv >= 5 AND traits.country = 'DE' AND NOT in_segment('loyal')");
    assert_eq!((found, from.as_str(), sample.len()), (2, "facts", 2));
    assert_eq!(count("in_segment('colleagues') AND ltv < 140").0, 1);
    assert_eq!(count("now() - min(timestamp) < INTERVAL '1 day'").1, "history", "no definition keeps the first event");
    assert_eq!(count("max(properties.total) > 65 AND orders < 2").0, 1);
    assert_eq!(count("'s150' = last(properties.sku) FILTER (WHERE event = 'Order Completed')").0, 1);
    assert_eq!(count("count(*) = 0 AND traits.country IS NULL").0, 0);

    let refused = |condition: &str| {
        let answer = client.read_post("/v1/segments/preview", &json!({ "where": condition }));
        (answer.error(400), answer.json()["message"].as_str().unwrap().to_owned())
    };
    let (code, message) = refused("ltv > 'much' AND\n  order > 5");
    assert_eq!(code, "invalid_condition");
    assert!(message.contains("where:1:1: `ltv` is a number and `'much'` is text"), "{message}");
    let (code, message) = refused("lvt > 5");
    assert!(code == "invalid_condition" && message.contains("did you mean `ltv`?"), "{message}");
    assert_eq!(refused("group.traits.plan = 'pro'").0, "group_not_read");
    assert_eq!(client.read_post("/v1/segments/preview", &json!({ "wher": "TRUE" })).error(400), "invalid_json");

    // A preview of what is defined says what the segment says, also after a restart with it.
    let (found, _, sample) = count("max(properties.total) > 65");
    site.define(&format!("{DEFINITIONS}  spender: {{ where: max(properties.total) > 65 }}\n"));
    server.kill();
    let server = site.start();
    assert_eq!(server.client.count_at("spender", &position), found);
    assert_eq!(server.client.members("spender", 10), sample);
    assert_eq!(preview(&server.client, &position, "max(properties.total) > 65").1, "facts");
}

#[test]
fn a_membership_is_explained_part_by_part() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    let position = client.batch(&[order("ada", 60), order("ada", 70), lives("ada", "FR")]);
    let explain = |segment: &str, position: &str| {
        client.get_at(&format!("/v1/profiles/user_id:ada/segments/{segment}/explain"), position).ok()
    };
    let loyal = explain("loyal", &position);
    assert_eq!((&loyal["is_member"], &loyal["explanation"]["missing"]), (&json!(false), &json!("2 of 3")), "{loyal}");
    assert_eq!(loyal["explanation"]["expression"], "orders >= 3");
    assert_eq!(loyal["explanation"]["parts"][0]["parts"][0]["value"], 2);
    assert_eq!((&loyal["events"][0]["count"], &loyal["changes_at"]), (&json!(2), &json!(null)));
    assert_eq!(loyal["events"][0]["latest"][0]["properties"]["total"], 70);

    let position = client.batch(&[order("ada", 80)]);
    let recent = explain("recent", &position);
    assert_eq!((&recent["is_member"], &recent["explanation"]["value"]), (&json!(true), &json!(true)), "{recent}");
    let parts = recent["explanation"]["parts"].as_array().unwrap();
    assert_eq!(parts[1]["expression"], "NOT in_segment('german')");
    assert_eq!(parts[1]["parts"][0]["parts"][0]["expression"], "traits.country = 'DE'");
    assert_eq!(client.get("/v1/profiles/user_id:ada/segments/nothing/explain").error(404), "segment_not_found");
    assert_eq!(client.get("/v1/profiles/user_id:nobody/segments/loyal/explain").error(404), "profile_not_found");
}

#[test]
fn who_came_and_went_is_told_by_the_minute_and_what_segments_share_exactly() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let client = &server.client;
    let position =
        client.batch(&[order("ada", 60), order("ada", 70), order("ben", 150), lives("ada", "DE"), lives("cleo", "DE")]);
    assert_eq!(client.count_at("german", &position), 2);
    let position = client.batch(&[lives("cleo", "FR"), lives("dora", "DE"), lives("emil", "DE")]);
    let sums = |client: &Client, resolution: &str| {
        let path = format!("/v1/segments/german/history?resolution={resolution}");
        let history = client.get_at(&path, &position).ok();
        let rows = history["history"].as_array().unwrap().clone();
        let sum = |field: &str| rows.iter().map(|row| row[field].as_i64().unwrap()).sum::<i64>();
        (sum("entered"), sum("left"), rows.last().unwrap()["count"].as_i64().unwrap())
    };
    for resolution in ["minute", "hour", "day"] {
        assert_eq!(sums(client, resolution), (4, 1, 3), "{resolution}");
    }
    let overlap = client.get_at("/v1/segments/overlap?ids=german,big", &position).ok();
    assert_eq!(overlap["counts"], json!({ "german": 3, "big": 2 }));
    let rows: Vec<_> = overlap["overlap"].as_array().unwrap().iter().map(|row| row.to_string()).collect();
    assert_eq!(
        rows,
        [
            r#"{"count":2,"segments":["german"]}"#,
            r#"{"count":1,"segments":["big"]}"#,
            r#"{"count":1,"segments":["big","german"]}"#,
        ]
    );
    assert_eq!(client.get("/v1/segments/overlap?ids=german").error(400), "invalid_parameter");
    assert_eq!(client.get("/v1/segments/overlap?ids=german,nothing").error(404), "segment_not_found");
    assert_eq!(client.get("/v1/segments/nothing/history").error(404), "segment_not_found");
    server.kill();
    let server = site.start();
    assert_eq!(sums(&server.client, "day"), (4, 1, 3), "after a kill");
}

#[test]
fn who_would_come_and_go_is_seen_as_it_happens() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    client.count_at("big", &client.batch(&[order("ada", 60), order("ben", 5)]));
    let condition = "max(properties.total) >= 50 AND now() - max(timestamp) < INTERVAL '3 seconds' OR orders > 3";
    let path = format!("/v1/segments/preview/stream?where={}", path_segment(condition));
    let mut stream = Stream::open(client.base(), &path);
    let mut next = || {
        let (event, data) = stream.next(SOON).unwrap();
        (event, data["profile"].as_str().unwrap_or("").to_owned(), data["count"].as_i64().unwrap())
    };
    let id = |user: &str| client.get(&format!("/v1/profiles/user_id:{user}")).ok()["id"].as_str().unwrap().to_owned();
    assert_eq!(next(), ("count".to_owned(), String::new(), 1));
    client.batch(&[order("ben", 70)]);
    assert_eq!(next(), ("enter".to_owned(), id("ben"), 2));
    // Time alone takes both out again, the one who came first before the other.
    assert_eq!(next(), ("exit".to_owned(), id("ada"), 1));
    assert_eq!(next(), ("exit".to_owned(), id("ben"), 0));
    // Together they have ordered often enough.
    let position = client.batch(&[order("cleo", 1)]);
    client.count_at("big", &position);
    client.state("link", "user_id:ada", "user_id:ben");
    client.state("link", "user_id:ben", "user_id:cleo");
    let entered = next();
    assert_eq!(entered, ("enter".to_owned(), id("cleo"), 1));
    assert_eq!(client.get("/v1/segments/preview/stream?where=lvt%20%3E%205").error(400), "invalid_condition");
}
