//! Disks that fill up, and processes that are killed.

use super::*;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Tells a test that it runs in a process of its own, and in which folder.
const CHILD: &str = "TRIBUTARY_LOG_TEST_DIR";

/// A megabyte that hardly compresses.
fn large() -> Vec<Record> {
    let mut noise = 7u64;
    let mut letter = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + (noise >> 58) as u8)
    };
    vec![record((0..1 << 20).map(|_| letter()).collect::<String>())]
}

/// The bytes of all files of a folder.
pub(super) fn used(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Appends until it is refused because the disk takes no more; gives how many appends were taken.
fn append_until_refused(log: &EmbeddedLog, most: usize) -> (i64, String) {
    for taken in 0..most {
        match append(log, large()) {
            Ok(position) => assert_eq!(position, Position::single(taken as i64 + 1)),
            Err(AppendError::Unavailable(reason)) => return (taken as i64, reason),
            Err(AppendError::Busy) => panic!("nothing else waits"),
        }
    }
    panic!("{most} MB fit where there should be no room for them")
}

/// The log after a write has failed: it refuses, says why, and can be read.
fn check_refusing(log: &EmbeddedLog, taken: i64) {
    for _ in 0..3 {
        assert!(matches!(append(log, large()), Err(AppendError::Unavailable(_))), "still no room");
    }
    let health = log.health().unwrap_err();
    assert!(!health.contains('\n'), "{health}");
    assert_eq!(log.queued(), 0);
    assert_eq!(offsets(log, taken), (0..taken).collect::<Vec<_>>());
}

/// The log when there is room again: appends go on, and all that was answered is there, once, in order.
fn check_recovered(log: &EmbeddedLog, taken: i64) {
    let before = append(log, large()).expect("there is room again").0[&0] - 1;
    // The one block whose write failed may be there although nobody was promised it; nothing else.
    assert!((taken..=taken + 1).contains(&before), "{taken} appends were taken, and the log went on at {before}");
    log.health().unwrap();
    assert_eq!(offsets(log, before + 1), (0..=before).collect::<Vec<_>>());
}

fn offsets(log: &EmbeddedLog, count: i64) -> Vec<i64> {
    let entries = read(&mut *log.reader(&start()).unwrap(), count as usize);
    assert!(entries.iter().all(|entry| entry.record == large()[0]), "nothing half-written is ever seen");
    entries.into_iter().map(|entry| entry.offset).collect()
}

/// A small disk of its own; none where this process may not mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output().ok()?;
        mount.status.success().then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.path().display());
    }
}

#[test]
fn a_full_disk_refuses_events_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(256) else {
        // Only root may mount. The next test fails writes in another way, which everybody may.
        eprintln!("no disk can be mounted here; a limit on file sizes stands for it in the next test");
        return;
    };
    let log = EmbeddedLog::open(config(disk.0.path())).unwrap();
    // Another program takes all but what the log has set aside.
    let ballast = disk.0.path().join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[1; 1 << 16]).is_ok() {}
    drop(file);
    let (taken, reason) = append_until_refused(&log, 256);
    assert_eq!(reason, "the disk is full");
    check_refusing(&log, taken);
    fs::remove_file(&ballast).unwrap();
    check_recovered(&log, taken);
    let end = append(&log, Vec::new()).unwrap().0[&0];
    log.close();
    let log = EmbeddedLog::open(config(disk.0.path())).unwrap();
    assert_eq!(offsets(&log, end), (0..end).collect::<Vec<_>>());
}

#[test]
fn failed_writes_refuse_events_until_they_succeed() {
    let name = "log::embedded::tests::disk::failed_writes_refuse_events_until_they_succeed";
    let Some(dir) = std::env::var_os(CHILD) else {
        let dir = TempDir::new().unwrap();
        // No file may grow beyond some megabytes, and writing more is an error instead of the end.
        let limited = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -S -f 20000; exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, dir.path())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&limited.stdout), String::from_utf8_lossy(&limited.stderr));
        assert!(limited.status.success() && out.contains("1 passed"), "{out}\n{err}");
        return;
    };
    let log = EmbeddedLog::open(config(Path::new(&dir))).unwrap();
    let (taken, reason) = append_until_refused(&log, 100);
    assert!(taken > 2, "some megabytes fit");
    assert_eq!(reason, "the disk does not take it");
    check_refusing(&log, taken);
    let pid = std::process::id().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status().unwrap();
    assert!(lifted.success());
    check_recovered(&log, taken);
}

/// A process that appends numbers for ever and says which were answered.
fn appending_child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["log::embedded::tests::disk::what_was_answered_survives_kill_9", "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_answered_survives_kill_9() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let log = EmbeddedLog::open(config(Path::new(&dir))).unwrap();
        let mut next = append(&log, Vec::new()).unwrap().0[&0];
        let started = Instant::now();
        while started.elapsed() < LONG {
            next = append(&log, records(next..next + 3)).unwrap().0[&0];
            writeln!(std::io::stdout(), "answered {next}").unwrap();
        }
        return;
    }
    let dir = TempDir::new().unwrap();
    let mut answered = 0;
    for round in 1..=5 {
        let mut child = appending_child(dir.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Some rounds end right after the start, others in full flow.
        let mut numbers = lines.filter_map(|line| line.unwrap().strip_prefix("answered ")?.parse::<i64>().ok());
        answered = numbers.by_ref().take(round * 40).last().expect("the child answers");
        child.kill().unwrap();
        child.wait().unwrap();
        answered = numbers.last().unwrap_or(answered);
        let log = EmbeddedLog::open(config(dir.path())).unwrap();
        let end = append(&log, Vec::new()).unwrap().0[&0];
        assert!((answered..=answered + 3).contains(&end), "{answered} were answered, {end} are there");
        check_numbers(&log, &start(), 0..end);
    }
    assert!(answered > 1_500, "each round goes on where the last one ended");
}
