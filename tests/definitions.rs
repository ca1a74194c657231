//! Segments and computed traits that are made, changed and deleted while events stream: over HTTP, and from a folder.

use crate::support::client::{ADMIN_TOKEN, Answer, As, Client};
use crate::support::receiver::{Receiver, secret};
use crate::support::server::{Server, Site};
use crate::support::wait::{SOON, equal, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

const DEFINITIONS: &str = r#"
traits:
  orders: count(*) FILTER (WHERE event = 'Order Completed')
segments:
  buyers: { where: orders > 0 }
  loyal: { name: Loyal customers, where: orders >= 3 }
"#;

fn order(user: usize, total: usize) -> Value {
    json!({ "type": "track", "event": "Order Completed", "userId": format!("u{user}"), "properties": { "total": total } })
}

fn put(client: &Client, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    client.request(Method::PUT, path, As::Bearer(ADMIN_TOKEN), &headers, body.to_string().into_bytes()).unwrap()
}

/// Waits until all customers are told of by the latest definition of a segment; gives its count.
#[track_caller]
fn live(client: &Client, segment: &str) -> i64 {
    eventually("the segment is live", SOON, || {
        let answer = client.get(&format!("/v1/segments/{segment}")).ok();
        match answer["state"].as_str() {
            Some("live") => Ok(answer["count"].as_i64().unwrap()),
            _ => Err(answer),
        }
    })
}

/// A trait of a customer, once all customers are told of by its latest definition.
#[track_caller]
fn computed(client: &Client, user: usize, name: &str) -> Value {
    eventually("the trait is live", SOON, || match client.get(&format!("/v1/traits/{name}")).ok()["state"].as_str() {
        Some("live") => Ok(()),
        state => Err(format!("{state:?}")),
    });
    client.get(&format!("/v1/profiles/user_id:u{user}")).ok()["computed"][name].clone()
}

#[test]
fn a_segment_is_computed_over_all_history_while_events_keep_coming() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let client = &server.client;
    // Each customer spends 10 in ten orders; a segment asks for 95: every order has to count once.
    let users = 200;
    let orders: Vec<Value> = (0..users).map(|user| order(user, 10)).collect();
    for _ in 0..5 {
        client.batches(&orders);
    }
    let is_over = AtomicBool::new(false);
    let position = std::thread::scope(|scope| {
        let streaming = scope.spawn(|| {
            let mut position = String::new();
            for _ in 5..10 {
                position = client.batches(&orders);
            }
            is_over.store(true, Ordering::Relaxed);
            position
        });
        let made = client.admin("/v1/segments", &json!({ "id": "spent", "where": "sum(properties.total) >= 100" }));
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!((made.json()["version"].as_u64(), made.json()["name"].as_str()), (Some(1), Some("spent")));
        let more = client.admin("/v1/traits", &json!({ "name": "most", "expression": "max(properties.total)" }));
        assert_eq!(more.status, 201, "{}", more.text());
        live(client, "spent");
        streaming.join().unwrap()
    });
    assert!(is_over.load(Ordering::Relaxed));
    assert_eq!(client.count_at("spent", &position), users as i64, "none is missed and none counts twice");
    assert_eq!(client.members("spent", 77).len(), users);
    assert_eq!(computed(client, 3, "most"), json!(10));
    // It goes on as any other.
    let position = client.batch(&[order(900, 99), order(901, 100)]);
    assert_eq!(client.count_at("spent", &position), users as i64 + 1);
    // What is kept says so after a restart too, and nothing has to be corrected.
    server.kill();
    let server = site.start();
    assert_eq!(server.client.count_at("spent", &position), users as i64 + 1);
    assert_eq!(live(&server.client, "spent"), users as i64 + 1);
    assert_eq!(computed(&server.client, 901, "most"), json!(100));
}

