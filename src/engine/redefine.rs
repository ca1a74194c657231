//! How other definitions take the place of those that hold, while events keep coming.
//!
//! ```text
//! settled ─► gathering ─► sweeping ─► dropping ─► settled
//! ```
//!
//! *Gathering*: events are observed as both need it; what the new ones need of the past is taken in beside the stream.
//! *Sweeping*: everything is known, and customers are told of by the new ones, a share of them in each epoch.
//! *Dropping*: what only the old ones needed is taken out of the facts. Between any two epochs the process may end: the state
//! says which aggregates are not to be relied on, and a start computes those anew.

use super::epoch::Redefinition;
use super::gather::{Gather, Piece, Told, Wish};
use super::intake::Intake;
use crate::definitions::Wanted;
use crate::store::{Store, StoreError};
use crate::telemetry;
use crossbeam_channel::{Receiver, TryRecvError};
use foldhash::{HashSet, HashSetExt};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tokio::sync::watch;
use tributary_connectors::crash::{self, Place};
use tributary_connectors::process::Processor;
use tributary_dataflows::profile::Plan;
use tributary_model::IdentifierId;

/// Customers of one worker that are told of by new definitions in one epoch.
pub(super) const SHARE: usize = 10_000;

/// How far the engine is with new definitions.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The change that they are as of.
    pub version: u64,
    /// What is being done.
    pub stage: &'static str,
    /// How much of it is done, from 0 to 1.
    pub done: f64,
    /// Since when.
    pub since: Instant,
}

/// Takes definitions over.
pub(super) struct Redefining {
    pub(super) store: Arc<Store>,
    pub(super) processor: Arc<Processor>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) wanted: watch::Receiver<Arc<Wanted>>,
    pub(super) progress: watch::Sender<Option<Progress>>,
    pub(super) workers: usize,
    pub(super) stage: Stage,
    pub(super) gather: Gather,
}

pub(super) enum Stage {
    Settled,
    Gathering {
        plan: Arc<Plan>,
        told: Receiver<Told>,
        /// Identifiers deleted since it began: their past does not count.
        gone: HashSet<IdentifierId>,
    },
    Sweeping {
        plan: Arc<Plan>,
        shares: usize,
    },
    Dropping {
        settled: Arc<Plan>,
        told: Receiver<Told>,
    },
}

/// A step before which all epochs must be committed.
#[derive(Clone, Debug)]
pub(super) enum NextStep {
    /// To take over what is wanted.
    Begin(Arc<Wanted>),
    /// All customers are told of by the new definitions: to do without the old ones.
    Settle,
}

/// What an epoch takes in of a redefinition.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) piece: Option<Piece>,
    pub(super) redefinition: Redefinition,
    /// Whether there is to be an epoch even if nothing happens.
    pub(super) is_due: bool,
}

/// Why definitions cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum RedefineError {
    /// The state cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// What was checked before is no longer so, which only a defect can cause.
    #[error("definitions cannot be taken over: {0}")]
    Groups(#[from] tributary_dataflows::profile::NotOfGroups),
    /// The thread that gathers has ended without a word.
    #[error("the thread that reads the past has ended")]
    Ended,
}

