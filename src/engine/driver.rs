//! Closes epochs: reads what the logs have, makes base facts of it, and hands it to the dataflow and the committer.
//!
//! An epoch is closed as soon as the one before the last has been committed, so epochs grow with the load and shrink to
//! single events when there is little: one is being prepared while another is computed and a third is written.

use super::backfill::backfill;
use super::clock::Clock;
use super::epoch::{Arrived, Prepared, Work};
use super::hydrate::{HydrateError, hydrate};
use super::intake::Intake;
use super::readers::Readers;
use super::redefine::{RedefineError, Redefining, Turn};
use super::statements::MadeAt;
use super::status::Committed;
use super::timers::{Due, Timers};
use super::worker::{Dataflow, WorkerError};
use crate::store::{Meta, Rejected, Store, StoreError};
use crate::telemetry;
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tributary_connectors::crash::{self, Place};
use tributary_connectors::log::{Entry, Log, LogError};
use tributary_connectors::process::{Processor, STATEMENTS, Statement};
use tributary_dataflows::identity::Rules;
use tributary_model::{Epoch, MessageId, Millis, Position};

/// The longest that the driver waits before it looks whether it is to stop.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// The longest while definitions change: their next piece comes from elsewhere.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// How often it looks whether an epoch that it waits for is committed.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// Why the engine has stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dataflow has stopped.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The dataflow could not be re-fed.
    #[error(transparent)]
    Hydrate(#[from] HydrateError),
    /// Definitions cannot be taken over.
    #[error(transparent)]
    Redefine(#[from] RedefineError),
    /// A log cannot be read on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// Another thread of the engine has stopped, and says why itself.
    #[error("the engine is stopping")]
    Stopping,
}

/// A stream of events and how it is called in the stored positions.
pub struct Source {
    /// The stream's name.
    pub stream: String,
    /// What is read.
    pub log: Arc<dyn Log>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source {}", self.stream)
    }
}

/// Bounds of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct DriverOptions {
    /// Log records in one epoch.
    pub epoch_records: usize,
    /// Due timers in one epoch; with more due, the epoch's clock stands still at the last one that fits.
    pub epoch_timers: usize,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An epoch was closed, or there was nothing to close one for.
    Done,
    /// The next step is worth it only after so long.
    Waits(Duration),
}

/// What closes epochs.
pub struct Driver<D> {
    /// The streams to read.
    pub sources: Vec<Source>,
    /// From bytes to events.
    pub processor: Arc<Processor>,
    /// From events to facts.
    pub intake: Intake,
    /// The dataflow.
    pub dataflow: D,
    /// Towards the committer.
    pub work: Sender<Work>,
    /// The state.
    pub store: Arc<Store>,
    /// Identity rules.
    pub rules: Arc<Rules>,
    /// What time it is.
    pub clock: Clock,
    /// What has been committed.
    pub committed: watch::Receiver<Committed>,
    /// Bounds.
    pub options: DriverOptions,
    /// The names of all sources so far.
    pub names: Arc<Vec<String>>,
    /// Set when the process is to end.
    pub stop: Arc<AtomicBool>,
    /// Where the state stood at the start.
    pub meta: Meta,
    /// Takes over definitions that change.
    pub(super) redefining: Redefining,
    /// How far each source is read.
    pub(super) readers: Readers,
    /// What the last closed epoch covers.
    pub(super) positions: BTreeMap<String, Position>,
    pub(super) timers: Timers,
    /// The last closed epoch and its clock.
    pub(super) last: (Epoch, Millis),
    /// No epoch is closed before this one is committed.
    pub(super) awaited: Epoch,
    /// What was read, and waits for that.
    pub(super) held: Vec<(usize, Entry)>,
}

impl<D> std::fmt::Debug for Driver<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Driver of {:?}", self.sources)
    }
}

impl<D: Dataflow> Driver<D> {
    /// Works until it is told to stop; then closes the last epoch and ends the workers.
    ///
    /// # Errors
    /// If it cannot go on; the message says why.
    pub fn run(mut self) -> Result<(), EngineError> {
        let result = self.work_on();
        self.end();
        result
    }

