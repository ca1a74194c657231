//! One seed: events, faults and the order of all steps.

use super::disk::Disk;
use super::judge::{EXTRA, read_to};
use super::log::SimLog;
use super::receivers::{SimTopic, SimWebhook, Trouble};
use super::shop::shop;
use crate::support::compare;
use crate::support::oracle;
use crate::support::traffic::Traffic;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tributary::activation::outbox::StoreOutbox;
use tributary::config::Loaded;
use tributary::definitions::Definer;
use tributary::engine::stepped::Stepped;
use tributary::engine::{DriverOptions, EngineParts, IntakeOptions, Source};
use tributary::store::Store;
use tributary_connectors::destination::{Carrier, NullObserver};
use tributary_model::Millis;

/// Who breaks the word that the engine relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    None,
    /// The disk says that it has synced, and has not.
    DiskForgets,
    /// The log says that it has events, and loses them with its process.
    LogForgets,
    /// The log hears that an epoch is committed before it is: as a probe before the writer would have it.
    CommitsPositionsFirst,
    /// A transaction commits its messages, and not how far they go.
    TopicForgetsProgress,
    /// Messages leave the outbox before they are sent.
    OutboxSettlesFirst,
}

/// Steps within which everything must have drained once faults have ended.
const DRAINED_WITHIN: usize = 3_000;
const HOUR: Millis = 3_600_000;
/// When the simulated world begins.
pub(super) const BEGIN: Millis = 1_780_000_000_000;

/// What runs until it is killed.
pub(super) struct Process {
    pub(super) store: Arc<Store>,
    pub(super) definer: Definer,
    pub(super) engine: Stepped,
    outbox: Arc<StoreOutbox>,
    next_at_start: u64,
    /// Whether the topic's progress is settled since the last trouble.
    is_settled: bool,
}

/// A world as its seed has it.
pub(super) struct World {
    pub(super) rng: StdRng,
    pub(super) sabotage: Sabotage,
    clock: Arc<AtomicI64>,
    pub(super) disk: Disk,
    pub(super) log: SimLog,
    topic: SimTopic,
    webhook: SimWebhook,
    pub(super) waiting: VecDeque<Vec<Value>>,
    /// What clients were told that it is stored.
    accepted: Vec<Value>,
    pub(super) extra: [bool; EXTRA.len()],
    pub(super) process: Option<Process>,
    /// What was done, for whoever looks at a failure, and to see that a seed does the same again.
    pub(super) steps: Vec<String>,
}