#[test]
fn traits_said_before_it_was_defined_count() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    let lives = |user: usize, country: &str| json!({ "type": "identify", "userId": format!("u{user}"), "traits": { "address": { "country": country } } });
    client.batch(&[lives(1, "DE"), lives(2, "FR"), lives(3, "DE")]);
    client.batch(&[lives(3, "FR")]);
    let answer = put(client, "/v1/segments/german", &json!({ "where": "traits.address.country = 'DE'" }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(live(client, "german"), 1);
    let position = client.batch(&[lives(2, "DE"), lives(1, "FR")]);
    assert_eq!(client.count_at("german", &position), 1);
    assert_eq!(client.members("german", 10)[0], client.profile_at("user_id:u2", &position)["id"].as_str().unwrap());
    // What is said while nothing reads it counts once something does again.
    assert_eq!(client.delete("/v1/segments/german").status, 204);
    client.batch(&[lives(1, "DE"), lives(2, "FR"), lives(3, "DE"), lives(4, "DE")]);
    put(client, "/v1/segments/german", &json!({ "where": "traits.address.country = 'DE'" }));
    assert_eq!(live(client, "german"), 3);
    let position = client.batch(&[lives(3, "FR")]);
    assert_eq!(client.count_at("german", &position), 2);
}

#[test]
fn a_change_moves_members_silently_unless_a_trigger_asks() {
    let receiver = Receiver::start();
    let url = &receiver.url;
    let body = |what: &str| format!("'{{\"what\": \"{what}\", \"segment\": {{{{ segment.name | tojson }}}}}}'");
    let definitions = format!(
        r#"{DEFINITIONS}
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  hello: {{ on: {{ enter: loyal }}, send: {{ to: crm, body: {} }} }}
  bye: {{ on: {{ exit: loyal }}, send: {{ to: crm, body: {} }}, fire_on_backfill: true }}
"#,
        body("hello"),
        body("bye")
    );
    let server = Site::new(&definitions).with("CRM_SECRET", &secret()).start();
    let client = &server.client;
    let position = client.batch(&[order(1, 1), order(1, 1), order(1, 1), order(2, 1), order(2, 1)]);
    assert_eq!(client.count_at("loyal", &position), 1);
    let told = |count: usize| {
        eventually("all is told", SOON, || equal(&receiver.accepted().len(), &count));
        let words = |delivery: &crate::support::receiver::Delivery| {
            format!("{} {}", delivery.body["what"].as_str().unwrap(), delivery.body["segment"].as_str().unwrap())
        };
        receiver.accepted().iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(told(1), ["hello Loyal customers"]);
    // The second one comes in because it is easier now: that is no doing of hers.
    put(client, "/v1/segments/loyal", &json!({ "name": "Friends", "where": "orders >= 2" }));
    assert_eq!(live(client, "loyal"), 2);
    let history = client.get("/v1/segments/loyal/history").ok();
    let rows = history["history"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["entered"].as_u64().unwrap()).sum::<u64>(), 1, "{history}");
    assert_eq!(rows.last().unwrap()["count"], 2);
    // One who comes by what she does is told of, by the name of now.
    let position = client.batch(&[order(3, 1), order(3, 1)]);
    assert_eq!(client.count_at("loyal", &position), 3);
    assert_eq!(told(2), ["hello Loyal customers", "hello Friends"]);
    // Who goes by a change is told of, since that trigger asks for it.
    put(client, "/v1/segments/loyal", &json!({ "name": "Friends", "where": "orders >= 3" }));
    assert_eq!(live(client, "loyal"), 1);
    assert_eq!(told(4)[2..], ["bye Friends", "bye Friends"]);
    receiver.assert_faultless();
}

#[test]
fn changes_are_checked_versioned_and_written_down() {
    let receiver = Receiver::start();
    let definitions = format!(
        "{DEFINITIONS}\ndestinations:\n  crm: {{ type: webhook, url: \"{}\", allow_private: true }}\ntriggers:\n  \
         hello: {{ on: {{ enter: loyal }}, send: {{ to: crm, body: '{{{{ computed.orders }}}}' }} }}\n",
        receiver.url
    );
    let server = Site::new(&definitions).start();
    let client = &server.client;
    let segment = |id: &str, condition: &str| client.admin("/v1/segments", &json!({ "id": id, "where": condition }));
    assert_eq!(client.read_post("/v1/segments", &json!({ "id": "a", "where": "TRUE" })).error(403), "not_allowed");
    assert_eq!(segment("Nice!", "TRUE").error(400), "invalid_name");
    assert_eq!(segment("preview", "TRUE").error(400), "invalid_name");
    let unnamed = put(client, "/v1/segments/a", &json!({ "name": " ", "where": "TRUE" }));
    assert_eq!(unnamed.error(400), "invalid_name");
    assert_eq!(segment("buyers", "TRUE").error(409), "already_defined");
    let wrong = segment("rich", "ltv > 5 AND\n  orders > 'many'");
    assert_eq!(wrong.error(400), "invalid_expression");
    let message = wrong.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("segment `rich`, line 1, column 1") && message.contains("line 2"), "{message}");
    assert_eq!(segment("grouped", "group.members > 2").error(409), "group_not_read");
    assert_eq!(client.admin("/v1/segments", &json!({ "id": "a", "were": "TRUE" })).error(400), "invalid_json");
    assert_eq!(client.delete("/v1/segments/nobody").error(404), "segment_not_found");
    assert_eq!(client.delete("/v1/traits/nothing").error(404), "trait_not_found");

    // What would take more room than there is for it.
    let years = "count(DISTINCT event) FILTER (WHERE timestamp > now() - INTERVAL '3650 days') > 1";
    let costly = segment("costly", years);
    assert!(
        costly.error(400) == "invalid_expression" && costly.text().contains("look less far back"),
        "{}",
        costly.text()
    );
    let traits: serde_json::Map<_, _> = (0..=10_000).map(|at| (format!("t{at}"), json!("1"))).collect();
    assert_eq!(put(client, "/v1/definitions", &json!({ "traits": traits })).error(400), "too_many_definitions");
    assert_eq!(client.get("/v1/segments/buyers").ok()["values_max"], 0, "it reads a trait, which keeps what it needs");
    assert_eq!(client.get("/v1/traits/orders").ok()["values_max"], 1);

    // What something else needs stays as it is needed.
    let in_use = client.delete("/v1/traits/orders");
    assert_eq!(in_use.error(409), "definition_in_use");
    let in_use = client.delete("/v1/segments/loyal");
    assert_eq!(in_use.error(409), "definition_in_use");
    assert!(in_use.text().contains("trigger `hello`"), "{}", in_use.text());

    let version = |answer: &Answer| answer.json()["version"].as_u64().unwrap();
    assert_eq!(version(&segment("rich", "orders > 5")), 1);
    let condition = |text: &str, version: u64| json!({ "where": text, "version": version });
    assert_eq!(version(&put(client, "/v1/segments/rich", &condition("orders > 6", 1))), 2);
    assert_eq!(put(client, "/v1/segments/rich", &condition("orders > 7", 1)).error(409), "version_conflict");
    // To say the same again changes nothing.
    assert_eq!(version(&put(client, "/v1/segments/rich", &condition("orders > 6", 2))), 2);
    assert_eq!(client.delete("/v1/segments/rich").status, 204);
    assert_eq!(client.get("/v1/segments/rich").error(404), "segment_not_found");
    assert_eq!(version(&segment("rich", "orders > 8")), 4, "versions do not begin anew: the deletion was the third");

    let changes = client.get("/v1/definitions/changes?limit=3").ok();
    let told = |change: &Value| {
        let changed = &change["changed"][0];
        (change["by"].as_str().unwrap().to_owned(), changed["before"].clone(), changed["after"].clone())
    };
    let changes: Vec<_> = changes["changes"].as_array().unwrap().iter().map(told).collect();
    let admin = || "admin".to_owned();
    assert_eq!(
        changes,
        [
            (admin(), Value::Null, json!("orders > 8")),
            (admin(), json!("orders > 6"), Value::Null),
            (admin(), json!("orders > 5"), json!("orders > 6"))
        ]
    );
}