    fn work_on(&mut self) -> Result<(), EngineError> {
        self.begin()?;
        while !self.stop.load(Ordering::Relaxed) {
            if let Step::Waits(long) = self.step()? {
                std::thread::sleep(long);
            }
        }
        Ok(())
    }

    /// Ends the dataflow. The committer ends when its channel is closed, after what was sent before.
    pub(super) fn end(self) {
        drop(self.work);
        self.dataflow.stop();
    }

    /// Has the dataflow fed anew, and finds where each source is to be read on.
    pub(super) fn begin(&mut self) -> Result<(), EngineError> {
        let started = Instant::now();
        let now = (self.clock)().max(self.meta.clock);
        let plan = self.intake.plan.clone();
        backfill(&self.store, &plan, &self.processor, &mut self.meta, now)?;
        let identifiers = hydrate(&self.store, &self.processor, &plan, &self.rules, &self.dataflow, self.meta.clock)?;
        crash::at(Place::Fed);
        self.hand_on(Work::Hydrated { now, aggregates: self.meta.aggregates.clone() })?;
        tracing::info!(identifiers, took_ms = started.elapsed().as_millis() as u64, "the dataflow is up to date");
        self.positions.clone_from(&self.meta.positions);
        self.last = (self.meta.epoch, self.meta.clock);
        Ok(())
    }

    /// Closes an epoch if there is anything for one. Blocks while two are under way.
    pub(super) fn step(&mut self) -> Result<Step, EngineError> {
        if self.committed.borrow().epoch < self.awaited {
            // As long as the committer may try, which ends by itself.
            return match self.committed.has_changed() {
                Ok(_) => Ok(Step::Waits(LOOK_AGAIN)),
                Err(_) => Err(EngineError::Stopping),
            };
        }
        let waiting = self.store.next_waiting();
        let next_timer = self.timers.next(self.committed.borrow().next_wake).into_iter().chain(waiting).min();
        let mut entries = std::mem::take(&mut self.held);
        let mut step = Step::Done;
        if entries.is_empty() {
            (entries, step) = self.read(next_timer)?;
        }
        let (epoch, now) = (self.last.0 + 1, (self.clock)().max(self.last.1));
        // Statements are few, and look at more than what was touched lately: they find the store up to date.
        let states = entries.iter().any(|(source, entry)| is_statement(*source, entry));
        let (committed, next_wake, profiles, settled) = {
            let committed = self.committed.borrow();
            (committed.epoch, committed.next_wake, committed.profiles, committed.plan.version)
        };
        let next_step = self.redefining.next_step(settled);
        if (states || next_step.is_some()) && committed < self.last.0 {
            (self.held, self.awaited) = (entries, self.last.0);
            return Ok(step);
        }
        let turn = self.redefining.turn(next_step, &mut self.intake, profiles)?;
        let (due, now) = self.timers.due(&self.store, now, self.last.1, (committed, next_wake), epoch)?;
        // Messages that wait come back with the commit; until that is through, they are not asked about again.
        let releases = committed == self.last.0 && waiting.is_some_and(|due| due <= now);
        if entries.is_empty() && due.is_empty() && !turn.is_due && !releases {
            return Ok(step);
        }
        if !entries.is_empty() {
            crash::at(Place::Read);
        }
        let prepared = self.prepare((epoch, now), entries, &due, turn, committed)?;
        self.redefining.note_gone(prepared.deleted.iter().map(|(id, _)| *id));
        self.timers.set(prepared.timers_set.iter().map(|(due, _)| *due));
        self.last = (epoch, now);
        crash::at(Place::Prepared);
        self.dataflow.close(epoch)?;
        crash::at(Place::Computed);
        self.hand_on(Work::Epoch(Box::new(prepared)))?;
        if states {
            self.awaited = epoch;
        }
        Ok(step)
    }

    fn hand_on(&self, work: Work) -> Result<(), EngineError> {
        self.work.send(work).map_err(|_| EngineError::Stopping)
    }

