//! What the embedded log promises, on a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod disk;

use super::appender::now;
use super::database::key;
use super::*;
use crate::log::{Entry, POLL_BYTES};
use bytes::Bytes;
use rocksdb::{DB, WaitForCompactOptions};
use std::path::Path;
use tempfile::TempDir;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn record(body: impl Into<String>) -> Record {
    let body = Bytes::from(body.into());
    Record { source: "web".to_owned(), received_at: 1_000, sent_at: Some(990), body, key: None }
}

fn records(range: std::ops::Range<i64>) -> Vec<Record> {
    range.map(|number| record(number.to_string())).collect()
}

fn config(dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig { dir: dir.join("log"), ..EmbeddedConfig::default() }
}

fn append(log: &EmbeddedLog, records: Vec<Record>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, log.append(records)).await.expect("an answer in time") })
}

/// Appends the numbers of a range, all in one block.
fn block(log: &EmbeddedLog, range: std::ops::Range<i64>) {
    let end = range.end;
    assert_eq!(append(log, records(range)).unwrap(), Position::single(end));
}

/// Reads so many entries.
fn read(reader: &mut dyn LogReader, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while entries.len() < count {
        let more = reader.poll(count - entries.len(), LONG).unwrap();
        assert!(!more.is_empty(), "{} of {count} entries after {LONG:?}", entries.len());
        entries.extend(more);
    }
    entries
}

/// Checks that a reader from `from` gives the numbers of a range, each at the offset that it names.
#[track_caller]
fn check_numbers(log: &EmbeddedLog, from: &Position, range: std::ops::Range<i64>) {
    let mut reader = log.reader(from).unwrap();
    for (entry, number) in read(&mut *reader, (range.end - range.start) as usize).into_iter().zip(range) {
        assert_eq!((&*entry.stream, entry.partition, entry.offset), ("log", 0, number));
        assert_eq!(entry.record, record(number.to_string()));
    }
    assert_eq!(reader.poll(1, Duration::ZERO).unwrap(), [], "nothing comes after the end");
    assert_eq!(reader.lag(), Some(0));
}

fn start() -> Position {
    Position::default()
}

#[test]
fn what_is_appended_reads_back_in_order() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    block(&log, 0..3);
    block(&log, 3..4);
    check_numbers(&log, &start(), 0..4);
    assert_eq!(append(&log, Vec::new()).unwrap(), Position::single(4), "nothing is durable at once");
}

#[test]
fn a_reader_goes_on_from_any_offset_also_within_a_block() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    block(&log, 0..5);
    block(&log, 5..9);
    for from in 0..=9 {
        check_numbers(&log, &Position::single(from), from..9);
    }
}

#[test]
fn a_reader_takes_no_more_than_it_asks_for_and_knows_its_lag() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    block(&log, 0..10);
    let mut reader = log.reader(&start()).unwrap();
    assert_eq!(reader.lag(), Some(10));
    assert_eq!(reader.poll(0, LONG).unwrap(), []);
    assert_eq!(reader.poll(4, LONG).unwrap().len(), 4);
    assert_eq!(reader.lag(), Some(6));
    assert_eq!(reader.poll(100, LONG).unwrap().len(), 6);
}

#[test]
fn one_poll_is_bounded_by_bytes() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    let large = "x".repeat(1 << 20);
    for _ in 0..20 {
        append(&log, vec![record(large.clone())]).unwrap();
    }
    let mut reader = log.reader(&start()).unwrap();
    let polled = reader.poll(20, LONG).unwrap();
    assert_eq!(polled.len(), POLL_BYTES / large.len());
    assert_eq!(polled.len() + reader.poll(20, LONG).unwrap().len(), 20);
}

#[test]
fn a_waiting_reader_is_woken_by_an_append() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    let mut reader = log.reader(&start()).unwrap();
    let waiting = std::thread::spawn(move || reader.poll(10, LONG).map(|entries| entries.len()));
    block(&log, 0..2);
    assert_eq!(waiting.join().unwrap().unwrap(), 2);
}

