//! Closes epochs: reads what the logs have, makes base facts of it, and hands it to the dataflow and the committer.
//!
//! An epoch is closed as soon as the one before the last has been committed, so epochs grow with the load and shrink to
//! single events when there is little: one is being prepared while another is computed and a third is written.

use super::backfill::backfill;
use super::clock::Clock;
use super::epoch::{Arrived, Prepared, Work};
use super::hydrate::{HydrateError, hydrate};
use super::intake::Intake;
use super::redefine::{RedefineError, Redefining, Turn};
use super::statements::MadeAt;
use super::status::Committed;
use super::timers::{Due, Timers};
use super::worker::{WorkerError, Workers};
use crate::store::{Meta, Rejected, Store, StoreError};
use crate::telemetry;
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tributary_connectors::log::{Entry, Log, LogError, LogReader};
use tributary_connectors::process::{Processor, STATEMENTS, Statement};
use tributary_dataflows::identity::Rules;
use tributary_model::{Epoch, MessageId, Millis, Position};

/// The longest that the driver waits before it looks whether it is to stop.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// The longest while definitions change: their next piece comes from elsewhere.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// How often it looks whether an epoch that it waits for is committed.
const LOOK_AGAIN: Duration = Duration::from_micros(200);
/// How long it waits after a log could not be read.
const RETRY_READ: Duration = Duration::from_secs(1);

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

/// The thread that closes epochs.
pub struct Driver {
    /// The streams to read.
    pub sources: Vec<Source>,
    /// From bytes to events.
    pub processor: Arc<Processor>,
    /// From events to facts.
    pub intake: Intake,
    /// The dataflow.
    pub workers: Workers,
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
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Driver of {:?}", self.sources)
    }
}

impl Driver {
    /// Works until it is told to stop; then closes the last epoch and ends the workers.
    ///
    /// # Errors
    /// If it cannot go on; the message says why.
    pub fn run(mut self) -> Result<(), EngineError> {
        let result = self.work_on();
        // The committer ends when its channel is closed, after what was sent before.
        drop(self.work);
        self.workers.stop();
        result
    }

    fn work_on(&mut self) -> Result<(), EngineError> {
        let started = Instant::now();
        let now = (self.clock)().max(self.meta.clock);
        let plan = self.intake.plan.clone();
        backfill(&self.store, &plan, &self.processor, &mut self.meta, now)?;
        let identifiers = hydrate(&self.store, &self.processor, &plan, &self.rules, &self.workers, self.meta.clock)?;
        self.hand_on(Work::Hydrated { now, aggregates: self.meta.aggregates.clone() })?;
        tracing::info!(identifiers, took_ms = started.elapsed().as_millis() as u64, "the dataflow is up to date");

        let mut readers = Vec::new();
        for source in &self.sources {
            let from = self.meta.positions.get(&source.stream).cloned().unwrap_or_default();
            readers.push((source.stream.clone(), source.log.reader(&from)?));
        }
        let mut positions = self.meta.positions.clone();
        let mut timers = Timers::new(self.options.epoch_timers);
        let mut last = (self.meta.epoch, self.meta.clock);
        while !self.stop.load(Ordering::Relaxed) {
            let next_timer = timers.next(self.committed.borrow().next_wake);
            let entries = self.read(&mut readers, next_timer, last.1)?;
            let (epoch, now) = (last.0 + 1, (self.clock)().max(last.1));
            // Statements are few, and look at more than what was touched lately: they find the store up to date.
            let states = entries.iter().any(|(source, entry)| is_statement(*source, entry));
            let step = self.redefining.next_step(self.committed.borrow().plan.version);
            if states || step.is_some() {
                self.wait_for(last.0)?;
            }
            let (committed, next_wake, profiles) = {
                let committed = self.committed.borrow();
                (committed.epoch, committed.next_wake, committed.profiles)
            };
            let turn = self.redefining.turn(step, &mut self.intake, profiles)?;
            let (due, now) = timers.due(&self.store, now, last.1, (committed, next_wake), epoch)?;
            if entries.is_empty() && due.is_empty() && !turn.is_due {
                continue;
            }
            let prepared = self.prepare((epoch, now), entries, &due, turn, &mut positions, committed)?;
            self.redefining.note_gone(prepared.deleted.iter().map(|(id, _)| *id));
            timers.set(prepared.timers_set.iter().map(|(due, _)| *due));
            last = (epoch, now);
            self.workers.close(epoch)?;
            self.hand_on(Work::Epoch(Box::new(prepared)))?;
            if states {
                self.wait_for(epoch)?;
            }
        }
        Ok(())
    }

