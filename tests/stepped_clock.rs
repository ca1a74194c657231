//! The engine under a clock that a test steps: days that begin and end when a zone says so, and many customers due at once.

use crate::support::runtime;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tributary::activation::Messages;
use tributary::config::{Paths, Variables, load};
use tributary::definitions::Definer;
use tributary::engine::{Committed, DriverOptions, Engine, EngineParts, IntakeOptions, Source};
use tributary::store::{Store, StoreOptions};
use tributary_connectors::log::{EmbeddedConfig, EmbeddedLog, Log, Record};
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;
use tributary_model::Millis;

/// Long enough for any epoch on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const HOUR: i64 = 3_600_000;

/// An engine on a folder of its own.
struct Stepped {
    clock: Arc<AtomicI64>,
    log: Arc<dyn Log>,
    engine: Option<Engine>,
    committed: watch::Receiver<Committed>,
    _folder: TempDir,
}

fn millis(text: &str) -> Millis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

impl Stepped {
    fn start(definitions: &str, now: &str, epoch_timers: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |inside: &str| folder.path().join(inside);
        fs::create_dir(path("definitions")).unwrap();
        fs::write(path("definitions/test.yaml"), definitions).unwrap();
        fs::write(path("tributary.toml"), "").unwrap();
        let paths = Paths { config: Some(path("tributary.toml")), definitions: Some(path("definitions")) };
        let configuration = load(&paths, &Variables::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let definitions = configuration.loaded.definitions.clone();
        let year = 366 * 24 * HOUR;
        let options = StoreOptions {
            block_cache_bytes: 8 << 20,
            history_retention_ms: 10 * year,
            dedupe_horizon_ms: year,
            rejected_retention_ms: year,
        };
        let store = Arc::new(Store::open(&path("state"), options).unwrap());
        let config = EmbeddedConfig { dir: path("log"), ..EmbeddedConfig::default() };
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(config).unwrap());
        let clock = Arc::new(AtomicI64::new(millis(now)));
        let definer = Definer::start(store.clone(), configuration.loaded, millis(now)).unwrap();
        let told = clock.clone();
        let engine = Engine::start(EngineParts {
            store,
            sources: vec![Source { stream: "log".to_owned(), log: log.clone() }],
            processor: Arc::new(Processor::new(&definitions.identity).unwrap()),
            plan: definer.at_start(),
            wanted: definer.wanted(),
            rules: Arc::new(Rules::new(&definitions.identity)),
            messages: Arc::new(Messages::new(&definitions).unwrap()),
            clock: Arc::new(move || told.load(Ordering::Relaxed)),
            workers: 2,
            driver: DriverOptions { epoch_records: 10_000, epoch_timers },
            intake: IntakeOptions { cache_entries: 100_000, dedupe_horizon_ms: year },
        })
        .unwrap();
        let committed = engine.committed();
        Self { clock, log, engine: Some(engine), committed, _folder: folder }
    }

    /// Appends events that are received now; gives the first commit that covers them.
    fn send(&mut self, events: &[Value]) -> Committed {
        let received_at = self.clock.load(Ordering::Relaxed);
        let record = |event: &Value| Record {
            source: "test".to_owned(),
            received_at,
            sent_at: None,
            body: event.to_string().into_bytes().into(),
            key: None,
        };
        let position = runtime().block_on(self.log.append(events.iter().map(record).collect())).unwrap();
        self.once("the events are committed", |committed| committed.covers("log", &position))
    }

    fn once(&mut self, what: &str, is: impl FnMut(&Committed) -> bool) -> Committed {
        let found = runtime().block_on(async { tokio::time::timeout(SOON, self.committed.wait_for(is)).await });
        found.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}")).unwrap().clone()
    }

    /// Steps the clock to a time, at which the counts must become these.
    #[track_caller]
    fn at(&mut self, now: &str, expected: &[(&str, i64)]) {
        let now = millis(now);
        self.clock.store(now, Ordering::Relaxed);
        let is = |committed: &Committed| {
            let count = |segment: &str| committed.counts.get(segment).copied().unwrap_or(0);
            expected.iter().all(|(segment, expected)| count(segment) == *expected)
        };
        self.once(&format!("{expected:?} at {now}"), is);
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        self.engine.take().into_iter().for_each(Engine::stop);
        self.log.close();
    }
}

fn seen(user: usize) -> Value {
    json!({ "type": "track", "event": "Seen", "userId": format!("u{user}") })
}

