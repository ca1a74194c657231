//! A state made anew from its logs, put in the place of the one that there is.

use crate::support::client::{ADMIN_TOKEN, As, Client};
use crate::support::command::{NOBODY, at, done, on, restore, said};
use crate::support::compare;
use crate::support::oracle;
use crate::support::receiver::{Receiver, secret};
use crate::support::server::Site;
use crate::support::traffic::{SHOP, Traffic, order, seed, triggers};
use crate::support::wait::{SOON, eventually};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;

/// Beside the server as far as it is; once it is stopped, what has come since, and then in its place.
#[test]
fn a_state_is_made_anew_beside_the_server_and_fires_nothing_again() {
    let receiver = Receiver::start();
    let hook = format!("type: webhook, url: \"{}\", secret: \"env:CRM_SECRET\", allow_private: true", receiver.url);
    let site = Site::new(&(SHOP.to_owned() + &triggers(&[("hook", hook)]))).with("CRM_SECRET", &secret());
    let now = jiff::Timestamp::now().as_millisecond();
    let mut traffic = Traffic::new(seed(), 100, now);
    let mut events = traffic.prelude();
    events.extend(traffic.take(1_500));
    let server = site.start();
    let position = server.client.batches(&events);
    server.client.get_at("/v1/segments", &position).ok();
    let made = server.client.admin("/v1/segments", &json!({ "id": "more", "where": "orders > 1" }));
    assert_eq!(made.status, 201, "{}", made.text());
    eventually("it is live", SOON, || match server.client.get("/v1/segments/more").ok()["state"].as_str() {
        Some("live") => Ok(()),
        state => Err(format!("{state:?}")),
    });
    let command = at(&site, "replay", server.client.base());
    let told = done(command);
    assert!(told.contains("says what the one before says") && told.contains("stop the server"), "{told}");

    let later = traffic.take(500);
    let position = server.client.batches(&later);
    events.extend(later);
    server.client.get_at("/v1/segments", &position).ok();
    let fired = oracle::fired(&events, now);
    let due = fired.loyal.len() + fired.refunds.len();
    let ids = || receiver.accepted().iter().map(|delivery| delivery.id.clone()).collect::<BTreeSet<_>>();
    eventually("all is delivered", SOON, || if ids().len() == due { Ok(()) } else { Err(ids().len()) });
    let answers = |client: &Client| {
        ["/v1/segments", "/v1/definitions/changes", "/v1/audit", "/v1/rejected"].map(|path| {
            let answer = client.request(Method::GET, path, As::Bearer(ADMIN_TOKEN), &[], Vec::new()).unwrap().ok();
            let mut answer = answer.as_object().unwrap().clone();
            answer.remove("epoch");
            answer
        })
    };
    let before = answers(&server.client);
    server.stop();
    let command = at(&site, "replay", NOBODY);
    let told = done(command);
    assert!(told.contains("says what the one before says") && told.contains("in its place"), "{told}");
    assert!(!site.path("data/replayed").exists() && !site.path("data/state-before-replay").exists());

    let server = site.start();
    assert_eq!(answers(&server.client), before);
    // The oracle knows nothing of a segment that was defined while the server ran.
    server.client.delete("/v1/segments/more");
    let expected = oracle::profiles(&events, now);
    eventually("all else is as it should be", SOON, || compare::state(&server.client, &expected));
    // What happens from now on is sent under ids of its own, and nothing again.
    let refund = json!({ "type": "track", "userId": "u1", "event": "Refund Requested", "timestamp": jiff::Timestamp::now().to_string(),
        "properties": { "refund_id": "after" } });
    server.client.batch(&[refund]);
    eventually("the next one is delivered", SOON, || if ids().len() == due + 1 { Ok(()) } else { Err(ids().len()) });
    receiver.assert_faultless();
}

/// What decides is the log, not where epochs have ended: in a replay, all of this is one.
#[test]
fn deletions_and_statements_are_replayed_as_they_were() {
    let site = Site::new(SHOP);
    let server = site.start();
    let client = &server.client;
    let same = |user: &str| {
        let mut order = order(user, 5);
        order["messageId"] = json!("same");
        order
    };
    let committed = |position: &str| drop(client.get_at("/v1/segments", position).ok());
    committed(&client.batch(&[same("gone"), order("x3", 5)]));
    committed(&client.delete("/v1/identifiers/user_id:gone").position());
    committed(&client.batch(&[same("gone")]));
    client.get("/v1/profiles/user_id:gone").error(404);
    committed(&client.batch(&[order("x2", 5), order("x1", 5), order("x4", 5)]));
    committed(&client.state("link", "user_id:x1", "user_id:x2"));
    committed(&client.state("link", "user_id:x3", "user_id:x4"));
    committed(&client.state("unlink", "user_id:x3", "user_id:x1"));
    committed(&client.delete("/v1/identifiers/user_id:x4").position());
    committed(&client.batch(&[order("x4", 5)]));
    assert!(done(at(&site, "verify", client.base())).contains("records of the log give the same"));
}

#[test]
fn a_replay_of_another_history_is_not_put_in_place() {
    let site = Site::new(SHOP);
    let server = site.start();
    let send = |client: &Client, user: &str| {
        drop(client.profile_at(&format!("user_id:{user}"), &client.batch(&[order(user, 5)])))
    };
    send(&server.client, "u1");
    let folder = site.path("backups");
    done(on(&site, "backup", &folder, server.client.base()));
    send(&server.client, "u2");
    let command = at(&site, "replay", server.client.base());
    done(command);
    server.stop();
    // Back to the backup, and on in another way.
    fs::remove_dir_all(site.path("data/state")).unwrap();
    fs::remove_dir_all(site.path("data/log")).unwrap();
    let (code, told) = said(restore(&site, &folder));
    assert!(code == 1 && told.contains("was begun for another state; delete it first"), "{told}");
    fs::rename(site.path("data/replayed"), site.path("replayed")).unwrap();
    done(restore(&site, &folder));
    fs::rename(site.path("replayed"), site.path("data/replayed")).unwrap();
    let command = at(&site, "replay", NOBODY);
    let (code, told) = said(command);
    assert!(code == 1 && told.contains("was begun for a state of another history"), "{told}");
    fs::remove_dir_all(site.path("data/replayed")).unwrap();
    let server = site.start();
    send(&server.client, "u3");
    server.client.get("/v1/profiles/user_id:u2").error(404);
}