impl Redefining {
    /// Whether something is under way.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::Settled)
    }

    /// The step that is next, if it is one before which all epochs must be committed, since it begins to read what is stored.
    pub(super) fn next_step(&self, settled: u64) -> Option<NextStep> {
        match &self.stage {
            Stage::Settled => {
                let wanted = self.wanted.borrow();
                (wanted.version > settled).then(|| NextStep::Begin(wanted.clone()))
            }
            Stage::Sweeping { plan, .. } => (settled >= plan.version).then_some(NextStep::Settle),
            Stage::Gathering { .. } | Stage::Dropping { .. } => None,
        }
    }

    /// What the next epoch takes in; there are so many profiles.
    pub(super) fn turn(
        &mut self,
        step: Option<NextStep>,
        intake: &mut Intake,
        profiles: i64,
    ) -> Result<Turn, RedefineError> {
        match &mut self.stage {
            Stage::Settled => {
                if let Some(NextStep::Begin(wanted)) = step {
                    self.begin(&wanted, intake)?;
                }
                Ok(Turn::default())
            }
            Stage::Gathering { plan, told, gone } => {
                let plan = plan.clone();
                let Some(piece) = next(told)? else { return Ok(Turn::default()) };
                if let Some((mut piece, done)) = piece {
                    crash::at(Place::Gathering);
                    if let Piece::Observations(observations) = &mut piece {
                        observations.retain(|observation| !gone.contains(&observation.identifier));
                    }
                    self.tell(&plan, "history", done);
                    return Ok(Turn { piece: Some(piece), is_due: true, ..Turn::default() });
                }
                let redefinition = Redefinition { plan: Some(plan.clone()), aggregates: Some(plan.aggregate_ids()) };
                self.tell(&plan, "customers", 0.0);
                self.stage = Stage::Sweeping { plan, shares: 1 };
                crash::at(Place::Sweeping);
                Ok(Turn { redefinition, is_due: true, piece: None })
            }
            Stage::Sweeping { plan, shares } => {
                let plan = plan.clone();
                if step.is_none() {
                    *shares += 1;
                    let done = (*shares * SHARE * self.workers) as f64 / profiles.max(1) as f64;
                    self.tell(&plan, "customers", done.min(0.99));
                    return Ok(Turn { is_due: true, ..Turn::default() });
                }
                let settled = Arc::new(plan.settled());
                let dropped = plan.dropped_by(&settled);
                self.store.write_unsettled(&dropped)?;
                crash::at(Place::DroppingNoted);
                intake.plan = settled.clone();
                if dropped.is_empty() && plan.new_trait_slots(&settled).next().is_none() {
                    self.settle(&plan);
                } else {
                    self.tell(&plan, "cleaning", 0.0);
                    let told =
                        self.gather(Wish::Dropped { plan, settled: settled.clone(), dropped: Arc::new(dropped) })?;
                    self.stage = Stage::Dropping { settled, told };
                }
                Ok(Turn::default())
            }
            Stage::Dropping { settled, told } => {
                let settled = settled.clone();
                let Some(piece) = next(told)? else { return Ok(Turn::default()) };
                if let Some((piece, done)) = piece {
                    crash::at(Place::Dropping);
                    self.tell(&settled, "cleaning", done);
                    return Ok(Turn { piece: Some(piece), is_due: true, ..Turn::default() });
                }
                self.settle(&settled);
                let redefinition = Redefinition { plan: None, aggregates: Some(settled.aggregate_ids()) };
                Ok(Turn { redefinition, is_due: true, piece: None })
            }
        }
    }

    /// Begins to take over what is wanted: from now on events are observed as it needs it.
    fn begin(&mut self, wanted: &Wanted, intake: &mut Intake) -> Result<(), RedefineError> {
        let before = intake.plan.clone();
        let plan = Arc::new(Plan::after(wanted.program.clone(), wanted.version, &before)?);
        tracing::info!(version = plan.version, new_aggregates = plan.gained().count(), "definitions change");
        let ids = plan.gained().filter_map(|index| plan.program.aggregates.get(index)).map(|aggregate| aggregate.id);
        self.store.write_unsettled(&ids.collect())?;
        crash::at(Place::GatheringNoted);
        let told = self.gather(Wish::Gained { plan: plan.clone(), before })?;
        intake.plan = plan.clone();
        self.tell(&plan, "history", 0.0);
        self.stage = Stage::Gathering { plan, told, gone: HashSet::new() };
        Ok(())
    }

    fn settle(&mut self, plan: &Plan) {
        tracing::info!(version = plan.version, "definitions have changed");
        self.stage = Stage::Settled;
        telemetry::redefined(1.0);
        self.progress.send_replace(None);
    }

    /// Identifiers were deleted.
    pub(super) fn note_gone(&mut self, ids: impl Iterator<Item = IdentifierId>) {
        if let Stage::Gathering { gone, .. } = &mut self.stage {
            gone.extend(ids);
        }
    }

    fn gather(&self, wish: Wish) -> std::io::Result<Receiver<Told>> {
        (self.gather)(wish, self.store.clone(), self.processor.clone(), self.stop.clone())
    }

    fn tell(&self, plan: &Plan, stage: &'static str, done: f64) {
        let version = plan.version;
        telemetry::redefined(done);
        self.progress.send_modify(|told| {
            let since = told.filter(|told| told.stage == stage).map_or_else(Instant::now, |told| told.since);
            *told = Some(Progress { version, stage, done, since });
        });
    }
}

/// The next piece: `None` if it is not there yet, `Some(None)` after the last one.
fn next(told: &Receiver<Told>) -> Result<Option<Option<(Piece, f64)>>, RedefineError> {
    match told.try_recv() {
        Ok(Told::Piece(piece, done)) => Ok(Some(Some((piece, done)))),
        Ok(Told::End) => Ok(Some(None)),
        Ok(Told::Failed(error)) => Err(error.into()),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => Err(RedefineError::Ended),
    }
}
