//! New aggregates in the definitions: computed from the event history, as far back as it is kept.
//!
//! Facts commute, so events are taken as the history has them, a chunk at a time. Safe to repeat: the definitions
//! count as taken over only at the end, and what a run before it left behind is dropped first.

use super::past::each_event;
use crate::store::facts::StoredFacts;
use crate::store::{Batch, Meta, Store, StoreError};
use foldhash::{HashMap, HashMapExt};
use std::collections::BTreeSet;
use tributary_connectors::crash::{self, Place};
use tributary_connectors::process::Processor;
use tributary_dataflows::profile::{Features, Plan};
use tributary_model::{Event, IdentifierId, Millis};

/// Events whose identifiers are read and written together.
const CHUNK: usize = 10_000;
/// A batch is written when it has so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Computes the aggregates that are new in the definitions, and forgets those that are gone.
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
    let defined = plan.aggregate_ids();
    let mut unsettled = store.view().unsettled()?;
    if defined == meta.aggregates && unsettled.is_empty() {
        return Ok(());
    }
    // Whatever comes, what is changed now is not relied on before it is complete.
    let one_has = |id: &&u64| meta.aggregates.binary_search(id).is_ok() != defined.binary_search(id).is_ok();
    unsettled.extend(meta.aggregates.iter().chain(&defined).filter(one_has));
    store.write_unsettled(&unsettled)?;
    let is_new = |id: u64| unsettled.contains(&id);
    let aggregates = plan.program.aggregates.iter().enumerate();
    let new: Vec<usize> = aggregates.filter(|(_, aggregate)| is_new(aggregate.id)).map(|(index, _)| index).collect();
    tracing::info!(new = new.len(), "definitions have changed: new aggregates are computed from the event history");

    let mut batch = store.batch();
    store.each_facts(|id, mut facts| {
        let before = facts.aggregates.len();
        facts.aggregates.retain(|(aggregate, _)| !is_new(*aggregate) && defined.binary_search(aggregate).is_ok());
        if before != facts.aggregates.len() {
            batch.put_facts(id, &StoredFacts::of(&facts)?)?;
        }
        write_if_large(store, &mut batch)
    })?;
    store.write(batch, true)?;
    crash::at(Place::BackfillBegun);

    let mut chunk = Vec::with_capacity(CHUNK);
    if !new.is_empty() {
        each_event(&store.view(), processor, |_epoch, identifier, event| {
            chunk.push((identifier, event));
            if chunk.len() >= CHUNK {
                observe(store, plan, &new, now, std::mem::take(&mut chunk))?;
            }
            Ok(true)
        })?;
    }
    observe(store, plan, &new, now, chunk)?;
    crash::at(Place::BackfillEnding);
    meta.aggregates = defined;
    let mut batch = store.batch();
    batch.put_meta(meta)?;
    batch.put_unsettled(&BTreeSet::new())?;
    store.write(batch, true)
}

/// Adds what the new aggregates make of some events to the facts of their identifiers.
fn observe(
    store: &Store,
    plan: &Plan,
    new: &[usize],
    now: Millis,
    events: Vec<(IdentifierId, Event)>,
) -> Result<(), StoreError> {
    let mut by_identifier: HashMap<IdentifierId, Vec<Event>> = HashMap::new();
    for (identifier, event) in events {
        by_identifier.entry(identifier).or_default().push(event);
    }
    let identifiers: Vec<IdentifierId> = by_identifier.keys().copied().collect();
    let mut batch = store.batch();
    for (id, facts) in identifiers.iter().zip(store.facts(&identifiers)?) {
        let (Some(mut facts), Some(events)) = (facts, by_identifier.get(id)) else { continue };
        for event in events {
            for observed in plan.observed_by(new.iter().copied(), event) {
                facts.observe(observed, now, &mut Features::default());
            }
        }
        if let Some(next) = facts.next_expiry(plan).filter(|next| facts.timer.is_none_or(|timer| *next < timer)) {
            facts.timer = Some(next);
            batch.put_timer(next, *id)?;
        }
        batch.put_facts(*id, &StoredFacts::of(&facts)?)?;
    }
    store.write(batch, false)
}

fn write_if_large<'a>(store: &'a Store, batch: &mut Batch<'a>) -> Result<(), StoreError> {
    if batch.size() > BATCH_BYTES {
        store.write(std::mem::replace(batch, store.batch()), false)?;
    }
    Ok(())
}