#[test]
fn many_callers_share_blocks_and_each_learns_its_own_position() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    let (callers, appends) = (16, 50);
    let mut positions: Vec<(i64, String)> = std::thread::scope(|scope| {
        let caller = |caller: i32| {
            let log = &log;
            move || {
                let appended = |number| {
                    let body = format!("{caller}/{number}");
                    (append(log, vec![record(body.clone())]).unwrap().0[&0], body)
                };
                (0..appends).map(appended).collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..callers).map(|number| scope.spawn(caller(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    positions.sort();
    let entries = read(&mut *log.reader(&start()).unwrap(), positions.len());
    for (entry, (position, body)) in entries.iter().zip(&positions) {
        assert_eq!((entry.offset + 1, &entry.record.body[..]), (*position, body.as_bytes()));
    }
    assert_eq!(log.queued(), 0);
}

#[test]
fn appends_beyond_the_queue_are_refused_and_the_rest_is_written() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(EmbeddedConfig { queue_records: 10, ..config(dir.path()) }).unwrap();
    // While the database is held as for opening it again, nothing is written, and what comes has to wait.
    let held = log.shared.hold();
    let waiting = log.enqueue(records(0..10)).unwrap();
    assert_eq!(log.queued(), 10);
    assert_eq!(append(&log, records(10..11)), Err(AppendError::Busy));
    drop(held);
    assert_eq!(waiting.blocking_recv().unwrap(), Ok(Position::single(10)));
    block(&log, 10..11);
    check_numbers(&log, &start(), 0..11);
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let dir = TempDir::new().unwrap();
    for round in 0..3 {
        let log = EmbeddedLog::open(config(dir.path())).unwrap();
        block(&log, round * 4..round * 4 + 4);
        log.close();
        let again = EmbeddedLog::open(config(dir.path())).unwrap();
        check_numbers(&again, &start(), 0..round * 4 + 4);
    }
}

#[test]
fn a_closed_log_says_so_to_callers_and_readers() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    block(&log, 0..1);
    let mut reader = log.reader(&Position::single(1)).unwrap();
    let waiting = std::thread::spawn(move || reader.poll(1, LONG));
    log.close();
    assert!(matches!(waiting.join().unwrap(), Err(LogError::Closed)));
    let refused = append(&log, records(1..2)).unwrap_err().to_string();
    assert_eq!(refused, "the log cannot be written: the log is closed");
}

#[test]
fn a_log_is_opened_once() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    assert!(matches!(EmbeddedLog::open(config(dir.path())), Err(LogError::RocksDb(_))));
    drop(log);
}

#[test]
fn a_state_that_has_read_more_than_there_is_belongs_to_another_log() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    block(&log, 0..2);
    let Err(error) = log.reader(&Position::single(7)) else { panic!("nothing is at offset 7") };
    assert!(matches!(error, LogError::Shorter { end: 2, wanted: 7, .. }));
    assert!(!error.is_transient());
}

/// Ten blocks of ten records; the engine has committed what is below `committed`; an hour later retention has its turn.
#[track_caller]
fn check_retention(age: Duration, bytes: u64, committed: i64, kept_from: i64) {
    for in_files in [false, true] {
        let dir = TempDir::new().unwrap();
        let config = EmbeddedConfig { retention_age: age, retention_bytes: bytes, ..config(dir.path()) };
        let log = EmbeddedLog::open(config.clone()).unwrap();
        for number in 0..10 {
            block(&log, number * 10..number * 10 + 10);
            if in_files {
                log.shared.database().as_ref().unwrap().flush().unwrap();
            }
        }
        log.shared.database().as_ref().unwrap().wait_for_compact(&WaitForCompactOptions::default()).unwrap();
        log.committed(&Position::single(committed));
        log.shared.retain(now() + 60 * MINUTE.as_millis() as i64).unwrap();
        check_kept(&log, kept_from);
        log.close();
        let again = EmbeddedLog::open(config).unwrap();
        check_kept(&again, kept_from);
        block(&again, 100..101);
    }
}

#[track_caller]
fn check_kept(log: &EmbeddedLog, from: i64) {
    check_numbers(log, &start(), from..100);
    if from > 0 {
        let Err(error) = log.reader(&Position::single(from - 1)) else { panic!("that is deleted") };
        assert!(matches!(error, LogError::Truncated { earliest, .. } if earliest == from), "{error}");
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn old_blocks_go_when_they_are_committed_but_never_the_last() {
    for (committed, kept_from) in [(0, 0), (9, 0), (45, 40), (50, 50), (100, 90), (1_000, 90)] {
        check_retention(30 * MINUTE, u64::MAX, committed, kept_from);
    }
}

#[test]
fn young_blocks_stay_while_the_log_is_small() {
    check_retention(90 * MINUTE, u64::MAX, 100, 0);
}

#[test]
fn a_log_that_is_too_large_loses_its_oldest_committed_blocks() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    (0..6).for_each(|ten| block(&log, ten * 10..ten * 10 + 10));
    let before = lock(&log.shared.tail).bytes;
    (6..10).for_each(|ten| block(&log, ten * 10..ten * 10 + 10));
    let last_four = lock(&log.shared.tail).bytes - before;
    check_retention(90 * MINUTE, last_four, 100, 60);
    check_retention(90 * MINUTE, last_four, 30, 30);
    check_retention(90 * MINUTE, last_four - 1, 100, 70);
    check_retention(90 * MINUTE, 0, 100, 90);
}

#[test]
fn retention_takes_its_turn_between_appends() {
    let dir = TempDir::new().unwrap();
    let often = EmbeddedConfig { retention_every: Duration::ZERO, retention_bytes: 0, ..config(dir.path()) };
    let log = EmbeddedLog::open(often).unwrap();
    block(&log, 0..10);
    log.committed(&Position::single(10));
    block(&log, 10..20);
    log.close();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    check_numbers(&log, &start(), 10..20);
}

#[test]
fn deleting_gives_the_disk_its_room_back() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(EmbeddedConfig { retention_bytes: 0, ..config(dir.path()) }).unwrap();
    // Noise, which cannot be compressed.
    let mut noise = 1u64;
    let mut byte = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (noise >> 56) as u8
    };
    let body = Bytes::from((0..1 << 20).map(|_| byte()).collect::<Vec<u8>>());
    for _ in 0..200 {
        append(&log, vec![Record { body: body.clone(), ..record("") }]).unwrap();
    }
    log.committed(&Position::single(200));
    log.shared.database().as_ref().unwrap().wait_for_compact(&WaitForCompactOptions::default()).unwrap();
    let before = disk::used(&dir.path().join("log"));
    log.shared.retain(now()).unwrap();
    let after = disk::used(&dir.path().join("log"));
    // What is not in a file of its own yet goes with later files.
    assert!(before > 200 << 20 && after < 80 << 20, "{before} bytes, then {after}");
    assert_eq!(read(&mut *log.reader(&start()).unwrap(), 1)[0].offset, 199);
}

