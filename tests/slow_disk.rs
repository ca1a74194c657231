//! Disks that do not sync, that are read-only, that are full; and a process that the system ends because there is no memory.
//! The process works, or ends and says why in one line; in the end nothing is lost and nothing is counted twice.

use crate::support::client::{As, Client, WRITE_KEY};
use crate::support::crash::CrashingShop;
use crate::support::disk::Disk;
use crate::support::kafka::Broker;
use crate::support::server::{Process, Site};
use crate::support::traffic::SHOP;
use crate::support::wait::eventually;
use reqwest::Method;
use serde_json::json;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
const SIGKILL: i32 = 9;

/// What becomes of the process.
enum Then {
    /// Events are refused with 503, and taken again once the disk is well.
    Refuses,
    /// It goes on taking events, and says at `/readyz` that it is not well, until it is again.
    Waits,
    /// It ends, and its last line has these words.
    Ends(&'static str),
}

fn send(client: &Client) -> u16 {
    let body = json!({ "userId": "staff0-0", "messageId": "asked", "event": "Asked" }).to_string().into_bytes();
    client.request(Method::POST, "/v1/track", As::Basic(WRITE_KEY), &[], body).map_or(0, |answer| answer.status)
}

fn await_end(process: &mut Process) {
    eventually("it ends", LONG, || match process.ended() {
        Some(status) if status.code() == Some(1) => Ok(()),
        ended => Err(format!("{ended:?}: {}", process.last_words())),
    });
}

#[test]
fn whatever_the_disk_does_not_do_loses_nothing() {
    let broker = Broker::shared();
    let servers = |site: Site| site.with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers);
    let mut shop = CrashingShop::new(broker, servers, 200, (20_000, 10));
    let CrashingShop { site, load, .. } = &mut shop;
    let disk = Disk::under(site);
    for (rules, then) in [
        ("sync EIO /data/log", Then::Refuses),
        ("write EIO /data/log", Then::Refuses),
        ("write ENOSPC /data/log", Then::Refuses),
        ("write ENOSPC /data/state", Then::Waits),
        ("sync EIO /data/state", Then::Ends("Input/output error")),
        ("write EIO /data/state", Then::Ends("Input/output error")),
        ("write EROFS /data\nsync EROFS /data\nchange EROFS /data", Then::Ends("Read-only file system")),
    ] {
        let mut process = site.spawn_with(&disk.variables());
        let base = process.listening(LONG).unwrap_or_else(|why| panic!("{rules}: {why}\n{}", process.last_words()));
        let client = Client::new(base);
        eventually("it is ready", LONG, || match client.get("/readyz").status {
            200 => Ok(()),
            status => Err(status),
        });
        load.run_until(&client, 20, || {
            disk.set(rules);
            match then {
                Then::Refuses => {
                    eventually(&format!("{rules}: events are refused"), LONG, || match send(&client) {
                        503 => Ok(()),
                        status => Err(status),
                    });
                    disk.set("");
                    eventually(&format!("{rules}: and taken again"), LONG, || match send(&client) {
                        200 => Ok(()),
                        status => Err(status),
                    });
                }
                Then::Waits => {
                    let healthy = || client.metric("tributary_state_healthy", &[]);
                    eventually(&format!("{rules}: it says so"), LONG, || match healthy() == 0.0 {
                        true => Ok(()),
                        false => Err("healthy"),
                    });
                    assert_eq!((client.get("/readyz").status, send(&client)), (503, 200), "{rules}");
                    disk.set("");
                    eventually(&format!("{rules}: it is well again"), LONG, || match client.get("/readyz").status {
                        200 => Ok(()),
                        status => Err(status),
                    });
                }
                Then::Ends(words) => {
                    await_end(&mut process);
                    let said = process.last_words();
                    let last = said.lines().rfind(|line| !line.contains("WARN")).unwrap_or_default();
                    assert!(last.contains(words), "{rules}: {last}");
                    disk.set("");
                }
            }
        });
        if !matches!(then, Then::Ends(_)) {
            process.assert_alive();
        }
    }
    shop.judge();
}

#[test]
fn on_a_read_only_disk_it_does_not_start_and_says_so() {
    let site = Site::new(SHOP);
    site.start().stop();
    let disk = Disk::under(&site);
    disk.set("write EROFS /data\nsync EROFS /data\nchange EROFS /data");
    let mut process = site.spawn_with(&disk.variables());
    process.listening(LONG).expect_err("it must not serve");
    await_end(&mut process);
    assert!(process.last_words().contains("Read-only file system"), "{}", process.last_words());
    drop(process);
    disk.set("");
    site.start();
}

/// A group of processes with so much memory; none where this process may not make one.
struct Memory(PathBuf);

impl Memory {
    fn limited(bytes: u64) -> Option<Self> {
        let name = format!("tributary-test-{}", std::process::id());
        for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let group = Path::new(root).join(&name);
            if fs::create_dir(&group).is_ok() {
                let group = Self(group);
                if group.0.join(limit).exists() && fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }

    fn take_in(&self, process: &Process) {
        fs::write(self.0.join("cgroup.procs"), process.id().to_string()).unwrap();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn a_process_that_is_ended_for_want_of_memory_loses_nothing() {
    // Enough to start, too little to go on for long.
    let Some(memory) = Memory::limited(48 << 20) else {
        // Only root may; the end is the same as that of kill -9, which other tests bring about.
        eprintln!("no group with limited memory can be made here");
        return;
    };
    let broker = Broker::shared();
    let servers = |site: Site| site.with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers);
    let shop = CrashingShop::new(broker, servers, 400, (20_000, 200));
    let mut process = shop.site.spawn();
    memory.take_in(&process);
    let base = process.listening(LONG).unwrap();
    shop.load.run_while(&Client::new(base), 4, || {
        let ended = eventually("the system ends it", LONG, || process.ended().ok_or("it goes on"));
        assert_eq!(ended.signal(), Some(SIGKILL), "{ended:?}");
    });
    drop(process);
    shop.judge();
}
