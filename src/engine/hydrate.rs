//! A restart: the dataflow is fed anew from the base facts.
//!
//! Where the definitions have aggregates that the facts do not hold yet, those are first computed from the event
//! history, as far back as it is kept.

use super::epoch::Feed;
use super::intake::{endpoint, node};
use super::worker::{WorkerError, Workers};
use crate::store::{Meta, Store, StoreError};
use std::collections::HashMap;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::{Link, Rules};
use tributary_dataflows::profile::{Features, IdentifierFacts, Plan};
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
    store.each_link(|(to, from), _evidence| {
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

/// Computes the aggregates that are new in the definitions, and forgets those that are gone. Safe to repeat.
///
/// # Errors
/// If the state cannot be read or written.
pub fn backfill(
    store: &Store,
    plan: &Plan,
    processor: &Processor,
    meta: &mut Meta,
    now: Millis,
) -> Result<(), StoreError> {
    let mut defined: Vec<u64> = plan.program.aggregates.iter().map(|aggregate| aggregate.id).collect();
    defined.sort_unstable();
    if defined == meta.aggregates {
        return Ok(());
    }
    let new: Vec<usize> = (plan.program.aggregates.iter().enumerate())
        .filter(|(_, aggregate)| meta.aggregates.binary_search(&aggregate.id).is_err())
        .map(|(index, _)| index)
        .collect();
    tracing::info!(new = new.len(), "definitions have changed: new aggregates are computed from the event history");
    let mut batch = store.batch();
    store.each_facts(|id, mut facts| {
        let is_old = |id: u64| meta.aggregates.binary_search(&id).is_ok() && defined.binary_search(&id).is_ok();
        let before = facts.aggregates.len();
        facts.aggregates.retain(|(aggregate, _)| is_old(*aggregate));
        if before != facts.aggregates.len() {
            batch.put_facts(id, &facts)?;
        }
        write_if_large(store, &mut batch)
    })?;
    store.write(std::mem::replace(&mut batch, store.batch()), true)?;

    let mut current: Option<(IdentifierId, IdentifierFacts)> = None;
    store.each_event(|id, happened| {
        if current.as_ref().is_none_or(|(held, _)| *held != id) {
            finish(store, plan, &mut batch, current.take())?;
            current = store.facts(&[id])?.pop().flatten().map(|facts| (id, facts));
        }
        let body = bytes::Bytes::from(happened.body);
        let event = processor.reread(&body, happened.at, happened.message_id);
        let (Some((_, facts)), Ok(event)) = (&mut current, event) else { return Ok(()) };
        for index in &new {
            let Some(aggregate) = plan.program.aggregates.get(*index) else { continue };
            if let Some(value) = aggregate.observe(&event) {
                let observed = (value, event.timestamp, event.message_id);
                let slot = plan.slots.aggregate(*index);
                facts.observe(aggregate, slot, observed, now, &mut Features::default());
            }
        }
        Ok(())
    })?;
    finish(store, plan, &mut batch, current)?;
    store.write(batch, true)?;
    meta.aggregates = defined;
    store.write_meta(meta)
}

fn finish<'a>(
    store: &'a Store,
    plan: &Plan,
    batch: &mut crate::store::Batch<'a>,
    done: Option<(IdentifierId, IdentifierFacts)>,
) -> Result<(), StoreError> {
    let Some((id, mut facts)) = done else { return Ok(()) };
    if let Some(next) = facts.next_expiry(plan).filter(|next| facts.timer.is_none_or(|timer| *next < timer)) {
        facts.timer = Some(next);
        batch.put_timer(next, id)?;
    }
    batch.put_facts(id, &facts)?;
    write_if_large(store, batch)
}

/// A backfill is not one batch: it is repeated from its start if it did not come to its end.
fn write_if_large<'a>(store: &'a Store, batch: &mut crate::store::Batch<'a>) -> Result<(), StoreError> {
    if batch.size() > 8 << 20 {
        store.write(std::mem::replace(batch, store.batch()), false)?;
    }
    Ok(())
}
