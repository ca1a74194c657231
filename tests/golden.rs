//! States as earlier programs left them, one of each format: this program reads them, or says what to do about them.
//!
//! A stored value does not say of itself what its fields are, so a change that nobody noticed would be read as something else.
//! `GOLDEN=write make test FILTER=golden` makes the folder of today's format, which is to be done once for each.

use crate::support::client::{ADMIN_TOKEN, As, path_segment};
use crate::support::server::{Server, Site};
use crate::support::tool;
use crate::support::wait::{SOON, eventually};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tributary::store::codec::VERSION as TODAY;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// A bit of everything that is stored; nothing that the day of the test decides about.
const DEFINITIONS: &str = r#"
identity:
  namespaces:
    user_id: { priority: 1, max_per_profile: 1 }
    email: { priority: 2, normalise: email, from: [traits.email] }
    anonymous_id: { priority: 9 }
traits:
  orders: count(*) FILTER (WHERE event = 'Order Completed')
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
  last_total: last(properties.total) FILTER (WHERE event = 'Order Completed')
  products: count(DISTINCT properties.product)
  recent: count(*) FILTER (WHERE timestamp > now() - INTERVAL '3650 days')
segments:
  buyers: { where: orders >= 1 }
  vip: { where: ltv > 100 AND traits.plan = 'gold' }
  teams: { where: group.traits.size > 5 }
destinations:
  crm: { type: webhook, url: "http://127.0.0.1:9/hook", allow_private: true }
triggers:
  welcome: { on: { enter: buyers }, send: { to: crm, body: '{"id": {{ profile.id | tojson }}}' } }
"#;

const ASKED: [&str; 16] = [
    "/v1/profiles/user_id:ada",
    "/v1/profiles/email:ada@example.com",
    "/v1/profiles/user_id:ben",
    "/v1/profiles/user_id:eve",
    "/v1/profiles/user_id:ada/events",
    "/v1/profiles/user_id:ada/identity",
    "/v1/identity/statements",
    "/v1/identity/conflicts?kind=split",
    "/v1/identity/why?a=user_id:ada&b=anonymous_id:phone",
    "/v1/groups/acme",
    "/v1/groups/acme/members",
    "/v1/segments/buyers/members",
    "/v1/segments/vip/members",
    "/v1/definitions/changes",
    "/v1/rejected",
    "/v1/audit",
];

fn site() -> Site {
    let site = Site::new(DEFINITIONS);
    site.configure("[data]\nhistory_retention = \"36500 days\"\nrejected_retention = \"36500 days\"\n");
    site
}

fn paths(format: u8) -> (PathBuf, PathBuf) {
    let at = |extension: &str| Path::new(FOLDER).join(format!("format-{format}.{extension}"));
    (at("tar.gz"), at("json"))
}

/// All that is asked, but what goes on by itself: which epoch it is as of, and the messages that are tried again.
fn answers(server: &Server) -> Value {
    let ask = |path: &&str| {
        let answer = server.client.request(Method::GET, path, As::Bearer(ADMIN_TOKEN), &[], Vec::new()).unwrap().ok();
        let mut answer = answer.as_object().unwrap().clone();
        answer.remove("epoch");
        ((*path).to_owned(), Value::Object(answer))
    };
    let mut all: Map<String, Value> = ASKED.iter().map(ask).collect();
    let messages = server.client.get("/v1/profiles/user_id:ada/messages").ok();
    let ids = messages["messages"].as_array().unwrap().iter().map(|message| message["id"].clone());
    all.insert("messages".to_owned(), ids.collect());
    Value::Object(all)
}

fn fill(server: &Server) {
    let client = &server.client;
    let at = |day: u32| format!("2026-01-{day:02}T12:00:00Z");
    let order = |user: &str, day: u32, total: u32, product: &str| {
        json!({ "type": "track", "userId": user, "event": "Order Completed", "timestamp": at(day),
            "messageId": format!("{user}-{day}"), "properties": { "total": total, "product": product } })
    };
    client.batch(&[
        order("ada", 1, 70, "tent"),
        order("ada", 2, 60, "stove"),
        order("ada", 2, 60, "stove"),
        order("ben", 3, 5, "rope"),
        json!({ "type": "identify", "userId": "ada", "anonymousId": "laptop", "timestamp": at(4), "messageId": "i1",
            "traits": { "email": "Ada@Example.com ", "plan": "gold", "address": { "city": "Ulm" } } }),
        json!({ "type": "page", "userId": "ben", "anonymousId": "laptop", "timestamp": at(5), "messageId": "p1" }),
        json!({ "type": "group", "userId": "ben", "groupId": "acme", "timestamp": at(6), "messageId": "g1",
            "traits": { "name": "Acme", "size": 9 } }),
        json!({ "type": "track", "userId": "eve", "event": 7, "timestamp": at(7), "messageId": "bad" }),
    ]);
    client.state("link", "user_id:ada", "anonymous_id:phone");
    client.state("unlink", "user_id:ben", "anonymous_id:shared");
    client.batch(&[order("eve", 8, 9, "map"), order("mallory", 9, 9, "map")]);
    let position =
        client.delete(&format!("/v1/identifiers/{}?reason=asked", path_segment("user_id:mallory"))).position();
    client.get_at("/v1/segments", &position).ok();
    let made = client.admin("/v1/segments", &json!({ "id": "campers", "where": "products > 1" }));
    assert_eq!(made.status, 201, "{}", made.text());
    eventually("it is live", SOON, || {
        let segment = client.get("/v1/segments/campers").ok();
        if segment["state"] == "live" && segment["count"] == 1 { Ok(()) } else { Err(segment.to_string()) }
    });
}

#[test]
fn every_format_is_read_or_refused_with_words() {
    let (archive, expected) = paths(TODAY);
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        let site = site();
        let server = site.start();
        fill(&server);
        let answers = serde_json::to_string_pretty(&answers(&server)).unwrap();
        server.stop();
        tool::run(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(site.path("")).arg("data"));
        std::fs::write(&expected, answers + "\n").unwrap();
    }
    for format in 1..=TODAY {
        let (archive, expected) = paths(format);
        if !archive.exists() {
            assert!(format < TODAY, "there is no state of today's format");
            continue;
        }
        let site = site();
        tool::run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(site.path("")));
        if format < TODAY {
            let process = site.spawn();
            process.listening(SOON).expect_err("it must not serve");
            assert!(process.last_words().contains("use the program that wrote it"), "{}", process.last_words());
            continue;
        }
        let server = site.start();
        let shown = answers(&server);
        let expected: Value = serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
        for (path, expected) in expected.as_object().unwrap() {
            assert_eq!(&shown[path], expected, "{path}, as the state of format {format} has it");
        }
        let told = tool::run(site.command("verify").args(["--server", server.client.base()]));
        assert!(told.contains("records of the log give the same"), "{told}");
    }
}
