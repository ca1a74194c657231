//! What Kafka does to those who rely on it: topics that are cut off, made anew, or take only so much; and a state that is
//! older than what was sent for it.

use crate::support::client::Client;
use crate::support::kafka::Broker;
use crate::support::server::Site;
use crate::support::traffic::{SHOP, triggers};
use crate::support::wait::{equal, eventually};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(90);

fn order(user: &str) -> Value {
    json!({ "type": "track", "userId": user, "event": "Order Completed", "properties": { "total": 5 } })
}

fn refund(id: &str) -> Value {
    json!({ "type": "track", "userId": "u1", "event": "Refund Requested", "properties": { "refund_id": id } })
}

/// Writes an order of each of these users to a topic.
fn put(broker: &Broker, topic: &str, users: Range<usize>) {
    let events: Vec<String> = users.map(|user| order(&format!("k{user}")).to_string()).collect();
    broker.produce(topic, Some(0), events.iter().map(|event| ("key", event.as_bytes())));
}

/// The refunds that a topic has.
fn refunds(broker: &Broker, topic: &str) -> Vec<String> {
    let body = |payload: &[u8]| serde_json::from_slice::<Value>(payload).unwrap();
    let records = broker.read_committed(topic);
    records.iter().filter_map(|record| Some(body(&record.payload)["refund"].as_str()?.to_owned())).collect()
}

fn site_to(broker: &Broker, topic: &str) -> Site {
    let definitions = SHOP.to_owned() + &triggers(&[("out", format!("type: kafka, topic: {topic}"))]);
    Site::new(&definitions).with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers)
}

#[test]
fn a_message_that_a_topic_does_not_take_goes_to_the_dead_letters_and_holds_up_nobody() {
    let broker = Broker::shared();
    let out = broker.topic_with("small", 2, &[("max.message.bytes", "3000")]);
    let site = site_to(broker, &out);
    let server = site.start();
    // Hardly to be compressed.
    let mut rng = StdRng::seed_from_u64(7);
    let huge: String = (0..8_000).map(|_| rng.random_range('!'..'~')).filter(|letter| *letter != '"').collect();
    let mut wanted: BTreeSet<String> = (0..300).map(|number| format!("r{number}")).collect();
    let events: Vec<Value> = (0..300)
        .map(|number| refund(&format!("r{number}")))
        .chain([refund(&huge)])
        .chain((300..310).map(|number| refund(&format!("r{number}"))))
        .collect();
    wanted.extend((300..310).map(|number| format!("r{number}")));
    server.client.batches(&events);
    eventually("all others are there", LONG, || {
        let came = refunds(broker, &out);
        equal(&came.iter().cloned().collect::<BTreeSet<_>>(), &wanted)?;
        equal(&came.len(), &wanted.len())
    });
    let messages = server.client.get("/v1/profiles/user_id:u1/messages?limit=500").ok();
    let dead = messages["messages"].as_array().unwrap().iter().filter(|message| message["status"] == "dead");
    assert_eq!(dead.count(), 1, "and it is told which one was too large");
}

#[test]
fn a_source_that_was_cut_off_stops_alone_and_goes_on_when_told_to() {
    let broker = Broker::shared();
    let foreign = broker.topic("cut-off", 1);
    let site = Site::new(SHOP).with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers);
    let source = format!("[[sources.kafka]]\ntopic = \"{foreign}\"\nname = \"web\"\n");
    site.configure(&source);
    put(broker, &foreign, 0..3);
    let server = site.start();
    await_orders(&server.client, "k2", 1);
    server.kill();
    put(broker, &foreign, 3..6);
    broker.truncate(&foreign, 0, 5);

    let server = site.start();
    await_given_up(&site, &server.client);
    let position = server.client.batch(&[order("h1")]);
    assert_eq!(server.client.profile_at("user_id:h1", &position)["computed"]["orders"], 1, "all else goes on");
    server.stop();

    site.configure(&(source + "on_truncated = \"earliest\"\n"));
    let server = site.start();
    await_orders(&server.client, "k5", 1);
    for lost in ["k3", "k4"] {
        server.client.get(&format!("/v1/profiles/user_id:{lost}")).error(404);
    }
    await_orders(&server.client, "k2", 1);
}

