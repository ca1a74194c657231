//! Triggers to a webhook: what fires, how it is signed, tried again, given up, and kept in order.

use crate::support::receiver::{Behaviour, Delivery, Receiver, secret};
use crate::support::server::{Server, Site};
use crate::support::wait::{SOON, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A server whose triggers go to a receiver; `fields` are the destination's further fields.
fn site(receiver: &Receiver, fields: &str) -> Site {
    let url = &receiver.url;
    let definitions = format!(
        r#"
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  vip: {{ name: VIP customers, where: ltv > 100 AND traits.banned IS NULL }}
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true{fields} }}
triggers:
  vip_welcome:
    on: {{ enter: vip }}
    send: {{ to: crm, body: '{{"what": "welcome", "profile": {{{{ profile.id | tojson }}}}, "name": {{{{ traits.name | tojson }}}}, "ltv": {{{{ computed.ltv | tojson }}}}, "segment": {{{{ segment.name | tojson }}}}}}' }}
  vip_farewell:
    on: {{ exit: vip }}
    send: {{ to: crm, body: '{{"what": "farewell", "profile": {{{{ profile.id | tojson }}}}}}' }}
  support:
    on: {{ event: Help Wanted }}
    send: {{ to: crm, body: '{{"what": "help", "profile": {{{{ profile.id | tojson }}}}, "number": {{{{ event.properties.number | tojson }}}}}}' }}
"#
    );
    Site::new(&definitions).with("CRM_SECRET", &secret())
}

fn order(user: &str, total: u32) -> Value {
    json!({ "type": "track", "userId": user, "event": "Order Completed", "properties": { "total": total } })
}

fn help(user: &str, number: u32) -> Value {
    json!({ "type": "track", "userId": user, "event": "Help Wanted", "properties": { "number": number } })
}

#[track_caller]
fn attempts(receiver: &Receiver, count: usize) -> Vec<Delivery> {
    eventually(&format!("{count} attempts at a delivery"), SOON, || {
        let attempts = receiver.attempts();
        if attempts.len() >= count { Ok(attempts) } else { Err(format!("{attempts:?}")) }
    })
}

/// What came of a profile's messages, latest first, once none is under way.
#[track_caller]
fn outcomes(server: &Server, user: &str, count: usize) -> Vec<Value> {
    eventually("the messages are through", Duration::from_secs(60), || {
        let answer = server.client.get(&format!("/v1/profiles/user_id:{user}/messages"));
        if answer.status == 404 {
            return Err(answer.text().into()); // the event is not committed yet
        }
        let answer = answer.ok();
        let messages = answer["messages"].as_array().unwrap().clone();
        let is_through = |message: &Value| matches!(message["status"].as_str(), Some("delivered" | "dead"));
        if messages.len() == count && messages.iter().all(is_through) { Ok(messages) } else { Err(answer) }
    })
}

#[test]
fn enter_exit_and_event_each_fire_once() {
    let receiver = Receiver::start();
    let server = site(&receiver, "").start();
    let client = &server.client;
    let named = json!({ "type": "identify", "userId": "u1", "traits": { "name": "Ada" } });
    let position = client.batch(&[named, order("u1", 60)]);
    client.profile_at("user_id:u1", &position);
    // Comes to qualify; further orders change nothing about that.
    let position = client.batch(&[order("u1", 60)]);
    let profile = client.profile_at("user_id:u1", &position)["id"].clone();
    let position = client.batch(&[order("u1", 60)]);
    client.profile_at("user_id:u1", &position);
    client.batch(&[help("u1", 1)]);
    let position = client.batch(&[json!({ "type": "identify", "userId": "u1", "traits": { "banned": true } })]);
    client.profile_at("user_id:u1", &position);
    // One more, whose coming shows that nothing else is on its way before it.
    client.batch(&[help("u1", 2)]);
    let bodies: Vec<Value> = attempts(&receiver, 4).into_iter().map(|delivery| delivery.body).collect();
    assert_eq!(
        bodies,
        [
            json!({ "what": "welcome", "profile": profile, "name": "Ada", "ltv": 120, "segment": "VIP customers" }),
            json!({ "what": "help", "profile": profile, "number": 1 }),
            json!({ "what": "farewell", "profile": profile }),
            json!({ "what": "help", "profile": profile, "number": 2 }),
        ]
    );
    receiver.assert_faultless();
    let messages = outcomes(&server, "u1", 4);
    let triggers: Vec<_> = messages.iter().map(|message| message["trigger"].as_str().unwrap()).collect();
    assert_eq!(triggers, ["support", "vip_farewell", "support", "vip_welcome"]);
    assert!(messages.iter().all(|message| message["status"] == "delivered" && message["destination"] == "crm"));
    assert_eq!(client.metric("tributary_triggers_fired_total", &["vip_welcome"]), 1.0);
    assert_eq!(client.metric("tributary_deliveries_total", &["crm", "delivered"]), 4.0);
}

#[test]
fn a_merge_alone_fires_nothing() {
    let receiver = Receiver::start();
    let server = site(&receiver, "").start();
    let client = &server.client;
    let position = client.batch(&[order("u1", 200), json!({ "type": "page", "anonymousId": "a1", "name": "Home" })]);
    client.profile_at("user_id:u1", &position);
    // The visitor turns out to be the customer who is in already; then to be a second one, who is not.
    let position = client.batch(&[json!({ "type": "identify", "userId": "u1", "anonymousId": "a1" })]);
    client.profile_at("user_id:u1", &position);
    let position = client.batch(&[json!({ "type": "identify", "userId": "u0", "anonymousId": "a1" })]);
    let id = client.profile_at("user_id:u0", &position)["id"].clone();
    assert_eq!(client.profile_at("user_id:u1", &position)["id"], id, "they are one");
    client.batch(&[help("u1", 1)]);
    let what: Vec<_> = attempts(&receiver, 2).iter().map(|delivery| delivery.body["what"].clone()).collect();
    assert_eq!(what, ["welcome", "help"]);
}

