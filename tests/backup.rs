//! Backups of a server that works, put back elsewhere; and whether a state is what its log says.

use crate::support::client::Client;
use crate::support::command::{NOBODY, at, done, on, restore, said};
use crate::support::compare;
use crate::support::kafka::Broker;
use crate::support::oracle;
use crate::support::server::Site;
use crate::support::state;
use crate::support::traffic::{SHOP, Traffic, order, seed};
use crate::support::wait::{SOON, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sends events one after the other, so that the log has them in their order, until `meanwhile` is through. Gives how many.
fn send_while(client: &Client, events: &[Value], meanwhile: impl FnOnce()) -> usize {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            for batch in events.chunks(3).take_while(|_| !ended.load(Ordering::Relaxed)) {
                client.batch(batch);
                sent += batch.len();
            }
            sent
        });
        meanwhile();
        ended.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    })
}

/// Each backup is of some instant: what its log has is what its state is judged by.
#[test]
fn what_is_restored_from_a_backup_under_load_is_what_its_log_says() {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut traffic = Traffic::new(seed(), 200, now);
    let mut events = traffic.prelude();
    events.extend(traffic.take(20_000));
    let site = Site::new(SHOP);
    let server = site.start();
    let folder = site.path("backups");
    let sent = send_while(&server.client, &events, || {
        for _ in 0..3 {
            done(on(&site, "backup", &folder, server.client.base()));
        }
    });
    server.stop();

    let mut list = restore(&site, &folder);
    list.arg("--list");
    let listed = done(list);
    let ids: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids.len(), 3, "{listed}");
    let mut before = 0;
    for id in ids {
        let elsewhere = Site::new(SHOP);
        let mut command = restore(&elsewhere, &folder);
        command.args(["--backup", id]);
        done(command);
        let server = elsewhere.start();
        let last = traffic.take(1);
        let position = server.client.batch(&last);
        server.client.get_at("/v1/segments", &position).ok();
        let in_log: usize = position.strip_prefix("0:").unwrap().parse::<usize>().unwrap() - 1;
        assert!((before + 1..=sent).contains(&in_log), "{in_log} of {sent}");
        before = in_log;
        let kept = [&events[..in_log], &last].concat();
        compare::state(&server.client, &oracle::profiles(&kept, now)).unwrap();
        server.stop();
        let told = done(at(&elsewhere, "verify", NOBODY));
        assert!(told.contains(&format!("{} records of the log give the same", in_log + 1)), "{told}");
    }
}

#[test]
fn older_backups_go_and_the_latest_is_whole() {
    let site = Site::new(SHOP);
    let server = site.start();
    let folder = site.path("backups");
    for n in 0..3 {
        let position = server.client.batch(&[order("u1", 5), order(&format!("v{n}"), 5)]);
        server.client.profile_at("user_id:u1", &position);
        let mut command = on(&site, "backup", &folder, server.client.base());
        command.args(["--keep", "2"]);
        let gone = if n < 2 { "0 older backups deleted" } else { "1 older backup deleted" };
        assert!(done(command).contains(gone));
    }
    // The server is through with its part: nothing of the snapshots is left.
    assert_eq!(fs::read_dir(site.path("data/snapshots")).unwrap().count(), 0);
    let elsewhere = Site::new(SHOP);
    done(restore(&elsewhere, &folder));
    let server = elsewhere.start();
    assert_eq!(server.client.get("/v1/profiles/user_id:u1").ok()["computed"]["orders"], 3);
    assert_eq!(server.client.get("/v1/profiles/user_id:v0").ok()["computed"]["orders"], 1);
}

#[test]
fn a_backup_is_also_made_and_verified_without_a_server() {
    let site = Site::new(SHOP);
    let server = site.start();
    let position = server.client.batch(&[order("u1", 5), order("u2", 5)]);
    server.client.profile_at("user_id:u1", &position);
    server.kill();
    let folder = site.path("backups");
    done(on(&site, "backup", &folder, NOBODY));
    let mut command = site.command("verify");
    command.arg("--backup").arg(&folder);
    let told = done(command);
    assert!(told.contains("as they were written") && told.contains("2 records of the log give the same"), "{told}");
    assert!(done(at(&site, "verify", NOBODY)).contains("2 records of the log give the same"));
    assert_eq!(site.start().client.get("/v1/profiles/user_id:u2").ok()["computed"]["orders"], 1);
}

#[test]
fn a_content_that_the_disk_has_changed_is_noticed() {
    let site = Site::new(SHOP);
    let server = site.start();
    let position = server.client.batch(&[order("u1", 5)]);
    server.client.profile_at("user_id:u1", &position);
    let folder = site.path("backups");
    done(on(&site, "backup", &folder, server.client.base()));
    let largest = files(&folder.join("contents")).into_iter().max_by_key(|path| fs::metadata(path).unwrap().len());
    let largest = largest.unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    bytes[10] ^= 1;
    fs::write(&largest, bytes).unwrap();
    let elsewhere = Site::new(SHOP);
    let mut verifying = elsewhere.command("verify");
    verifying.arg("--backup").arg(&folder);
    for command in [restore(&elsewhere, &folder), verifying] {
        let (code, told) = said(command);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains("its content has changed since it was backed up"), "{told}");
    }
    assert!(!elsewhere.path("data/state").exists(), "half a backup is none");
}