    /// Reads what the logs have; waits a little where they have nothing.
    fn read(&mut self, next_timer: Option<Millis>) -> Result<(Vec<(usize, Entry)>, Step), EngineError> {
        let now = self.last.1.max((self.clock)());
        let until_timer = next_timer.map_or(Millis::MAX, |due| due.saturating_sub(now).max(0));
        let longest = if self.redefining.is_busy() { BUSY_WAIT } else { LONGEST_WAIT };
        let wait = longest.min(Duration::from_millis(until_timer as u64));
        let (entries, failed) = self.readers.read(self.options.epoch_records, wait)?;
        Ok((entries, if failed { Step::Waits(LONGEST_WAIT) } else { Step::Done }))
    }

    /// Makes base facts of what was read, and feeds what they change to the dataflow.
    fn prepare(
        &mut self,
        (epoch, clock): (Epoch, Millis),
        entries: Vec<(usize, Entry)>,
        due: &Due,
        Turn { piece, redefinition, .. }: Turn,
        committed: Epoch,
    ) -> Result<Prepared, EngineError> {
        let started = Instant::now();
        let _span = tracing::debug_span!("prepare", epoch, records = entries.len()).entered();
        let mut prepared = Prepared { epoch, clock, redefinition, ..Prepared::default() };
        let mut events = Vec::with_capacity(entries.len());
        let mut statements = Vec::new();
        for (index, entry) in entries {
            let Some(source) = self.sources.get(index) else { continue };
            let states = is_statement(index, &entry);
            match self.positions.get_mut(&source.stream) {
                Some(position) => position.advance(entry.partition, entry.offset + 1),
                None => {
                    let position = Position(BTreeMap::from([(entry.partition, entry.offset + 1)]));
                    self.positions.insert(source.stream.clone(), position);
                }
            }
            let record = entry.record;
            prepared.earliest = prepared.earliest.into_iter().chain([record.received_at]).min();
            let seed = format_args!("{}/{}/{}", source.stream, entry.partition, entry.offset);
            let read = match Statement::of(&record).filter(|_| states) {
                Some(statement) => statement.map(|statement| {
                    let made = (record.received_at, MessageId::of(&seed.to_string()));
                    statements.push(MadeAt { statement, made });
                }),
                None => {
                    let event = self.processor.process(&record.body, record.received_at, record.sent_at, seed);
                    event.map(|event| {
                        let source = place_of(&mut self.names, &record.source);
                        let received_at = record.received_at;
                        events.push(Arrived { event: Box::new(event), received_at, source, is_struck: false });
                    })
                }
            };
            match read {
                Ok(()) => {}
                Err(reason) => prepared.rejected.push(Rejected {
                    received_at: record.received_at,
                    code: reason.code().to_owned(),
                    reason: reason.to_string(),
                    source: record.source,
                    body: record.body.to_vec(),
                }),
            }
        }
        prepared.positions.clone_from(&self.positions);
        prepared.sources = self.names.clone();
        self.intake.note_deletions(&statements);
        let read = events.len();
        // Before any is struck: a message that is deleted was seen all the same, and is not new when it comes again.
        let mut events = self.intake.deduplicate(events, &mut prepared, committed)?;
        telemetry::duplicates(read - events.len());
        events.retain_mut(|arrived| self.intake.strike(arrived));
        let feed = self.intake.take_in(events, &statements, due, piece, &mut prepared, committed)?;
        telemetry::prepared(&feed, started.elapsed());
        self.dataflow.feed(feed)?;
        Ok(prepared)
    }
}

/// Whether an entry is a statement: only the log that the server itself writes has any.
fn is_statement(source: usize, entry: &Entry) -> bool {
    source == 0 && entry.record.source == STATEMENTS
}

/// The place of a source among all so far; those past the 63rd share the last one.
fn place_of(names: &mut Arc<Vec<String>>, source: &str) -> u8 {
    const LAST: usize = 63;
    let place = names.iter().position(|name| name == source).unwrap_or_else(|| {
        if names.len() <= LAST {
            let name = if names.len() == LAST { "other sources" } else { source };
            Arc::make_mut(names).push(name.to_owned());
        }
        names.len() - 1
    });
    place as u8
}