#[test]
fn days_and_years_end_where_the_zone_says() {
    let within = |unit: &str, zone: &str| {
        format!("{{ where: \"count(*) FILTER (WHERE timestamp >= date_trunc('{unit}', now(), '{zone}')) > 0\" }}")
    };
    let definitions = format!(
        "segments:\n  auckland: {}\n  berlin: {}\n  new_york: {}\n  day: {}\n",
        within("year", "Pacific/Auckland"),
        within("year", "Europe/Berlin"),
        within("year", "America/New_York"),
        within("day", "Europe/Berlin"),
    );
    let mut engine = Stepped::start(&definitions, "2026-12-30T20:00:00Z", 10_000);
    engine.send(&[seen(1)]);
    let at = |auckland, berlin, new_york, day| {
        [("auckland", auckland), ("berlin", berlin), ("new_york", new_york), ("day", day)]
    };
    engine.at("2026-12-30T22:59:59.999Z", &at(1, 1, 1, 1));
    engine.at("2026-12-30T23:00:00Z", &at(1, 1, 1, 0));
    engine.at("2026-12-31T10:59:59.999Z", &at(1, 1, 1, 0));
    engine.at("2026-12-31T11:00:00Z", &at(0, 1, 1, 0));
    engine.at("2026-12-31T23:00:00Z", &at(0, 0, 1, 0));
    engine.at("2027-01-01T05:00:00Z", &at(0, 0, 0, 0));
    // The day on which clocks go forward has 23 hours, the one on which they go back 25.
    engine.at("2027-03-28T06:00:00Z", &at(0, 0, 0, 0));
    engine.send(&[seen(2)]);
    engine.at("2027-03-28T21:59:59.999Z", &at(1, 1, 1, 1));
    engine.at("2027-03-28T22:00:00Z", &at(1, 1, 1, 0));
    engine.at("2027-10-31T00:30:00Z", &at(1, 1, 1, 0));
    engine.send(&[seen(3)]);
    engine.at("2027-10-31T22:59:59.999Z", &at(2, 2, 2, 1));
    engine.at("2027-10-31T23:00:00Z", &at(2, 2, 2, 0));
    // A clock that is set back does not bring yesterday back.
    engine.clock.store(millis("2027-10-31T12:00:00Z"), Ordering::Relaxed);
    let committed = engine.send(&[seen(4)]);
    assert!(committed.clock >= millis("2027-10-31T23:00:00Z"));
    assert_eq!(committed.counts.get("day"), Some(&0), "what is said to have been done yesterday was done yesterday");
}

#[test]
fn many_who_are_due_at_once_hold_nobody_up() {
    const MANY: usize = 30_000;
    let definitions = "segments:\n  due: { where: \"traits.renews_at::timestamp <= now()\" }\n  seen: { where: \"count(*) FILTER (WHERE event = 'Seen') > 0\" }\n";
    let mut engine = Stepped::start(definitions, "2026-12-31T22:00:00Z", 500);
    let renews = |user| json!({ "type": "identify", "userId": format!("u{user}"), "traits": { "renews_at": "2027-01-01T00:00:00Z" } });
    let customers: Vec<Value> = (0..MANY).map(renews).collect();
    for some in customers.chunks(10_000) {
        engine.send(some);
    }
    let pending = engine.committed.borrow().epoch;
    engine.at("2026-12-31T23:59:59.999Z", &[("due", 0)]);
    let committed = engine.send(&[seen(1)]);
    assert_eq!(committed.epoch, pending + 1, "what is pending makes no epochs");
    // At midnight all are due, of whom five hundred fit into an epoch; somebody does something in the meantime.
    engine.clock.store(millis("2027-01-01T00:00:00Z"), Ordering::Relaxed);
    let committed = engine.send(&[seen(2)]);
    assert_eq!(committed.counts.get("seen"), Some(&2));
    let so_far = committed.counts.get("due").copied().unwrap_or(0);
    assert!(so_far < MANY as i64, "who does something waits for all {so_far} who are due");
    let through = engine.once("all are due", |committed| committed.counts.get("due") == Some(&(MANY as i64)));
    assert!(through.epoch - pending >= (MANY / 500) as u64, "they are spread");
    assert_eq!(through.clock, millis("2027-01-01T00:00:00Z"));
}

/// Timers that are set by epochs under way, for times that later epochs have passed already, are answered all the same.
#[test]
fn who_is_due_while_it_is_noted_is_not_forgotten() {
    let definitions = "segments:\n  fresh: { where: \"max(timestamp) > now() - INTERVAL '1 hour'\" }\n  window: { where: \"count(*) FILTER (WHERE timestamp > now() - INTERVAL '1 hour') > 0\" }\n";
    let mut engine = Stepped::start(definitions, "2026-06-01T12:00:00Z", 100);
    let mut appended = Vec::new();
    for round in 0..400 {
        let now = engine.clock.fetch_add(1, Ordering::Relaxed);
        let record = |user: i64| {
            // In the segment for some milliseconds more.
            let at = tributary_model::format_millis(now - HOUR + 1 + (user * 7 + round) % 20);
            let event =
                json!({ "type": "track", "event": "Seen", "userId": format!("u{round}-{user}"), "timestamp": at });
            Record {
                source: "test".to_owned(),
                received_at: now,
                sent_at: None,
                body: event.to_string().into_bytes().into(),
                key: None,
            }
        };
        let log = engine.log.clone();
        let records: Vec<Record> = (0..20).map(record).collect();
        appended.push(runtime().spawn(async move { log.append(records).await }));
        if round % 4 == 0 {
            // Epochs are to be under way, not one large one.
            let last = appended.pop().unwrap();
            runtime().block_on(last).unwrap().unwrap();
        }
    }
    for append in appended {
        runtime().block_on(append).unwrap().unwrap();
    }
    let last = engine.send(&[json!({ "type": "track", "event": "Seen", "userId": "last" })]);
    let over = tributary_model::format_millis(last.clock + 2 * HOUR);
    engine.at(&over, &[("fresh", 0), ("window", 0)]);
    let wake = engine.committed.borrow().next_wake;
    assert_eq!(wake, None, "nobody is due any more");
}
