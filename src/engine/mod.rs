//! The engine: from the log to committed state, epoch by epoch, on threads of its own.
//!
//! ```text
//! logs ─► driver (process, facts) ─► workers (dataflow) ─► committer (one batch an epoch) ─► everybody else
//! ```

pub mod clock;
pub mod epoch;
pub mod recent;
mod touched;
pub mod statements;
pub mod intake;
pub mod worker;
mod inline;
pub mod backfill;
mod past;
mod gather;
pub mod redefine;
pub mod hydrate;
mod timers;
mod readers;
pub mod driver;
pub mod lookup;
pub mod explain;
pub mod identity_plan;
pub mod suggestions;
pub mod preview;
pub mod commit;
mod write;
mod fire;
mod mirror;
mod void;
pub mod tally;
mod reconcile;
pub mod derived;
pub mod status;
pub mod stepped;
mod priority;

pub use clock::{Clock, wall_clock};
pub use driver::{DriverOptions, EngineError, Source};
pub use intake::IntakeOptions;
pub use lookup::Profile;
pub use redefine::Progress;
pub use status::Committed;

use crate::activation::Messages;
use crate::definitions::Wanted;
use crate::store::{Meta, Store};
use crate::telemetry;
use commit::Committer;
use crossbeam_channel::{Receiver, bounded};
use driver::Driver;
use epoch::Work;
use preview::live::Happened;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{broadcast, watch};
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use worker::Dataflow;

/// Epochs that wait for those who watch them.
const EPOCHS_WAITING: usize = 64;

/// What an engine is made of.
pub struct EngineParts {
    /// The state.
    pub store: Arc<Store>,
    /// What is read; the first is the log that HTTP appends to.
    pub sources: Vec<Source>,
    /// From bytes to events.
    pub processor: Arc<Processor>,
    /// The definitions to start with.
    pub plan: Arc<Plan>,
    /// Definitions as they change.
    pub wanted: watch::Receiver<Arc<Wanted>>,
    /// Identity rules.
    pub rules: Arc<Rules>,
    /// Triggers and their templates.
    pub messages: Arc<Messages>,
    /// What time it is.
    pub clock: Clock,
    /// Timely worker threads.
    pub workers: usize,
    /// Bounds of an epoch.
    pub driver: DriverOptions,
    /// Bounds of memory.
    pub intake: IntakeOptions,
}

impl std::fmt::Debug for EngineParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EngineParts of {:?}", self.sources)
    }
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    committed: watch::Receiver<Committed>,
    progress: watch::Receiver<Option<Progress>>,
    happened: broadcast::Sender<Happened>,
    failed: watch::Receiver<Option<String>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the threads. Queries may be answered at once; [`Committed::hydrated`] tells when events move again.
    ///
    /// # Errors
    /// If the state cannot be read or threads cannot be started.
    pub fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let workers = worker::Workers::start(parts.workers, parts.plan.clone(), parts.rules.clone())?;
        let (driver, committer, works) = assemble(parts, workers, gather::beside)?;
        let Works { committed, progress, happened, incoming, stop } = works;
        let (failure, failed) = watch::channel(None);
        let threads = vec![
            spawn("driver", stop.clone(), failure.clone(), move || match driver.run() {
                // Whoever has stopped first says why.
                Ok(()) | Err(EngineError::Stopping) => Ok(()),
                Err(error) => Err(error.to_string()),
            })?,
            spawn("committer", stop.clone(), failure, move || {
                committer.run(&incoming).map_err(|error| error.to_string())
            })?,
        ];
        Ok(Self { committed, progress, happened, failed, stop, threads })
    }

    /// The last committed epoch, as it changes.
    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.clone()
    }

    /// How far it is with definitions that change; `None` while none do.
    pub fn progress(&self) -> watch::Receiver<Option<Progress>> {
        self.progress.clone()
    }

    /// Where to watch committed epochs; whoever is too slow misses some and is told so.
    pub fn happened(&self) -> broadcast::Sender<Happened> {
        self.happened.clone()
    }

    /// Why the engine has stopped by itself, once it has.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Closes and commits the last epoch, and waits for it. Blocks: call it off the async threads.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine ended in a panic");
            }
        }
    }
}

/// What driver and committer have in common with each other, and with everybody else.
struct Works {
    committed: watch::Receiver<Committed>,
    progress: watch::Receiver<Option<Progress>>,
    happened: broadcast::Sender<Happened>,
    /// From the driver to the committer.
    incoming: Receiver<Work>,
    stop: Arc<AtomicBool>,
}

/// Puts an engine together around a dataflow; nothing works yet.
fn assemble<D: Dataflow>(
    parts: EngineParts,
    dataflow: D,
    gather: gather::Gather,
) -> Result<(Driver<D>, Committer, Works), EngineError> {
    let EngineParts { store, sources, processor, plan, wanted, rules, messages, clock, workers, driver, intake } =
        parts;
    let mut meta = store.view().meta()?.unwrap_or_else(|| Meta { state_id: state_id(), ..Meta::default() });
    // Before anything is accepted: a log that is not this state's must not be appended to.
    let readers = readers::Readers::open(&sources, &meta.positions)?;
    meta.run += 1;
    store.write_meta(&meta)?;
    tracing::info!(run = meta.run, epoch = meta.epoch, "engine starts");

    telemetry::defined(&plan.program);
    telemetry::redefined(1.0);
    telemetry::state_health(true);
    let (status, committed) = watch::channel(Committed::new(&meta, None, false, plan.clone()));
    let (telling, progress) = watch::channel(None);
    let (happened, _) = broadcast::channel(EPOCHS_WAITING);
    let (work, incoming) = bounded(1);
    let stop = Arc::new(AtomicBool::new(false));
    let Some(first) = sources.first() else { return Err(EngineError::Stopping) };
    let committer = Committer {
        store: store.clone(),
        plan: plan.clone(),
        settled: plan.clone(),
        arrived: 0,
        rules: rules.clone(),
        messages,
        log: first.log.clone(),
        log_stream: first.stream.clone(),
        meta: meta.clone(),
        status,
        outputs: dataflow.outputs(),
        workers,
        batch_bytes: 0,
        happened: happened.clone(),
    };
    let redefining = redefine::Redefining {
        store: store.clone(),
        processor: processor.clone(),
        stop: stop.clone(),
        wanted,
        progress: telling,
        workers,
        stage: redefine::Stage::Settled,
        gather,
    };
    let driver = Driver {
        redefining,
        sources,
        processor,
        intake: intake::Intake::new(plan, rules.clone(), store.clone(), intake)?,
        dataflow,
        work,
        store,
        rules,
        clock,
        committed: committed.clone(),
        timers: timers::Timers::new(driver.epoch_timers),
        options: driver,
        names: Arc::new(meta.sources.clone()),
        stop: stop.clone(),
        meta,
        readers,
        positions: BTreeMap::new(),
        last: (0, 0),
        awaited: 0,
        held: Vec::new(),
    };
    Ok((driver, committer, Works { committed, progress, happened, incoming, stop }))
}

/// A random name for a new state.
fn state_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn spawn(
    name: &'static str,
    stop: Arc<AtomicBool>,
    failure: watch::Sender<Option<String>>,
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        priority::step_back();
        // A panic is a failure like any other: the process says so and ends, instead of standing still.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        let failed = match result {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some("panicked".to_owned()),
        };
        if let Some(reason) = failed {
            stop.store(true, Ordering::Relaxed);
            failure.send_if_modified(|first| {
                let is_first = first.is_none();
                if is_first {
                    *first = Some(format!("{name}: {reason}"));
                }
                is_first
            });
        }
    })
}
