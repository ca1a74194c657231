//! Whose the data folder is: one process's, of one version.

use crate::support::server::Site;
use crate::support::state;
use crate::support::traffic::SHOP;
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_second_process_on_the_same_folder_is_refused() {
    let site = Site::new(SHOP);
    let server = site.start();
    let second = site.spawn();
    second.listening(LONG).expect_err("it must not serve");
    let words = second.last_words();
    assert!(words.contains("is another tributary running on it?"), "{words}");
    let order = json!({ "type": "track", "userId": "u1", "event": "Order Completed", "properties": { "total": 5 } });
    let position = server.client.batch(&[order]);
    assert_eq!(server.client.profile_at("user_id:u1", &position)["computed"]["orders"], 1, "the first one goes on");
}

#[test]
fn a_state_of_another_version_is_refused_and_left_as_it_is() {
    let site = Site::new(SHOP);
    let server = site.start();
    let order = json!({ "type": "track", "userId": "u1", "event": "Order Completed", "properties": { "total": 5 } });
    let position = server.client.batch(&[order]);
    server.client.profile_at("user_id:u1", &position);
    server.stop();
    let written = swap_version(&site, 1);

    let process = site.spawn();
    process.listening(LONG).expect_err("it must not serve");
    let words = process.last_words();
    assert!(words.contains("version 1,"), "{words}");
    assert!(words.contains("use the program that wrote it"), "{words}");
    drop(process);

    assert_eq!(swap_version(&site, written), 1, "nothing was written");
    let server = site.start();
    assert_eq!(server.client.get("/v1/profiles/user_id:u1").ok()["computed"]["orders"], 1);
}

/// What is read of the log is kept with the state. A log that ends before it is another one: nothing may be appended to it,
/// since what stands there would be taken for read.
#[test]
fn a_log_that_is_not_the_states_is_not_appended_to() {
    let site = Site::new(SHOP);
    let server = site.start();
    let order = |user: &str| json!({ "type": "track", "userId": user, "event": "Order Completed", "properties": { "total": 5 } });
    let position = server.client.batch(&[order("u1"), order("u2")]);
    server.client.profile_at("user_id:u2", &position);
    server.stop();
    std::fs::rename(site.path("data/log"), site.path("log")).unwrap();
    let process = site.spawn();
    process.listening(LONG).expect_err("it must not serve");
    assert!(process.last_words().contains("the log ends at 0 but has been read up to 2"), "{}", process.last_words());
    drop(process);
    std::fs::remove_dir_all(site.path("data/log")).unwrap();
    std::fs::rename(site.path("log"), site.path("data/log")).unwrap();
    site.start().client.get("/v1/profiles/user_id:u2").ok();
}

/// A disk that changes what it has synced is heard of, and what is lost by it is not taken for never written.
#[test]
fn damage_in_the_middle_of_the_log_is_told() {
    let site = Site::new(SHOP);
    let server = site.start();
    let order = |n: usize| json!({ "type": "track", "userId": format!("u{n}"), "event": "Order Completed", "properties": { "total": 5 } });
    let mut position = String::new();
    for n in 0..50 {
        position = server.client.batch(&[order(n)]);
    }
    server.client.profile_at("user_id:u49", &position);
    server.kill();
    let files = std::fs::read_dir(site.path("data/log")).unwrap().map(|file| file.unwrap().path());
    let newest = files.filter(|path| path.extension().is_some_and(|is| is == "log")).max().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let process = site.spawn();
    process.listening(LONG).expect_err("it must not serve");
    let words = process.last_words();
    assert!(words.contains("the log's newest file is damaged"), "{words}");
    assert!(words.contains("but has been read up to 50"), "{words}");
}

/// Writes another version before the row that says where the state stands; gives the one that was there.
fn swap_version(site: &Site, version: u8) -> u8 {
    let mut row = state::row(site, "meta", b"meta");
    let before = std::mem::replace(&mut row[0], version);
    state::put_row(site, "meta", &(b"meta".to_vec(), row));
    before
}
