//! A state made anew from the logs, and compared with the one that there is: the same definitions, the same records, none of
//! its triggers.

mod carried;
mod compare;
mod until;

pub use carried::carry_over;
pub use compare::differences;

use crate::activation::Messages;
use crate::definitions::Definer;
use crate::engine::stepped::Stepped;
use crate::engine::{DriverOptions, EngineError, EngineParts, IntakeOptions, Source};
use crate::store::{Meta, Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;
use tributary_model::Definitions;
use until::Until;

/// A log that gives nothing for so long has ended before the state says so.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a state cannot be made anew.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The logs no longer have everything.
    #[error("{0}")]
    Incomplete(String),
    /// A log says nothing any more, and has not said all.
    #[error("{stream} gives nothing after {reached}, and the state has read it up to {wanted}")]
    Ended {
        /// Which log.
        stream: String,
        /// How far it was read.
        reached: String,
        /// How far the state has read it.
        wanted: String,
    },
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine does not go on.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A log cannot be opened.
    #[error("{0:#}")]
    Logs(anyhow::Error),
    /// Definitions do not go together.
    #[error("definitions: {0}")]
    Definitions(String),
}

/// What a state is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The logs, by their streams' names; the first is the one that the server itself writes.
    pub sources: Vec<Source>,
    /// The definitions that hold.
    pub definitions: &'a Definitions,
    /// The same as the server has them.
    pub definer: &'a Definer,
    /// From bytes to events.
    pub processor: Arc<Processor>,
    /// Identity rules.
    pub rules: Arc<Rules>,
    /// Bounds of an epoch.
    pub driver: DriverOptions,
    /// Bounds of memory.
    pub intake: IntakeOptions,
}

/// Makes a state anew in a store that is empty, or has been made so up to some point, from the beginning of the logs up to where
/// `like` stands, by its clock.
///
/// # Errors
/// If a log no longer has all that is to be read, or anything cannot be read or written.
pub fn replay(parts: Parts<'_>, like: &Meta, store: Arc<Store>) -> Result<(), ReplayError> {
    let begun = store.view().meta()?.unwrap_or_default();
    let clock = Arc::new(AtomicI64::new(begun.clock));
    if let Some(gone) =
        like.positions.keys().find(|stream| !parts.sources.iter().any(|source| source.stream == **stream))
    {
        let why = format!("the state has read {gone}, which is no source any more");
        return Err(ReplayError::Incomplete(why));
    }
    let mut sources = Vec::new();
    let mut logs = Vec::new();
    for Source { stream, log } in parts.sources {
        let end = like.positions.get(&stream).cloned().unwrap_or_default();
        let log = Arc::new(Until::new(log, end, clock.clone(), like.clock));
        let from = begun.positions.get(&stream).cloned().unwrap_or_default();
        log.has_all_from(&from).map_err(|reason| ReplayError::Incomplete(format!("{stream}: {reason}")))?;
        logs.push((stream.clone(), log.clone()));
        sources.push(Source { stream, log });
    }
    let silent = Definitions { triggers: Default::default(), ..parts.definitions.clone() };
    let messages = Messages::new(&silent).map_err(|error| ReplayError::Definitions(error.to_string()))?;
    let told = clock.clone();
    let mut engine = Stepped::start(EngineParts {
        store,
        sources,
        processor: parts.processor,
        plan: parts.definer.at_start(),
        wanted: parts.definer.wanted(),
        rules: parts.rules,
        messages: Arc::new(messages),
        clock: Arc::new(move || told.load(Ordering::Relaxed)),
        workers: 1,
        driver: parts.driver,
        intake: parts.intake,
    })?;
    let committed = engine.committed();
    let mut last_commit = Instant::now();
    loop {
        if let Err(error) = engine.drive() {
            let failed = logs.iter().find_map(|(stream, log)| Some(format!("{stream}: {}", log.failure()?)));
            return Err(failed.map_or_else(|| error.into(), ReplayError::Incomplete));
        }
        let mut did = false;
        while engine.commit()? {
            did = true;
        }
        if did {
            last_commit = Instant::now();
            continue;
        }
        let behind = logs.iter().find(|(stream, log)| !committed.borrow().covers(stream, log.end()));
        match behind {
            // All is read: what time alone changes comes last.
            None if clock.load(Ordering::Relaxed) < like.clock => clock.store(like.clock, Ordering::Relaxed),
            None => break,
            Some((stream, log)) => {
                if let Some(reason) = log.failure() {
                    return Err(ReplayError::Incomplete(format!("{stream}: {reason}")));
                }
                if last_commit.elapsed() > PATIENCE {
                    let reached = committed.borrow().positions.get(stream).map(ToString::to_string).unwrap_or_default();
                    let wanted = log.end().to_string();
                    return Err(ReplayError::Ended { stream: stream.clone(), reached, wanted });
                }
            }
        }
    }
    engine.end();
    Ok(())
}