/// As where records were compacted away: offsets that no record has. What was aborted was never said.
#[test]
fn offsets_without_records_are_passed_over() {
    let broker = Broker::shared();
    let foreign = broker.topic("gaps", 1);
    let site = Site::new(SHOP).with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers);
    site.configure(&format!("[[sources.kafka]]\ntopic = \"{foreign}\"\nname = \"web\"\n"));
    let transaction = |user: &str, commits: bool| {
        broker.produce_at_once(&foreign, [order(user).to_string().as_bytes()], commits);
    };
    transaction("t1", true);
    transaction("t2", false);
    put(broker, &foreign, 0..1);
    transaction("t3", true);
    let server = site.start();
    for user in ["t1", "k0", "t3"] {
        await_orders(&server.client, user, 1);
    }
    server.client.get("/v1/profiles/user_id:t2").error(404);
    // It ends with such an offset: a restart reads nothing twice, and goes on behind it.
    transaction("t4", false);
    server.kill();
    let server = site.start();
    transaction("t5", true);
    await_orders(&server.client, "t5", 1);
    await_orders(&server.client, "t3", 1);
    server.client.get("/v1/profiles/user_id:t4").error(404);
}

#[test]
fn a_topic_that_is_made_anew_is_not_taken_for_the_old_one() {
    let broker = Broker::shared();
    let foreign = broker.topic("made-anew", 1);
    let site = Site::new(SHOP).with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers);
    let source = |name: &str| {
        site.configure(&format!(
            "[[sources.kafka]]\ntopic = \"{foreign}\"\nname = \"{name}\"\non_truncated = \"earliest\"\n"
        ));
    };
    source("web");
    put(broker, &foreign, 0..20);
    let server = site.start();
    await_orders(&server.client, "k19", 1);
    assert_eq!(up(&server.client, "kafka:web"), 1.0);
    broker.delete(&foreign);
    eventually("it is gone", LONG, || equal(&broker.partitions(&foreign), &0));
    broker.create(&foreign, 1, &[]);
    eventually("it is there again", LONG, || equal(&broker.partitions(&foreign), &1));
    put(broker, &foreign, 20..25);
    await_given_up(&site, &server.client);
    server.stop();
    // Its records are those of another source.
    source("web-again");
    let server = site.start();
    await_orders(&server.client, "k20", 1);
    await_orders(&server.client, "k24", 1);
}

/// The folder of an earlier day is put back. Whatever happens from then on is sent, though its numbers were used before.
#[test]
fn what_happens_after_an_old_state_was_put_back_is_sent() {
    let broker = Broker::shared();
    let out = broker.topic("restored", 2);
    let site = site_to(broker, &out);
    let server = site.start();
    let sends = |client: &Client, names: Range<usize>| {
        let events: Vec<Value> = names.clone().map(|number| refund(&format!("r{number}"))).collect();
        client.batches(&events);
        eventually("they are sent", LONG, || {
            let came = refunds(broker, &out);
            let missing = names.clone().find(|number| !came.contains(&format!("r{number}")));
            missing.map_or(Ok(()), Err)
        });
    };
    sends(&server.client, 0..10);
    server.stop();
    copy(&site.path("data"), &site.path("yesterday"));
    let server = site.start();
    sends(&server.client, 10..60);
    server.stop();

    fs::remove_dir_all(site.path("data")).unwrap();
    copy(&site.path("yesterday"), &site.path("data"));
    let server = site.start();
    sends(&server.client, 100..120);
    server.stop();
    let server = site.start();
    sends(&server.client, 120..200);
    let came = refunds(broker, &out);
    let distinct: BTreeSet<&String> = came.iter().collect();
    assert_eq!(distinct.len(), came.len(), "and nothing is sent twice");
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

fn up(client: &Client, stream: &str) -> f64 {
    client.metric("tributary_source_up", &[&format!("stream=\"{stream}\"")])
}

/// The source is left alone, which the log and the metrics tell.
#[track_caller]
fn await_given_up(site: &Site, client: &Client) {
    eventually("the source is given up", LONG, || {
        let said = fs::read_to_string(site.path("server.log")).unwrap();
        if said.contains("this source is not read any more") { Ok(()) } else { Err("not yet") }
    });
    assert_eq!(up(client, "kafka:web"), 0.0);
}

#[track_caller]
fn await_orders(client: &Client, user: &str, orders: u64) {
    eventually(&format!("{user} has {orders} orders"), LONG, || {
        let answer = client.get(&format!("/v1/profiles/user_id:{user}"));
        if answer.status != 200 {
            return Err(answer.text());
        }
        let shown = answer.json()["computed"]["orders"].as_u64();
        if shown == Some(orders) { Ok(()) } else { Err(format!("{shown:?}")) }
    });
}