/// Plays a seed to its end.
///
/// # Errors
/// The first difference from what must be, with the last steps before it.
pub(super) fn run(seed: u64, sabotage: Sabotage) -> Result<World, String> {
    let mut world = World::new(seed, sabotage);
    match world.play() {
        Ok(()) => {
            world.end();
            Ok(world)
        }
        Err(why) => {
            let from = world.steps.len().saturating_sub(60);
            Err(format!("seed {seed}: {why}\nthe last steps: {}", world.steps[from..].join(", ")))
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut traffic = Traffic::new(seed, rng.random_range(4..16), BEGIN);
        let prelude = traffic.prelude();
        let mut events = traffic.take(rng.random_range(40..160));
        let mut waiting = VecDeque::from([prelude]);
        while !events.is_empty() {
            let rest = events.split_off(rng.random_range(1..=20).min(events.len()));
            waiting.push_back(std::mem::replace(&mut events, rest));
        }
        let mut webhook = SimWebhook::new();
        webhook.settles_first = sabotage == Sabotage::OutboxSettlesFirst;
        let mut topic = SimTopic::new(rng.random());
        topic.forgets_progress = sabotage == Sabotage::TopicForgetsProgress;
        Self {
            sabotage,
            clock: Arc::new(AtomicI64::new(BEGIN)),
            disk: Disk { forgets: sabotage == Sabotage::DiskForgets, ..Disk::default() },
            log: SimLog::new(rng.random()),
            topic,
            webhook,
            waiting,
            accepted: Vec::new(),
            extra: [false; EXTRA.len()],
            process: None,
            steps: Vec::new(),
            rng,
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn note(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    fn play(&mut self) -> Result<(), String> {
        self.drain_prelude()?;
        let most = 40 * (self.waiting.len() + 10);
        for _ in 0..most {
            if self.waiting.is_empty() {
                break;
            }
            self.step()?;
        }
        self.note("faults end");
        self.disk.fail(0);
        self.log.mend();
        (self.topic.troubled, self.webhook.troubled) = (false, false);
        self.send_all();
        self.drain("all of it")?;
        self.judge()?;
        let events = self.log.events(self.log.end());
        let there: BTreeSet<&str> = events.iter().map(|event| event["messageId"].as_str().unwrap()).collect();
        if let Some(lost) = self.accepted.iter().find(|event| !there.contains(event["messageId"].as_str().unwrap())) {
            return Err(format!("{lost} was accepted and is lost"));
        }
        let fired = oracle::fired(&events, self.now());
        compare::messages(&self.topic.messages(), &fired).map_err(|why| format!("topic: {why}"))?;
        compare::messages(&self.webhook.messages()?, &fired).map_err(|why| format!("webhook: {why}"))
    }

    /// What makes kiosks known as shared is committed before anything fires.
    pub(super) fn drain_prelude(&mut self) -> Result<(), String> {
        self.start()?;
        let prelude = self.waiting.pop_front().unwrap();
        self.log.put(self.now(), &prelude);
        self.drain("the prelude")
    }

    /// Does one thing.
    fn step(&mut self) -> Result<(), String> {
        if self.process.is_none() {
            return self.start();
        }
        match self.rng.random_range(0..1000) {
            0..200 => self.send(),
            200..500 => self.drive()?,
            500..800 => self.commit()?,
            800..870 => self.carry(),
            870..925 => self.deliver(),
            925..940 => self.turn_clock(),
            940..955 => self.redefine(),
            955..965 => self.waver()?,
            965..975 => {
                let writes = self.rng.random_range(1..4);
                self.note(format!("{writes} writes fail"));
                self.disk.fail(writes);
            }
            975..985 => self.disk.lose_power_after(self.rng.random_range(0..6)),
            985..992 => self.kill(false),
            _ => self.kill(true),
        }
        if !self.disk.has_power() {
            self.kill(true);
        }
        Ok(())
    }

    /// Clients send all that they have left.
    pub(super) fn send_all(&mut self) {
        for batch in std::mem::take(&mut self.waiting) {
            self.log.put(self.now(), &batch);
        }
    }

    /// A client sends its next events, and again if no answer comes.
    fn send(&mut self) {
        let Some(batch) = self.waiting.pop_front() else { return };
        let fate = self.rng.random_range(0..10);
        self.note(format!("send {} {fate}", batch.len()));
        if fate > 0 {
            self.log.put(self.now(), &batch);
        }
        if fate < 2 {
            self.waiting.push_front(batch);
        } else {
            self.accepted.extend(batch);
        }
    }

    pub(super) fn start(&mut self) -> Result<(), String> {
        self.note("start");
        let shop = shop();
        let store = self.disk.open();
        let loaded = Loaded { definitions: shop.definitions.clone(), program: shop.program.clone() };
        let definer = Definer::start(store.clone(), loaded, self.now()).map_err(|error| error.to_string())?;
        self.check_start(&store, &definer)?;
        let clock = self.clock.clone();
        let next_at_start = store.view().meta().map_err(|error| error.to_string())?.unwrap_or_default().next_message;
        let engine = Stepped::start(EngineParts {
            store: store.clone(),
            sources: vec![Source { stream: "log".to_owned(), log: Arc::new(self.log.clone()) }],
            processor: shop.processor.clone(),
            plan: definer.at_start(),
            wanted: definer.wanted(),
            rules: shop.rules.clone(),
            messages: shop.messages.clone(),
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
            workers: 1,
            driver: DriverOptions { epoch_records: 1_000, epoch_timers: 5 },
            intake: IntakeOptions { cache_entries: self.rng.random_range(2..200), dedupe_horizon_ms: 1_000 * HOUR },
        });
        let engine = engine.map_err(|error| error.to_string())?;
        let outbox = Arc::new(StoreOutbox::new(store.clone(), Arc::default()));
        self.process = Some(Process { store, definer, engine, outbox, next_at_start, is_settled: false });
        Ok(())
    }

    pub(super) fn drive(&mut self) -> Result<(), String> {
        let Some(process) = self.process.as_mut().filter(|process| process.engine.has_room()) else { return Ok(()) };
        match process.engine.drive() {
            Ok(step) => self.note(format!("drive {step:?}")),
            // A disk that fails ends the process, which somebody starts again.
            Err(error) => self.fail(&error.to_string())?,
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), String> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        match process.engine.commit() {
            Ok(did) => self.note(format!("commit {did}")),
            Err(error) => self.fail(&error.to_string())?,
        }
        if self.sabotage == Sabotage::CommitsPositionsFirst {
            tributary_connectors::log::Log::committed(
                &self.log,
                &tributary_model::Position::single(self.log.end() as i64),
            );
        }
        Ok(())
    }

    /// The engine has ended by itself: only what the disk did is a reason.
    fn fail(&mut self, error: &str) -> Result<(), String> {
        let is_disk = error.contains("no storage space") || error.contains("the power is gone");
        self.kill(false);
        if is_disk { Ok(()) } else { Err(format!("the engine ended: {error}")) }
    }

    fn carry(&mut self) {
        let Some(process) = self.process.as_mut() else { return };
        let mut carrier = Carrier::new("out", &*process.outbox, process.next_at_start, &NullObserver, || BEGIN);
        let carried = match process.is_settled {
            false => carrier.settle(&self.topic).map(|()| 0),
            true => carrier.carry(&self.topic),
        };
        process.is_settled = carried.is_ok();
        self.note(format!("carry {:?}", carried.map_err(|Trouble| "trouble")));
    }

    fn deliver(&mut self) {
        let Some(process) = self.process.as_mut() else { return };
        let did = self.webhook.deliver(&process.outbox, &mut self.rng);
        self.note(format!("deliver {did}"));
    }

    /// Mostly onwards; now and then an hour on or back.
    fn turn_clock(&mut self) {
        let by = match self.rng.random_range(0..10) {
            0 => HOUR,
            1 => -HOUR,
            _ => self.rng.random_range(1..60_000),
        };
        self.clock.fetch_add(by, Ordering::Relaxed);
        self.note(format!("clock {by}"));
    }

    pub(super) fn kill(&mut self, power_cut: bool) {
        let Some(process) = self.process.take() else { return };
        self.note(if power_cut { "power cut" } else { "kill" });
        process.engine.end();
        self.disk.restart(&mut self.rng, power_cut);
        if self.sabotage == Sabotage::LogForgets {
            self.log.forget(5);
        }
    }

    /// Goes on without new events until nothing is left to do.
    fn drain(&mut self, what: &str) -> Result<(), String> {
        for _ in 0..DRAINED_WITHIN {
            if self.process.is_none() {
                self.start()?;
            }
            self.drive()?;
            self.commit()?;
            self.carry();
            self.deliver();
            if !self.disk.has_power() {
                self.kill(true);
            }
            if self.is_idle()? {
                return Ok(());
            }
        }
        Err(format!("{what} does not come to an end"))
    }

    fn is_idle(&self) -> Result<bool, String> {
        let Some(process) = &self.process else { return Ok(false) };
        let view = process.store.view();
        let failed = |error: tributary::store::StoreError| error.to_string();
        let meta = view.meta().map_err(failed)?.unwrap_or_default();
        let waits = |destination: &str| {
            view.messages_to(tributary::store::outbox::TABLE, destination, None, 1).map(|waiting| !waiting.is_empty())
        };
        let is_settled = process.definer.wanted().borrow().version <= process.engine.committed().borrow().plan.version;
        Ok(read_to(&meta) == self.log.end()
            && process.engine.committed().borrow().hydrated
            && process.engine.committed().borrow().trouble.is_none()
            && is_settled
            && !process.engine.is_redefining()
            && !waits("out").map_err(failed)?
            && !waits("hook").map_err(failed)?)
    }
}