/// What was said last holds, in the folder or over HTTP, through a kill -9 at any time.
#[test]
fn definitions_outlive_the_process() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let all: Vec<Value> = (0..3_000).map(|at| order(at % 100, at)).collect();
    let position = server.client.batches(&all);
    server.client.count_at("loyal", &position);
    let mut server = server;
    for least in [10, 2_000, 2_990] {
        let condition = format!("max(properties.total) >= {least}");
        put(&server.client, "/v1/segments/loyal", &json!({ "where": condition }));
        // Wherever it is with that.
        server.kill();
        server = site.start();
        let expected = (0..100).filter(|user| 2_900 + user >= least).count() as i64;
        assert_eq!(live(&server.client, "loyal"), expected);
    }
    server.client.delete("/v1/segments/buyers");
    server.kill();
    let server = site.start();
    assert_eq!(server.client.get("/v1/segments/buyers").status, 404, "though the folder has it still");
    // The folder says something new of one, and that holds; of the other it says what it said.
    site.define(&DEFINITIONS.replace("orders > 0", "orders > 29"));
    server.kill();
    let server = site.start();
    assert_eq!(live(&server.client, "buyers"), 100);
    assert_eq!(live(&server.client, "loyal"), 10);
    let changes = server.client.get("/v1/definitions/changes").ok();
    assert_eq!(changes["changes"][0]["by"], "folder");
}

