//! What people say of identifiers: linked, unlinked, taken back, deleted; and that all of it can be undone.

use crate::support::client::{As, Client, READ_TOKEN};
use crate::support::receiver::{Behaviour, Receiver, secret};
use crate::support::server::Site;
use crate::support::wait::{SOON, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn site(receiver: &Receiver) -> Site {
    let url = &receiver.url;
    let definitions = format!(
        r#"
identity:
  namespaces:
    user_id: {{ priority: 1, max_per_profile: 1 }}
    email: {{ priority: 2, normalise: email, from: [traits.email] }}
    anonymous_id: {{ priority: 9, shared_after: {{ user_id: 2 }} }}
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  vip: {{ where: ltv > 100 }}
  together: {{ where: ltv > 170 }}
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  welcome: {{ on: {{ enter: vip }}, send: {{ to: crm, body: '{{"what": "welcome"}}' }} }}
  farewell: {{ on: {{ exit: vip }}, send: {{ to: crm, body: '{{"what": "farewell"}}' }} }}
  joined: {{ on: {{ enter: together }}, send: {{ to: crm, body: '{{"what": "joined"}}' }} }}
  parted: {{ on: {{ exit: together }}, send: {{ to: crm, body: '{{"what": "parted"}}' }} }}
"#
    );
    Site::new(&definitions).with("CRM_SECRET", &secret())
}

fn order(namespace: &str, value: &str, total: u32) -> Value {
    let mut event = json!({ "type": "track", "event": "Order Completed", "properties": { "total": total } });
    event[namespace] = json!(value);
    event
}

/// Everything that is told of a customer but the time of telling: the same bytes if nothing has changed.
fn told(client: &Client, identifier: &str, position: &str) -> String {
    let mut profile = client.profile_at(identifier, position);
    for field in ["epoch", "position"] {
        profile.as_object_mut().unwrap().remove(field);
    }
    let messages = client.get_at(&format!("/v1/profiles/{identifier}/messages"), position).ok();
    let ids: Vec<_> = messages["messages"].as_array().unwrap().iter().map(|message| &message["id"]).collect();
    format!("{profile} {ids:?}")
}

/// What the receiver got, in short, once it has so many.
fn received(receiver: &Receiver, count: usize) -> Vec<String> {
    eventually("the messages come", SOON, || {
        let attempts = receiver.attempts();
        let mut what: Vec<_> =
            attempts.iter().map(|delivery| delivery.body["what"].as_str().unwrap().to_owned()).collect();
        what.sort();
        if what.len() >= count { Ok(what) } else { Err(format!("{what:?}")) }
    })
}

#[test]
fn a_merge_is_undone_and_done_again_and_nothing_fires_for_it() {
    let receiver = Receiver::start();
    let site = site(&receiver);
    let mut server = site.start();
    let client = server.client.clone();
    let named = json!({ "type": "identify", "anonymousId": "phone", "traits": { "city": "Bonn" } });
    let position = client.batch(&[order("userId", "ada", 150), order("anonymousId", "phone", 30), named]);
    let (ada, phone) = (told(&client, "user_id:ada", &position), told(&client, "anonymous_id:phone", &position));
    assert_eq!(received(&receiver, 1), ["welcome"], "of Ada");

    // Support links them: together they qualify for one more segment, and that fires, once.
    let position = client.state("link", "user_id:ada", "anonymous_id:phone");
    let joined = told(&client, "user_id:ada", &position);
    assert!(joined.contains(r#""ltv":180"#) && joined.contains("Bonn") && joined.contains("together"), "{joined}");
    assert_eq!(
        client.profile_at("anonymous_id:phone", &position)["id"],
        client.profile_at("user_id:ada", &position)["id"]
    );
    assert_eq!(received(&receiver, 2), ["joined", "welcome"]);
    let joined = told(&client, "user_id:ada", &position);

    // Unlinked, each is to the byte what it was; linked again, they are what they were together.
    for round in 0..2 {
        let position = client.state("unlink", "anonymous_id:phone", "user_id:ada");
        assert_eq!(told(&client, "anonymous_id:phone", &position), phone, "round {round}");
        let ada_now = told(&client, "user_id:ada", &position);
        // The message that only the two together set off stays with her who bears their name.
        assert_eq!(ada_now.split("[String").next(), ada.split("[String").next(), "round {round}");
        if round == 1 {
            server.kill();
            server = site.start();
        }
        let client = &server.client;
        let position = client.state("link", "user_id:ada", "anonymous_id:phone");
        assert_eq!(told(client, "user_id:ada", &position), joined, "round {round}");
    }
    let client = &server.client;
    // An event after all of it fires the next message: nothing was still to come before it.
    let position = client.batch(&[order("userId", "ben", 101)]);
    client.profile_at("user_id:ben", &position);
    assert_eq!(received(&receiver, 3), ["joined", "welcome", "welcome"]);

    let identity = client.get_at("/v1/profiles/user_id:ada/identity", &position).ok();
    let moves = identity["history"].as_array().unwrap();
    assert_eq!(moves.len(), 5, "merged, parted, merged, parted, merged: {identity}");
    assert!(moves.iter().all(|made| made["identifier"] == "anonymous_id:phone"), "{identity}");
    let statements = client.get("/v1/identity/statements").ok();
    let statements = statements["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 5);
    assert_eq!((&statements[0]["kind"], &statements[0]["by"]), (&json!("link"), &json!("support")));
}

#[test]
fn a_statement_holds_against_evidence_and_rules_until_it_is_taken_back() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let login = |user: &str| json!({ "type": "identify", "userId": user, "anonymousId": "phone" });
    let position = client.batch(&[login("ada")]);
    let id = |of: &str, position: &str| client.profile_at(of, position)["id"].clone();
    assert_eq!(id("anonymous_id:phone", &position), id("user_id:ada", &position));

    let position = client.state("unlink", "user_id:ada", "anonymous_id:phone");
    assert_ne!(id("anonymous_id:phone", &position), id("user_id:ada", &position));
    let position = client.batch(&[login("ada")]);
    assert_ne!(id("anonymous_id:phone", &position), id("user_id:ada", &position), "more evidence does not matter");
    let why = client.get_at("/v1/identity/why?a=user_id:ada&b=anonymous_id:phone", &position).ok();
    assert_eq!((&why["same"], &why["chain"][0]["rule"]["name"]), (&json!(false), &json!("unlink")), "{why}");

    let position = client.state("retract", "user_id:ada", "anonymous_id:phone");
    assert_eq!(id("anonymous_id:phone", &position), id("user_id:ada", &position), "events decide again");

    // Taking back what nobody said changes nothing, and brings nobody in.
    let before = told(client, "user_id:ada", &client.batch(&[order("userId", "ada", 150)]));
    let position = client.state("retract", "user_id:ada", "user_id:nobody");
    assert_eq!(told(client, "user_id:ada", &position), before);
    assert_eq!(client.get("/v1/profiles/user_id:nobody").error(404), "profile_not_found");

    // Two accounts are one customer if somebody says so, whatever max_per_profile is.
    let position = client.state("link", "user_id:ada", "user_id:ada.lovelace");
    assert_eq!(id("user_id:ada.lovelace", &position), id("user_id:ada", &position));
    let why = client.get_at("/v1/identity/why?a=user_id:ada&b=user_id:ada.lovelace", &position).ok();
    assert_eq!((&why["same"], &why["chain"][0]["stated"]), (&json!(true), &json!("same")), "{why}");
}

#[test]
fn an_unlink_parts_those_that_others_connect_where_the_evidence_is_weakest() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let says = |device: &str, minute: u8| {
        json!({ "type": "identify", "anonymousId": device, "timestamp": format!("2026-05-04T10:{minute:02}:00Z"),
            "traits": { "email": "family@example.com" } })
    };
    let position = client.batch(&[says("mother", 1), says("father", 2)]);
    let id = |of: &str, position: &str| client.profile_at(of, position)["id"].clone();
    assert_eq!(id("anonymous_id:mother", &position), id("anonymous_id:father", &position));
    let position = client.state("unlink", "anonymous_id:mother", "anonymous_id:father");
    assert_ne!(id("anonymous_id:mother", &position), id("anonymous_id:father", &position));
    assert_eq!(id("anonymous_id:father", &position), id("email:family@example.com", &position), "the latest link");
    let conflicts = client.get_at("/v1/identity/conflicts?kind=split", &position).ok();
    assert_eq!(conflicts["conflicts"][0]["identifier"], "email:family@example.com", "{conflicts}");
    assert_eq!((&conflicts["conflicts"][0]["size"], &conflicts["counts"]["split"]), (&json!(2), &json!(1)));
}

#[test]
fn a_deleted_identifier_is_as_if_it_had_never_been_and_may_come_again() {
    let receiver = Receiver::start();
    let site = site(&receiver);
    let server = site.start();
    let client = &server.client;
    let login = json!({ "type": "identify", "userId": "ada", "anonymousId": "phone", "traits": { "city": "Bonn" } });
    let position = client.batch(&[order("anonymousId", "phone", 150), login]);
    assert_eq!(client.profile_at("user_id:ada", &position)["computed"]["ltv"], 150.0);
    assert_eq!(client.count_at("vip", &position), 1);
    received(&receiver, 1);

    let position = client.delete("/v1/identifiers/anonymous_id:phone?by=support&reason=asked").position();
    let ada = client.profile_at("user_id:ada", &position);
    assert_eq!((&ada["computed"]["ltv"], &ada["traits"]["city"]), (&json!(null), &json!("Bonn")), "{ada}");
    assert_eq!(client.count_at("vip", &position), 0);
    assert_eq!(client.get("/v1/profiles/anonymous_id:phone").error(404), "profile_not_found");
    client.delete("/v1/identifiers/anonymous_id:phone").position();
    let statements = client.get("/v1/identity/statements").ok();
    assert!(!statements.to_string().contains("phone"), "of whom is deleted, no name stays: {statements}");
    let events = client.get("/v1/profiles/user_id:ada/events").ok();
    assert_eq!(events["events"].as_array().unwrap().len(), 1, "her own: {events}");

    let position = client.batch(&[order("anonymousId", "phone", 20)]);
    server.kill();
    let server = site.start();
    let phone = server.client.profile_at("anonymous_id:phone", &position);
    assert_eq!(phone["computed"]["ltv"], 20.0, "it begins anew");
    assert_eq!(phone["identifiers"].as_array().unwrap().len(), 1);
}

#[test]
fn an_id_that_is_part_of_another_profile_leads_to_it() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let position = client.batch(&[order("anonymousId", "phone", 10), order("userId", "ada", 10)]);
    let old = client.profile_at("anonymous_id:phone", &position)["id"].as_str().unwrap().to_owned();
    let position = client.state("link", "user_id:ada", "anonymous_id:phone");
    let now = client.profile_at("user_id:ada", &position);
    // The client follows the redirect, as `curl -L` does.
    let answer = client.get(&format!("/v1/profiles/{old}?min_position={position}")).ok();
    assert_eq!(answer["id"], now["id"]);
    assert_eq!(client.get(&format!("/v1/profiles/{old}/identity")).ok()["id"], now["id"]);
}

#[test]
fn who_may_state_what() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let two = json!({ "a": "user_id:ada", "b": "email:ADA@example.com" });
    let body = two.to_string().into_bytes();
    let as_reader = client.request(Method::POST, "/v1/identity/link", As::Bearer(READ_TOKEN), &[], body).unwrap();
    assert_eq!(as_reader.error(403), "not_allowed");
    assert_eq!(client.post("/v1/identity/link", &two).error(401), "missing_token", "a write key is none");
    for (a, b, says) in [
        ("ada", "user_id:ben", "a: `ada` is no identifier"),
        ("user_id:ada", "twitter:ada", "b: there is no namespace `twitter`; there are user_id, email, anonymous_id"),
        ("user_id:null", "user_id:ada", "a: `user_id:null` identifies nobody"),
        ("email:ada", "user_id:ada", "a: `ada` is no value of `email`"),
        ("email:ada@example.com", "email:Ada@Example.com", "a and b are the same identifier"),
    ] {
        let answer = client.admin("/v1/identity/link", &json!({ "a": a, "b": b }));
        assert_eq!(answer.error(400), "invalid_identifier");
        assert!(answer.json()["message"].as_str().unwrap().starts_with(says), "{}", answer.text());
    }
    assert_eq!(client.admin("/v1/identity/unlink", &json!({ "a": "user_id:ada" })).error(400), "invalid_json");
    // A statement among events is none: nobody with a write key can make one.
    let forged = json!({ "type": "link", "a": "user_id:ada", "b": "user_id:ben" });
    client.batch(&[forged]);
    let rejected = eventually("it is rejected", SOON, || {
        let rejected = client.rejected();
        if rejected.is_empty() { Err("nothing yet") } else { Ok(rejected) }
    });
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(client.get("/v1/identity/statements").ok()["statements"], json!([]));
}

