//! What new definitions need of the past, gathered beside the stream: a thread reads what is stored as of one epoch, and
//! hands it on in pieces that an epoch can take in.
//!
//! Facts commute, so it does not matter that events keep coming in the meantime: those are observed as they come.

use super::past::each_event;
use crate::store::{Store, StoreError};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use differential_dataflow::difference::{Abelian, IsZero};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tributary_connectors::process::Processor;
use tributary_dataflows::profile::plan::Observed;
use tributary_dataflows::profile::{Features, Plan};
use tributary_model::{IdentifierId, MessageId, Millis, Value};

/// Observations in one piece: the facts of as many identifiers may have to be read for it.
const OBSERVATIONS: usize = 1_000;
/// Identifiers in one piece.
const IDENTIFIERS: usize = 2_000;
/// Identifiers' traits in one piece: nothing is read for them.
const TRAITS: usize = 10_000;

/// What one aggregate sees in a past event.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    pub(super) identifier: IdentifierId,
    /// Which aggregate, by index.
    pub(super) aggregate: usize,
    pub(super) said: (Value, Millis, MessageId),
}

/// A piece of what was gathered.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// What aggregates that are new see in past events.
    Observations(Vec<Observation>),
    /// What is known of traits that were not read so far, or, taken back, of traits that nothing reads any more.
    Traits(Vec<(IdentifierId, Features)>),
    /// Identifiers that hold aggregates which nothing reads any more, and these, by stable id, with the plan that knows them.
    Holding(Vec<IdentifierId>, Arc<BTreeSet<u64>>, Arc<Plan>),
}

impl Piece {
    /// Identifiers whose facts it changes.
    pub(super) fn identifiers(&self) -> Vec<IdentifierId> {
        match self {
            Self::Observations(observations) => observations.iter().map(|seen| seen.identifier).collect(),
            Self::Holding(identifiers, ..) => identifiers.clone(),
            Self::Traits(_) => Vec::new(),
        }
    }
}

/// What the thread tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A piece, and how much of all is done with it, from 0 to 1.
    Piece(Piece, f64),
    /// That was all.
    End,
    /// It cannot go on.
    Failed(StoreError),
}

/// What is to be gathered.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// What a plan needs that takes the place of another one.
    Gained { plan: Arc<Plan>, before: Arc<Plan> },
    /// Who holds what a plan knows and nothing reads any more, now that it is settled: aggregates, by stable id, and traits.
    Dropped { plan: Arc<Plan>, settled: Arc<Plan>, dropped: Arc<BTreeSet<u64>> },
}

/// How what is wished for comes to be gathered: [`beside`] the stream, or [`at_once`].
pub(super) type Gather = fn(Wish, Arc<Store>, Arc<Processor>, Arc<AtomicBool>) -> std::io::Result<Receiver<Told>>;

/// Gathers from what is committed now on the caller's thread, before it returns.
pub(super) fn at_once(
    wish: Wish,
    store: Arc<Store>,
    processor: Arc<Processor>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<Receiver<Told>> {
    let (tell, told) = unbounded();
    let (pinned, _is_pinned) = bounded(1);
    let end = match gather(&wish, &store, &processor, &stop, &pinned, &tell) {
        Ok(()) => Told::End,
        Err(error) => Told::Failed(error),
    };
    drop(tell.send(end));
    Ok(told)
}

/// Begins to gather from what is committed now, on a thread of its own; returns once that is pinned.
pub(super) fn beside(
    wish: Wish,
    store: Arc<Store>,
    processor: Arc<Processor>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<Receiver<Told>> {
    let (tell, told) = bounded(2);
    let (pinned, is_pinned) = bounded(1);
    std::thread::Builder::new().name("gather".to_owned()).spawn(move || {
        let end = match gather(&wish, &store, &processor, &stop, &pinned, &tell) {
            Ok(()) => Told::End,
            Err(error) => Told::Failed(error),
        };
        // Nobody listens any more when the engine stops.
        drop(tell.send(end));
    })?;
    is_pinned.recv().map_err(|_| std::io::Error::other("the thread that reads the past has ended"))?;
    Ok(told)
}

fn gather(
    wish: &Wish,
    store: &Store,
    processor: &Processor,
    stop: &AtomicBool,
    pinned: &Sender<()>,
    tell: &Sender<Told>,
) -> Result<(), StoreError> {
    let view = store.view();
    if pinned.send(()).is_err() {
        return Ok(());
    }
    let tell = |piece, done| !stop.load(Ordering::Relaxed) && tell.send(Told::Piece(piece, done)).is_ok();
    // Ids are hashes, so they tell how far a walk in their order is.
    let share = |id: IdentifierId| (id.0 >> 64) as f64 / u64::MAX as f64;
    match wish {
        Wish::Gained { plan, before } => {
            let slots: BTreeSet<_> = plan.new_trait_slots(before).collect();
            let gained: Vec<usize> = plan.gained().collect();
            // Events take longer than traits.
            let part = if gained.is_empty() { 1.0 } else { 0.1 };
            if !slots.is_empty() {
                let mut traits = Vec::new();
                view.each_owned(IdentifierId(0), None, |id, facts, _owner| {
                    let features = facts.traits_in(plan, &slots);
                    if !features.is_zero() {
                        traits.push((id, features));
                    }
                    let goes_on = !stop.load(Ordering::Relaxed);
                    Ok(goes_on
                        && (traits.len() < TRAITS
                            || tell(Piece::Traits(std::mem::take(&mut traits)), part * share(id))))
                })?;
                tell(Piece::Traits(traits), part);
            }
            if !gained.is_empty() {
                let last = view.meta()?.unwrap_or_default().epoch.max(1);
                let mut observations = Vec::new();
                each_event(&view, processor, |epoch, identifier, event| {
                    let seen = plan.observed_by(gained.iter().copied(), &event);
                    let observation =
                        |seen: Observed<'_>| Observation { identifier, aggregate: seen.index, said: seen.said };
                    observations.extend(seen.map(observation));
                    if observations.len() < OBSERVATIONS {
                        return Ok(!stop.load(Ordering::Relaxed));
                    }
                    let done = part + (1.0 - part) * epoch as f64 / last as f64;
                    Ok(tell(Piece::Observations(std::mem::take(&mut observations)), done))
                })?;
                tell(Piece::Observations(observations), 1.0);
            }
        }
        Wish::Dropped { plan, settled, dropped } => {
            let slots: BTreeSet<_> = plan.new_trait_slots(settled).collect();
            let (mut holding, mut traits) = (Vec::new(), Vec::new());
            let piece = |holding: &mut Vec<_>| Piece::Holding(std::mem::take(holding), dropped.clone(), plan.clone());
            view.each_owned(IdentifierId(0), None, |id, facts, _owner| {
                if facts.aggregates.iter().any(|(aggregate, _)| dropped.contains(aggregate)) {
                    holding.push(id);
                }
                let mut features = facts.traits_in(plan, &slots);
                if !features.is_zero() {
                    features.negate();
                    traits.push((id, features));
                }
                if traits.len() >= TRAITS && !tell(Piece::Traits(std::mem::take(&mut traits)), share(id)) {
                    return Ok(false);
                }
                let goes_on = !stop.load(Ordering::Relaxed);
                Ok(goes_on && (holding.len() < IDENTIFIERS || tell(piece(&mut holding), share(id))))
            })?;
            tell(Piece::Traits(traits), 1.0);
            tell(piece(&mut holding), 1.0);
        }
    }
    Ok(())
}