#[test]
fn what_stands_in_the_way_of_a_backup_is_told_with_the_mend() {
    let site = Site::new(SHOP);
    let folder = site.path("backups");
    let check = |command: Command, words: &str| {
        let (code, told) = said(command);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(words), "{told}");
    };
    check(on(&site, "backup", &folder, NOBODY), "there is no state at");
    check(restore(&site, &folder), "there is no such backup");
    let server = site.start();
    // A server works on the folder, and another address was named.
    check(on(&site, "backup", &folder, NOBODY), "is another tributary running on it?");
    check(on(&site, "backup", &folder, "http://nowhere.invalid"), "no answer from http://nowhere.invalid");
    let mut stranger = on(&site, "backup", &folder, server.client.base());
    stranger.env("TRIBUTARY_ADMIN_TOKEN", "wrong");
    check(stranger, "the token is read from TRIBUTARY_ADMIN_TOKEN");
    done(on(&site, "backup", &folder, server.client.base()));
    check(restore(&site, &folder), "is there already; move it away first");
    // One that was taken and left.
    let answer = server.client.admin("/v1/snapshots", &Value::Null);
    assert_eq!(answer.status, 201, "{}", answer.text());
    check(on(&site, "backup", &folder, server.client.base()), "there is a snapshot already");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.client.delete(&format!("/v1/snapshots/{id}")).status, 204);
    assert_eq!(server.client.delete(&format!("/v1/snapshots/{id}")).error(404), "no_such_snapshot");
    done(on(&site, "backup", &folder, server.client.base()));
}

/// What a defect, or somebody with a tool, has changed in the state: the first difference is named.
#[test]
fn verifying_names_what_is_not_what_came_in() {
    let order_of = |n: usize| {
        let mut order = order(&format!("u{n}"), 600);
        order["timestamp"] = json!("2026-01-01T00:00:00Z");
        order["messageId"] = json!(format!("m{n}"));
        order
    };
    let site = Site::new(SHOP);
    let server = site.start();
    let position = server.client.batches(&(0..50).map(order_of).collect::<Vec<_>>());
    server.client.profile_at("user_id:u1", &position);
    assert!(done(at(&site, "verify", server.client.base())).contains("50 records of the log give the same"));
    server.stop();
    for (table, words) in [("members", "in segment"), ("owners", "is stored as nobody's, and is")] {
        let row = state::take_first_row(&site, table);
        let (code, told) = said(at(&site, "verify", NOBODY));
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(words), "{told}");
        state::put_row(&site, table, &row);
    }
    done(at(&site, "verify", NOBODY));

    // All that is stored follows from the facts, but another log has other events.
    let other = Site::new(SHOP);
    let server = other.start();
    let mut others: Vec<Value> = (0..50).map(order_of).collect();
    others[7]["properties"]["total"] = json!(601);
    let position = server.client.batches(&others);
    server.client.profile_at("user_id:u1", &position);
    server.stop();
    fs::remove_dir_all(site.path("data/log")).unwrap();
    fs::rename(other.path("data/log"), site.path("data/log")).unwrap();
    let (code, told) = said(at(&site, "verify", NOBODY));
    assert_eq!(code, 1, "{told}");
    assert!(told.starts_with("epoch ") && told.contains("facts of user_id:u7: stored"), "{told}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// With the log in Kafka a backup is of the state, which reads on from where it stood.
#[test]
fn a_state_whose_log_is_in_kafka_is_restored_and_reads_on() {
    let broker = Broker::shared();
    let topic = broker.topic("backup-events", 2);
    let place = |site: Site| site.on_kafka(&broker.bootstrap_servers, &topic);
    let site = place(Site::new(SHOP));
    let server = site.start();
    let events: Vec<Value> = (0..40).map(|n| order(&format!("u{}", n % 10), 5)).collect();
    let orders = |client: &Client, wanted: i64| {
        eventually("all orders are counted", SOON, || {
            let count = |n| client.get(&format!("/v1/profiles/user_id:u{n}")).json()["computed"]["orders"].as_i64();
            let all: i64 = (0..10).filter_map(count).sum();
            if all == wanted { Ok(()) } else { Err(all) }
        });
    };
    server.client.batches(&events[..30]);
    orders(&server.client, 30);
    let folder = site.path("backups");
    let told = done(on(&site, "backup", &folder, server.client.base()));
    assert!(told.contains("the log is in Kafka"), "{told}");
    server.client.batches(&events[30..]);
    server.stop();

    let elsewhere = place(Site::new(SHOP));
    done(restore(&elsewhere, &folder));
    let server = elsewhere.start();
    orders(&server.client, 40);
    let told = done(at(&elsewhere, "verify", server.client.base()));
    assert!(told.contains("40 records of Kafka give the same"), "{told}");
}
