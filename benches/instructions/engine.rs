//! The engine on one thread, its state in memory: nothing happens but what is to be counted.

use crate::support::events::{Events, user};
use crate::support::quiet_definitions;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::activation::Messages;
use tributary::config::{Loaded, Paths, Variables, load};
use tributary::definitions::Definer;
use tributary::engine::stepped::Stepped;
use tributary::engine::{DriverOptions, EngineParts, IntakeOptions, Profile, Source};
use tributary::store::{Store, StoreOptions};
use tributary_connectors::log::{AppendError, BoxFuture, Entry, Log, LogError, LogReader, Record};
use tributary_connectors::process::{Processor, Reason};
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_model::{Event, IdentifierId, Millis, Position};

/// When everything happens: a date of its own for each run would be another bench each time.
const NOW: Millis = 1_780_000_000_000;
const FOREVER: i64 = 1_000 * 86_400_000;

/// What definitions say, and events.
pub(crate) struct Shop {
    loaded: Loaded,
    processor: Arc<Processor>,
    events: Events,
}

impl Shop {
    pub(crate) fn with_events(count: usize) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |inside: &str| folder.path().join(inside);
        std::fs::create_dir(path("definitions")).unwrap();
        std::fs::write(path("definitions/bench.yaml"), quiet_definitions()).unwrap();
        std::fs::write(path("tributary.toml"), "").unwrap();
        let paths = Paths { config: Some(path("tributary.toml")), definitions: Some(path("definitions")) };
        let loaded = load(&paths, &Variables::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).loaded;
        let processor = Arc::new(Processor::new(&loaded.definitions.identity).unwrap());
        Self { loaded, processor, events: Events::generate(count, NOW) }
    }

    pub(crate) fn bodies(&self) -> impl Iterator<Item = bytes::Bytes> {
        self.events.all().iter().map(|body| body.clone().into())
    }

    pub(crate) fn process(&self, body: bytes::Bytes) -> Result<Event, Reason> {
        self.processor.process(&body, NOW, None, "")
    }
}

/// An engine that has taken in some events, and has others before it.
pub(crate) struct Ready {
    engine: Stepped,
    store: Arc<Store>,
    plan: Arc<Plan>,
    rules: Arc<Rules>,
}

impl Ready {
    /// The first events are committed, the next ones are in the log.
    pub(crate) fn after(first: usize, next: usize) -> Self {
        let shop = Shop::with_events(first + next);
        let options = StoreOptions {
            block_cache_bytes: 64 << 20,
            history_retention_ms: FOREVER,
            dedupe_horizon_ms: FOREVER,
            rejected_retention_ms: FOREVER,
        };
        let store = Arc::new(Store::simulated(&[], options, Arc::new(|_, _| Ok(()))).unwrap());
        let log = Shelf::default();
        let bodies: Vec<_> = shop.bodies().collect();
        let rules = Arc::new(Rules::new(&shop.loaded.definitions.identity));
        let messages = Arc::new(Messages::new(&shop.loaded.definitions).unwrap());
        let definer = Definer::start(store.clone(), shop.loaded, NOW).unwrap();
        let plan = definer.at_start();
        let mut engine = Stepped::start(EngineParts {
            store: store.clone(),
            sources: vec![Source { stream: "log".to_owned(), log: Arc::new(log.clone()) }],
            processor: shop.processor,
            plan: plan.clone(),
            wanted: definer.wanted(),
            rules: rules.clone(),
            messages,
            clock: Arc::new(|| NOW),
            workers: 1,
            driver: DriverOptions { epoch_records: 1_000, epoch_timers: 1_000 },
            intake: IntakeOptions { cache_entries: 500_000, dedupe_horizon_ms: FOREVER },
        })
        .unwrap();
        step(&mut engine);
        let (known, new) = bodies.split_at(first);
        for bodies in known.chunks(1_000) {
            log.put(bodies);
            step(&mut engine);
        }
        log.put(new);
        Self { engine, store, plan, rules }
    }

    /// One epoch, from the log to the state.
    pub(crate) fn epoch(&mut self) {
        let before = self.engine.committed().borrow().epoch;
        step(&mut self.engine);
        assert_eq!(self.engine.committed().borrow().epoch, before + 1, "an epoch is committed");
    }

    /// A customer, read as queries do.
    pub(crate) fn profile(&self, customer: usize) -> Profile {
        let view = self.store.view();
        let owner = view.owner(IdentifierId::of("user_id", &user(customer))).unwrap();
        let profile = Profile::read(&view, owner.expect("a customer who is known"), &self.plan, &self.rules).unwrap();
        assert!(!profile.identifiers.is_empty(), "{profile:?}");
        profile
    }
}

/// One step of the driver, and all that the committer has to do then.
fn step(engine: &mut Stepped) {
    engine.drive().unwrap();
    while engine.commit().unwrap() {}
}

/// A log in memory, of one partition.
#[derive(Clone, Debug, Default)]
struct Shelf(Arc<Mutex<Vec<bytes::Bytes>>>);

impl Shelf {
    fn put(&self, bodies: &[bytes::Bytes]) {
        self.0.lock().unwrap().extend_from_slice(bodies);
    }
}

impl Log for Shelf {
    fn append(&self, _records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async { Err(AppendError::Busy) })
    }

    fn reader(&self, _from: &Position) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(ShelfReader { shelf: self.clone(), next: 0, stream: "log".into() }))
    }

    fn committed(&self, _position: &Position) {}

    fn queued(&self) -> usize {
        0
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn close(&self) {}
}

struct ShelfReader {
    shelf: Shelf,
    next: usize,
    stream: Arc<str>,
}

impl LogReader for ShelfReader {
    fn poll(&mut self, max: usize, _timeout: Duration) -> Result<Vec<Entry>, LogError> {
        let bodies = self.shelf.0.lock().unwrap();
        let entry = |(place, body): (usize, &bytes::Bytes)| Entry {
            stream: self.stream.clone(),
            partition: 0,
            offset: place as i64,
            record: Record { source: "web".to_owned(), received_at: NOW, sent_at: None, body: body.clone(), key: None },
        };
        let entries: Vec<_> = bodies.iter().enumerate().skip(self.next).take(max).map(entry).collect();
        self.next += entries.len();
        Ok(entries)
    }

    fn lag(&self) -> Option<i64> {
        None
    }
}
