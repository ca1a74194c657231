//! Who is one customer, by rules that are the same in every order of arrival.

use crate::support::client::Client;
use crate::support::server::Site;
use serde_json::{Value, json};

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    user_id: { priority: 1, max_per_profile: 1 }
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