/// A change is begun, taken back while it is under way, and the process killed: nothing is lost and nothing counts twice when it
/// is made again.
#[test]
fn a_change_that_is_taken_back_leaves_nothing_behind() {
    let site = Site::new("segments:\n  s: { where: count(*) >= 2 }\n");
    let mut server = site.start();
    let users = 4_000;
    let events: Vec<Value> = (0..2 * users).map(|at| order(at % users, 10)).collect();
    let position = server.client.batches(&events);
    assert_eq!(server.client.count_at("s", &position), users as i64);
    let stage = |client: &Client, id: &str, wanted: &str| {
        // Stages may be over before they are seen; wherever it is then, it has to be right.
        for _ in 0..200 {
            let answer = client.get(&format!("/v1/segments/{id}"));
            let told = if answer.status == 200 { answer.json() } else { Value::Null };
            if told["state"] == "live" || told["progress"]["stage"] == wanted {
                break;
            }
        }
    };
    for wait_for in ["waiting", "history", "customers", "history"] {
        let new = json!({ "id": "rich", "where": "sum(properties.total) >= 30" });
        assert_eq!(server.client.admin("/v1/segments", &new).status, 201);
        stage(&server.client, "rich", wait_for);
        assert_eq!(server.client.delete("/v1/segments/rich").status, 204);
        server.kill();
        server = site.start();
        assert_eq!(server.client.admin("/v1/segments", &new).status, 201);
        assert_eq!(live(&server.client, "rich"), 0, "each has 20");
        put(&server.client, "/v1/segments/rich", &json!({ "where": "sum(properties.total) >= 20" }));
        assert_eq!(live(&server.client, "rich"), users as i64);
        assert_eq!(server.client.delete("/v1/segments/rich").status, 204);
    }
    for _ in 0..4 {
        put(&server.client, "/v1/segments/s", &json!({ "where": "max(properties.total) > 99" }));
        // The segment is live, and what it needed before is being dropped.
        assert_eq!(live(&server.client, "s"), 0);
        put(&server.client, "/v1/segments/s", &json!({ "where": "count(*) >= 2" }));
        server.kill();
        server = site.start();
        assert_eq!(live(&server.client, "s"), users as i64);
        let preview = server.client.read_post("/v1/segments/preview", &json!({ "where": "count(*) = 2" })).ok();
        assert_eq!(preview["count"], users);
    }
}

#[test]
fn a_trait_changes_all_that_reads_it_and_what_nobody_reads_is_dropped() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let client = &server.client;
    let events: Vec<Value> = (0..50).flat_map(|user| (0..=user % 5).map(move |total| order(user, total))).collect();
    let position = client.batches(&events);
    assert_eq!(client.count_at("loyal", &position), 30);
    for round in 0..3 {
        put(client, "/v1/traits/orders", &json!({ "expression": "count(*) FILTER (WHERE properties.total > 1)" }));
        assert_eq!(live(client, "loyal"), 10, "round {round}");
        assert_eq!(computed(client, 4, "orders"), json!(3 + round));
        let position = client.batch(&[order(4, 9)]);
        assert_eq!(client.profile_at("user_id:u4", &position)["computed"]["orders"], json!(4 + round));
        put(client, "/v1/traits/orders", &json!({ "expression": "count(*) FILTER (WHERE event = 'Order Completed')" }));
        assert_eq!(live(client, "loyal"), 30, "round {round}");
        assert_eq!(computed(client, 4, "orders"), json!(6 + round), "all count, also those in between");
    }
}

fn tool(site: &Site, server: &Server, arguments: &str) -> (i32, String) {
    let mut command = crate::support::server::program(&arguments.split(' ').collect::<Vec<_>>());
    command.arg(site.path("definitions")).args(["--server", server.client.base()]);
    let output = command.env("TRIBUTARY_ADMIN_TOKEN", ADMIN_TOKEN).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

#[test]
fn a_folder_in_git_is_compared_and_applied() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let client = &server.client;
    client.batch(&[order(1, 1), order(1, 2)]);
    assert_eq!(tool(&site, &server, "diff"), (0, "no difference\n".to_owned()));
    client.admin("/v1/segments", &json!({ "id": "by_hand", "where": "orders = 1" }));
    site.define(&DEFINITIONS.replace("orders >= 3", "orders >= 2"));
    let (code, told) = tool(&site, &server, "diff");
    assert_eq!(code, 1, "{told}");
    assert_eq!(told, "~ segment loyal\n    - orders >= 3\n    + orders >= 2\n1 difference\n");
    let (code, told) = tool(&site, &server, "diff --prune");
    assert!(
        code == 1 && told.contains("- segment by_hand\n    - orders = 1\n") && told.contains("2 differences"),
        "{told}"
    );
    let (code, told) = tool(&site, &server, "apply --prune");
    assert!(code == 0 && told.ends_with("2 differences applied as change 3\n"), "{told}");
    assert_eq!(live(client, "loyal"), 1);
    assert_eq!(client.get("/v1/segments/by_hand").status, 404);
    assert_eq!(tool(&site, &server, "apply"), (0, "no difference\n".to_owned()));
    // A mistake is told with its place, and nothing of the folder is taken over.
    site.define(&DEFINITIONS.replace("orders >= 3", "ordres >= 3").replace("orders > 0", "orders > 1"));
    let (code, told) = tool(&site, &server, "apply");
    assert!(code == 1 && told.contains("test.yaml:6:") && told.contains("did you mean `orders`?"), "{told}");
    assert_eq!(client.get("/v1/segments/buyers").ok()["where"], "orders > 0");
    let refused = crate::support::server::program(&["diff", "--server", client.base()])
        .arg(site.path("definitions"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