#[test]
fn what_is_deleted_before_it_is_sent_is_not_sent() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Refuse(503));
    let server = site(&receiver).start();
    let client = &server.client;
    // The deletion comes right behind the events, before anybody could see them.
    client.batch(&[order("userId", "ada", 150), order("userId", "ben", 150)]);
    let position = client.delete("/v1/identifiers/user_id:ada?by=ada").position();
    assert_eq!(client.get_at("/v1/profiles/user_id:ada", &position).error(404), "profile_not_found");
    eventually("Ben's message is tried", SOON, || {
        let tried = receiver.attempts().len();
        if tried > 0 { Ok(()) } else { Err(tried) }
    });

    // A customer is deleted with all that is the customer's; what waits for another attempt is withdrawn.
    let position = client.batch(&[json!({ "type": "identify", "userId": "ben", "anonymousId": "bens" })]);
    let position = client.delete(&format!("/v1/profiles/anonymous_id:bens?min_position={position}")).position();
    for identifier in ["user_id:ben", "anonymous_id:bens"] {
        assert_eq!(client.get_at(&format!("/v1/profiles/{identifier}"), &position).error(404), "profile_not_found");
    }
    // An attempt that was under way when its message was deleted has ended, too.
    eventually("what was tried is withdrawn", SOON, || {
        let tried = receiver.attempts().into_iter().map(|attempt| attempt.id).collect::<BTreeSet<_>>().len();
        let withdrawn = client.metric("tributary_deliveries_total", &["withdrawn"]);
        let under_way = client.metric("tributary_deliveries_in_flight", &[]);
        let is_done = under_way == 0.0 && withdrawn >= tried as f64;
        if is_done { Ok(()) } else { Err(format!("{tried} tried, {withdrawn} withdrawn, {under_way} under way")) }
    });
    receiver.behave(Behaviour::Accept);
    client.batch(&[order("userId", "cleo", 150)]);
    eventually("the next one is delivered", SOON, || {
        let accepted = receiver.accepted();
        if accepted.len() == 1 { Ok(()) } else { Err(accepted.len()) }
    });
    assert_eq!(receiver.accepted().len(), 1, "Cleo's alone");
}

/// Whom else a deleted identifier's events carried is known, whether or not the events were taken in before it was deleted.
#[test]
fn who_came_along_with_one_that_is_deleted_stays() {
    let server = Site::new("segments:\n  all: { where: 1 = 1 }\n").start();
    let client = &server.client;
    let users = 30;
    for user in 0..users {
        client.batch(&[
            json!({ "type": "track", "event": "Seen", "userId": format!("u{user}"), "anonymousId": format!("a{user}") }),
            json!({ "type": "track", "event": "Seen", "userId": format!("u{user}") }),
        ]);
        client.delete(&format!("/v1/identifiers/user_id:u{user}")).position();
    }
    let position = client.batch(&[json!({ "type": "track", "event": "Seen", "userId": "last" })]);
    assert_eq!(client.count_at("all", &position), users + 1);
    let device = client.profile_at("anonymous_id:a7", &position);
    assert_eq!(device["identifiers"].as_array().unwrap().len(), 1);
}
