//! A restart: the dataflow is fed anew from the base facts.

use super::epoch::Feed;
use super::intake::node_of;
use super::worker::{Dataflow, WorkerError};
use crate::store::{Store, StoreError};
use foldhash::{HashSet, HashSetExt};
use tributary_connectors::process::Processor;
use tributary_dataflows::Tick;
use tributary_dataflows::identity::{Ends, Evidence, Rules};
use tributary_dataflows::profile::{IdentifierFacts, Plan};
use tributary_model::{IdentifierId, Millis};

/// Changes fed at once: enough to be quick, few enough to hold no second copy of the state.
const CHUNK: usize = 50_000;

/// Why the dataflow could not be re-fed.
#[derive(Debug, thiserror::Error)]
pub enum HydrateError {
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dataflow has stopped.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// Feeds all base facts as epoch zero, as of the clock at which they were last committed: what time has changed since then
/// changes with the epochs that follow. Gives how many identifiers there are.
///
/// # Errors
/// If the state cannot be read or the dataflow has stopped.
pub fn hydrate(
    store: &Store,
    processor: &Processor,
    plan: &Plan,
    rules: &Rules,
    dataflow: &impl Dataflow,
    clock: Millis,
) -> Result<usize, HydrateError> {
    let mut stopped = None;
    let mut feed = Feed::default();
    let mut identifiers = 0;
    each_known(store, processor, rules, |known| {
        match known {
            Known::Facts(id, facts) => {
                identifiers += 1;
                feed.take_in(id, &mut facts.told(plan, 1), plan);
            }
            Known::Evidence(evidence) => feed.evidence.push((evidence, 1)),
        }
        if stopped.is_none() && feed.changes() >= CHUNK {
            stopped = dataflow.feed(std::mem::take(&mut feed)).err();
        }
    })?;
    if let Some(stopped) = stopped {
        return Err(stopped.into());
    }
    feed.tick = Some(Tick { now: clock, plan: None, share: 0 });
    dataflow.feed(feed)?;
    dataflow.close(0)?;
    Ok(identifiers)
}

/// One of the things that a state knows.
pub(super) enum Known<'a> {
    /// The facts of an identifier.
    Facts(IdentifierId, &'a IdentifierFacts),
    /// What identity is resolved from.
    Evidence(Evidence),
}

/// All that a state knows, as these rules have it: what identifies nobody by them links nobody.
///
/// # Errors
/// If the state cannot be read.
pub(super) fn each_known(
    store: &Store,
    processor: &Processor,
    rules: &Rules,
    mut each: impl FnMut(Known<'_>),
) -> Result<(), StoreError> {
    let mut blocked = HashSet::new();
    store.each_facts(|id, facts| {
        if processor.blocks(&facts.identifier) {
            blocked.insert(id);
        }
        each(Known::Evidence(Evidence::Node(node_of(rules, id, &facts))));
        each(Known::Facts(id, &facts));
        Ok(())
    })?;
    let counts = |ends: Ends| !blocked.contains(&ends.0) && !blocked.contains(&ends.1);
    store.each_link(|ends, facts| {
        if counts(ends) {
            each(Known::Evidence(Evidence::Link(facts.link(ends))));
        }
        Ok(())
    })?;
    store.each_standing(|ends, standing| {
        if let Some(stated) = standing.stated {
            each(Known::Evidence(Evidence::Statement(ends, stated)));
        }
        Ok(())
    })
}
