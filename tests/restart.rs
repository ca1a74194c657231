//! What a restart keeps, what it mends, and what it must not do: fire again.

use crate::support::compare;
use crate::support::oracle;
use crate::support::receiver::{Receiver, secret};
use crate::support::server::Site;
use crate::support::traffic::{SHOP, Traffic, seed};
use crate::support::wait::{SOON, equal, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn order(user: &str, total: u32) -> Value {
    json!({ "type": "track", "userId": user, "event": "Order Completed", "properties": { "total": total } })
}

#[test]
fn everything_is_there_after_a_clean_end_and_after_none() {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut traffic = Traffic::new(seed(), 120, now);
    let mut events = traffic.prelude();
    let site = Site::new(SHOP);
    let server = site.start();
    server.client.batches(&events);
    server.stop();

    for round in 0..4 {
        let server = site.start();
        compare::state(&server.client, &oracle::profiles(&events, now)).unwrap();
        let more = traffic.take(300);
        let position = server.client.batches(&more);
        events.extend(more);
        if round % 2 == 0 {
            // Stopped with much in the log that no epoch has read yet.
            server.stop();
        } else {
            server.client.count_at("buyers", &position);
            server.kill();
        }
    }
    let server = site.start();
    eventually("the log is read to its end", SOON, || compare::state(&server.client, &oracle::profiles(&events, now)));
}

#[test]
fn answers_are_there_before_the_dataflow_has_caught_up() {
    let site = Site::new(SHOP);
    let server = site.start();
    let orders: Vec<Value> = (0..3_000).map(|number| order(&format!("u{number}"), 1)).collect();
    let position = server.client.batches(&orders);
    server.client.count_at("buyers", &position);
    server.kill();
    // Whatever /readyz says, events are taken and the last committed epoch is shown, from the first answer on.
    let server = site.start_listening();
    assert_eq!(server.client.get("/v1/profiles/user_id:u7").ok()["computed"]["orders"], 1);
    assert_eq!(server.client.get("/v1/segments/buyers").ok()["count"], 3_000);
    let position = server.client.batch(&[order("u7", 1)]);
    assert_eq!(server.client.profile_at("user_id:u7", &position)["computed"]["orders"], 2);
    server.ready();
}

#[test]
fn epochs_and_message_ids_are_remembered() {
    let site = Site::new(SHOP);
    let server = site.start();
    let mut event = order("u1", 5);
    event["messageId"] = json!("the same");
    let position = server.client.batch(&[event.clone()]);
    let before = server.client.profile_at("user_id:u1", &position)["epoch"].as_u64().unwrap();
    server.kill();
    let server = site.start();
    let position = server.client.batch(&[event, order("u2", 5)]);
    let profile = server.client.profile_at("user_id:u1", &position);
    assert_eq!(profile["computed"]["orders"], 1, "a retry after a crash changes nothing");
    assert!(profile["epoch"].as_u64().unwrap() > before, "no epoch is used twice");
}

#[test]
fn a_new_segment_is_backfilled_and_fires_nothing() {
    let receiver = Receiver::start();
    let before = format!(
        r#"
destinations:
  crm: {{ type: webhook, url: "{}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  hello: {{ on: {{ event: Hello }}, send: {{ to: crm, body: '{{"what": "hello"}}' }} }}
"#,
        receiver.url
    );
    let after = format!(
        r#"{before}
  vip_welcome: {{ on: {{ enter: vip }}, send: {{ to: crm, body: '{{"what": "welcome", "profile": {{{{ profile.id | tojson }}}}}}' }} }}
  vip_farewell: {{ on: {{ exit: vip }}, send: {{ to: crm, body: '{{"what": "farewell"}}' }} }}
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  vip: {{ where: ltv > 100 }}
  recent_vip: {{ where: "sum(properties.total) FILTER (WHERE event = 'Order Completed' AND timestamp > now() - INTERVAL '7 days') > 100" }}
"#
    );
    let site = Site::new(&before).with("CRM_SECRET", &secret());
    let server = site.start();
    // Half of it long ago, by the events' own clock.
    let ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(30 * 24)).to_string();
    let orders = |number: usize| {
        let mut old = order(&format!("u{number}"), 80);
        old["timestamp"] = json!(ago);
        [old, order(&format!("u{number}"), if number < 10 { 120 } else { 30 })]
    };
    let position = server.client.batches(&(0..20).flat_map(orders).chain([order("u20", 10)]).collect::<Vec<_>>());
    server.client.profile_at("user_id:u20", &position);
    server.stop();

    site.define(&after);
    let server = site.start();
    assert_eq!(server.client.get("/v1/segments/vip").ok()["count"], 20, "as if it had always been there");
    assert_eq!(server.client.get("/v1/segments/recent_vip").ok()["count"], 10);
    let profile = server.client.get("/v1/profiles/user_id:u3").ok();
    assert_eq!(profile["computed"]["ltv"], 200);
    // The definitions hold for what comes now; nothing was sent for what was.
    let position = server.client.batch(&[order("u20", 95)]);
    let newcomer = server.client.profile_at("user_id:u20", &position)["id"].clone();
    server.client.batch(&[json!({ "type": "track", "userId": "u20", "event": "Hello" })]);
    let came = eventually("both messages come", SOON, || {
        let accepted = receiver.accepted();
        if accepted.len() >= 2 { Ok(accepted) } else { Err(accepted.len()) }
    });
    assert_eq!(came[0].body, json!({ "what": "welcome", "profile": newcomer }));
    assert_eq!(came[1].body, json!({ "what": "hello" }));

    // Changing a segment's definition moves members and fires nothing either; nor does taking it away.
    server.stop();
    site.define(&after.replace("ltv > 100", "ltv > 150"));
    let server = site.start();
    assert_eq!(server.client.get("/v1/segments/vip").ok()["count"], 10);
    server.stop();
    site.define(&before);
    let server = site.start();
    server.client.get("/v1/segments/vip").error(404);
    let profile = server.client.get("/v1/profiles/user_id:u3").ok();
    assert_eq!(profile["segments"], json!([]));
    server.client.batch(&[json!({ "type": "track", "userId": "u20", "event": "Hello" })]);
    eventually("the next message comes", SOON, || if receiver.accepted().len() >= 3 { Ok(()) } else { Err("not yet") });
    let what: Vec<_> = receiver.accepted().iter().map(|delivery| delivery.body["what"].clone()).collect();
    assert_eq!(what, ["welcome", "hello", "hello"]);
    receiver.assert_faultless();
}

/// Of a customer with many buckets only what an epoch adds is written; what is read must be all of it all the same.
#[test]
fn a_busy_customer_is_whole_in_every_answer_and_after_a_kill() {
    let site = Site::new(
        "traits:\n  views_1d: count(*) FILTER (WHERE event = 'Viewed' AND timestamp > now() - INTERVAL '1 day')\n  \
         spent: sum(properties.total) FILTER (WHERE timestamp > now() - INTERVAL '1 day')\n  \
         last: last(properties.total)\n  views: count(*)\nsegments:\n  busy: { where: views_1d >= 150 }\n",
    );
    let mut server = site.start();
    let now = jiff::Timestamp::now();
    let viewed = |number: i64| {
        let at = now - jiff::SignedDuration::from_mins(number * 7 % 1_000);
        json!({ "type": "track", "userId": "busy", "event": "Viewed", "messageId": format!("m{number}"),
            "timestamp": at.to_string(), "properties": { "total": 2 } })
    };
    let mut position = server.client.batch(&(0..100).map(viewed).collect::<Vec<_>>());
    for number in 100..180 {
        // Waiting for each makes each an epoch.
        let profile = server.client.profile_at("user_id:busy", &position);
        assert_eq!(profile["computed"], json!({ "views_1d": number, "views": number, "spent": 2 * number, "last": 2 }));
        assert_eq!(server.client.count_at("busy", &position), i64::from(number >= 150));
        position = server.client.batch(&[viewed(number), viewed(number)]);
        if number % 23 == 0 {
            server.client.profile_at("user_id:busy", &position);
            server.kill();
            server = site.start();
        }
    }
    let events = server.client.get_at("/v1/profiles/user_id:busy/events?limit=1000", &position).ok();
    assert_eq!(events["events"].as_array().unwrap().len(), 180);
}

#[test]
fn hydration_fires_nothing() {
    let receiver = Receiver::start();
    let definitions = format!(
        r#"
segments:
  buyers: {{ where: "count(*) FILTER (WHERE event = 'Order Completed') >= 1" }}
destinations:
  crm: {{ type: webhook, url: "{}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  welcome: {{ on: {{ enter: buyers }}, send: {{ to: crm, body: '{{"profile": {{{{ profile.id | tojson }}}}}}' }} }}
  farewell: {{ on: {{ exit: buyers }}, send: {{ to: crm, body: '{{"left": {{{{ profile.id | tojson }}}}}}' }} }}
"#,
        receiver.url
    );
    let site = Site::new(&definitions).with("CRM_SECRET", &secret());
    for round in 0..4 {
        let server = site.start();
        server.client.batch(&(0..25).map(|number| order(&format!("u{round}-{number}"), 1)).collect::<Vec<_>>());
        let due = 25 * (round + 1);
        // Delivered but not noted as such when the process was killed, a message comes again: under the same id.
        eventually("every new buyer is welcomed", SOON, || equal(&messages(&receiver).0, &due));
        if round % 2 == 0 { server.stop() } else { server.kill() }
    }
    assert_eq!(messages(&receiver), (100, 100), "a message for each customer, and none more");
}

/// How many messages came, and about how many different things.
fn messages(receiver: &Receiver) -> (usize, usize) {
    let accepted = receiver.accepted();
    let ids: BTreeSet<_> = accepted.iter().map(|delivery| delivery.id.clone()).collect();
    let bodies: BTreeSet<_> = accepted.iter().map(|delivery| delivery.body.to_string()).collect();
    (ids.len(), bodies.len())
}

#[test]
fn sigterm_under_load_ends_it_within_ten_seconds_and_loses_nothing() {
    let site = Site::new(SHOP);
    let server = site.start();
    let base = server.client.clone();
    let loader = std::thread::spawn(move || {
        let mut taken = 0;
        let event = |number: usize| order(&format!("u{number}"), 1);
        for batch in 0.. {
            let events: Vec<Value> = (0..50).map(|number| event(batch * 50 + number)).collect();
            let body = json!({ "batch": events }).to_string().into_bytes();
            let who = crate::support::client::As::Basic(crate::support::client::WRITE_KEY);
            match base.request(reqwest::Method::POST, "/v1/batch", who, &[], body) {
                Ok(answer) if answer.status == 200 => taken += 50,
                // 503 while it ends, then nobody answers.
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                Err(_) => return taken,
            }
        }
        taken
    });
    eventually("the load has begun", SOON, || match server.client.get("/v1/segments/buyers").ok()["count"].as_i64() {
        Some(count) if count >= 500 => Ok(()),
        count => Err(format!("{count:?}")),
    });
    let asked = Instant::now();
    server.stop();
    assert!(asked.elapsed() < Duration::from_secs(10));
    let taken: i64 = loader.join().unwrap();
    let server = site.start();
    eventually("all that was answered 200 is there", SOON, || {
        let count = server.client.get("/v1/segments/buyers").ok()["count"].as_i64().unwrap();
        // The last batch may have been made durable without its answer having reached the client.
        if (taken..=taken + 50).contains(&count) { Ok(()) } else { Err(format!("{count} of {taken}")) }
    });
}