#[test]
fn a_block_of_another_version_is_an_error_and_stops_the_reader() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    block(&log, 0..2);
    block(&log, 2..4);
    block(&log, 4..6);
    drop(log);
    let database = DB::open_default(dir.path().join("log")).unwrap();
    let mut other = database.get(key(2)).unwrap().unwrap();
    other[0] = 200;
    database.put(key(2), other).unwrap();
    drop(database);
    let log = EmbeddedLog::open(config(dir.path())).unwrap();
    let mut reader = log.reader(&start()).unwrap();
    let mut bodies = Vec::new();
    let error = loop {
        match reader.poll(100, LONG) {
            Ok(entries) => bodies.extend(entries.into_iter().map(|entry| entry.offset)),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Block { offset: 2, .. }), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_last_block_of_another_version_keeps_the_log_shut() {
    let dir = TempDir::new().unwrap();
    drop(EmbeddedLog::open(config(dir.path())).unwrap());
    let database = DB::open_default(dir.path().join("log")).unwrap();
    database.put(key(0), [200]).unwrap();
    drop(database);
    let Err(error) = EmbeddedLog::open(config(dir.path())) else { panic!("nobody knows what that block means") };
    assert!(error.to_string().ends_with("it has version 200, this program reads version 2"), "{error}");
}
