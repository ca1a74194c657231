//! Who is one customer, by rules that are the same in every order of arrival.

use crate::support::client::Client;
use crate::support::server::Site;
use serde_json::{Value, json};

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    user_id: { priority: 1, max_per_profile: 1 }
    anonymous_id: { priority: 9, shared_after: { user_id: 2 } }
    email: { priority: 2, max_per_profile: 2, normalise: email, from: [traits.email] }
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  vip: { where: ltv > 100 }
"#;

fn login(user: &str, device: &str, minute: u8) -> Value {
    json!({ "type": "identify", "userId": user, "anonymousId": device, "timestamp": at(minute) })
}

fn order(who: (&str, &str), total: f64, minute: u8) -> Value {
    let mut event = json!({ "type": "track", "event": "Order Completed", "properties": { "total": total } });
    event[who.0] = json!(who.1);
    event["timestamp"] = json!(at(minute));
    event
}

fn at(minute: u8) -> String {
    format!("2026-05-04T10:{minute:02}:00Z")
}

/// Lifetime value by user: one who shares a profile with another has what both have.
fn ltv(client: &Client, user: &str, position: &str) -> f64 {
    client.profile_at(&format!("user_id:{user}"), position)["computed"]["ltv"].as_f64().unwrap_or(0.0)
}

#[test]
fn two_users_of_one_device_stay_two_and_what_it_did_goes_with_the_latest() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let position = server.client.batch(&[
        order(("anonymousId", "tablet"), 90.0, 1),
        order(("userId", "ada"), 20.0, 2),
        order(("userId", "ben"), 30.0, 2),
        login("ada", "tablet", 3),
    ]);
    assert_eq!(ltv(&server.client, "ada", &position), 110.0);
    assert_eq!(ltv(&server.client, "ben", &position), 30.0);

    // Ben logs in later: the tablet is now more his than hers.
    let position = server.client.batch(&[login("ben", "tablet", 4)]);
    assert_eq!(ltv(&server.client, "ada", &position), 20.0);
    assert_eq!(ltv(&server.client, "ben", &position), 120.0);

    // An event that comes late but happened before changes nothing; one that happened after does.
    let position = server.client.batch(&[login("ada", "tablet", 0)]);
    assert_eq!(ltv(&server.client, "ben", &position), 120.0);
    server.kill();
    let server = site.start();
    assert_eq!(ltv(&server.client, "ben", &position), 120.0, "after a restart");
    let position = server.client.batch(&[login("ada", "tablet", 5)]);
    assert_eq!(ltv(&server.client, "ada", &position), 110.0);
    assert_eq!(ltv(&server.client, "ben", &position), 30.0);
    assert_eq!(server.client.count_at("vip", &position), 1);
}

#[test]
fn more_emails_than_a_profile_may_hold_anchor_one_profile_each() {
    let server = Site::new(DEFINITIONS).start();
    let says = |email: &str, minute: u8| json!({ "type": "identify", "anonymousId": "a1", "timestamp": at(minute), "traits": { "email": email } });
    let position = server.client.batch(&[says("one@example.com", 1), says("two@example.com", 2)]);
    let id = |of: &str, position: &str| server.client.profile_at(of, position)["id"].clone();
    assert_eq!(id("email:one@example.com", &position), id("email:two@example.com", &position), "two are allowed");
    let position = server.client.batch(&[says("three@example.com", 3)]);
    let ids = ["one", "two", "three"].map(|name| id(&format!("email:{name}@example.com"), &position));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    assert_eq!(id("anonymous_id:a1", &position), ids[2], "with the latest");
}

/// Links of an identity answer in short: ends, what they do, whether they are bridges.
fn links(answer: &Value) -> Vec<String> {
    let short = |link: &Value| {
        let rule = link["rule"]["name"].as_str().unwrap_or("");
        let bridge = if link["bridge"] == true { "bridge" } else { "" };
        let text = format!("{} {} {} {rule}{bridge}", link["a"], link["b"], link["status"]).replace('"', "");
        text.trim().to_owned()
    };
    answer["links"].as_array().unwrap().iter().map(short).collect()
}

#[test]
fn an_identity_tells_which_links_hold_it_together_and_which_rules_cut_what() {
    let server = Site::new(DEFINITIONS).start();
    let mail = |user: &str, minute: u8| {
        json!({ "type": "identify", "userId": user, "anonymousId": "phone", "timestamp": at(minute),
            "traits": { "email": format!("{user}@example.com") } })
    };
    let position =
        server.client.batch(&[mail("ada", 1), mail("ada", 2), login("ada", "laptop", 3), login("ben", "laptop", 4)]);
    let answer = server.client.get_at("/v1/profiles/user_id:ada/identity", &position).ok();
    assert_eq!(
        links(&answer),
        [
            "user_id:ada anonymous_id:laptop cut max_per_profile",
            "user_id:ada email:ada@example.com merges bridge",
            "user_id:ada anonymous_id:phone merges bridge",
        ]
        .map(str::to_owned),
        "{answer}"
    );
    assert_eq!(answer["links"][1]["count"], 2);
    assert_eq!(answer["links"][1]["sources"], json!(["default"]));
    assert_eq!(answer["links"][1]["first_seen"], "2026-05-04T10:01:00.000Z");
    assert_eq!(answer["links"][1]["last_seen"], "2026-05-04T10:02:00.000Z");

    let why = |a: &str, b: &str, position: &str| {
        server.client.get_at(&format!("/v1/identity/why?a={a}&b={b}"), position).ok()
    };
    let answer = why("email:ada@example.com", "anonymous_id:phone", &position);
    assert_eq!((&answer["same"], answer["chain"].as_array().unwrap().len()), (&json!(true), 2), "{answer}");
    let answer = why("user_id:ada", "user_id:ben", &position);
    assert_eq!(answer["same"], false);
    assert!(answer["because"].as_str().unwrap().starts_with("user_id:ada – anonymous_id:laptop is cut"), "{answer}");

    // A third user makes the laptop one that is shared.
    let position = server.client.batch(&[login("cem", "laptop", 5)]);
    let answer = why("user_id:ada", "user_id:ben", &position);
    let because = answer["because"].as_str().unwrap();
    assert!(because.ends_with("anonymous_id:laptop is linked to 3 user_id, more than 2"), "{answer}");
    let answer = server.client.get_at("/v1/profiles/anonymous_id:laptop/identity", &position).ok();
    assert_eq!(answer["identifiers"][0]["shared"], true);
    assert_eq!(server.client.get("/v1/identity/why?a=user_id:ada&b=user_id:nobody").error(404), "profile_not_found");
    assert_eq!(server.client.get("/v1/identity/why?a=user_id:ada").error(400), "invalid_parameter");
}

#[test]
fn a_customer_with_thousands_of_devices_holds_up_nobody() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    let devices = |n: usize| format!("d{n}");
    let orders: Vec<_> = (0..4_000).map(|n| order(("anonymousId", &devices(n)), 200.0, 1)).collect();
    client.batches(&orders);
    let logins: Vec<_> = (0..4_000)
        .map(|n| json!({ "type": "identify", "anonymousId": devices(n), "traits": { "email": "kiosk@example.com" } }))
        .collect();
    let started = std::time::Instant::now();
    let position = client.batches(&logins);
    assert_eq!(client.count_at("vip", &position), 1, "all of them are one customer");
    assert!(started.elapsed() < std::time::Duration::from_secs(4), "{:?}", started.elapsed());
}
