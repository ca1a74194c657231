//! A restart: the dataflow is fed anew from the base facts.

use super::epoch::Feed;
use super::intake::{endpoint, node};
use super::worker::{WorkerError, Workers};
use crate::store::{Store, StoreError};
use foldhash::{HashMap, HashMapExt};
use tributary_dataflows::identity::{Link, Rules};
use tributary_dataflows::profile::Plan;

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

/// Feeds all base facts as epoch zero.
///
/// # Errors
/// If the state cannot be read or the dataflow has stopped.
pub fn hydrate(store: &Store, plan: &Plan, rules: &Rules, workers: &Workers) -> Result<usize, HydrateError> {
    let mut stopped = None;
    let mut feed = Feed::default();
    let mut identifiers = HashMap::new();
    let mut push = |feed: &mut Feed, at_least: usize| {
        if stopped.is_none() && feed.changes() >= at_least {
            stopped = workers.feed(std::mem::take(feed)).err();
        }
    };
    store.each_facts(|id, facts| {
        if let Some(end) = endpoint(rules, id, &facts) {
            identifiers.insert(id, end);
        }
        feed.nodes.push((node(rules, &facts), 1));
        feed.facts.push((id, facts.features(plan)));
        push(&mut feed, CHUNK);
        Ok(())
    })?;
    let limited = rules.any_limited();
    store.each_link(|ends, facts| {
        let (to, from) = ends;
        if limited {
            feed.evidence.push((facts.evidence(ends), 1));
        }
        if let (Some(to), Some(from)) = (identifiers.get(&to), identifiers.get(&from)) {
            feed.links.push((Link { to: *to, from: *from }, 1));
        }
        push(&mut feed, CHUNK);
        Ok(())
    })?;
    push(&mut feed, 1);
    if let Some(stopped) = stopped {
        return Err(stopped.into());
    }
    workers.close(0)?;
    Ok(identifiers.len())
}