    /// Waits until an epoch is committed: as long as the committer may try, which ends by itself.
    fn wait_for(&self, epoch: Epoch) -> Result<(), EngineError> {
        let mut committed = self.committed.clone();
        while committed.borrow_and_update().epoch < epoch {
            if committed.has_changed().is_err() {
                return Err(EngineError::Stopping);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn hand_on(&self, work: Work) -> Result<(), EngineError> {
        self.work.send(work).map_err(|_| EngineError::Stopping)
    }

    /// What the logs have; waits a little where they have nothing.
    fn read(
        &self,
        readers: &mut [(String, Box<dyn LogReader>)],
        next_timer: Option<Millis>,
        now: Millis,
    ) -> Result<Vec<(usize, Entry)>, EngineError> {
        let until_timer = next_timer.map_or(Millis::MAX, |due| due.saturating_sub(now.max((self.clock)())).max(0));
        let longest = if self.redefining.is_busy() { BUSY_WAIT } else { LONGEST_WAIT };
        let wait = longest.min(Duration::from_millis(until_timer as u64)) / readers.len().max(1) as u32;
        let mut entries = Vec::new();
        for (index, (stream, reader)) in readers.iter_mut().enumerate() {
            let room = self.options.epoch_records.saturating_sub(entries.len());
            let wait = if entries.is_empty() { wait } else { Duration::ZERO };
            match reader.poll(room, wait) {
                Ok(read) => entries.extend(read.into_iter().map(|entry| (index, entry))),
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, stream, "cannot read, trying again");
                    std::thread::sleep(RETRY_READ.min(LONGEST_WAIT));
                }
                Err(error) => return Err(error.into()),
            }
            if let Some(lag) = reader.lag() {
                telemetry::lag(stream, lag);
            }
        }
        Ok(entries)
    }

    /// Makes base facts of what was read, and feeds what they change to the dataflow.
    fn prepare(
        &mut self,
        (epoch, clock): (Epoch, Millis),
        entries: Vec<(usize, Entry)>,
        due: &Due,
        Turn { piece, redefinition, .. }: Turn,
        positions: &mut BTreeMap<String, Position>,
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
            match positions.get_mut(&source.stream) {
                Some(position) => position.advance(entry.partition, entry.offset + 1),
                None => {
                    let position = Position(BTreeMap::from([(entry.partition, entry.offset + 1)]));
                    positions.insert(source.stream.clone(), position);
                }
            }
            let record = entry.record;
            prepared.earliest = prepared.earliest.into_iter().chain([record.received_at]).min();
            let seed = || format!("{}/{}/{}", source.stream, entry.partition, entry.offset);
            let read = match Statement::of(&record).filter(|_| states) {
                Some(statement) => statement.map(|statement| {
                    let made = (record.received_at, MessageId::of(&seed()));
                    statements.push(MadeAt { statement, made });
                }),
                None => {
                    let event = self.processor.process(&record.body, record.received_at, record.sent_at, &seed());
                    event.map(|event| {
                        let source = place_of(&mut self.names, &record.source);
                        let received_at = record.received_at;
                        events.push(Arrived { event, received_at, source, is_struck: false });
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
        prepared.positions.clone_from(positions);
        prepared.sources = self.names.clone();
        self.intake.note_deletions(&statements);
        events.retain_mut(|arrived| self.intake.strike(arrived));
        let read = events.len();
        let events = self.intake.deduplicate(events, &mut prepared, committed)?;
        telemetry::duplicates(read - events.len());
        let feed = self.intake.take_in(events, &statements, due, piece, &mut prepared, committed)?;
        telemetry::prepared(&feed, started.elapsed());
        self.workers.feed(feed)?;
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
