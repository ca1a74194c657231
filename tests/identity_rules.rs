//! Identity rules: the same customers in every order of arrival, and other rules told before they are applied.

use crate::support::server::Site;
use crate::support::tool;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    user_id: { priority: 1, max_per_profile: 1 }
    email: { priority: 2, max_per_profile: 2, normalise: email, from: [traits.email] }
    anonymous_id: { priority: 9, shared_after: { user_id: 2 } }
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
  first: first(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  vip: { where: ltv > 100 }
  german: { where: traits.country = 'DE' }
"#;

/// A history with all that identity has to deal with: logins on shared devices, addresses that meet, late events.
fn history() -> Vec<Value> {
    let mut events = Vec::new();
    for number in 0..120u32 {
        let at = format!("2026-05-{:02}T10:{:02}:00Z", 1 + number * 7 % 25, number * 13 % 60);
        let (user, device) = (format!("u{}", number * 5 % 11), format!("a{}", number * 3 % 17));
        let mut event = match number % 3 {
            0 => json!({ "type": "track", "event": "Order Completed", "anonymousId": device,
                "properties": { "total": f64::from(number) + 0.25 } }),
            1 => json!({ "type": "identify", "userId": user, "anonymousId": device,
                "traits": { "country": if number % 2 == 0 { "DE" } else { "FR" } } }),
            _ => json!({ "type": "identify", "anonymousId": device,
                "traits": { "email": format!("e{}@example.com", number % 13), "seen": number } }),
        };
        event["timestamp"] = json!(at);
        event["messageId"] = json!(format!("m{number}"));
        events.push(event);
    }
    events
}

/// What is told of every identifier; not since when it is in a segment, which is when Tributary came to know it.
fn told(events: &[Value], batches: usize) -> String {
    let server = Site::new(DEFINITIONS).start();
    let mut position = String::new();
    for batch in events.chunks(events.len() / batches) {
        position = server.client.batch(batch);
        server.client.get_at("/v1/segments", &position);
    }
    let devices = (0..17).map(|device| format!("anonymous_id:a{device}"));
    let others =
        (0..11).map(|user| format!("user_id:u{user}")).chain((0..13).map(|mail| format!("email:e{mail}@example.com")));
    let mut told = String::new();
    for identifier in devices.chain(others) {
        let answer = server.client.get_at(&format!("/v1/profiles/{identifier}"), &position);
        let mut profile = answer.json();
        for field in ["epoch", "position"] {
            profile.as_object_mut().unwrap().remove(field);
        }
        for segment in profile["segments"].as_array_mut().into_iter().flatten() {
            segment.as_object_mut().unwrap().remove("since");
        }
        told += &format!("{identifier} {profile}\n");
    }
    let mut conflicts = server.client.get_at("/v1/identity/conflicts", &position).ok();
    for conflict in conflicts["conflicts"].as_array_mut().unwrap() {
        conflict.as_object_mut().unwrap().remove("since");
    }
    told + &conflicts["conflicts"].to_string()
}

#[test]
fn ten_orders_of_arrival_tell_the_same_to_the_byte() {
    let mut events = history();
    let expected = told(&events, 1);
    assert!(expected.contains(r#""kind":"split""#) && expected.contains(r#""kind":"shared""#), "{expected}");
    let mut random = SmallRng::seed_from_u64(17);
    for order in 0..10 {
        events.shuffle(&mut random);
        assert_eq!(told(&events, 1 + order % 4), expected, "order {order}");
    }
}

#[test]
fn other_rules_are_told_before_they_are_applied_and_then_do_what_was_told() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let login = |user: &str| json!({ "type": "identify", "userId": user, "anonymousId": "tablet" });
    let mail =
        |device: &str, mail: &str| json!({ "type": "identify", "anonymousId": device, "traits": { "email": mail } });
    let position = server.client.batch(&[
        login("ada"),
        login("ben"),
        mail("phone", "info@example.com"),
        mail("laptop", "info@example.com"),
    ]);
    assert_eq!(server.client.get_at("/v1/identity/conflicts", &position).ok()["counts"]["split"], 1);
    assert_eq!(server.client.metric("tributary_identity_conflicts", &["split"]), 1.0);
    let plan = || tool::run(&mut site.command("identity plan"));
    assert!(plan().contains("nothing changes"), "{}", plan());

    let rules = DEFINITIONS.replace("user_id: { priority: 1, max_per_profile: 1 }", "user_id: { priority: 1 }");
    site.define(&rules.replace("\ntraits:", "\n  block: [info@example.com]\ntraits:"));
    // Also while the server goes on by the rules that it was started with.
    let told = plan();
    assert!(told.starts_with("6 identifiers, 3 profiles now, 4 by these rules\n"), "{told}");
    assert!(told.contains("1 profile would come of several, 1 would become several"), "{told}");
    assert!(told.contains("split: 1 now, 0 by these rules"), "{told}");
    assert!(
        told.contains("would be one: user_id:ada, user_id:ben")
            || told.contains("would be one: user_id:ben, user_id:ada")
    );
    server.kill();

    let server = site.start();
    let id = |of: &str| server.client.get(&format!("/v1/profiles/{of}")).ok()["id"].clone();
    assert_eq!(id("user_id:ada"), id("user_id:ben"));
    assert_ne!(id("anonymous_id:phone"), id("anonymous_id:laptop"));
    assert_eq!(server.client.metric("tributary_identity_conflicts", &["split"]), 0.0);
    let why = server.client.get("/v1/identity/why?a=anonymous_id:phone&b=anonymous_id:laptop").ok();
    assert_eq!((&why["same"], &why["chain"][0]["rule"]["name"]), (&json!(false), &json!("block")), "{why}");
    let history = server.client.get("/v1/profiles/user_id:ada/identity").ok();
    assert_eq!(history["history"].as_array().unwrap().len(), 1, "the move is noted: {history}");
    assert!(plan().contains("nothing changes"), "{}", plan());
}