#[test]
fn a_failing_endpoint_is_tried_again_with_the_same_id() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::FailFirst(2, 503));
    let server = site(&receiver, "").start();
    server.client.batch(&[help("u1", 1)]);
    let attempts = attempts(&receiver, 3);
    assert_eq!(attempts.iter().map(|delivery| delivery.status).collect::<Vec<_>>(), [503, 503, 200]);
    assert!(attempts.iter().all(|delivery| delivery.id == attempts[0].id && delivery.body == attempts[0].body));
    assert_eq!(outcomes(&server, "u1", 1)[0]["status"], "delivered");
    receiver.assert_faultless();
}

#[test]
fn a_slow_endpoint_is_given_up_and_tried_again() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Slow(Duration::from_secs(20)));
    let server = site(&receiver, ", timeout: 300 ms").start();
    server.client.batch(&[help("u1", 1)]);
    attempts(&receiver, 1);
    receiver.behave(Behaviour::Accept);
    let attempts = attempts(&receiver, 2);
    assert_eq!(attempts[0].id, attempts[1].id);
    assert_eq!(outcomes(&server, "u1", 1)[0]["status"], "delivered");
}

#[test]
fn after_the_last_attempt_a_message_is_dead_and_the_next_ones_go_on() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Refuse(500));
    let server = site(&receiver, ", max_attempts: 2").start();
    server.client.batch(&[help("u1", 1)]);
    let dead = outcomes(&server, "u1", 1).remove(0);
    assert_eq!(dead["status"], "dead");
    assert!(dead["reason"].as_str().is_some_and(|reason| reason.contains("500")), "{dead}");
    assert_eq!(receiver.attempts().len(), 2);
    receiver.behave(Behaviour::Accept);
    server.client.batch(&[help("u1", 2)]);
    let messages = outcomes(&server, "u1", 2);
    assert_eq!([&messages[0]["status"], &messages[1]["status"]], ["delivered", "dead"]);
    assert_eq!(receiver.accepted()[0].body["number"], 2);
    assert_ne!(messages[0]["id"], messages[1]["id"]);
}

#[test]
fn each_customer_gets_messages_in_order_even_when_some_fail() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::FailFirst(1, 500));
    let server = site(&receiver, "").start();
    for number in 0..8 {
        server.client.batch(&(0..6).map(|user| help(&format!("u{user}"), number)).collect::<Vec<_>>());
    }
    let accepted = eventually("all are through", Duration::from_secs(120), || {
        let accepted = receiver.accepted();
        if accepted.len() >= 48 { Ok(accepted) } else { Err(accepted.len()) }
    });
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for delivery in &accepted {
        let profile = delivery.body["profile"].as_str().unwrap().to_owned();
        numbers.entry(profile).or_default().push(delivery.body["number"].as_u64().unwrap());
    }
    assert_eq!(numbers.len(), 6);
    assert!(numbers.values().all(|numbers| *numbers == (0..8).collect::<Vec<_>>()), "{numbers:?}");
    let ids: BTreeSet<&str> = accepted.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!(ids.len(), 48, "each message has an id of its own");
    receiver.assert_faultless();
}

#[test]
fn what_is_not_delivered_yet_survives_a_crash() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Refuse(503));
    let site = site(&receiver, "");
    let server = site.start();
    let position = server.client.batch(&[help("u1", 1), help("u2", 2)]);
    server.client.profile_at("user_id:u1", &position);
    let before = attempts(&receiver, 2);
    server.kill();
    receiver.behave(Behaviour::Accept);
    let server = site.start();
    for user in ["u1", "u2"] {
        assert_eq!(outcomes(&server, user, 1)[0]["status"], "delivered");
    }
    let ids = |deliveries: &[Delivery]| deliveries.iter().map(|delivery| delivery.id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&receiver.accepted()), ids(&before), "the same messages, under the same ids");
}

#[test]
fn a_message_that_cannot_be_made_is_counted_and_kept_with_its_event() {
    let receiver = Receiver::start();
    let url = &receiver.url;
    let site = Site::new(&format!(
        r#"
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  thanks:
    on: {{ event: Order Completed }}
    send: {{ to: crm, body: '{{"total": {{{{ event.properties.total | money("EUR") | tojson }}}}}}' }}
"#
    ));
    let server = site.with("CRM_SECRET", &secret()).start();
    let paid = |total: Value| json!({ "type": "track", "userId": "u1", "event": "Order Completed", "properties": { "total": total } });
    server.client.batch(&[paid(json!("much")), paid(json!(1_234.5))]);
    let accepted = attempts(&receiver, 1);
    assert_eq!(accepted[0].body, json!({ "total": "€1,234.50" }));
    let rejected = server.client.rejected().remove(0);
    assert_eq!((&rejected["code"], &rejected["source"]), (&json!("template_failed"), &json!("trigger thanks")));
    let kept: Value = serde_json::from_str(rejected["body"].as_str().unwrap()).unwrap();
    assert_eq!(kept["event"]["properties"]["total"], "much");
    assert_eq!(server.client.metric("tributary_render_failures_total", &["thanks"]), 1.0);
}
