//! Triggers that take back what later evidence shows to have been wrong.

use crate::support::receiver::{Receiver, secret};
use crate::support::server::Site;
use crate::support::wait::{SOON, eventually};
use serde_json::{Value, json};

fn site(receiver: &Receiver, fields: &str) -> Site {
    let url = &receiver.url;
    let definitions = format!(
        r#"
identity:
  namespaces:
    user_id: {{ max_per_profile: 1 }}
segments:
  vip: {{ where: "sum(properties.total) FILTER (WHERE event = 'Order Completed') > 100 AND traits.banned IS NULL" }}
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  welcome:
    on: {{ enter: vip }}
    send: {{ to: crm, body: '{{"what": "welcome"}}' }}
    on_void: retract
{fields}
  help:
    on: {{ event: Help Wanted }}
    send: {{ to: crm, body: '{{"what": "help"}}' }}
"#
    );
    Site::new(&definitions).with("CRM_SECRET", &secret())
}

fn order(id: (&str, &str), total: u32) -> Value {
    json!({ "type": "track", id.0: id.1, "event": "Order Completed", "properties": { "total": total } })
}

fn banned(user: &str, at: &str) -> Value {
    json!({ "type": "identify", "userId": user, "traits": { "banned": true }, "timestamp": at })
}

/// What came, once so many did.
#[track_caller]
fn told(receiver: &Receiver, count: usize) -> Vec<(String, Value)> {
    eventually("messages", SOON, || {
        let accepted = receiver.accepted();
        let told: Vec<_> = accepted.into_iter().map(|one| (one.id, one.body)).collect();
        if told.len() >= count { Ok(told) } else { Err(format!("{told:?}")) }
    })
}

#[test]
fn a_late_event_by_which_the_customer_never_qualified_takes_the_message_back() {
    let receiver = Receiver::start();
    let server = site(&receiver, "").start();
    server.client.batch(&[order(("userId", "ada"), 200)]);
    let first = told(&receiver, 1).remove(0);
    assert_eq!(first.1, json!({ "what": "welcome" }));
    // It had happened long before the order.
    server.client.batch(&[banned("ada", "2026-01-01T00:00:00Z")]);
    let (id, body) = told(&receiver, 2).remove(1);
    assert_eq!(id, format!("{}_void", first.0));
    assert_eq!((&body["type"], &body["retracts"]), (&json!("retraction"), &json!(first.0)));
    assert_eq!((&body["trigger"], &body["segment"]), (&json!("welcome"), &json!("vip")));
    assert_eq!(server.client.metric("tributary_triggers_retracted_total", &["welcome"]), 1.0);
    receiver.assert_faultless();
}

#[test]
fn what_happens_afterwards_ends_a_membership_and_takes_nothing_back() {
    let receiver = Receiver::start();
    let server = site(&receiver, "").start();
    server.client.batch(&[order(("userId", "ada"), 200)]);
    told(&receiver, 1);
    let now = json!({ "type": "identify", "userId": "ada", "traits": { "banned": true } });
    let position = server.client.batch(&[now]);
    assert_eq!(server.client.profile_at("user_id:ada", &position)["segments"], json!([]));
    // One more, whose coming shows that nothing else is on its way before it.
    server.client.batch(&[json!({ "type": "track", "userId": "ada", "event": "Help Wanted" })]);
    let what: Vec<_> = told(&receiver, 2).into_iter().map(|(_, body)| body["what"].clone()).collect();
    assert_eq!(what, ["welcome", "help"]);
}

#[test]
fn two_who_qualified_only_as_one_and_turn_out_to_be_two() {
    let receiver = Receiver::start();
    let server = site(&receiver, "").start();
    let seen = json!({ "type": "identify", "userId": "ada", "anonymousId": "tablet" });
    server.client.batch(&[order(("userId", "ada"), 60), seen, order(("anonymousId", "tablet"), 60)]);
    let first = told(&receiver, 1).remove(0);
    let unlink =
        json!({ "a": "user_id:ada", "b": "anonymous_id:tablet", "by": "support", "reason": "a shared tablet" });
    server.client.admin("/v1/identity/unlink", &unlink).ok();
    let (_, body) = told(&receiver, 2).remove(1);
    assert_eq!(body["retracts"], json!(first.0));
}

#[test]
fn a_customer_who_becomes_part_of_one_who_qualifies_keeps_the_message() {
    let receiver = Receiver::start();
    let server = site(&receiver, "").start();
    server.client.batch(&[order(("anonymousId", "phone"), 200)]);
    told(&receiver, 1);
    let position = server.client.batch(&[json!({ "type": "identify", "userId": "ada", "anonymousId": "phone" })]);
    server.client.profile_at("user_id:ada", &position);
    server.client.batch(&[json!({ "type": "track", "userId": "ada", "event": "Help Wanted" })]);
    let what: Vec<_> = told(&receiver, 2).into_iter().map(|(_, body)| body["what"].clone()).collect();
    assert_eq!(what, ["welcome", "help"]);
}
