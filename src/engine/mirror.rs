//! Tables that are kept in step with a segment: what each epoch changes of their rows.
//!
//! A row is there while its customer is a member, whatever has made them one: rows follow the memberships themselves, through
//! merges and changes of definitions, and not who newly qualifies. What a table was last told of a customer is remembered, so
//! that it is told only what has changed.

use super::commit::Committer;
use super::epoch::Prepared;
use super::fire::Outbox;
use super::lookup::Profile;
use crate::activation::Mirror;
use crate::activation::messages::message_id;
use crate::store::outbox::StoredMessage;
use crate::store::{Batch, Meta, Rejected, StoreError, View};
use crate::telemetry;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tributary_dataflows::triggers::Changes;
use tributary_model::{IdentifierId, Millis, ProfileId};

/// Customers whose rows are written in one batch at a start.
const SHARE: usize = 1_000;

/// Where the messages of rows go, and their number.
struct Rows<'a, 'b> {
    mirror: &'a Mirror,
    batch: &'a mut Batch<'b>,
    meta: &'a mut Meta,
    clock: Millis,
}

impl Rows<'_, '_> {
    /// Tells the table that this is the customer's row, unless it has been told so before.
    fn put(
        &mut self,
        columns: &serde_json::Map<String, Value>,
        profile: ProfileId,
        before: Option<u64>,
    ) -> Result<(), StoreError> {
        let body = json!({ "op": "upsert", "columns": columns }).to_string();
        let told = hash(body.as_bytes());
        if before == Some(told) {
            return Ok(());
        }
        self.batch.put_mirrored(&self.mirror.destination, profile, Some(told))?;
        self.send(profile, body)
    }

    /// Tells the table that the customer has no row any more.
    fn delete(&mut self, profile: ProfileId) -> Result<(), StoreError> {
        self.batch.put_mirrored(&self.mirror.destination, profile, None)?;
        self.send(profile, json!({ "op": "delete" }).to_string())
    }

    fn send(&mut self, profile: ProfileId, body: String) -> Result<(), StoreError> {
        let Self { mirror, batch, meta, clock } = self;
        let trigger = format!("segment:{}", mirror.segment);
        let number = meta.next_message;
        let message = StoredMessage {
            // Its number tells it from those of a start, which has no epoch of its own.
            id: message_id(
                &meta.state_id,
                &format!("row/{}", mirror.destination),
                profile,
                meta.epoch,
                number as usize,
            ),
            trigger: trigger.clone(),
            profile,
            about: IdentifierId(profile.0),
            body: body.into_bytes(),
            created_at: *clock,
            attempts: 0,
            sent_at: None,
            retracts: false,
        };
        batch.put_message(&mirror.destination, number, &message)?;
        meta.next_message += 1;
        telemetry::fired(&trigger);
        Ok(())
    }
}

/// Tells tables what an epoch changes of their rows.
pub(super) fn follow(
    outbox: &mut Outbox<'_>,
    batch: &mut Batch<'_>,
    meta: &mut Meta,
    (prepared, changes): (&Prepared, &Changes),
    rejected: &mut Vec<Rejected>,
) -> Result<(), StoreError> {
    let Outbox { committer, view, .. } = *outbox;
    let mirrors = committer.messages.mirrors();
    if mirrors.is_empty() {
        return Ok(());
    }
    let mut touched = BTreeSet::new();
    for identifier in prepared.facts.keys().chain(changes.owners.keys()) {
        let owner = match changes.owners.get(identifier) {
            Some((_, new)) => *new,
            None => view.owner(*identifier)?,
        };
        touched.extend(owner);
    }
    for mirror in mirrors {
        let Some(segment) = committer.plan.slots.segment_named(&mirror.segment) else { continue };
        let came = changes.entered.iter().filter(|(_, of)| *of == segment).map(|(profile, _)| *profile);
        let went = changes.left.iter().filter(|(_, of)| *of == segment).map(|(profile, _)| *profile);
        let looked_at: BTreeSet<ProfileId> = came.chain(went).chain(touched.iter().copied()).collect();
        let mut rows = Rows { mirror, batch, meta, clock: prepared.clock };
        for profile in looked_at {
            let is_member = changes.entered.contains(&(profile, segment))
                || (!changes.left.contains(&(profile, segment)) && view.since(profile, &mirror.segment)?.is_some());
            let before = view.mirrored(&mirror.destination, profile)?;
            match (is_member, before) {
                (true, before) => {
                    let customer = outbox.profile(profile)?;
                    match columns(committer, mirror, &customer, prepared.clock) {
                        Ok(columns) => rows.put(&columns, profile, before)?,
                        Err(failed) => rejected.push(failed),
                    }
                }
                (false, Some(_)) => rows.delete(profile)?,
                (false, None) => {}
            }
        }
    }
    Ok(())
}

/// At a start: tells tables what they have not been told, because they are new, or definitions have changed meanwhile.
pub(super) fn catch_up(committer: &mut Committer) -> Result<(), StoreError> {
    let (store, messages) = (committer.store.clone(), committer.messages.clone());
    for mirror in messages.mirrors() {
        let view = store.view();
        let definition = hash(mirror.fingerprint().as_bytes());
        let is_new = view.mirrored_by(&mirror.destination)? != Some(definition);
        let mut rejected = Vec::new();
        let mut after = None;
        loop {
            let members = view.members(&mirror.segment, after, SHARE)?;
            let Some((last, _)) = members.last() else { break };
            after = Some(*last);
            let mut batch = store.batch();
            let clock = committer.meta.clock;
            let mut meta = committer.meta.clone();
            let mut rows = Rows { mirror, batch: &mut batch, meta: &mut meta, clock };
            for (profile, _) in members {
                let before = view.mirrored(&mirror.destination, profile)?;
                if before.is_some() && !is_new {
                    continue;
                }
                let customer = Profile::read(&view, profile, &committer.plan, &committer.rules)?;
                match columns(committer, mirror, &customer, clock) {
                    Ok(columns) => rows.put(&columns, profile, before)?,
                    Err(failed) => rejected.push(failed),
                }
            }
            write(committer, batch, meta, &mut rejected)?;
        }
        gone(committer, &view, mirror)?;
        let mut batch = store.batch();
        batch.put_mirrored_by(&mirror.destination, definition)?;
        store.write(batch, true)?;
    }
    Ok(())
}

/// Takes out the rows of those who are no members.
fn gone(committer: &mut Committer, view: &View<'_>, mirror: &Mirror) -> Result<(), StoreError> {
    let store = committer.store.clone();
    let mut after = None;
    loop {
        let told = view.all_mirrored(&mirror.destination, after, SHARE)?;
        let Some(last) = told.last() else { return Ok(()) };
        after = Some(*last);
        let mut batch = store.batch();
        let mut meta = committer.meta.clone();
        let clock = meta.clock;
        let mut rows = Rows { mirror, batch: &mut batch, meta: &mut meta, clock };
        for profile in told {
            if view.since(profile, &mirror.segment)?.is_none() {
                rows.delete(profile)?;
            }
        }
        write(committer, batch, meta, &mut Vec::new())?;
    }
}

fn write(
    committer: &mut Committer,
    mut batch: Batch<'_>,
    mut meta: Meta,
    rejected: &mut Vec<Rejected>,
) -> Result<(), StoreError> {
    for rejected in rejected.drain(..) {
        batch.put_rejected(meta.next_rejected, &rejected)?;
        meta.next_rejected += 1;
    }
    batch.put_meta(&meta)?;
    committer.store.write(batch, true)?;
    committer.meta = meta;
    Ok(())
}

/// What the columns of a customer's row are.
fn columns(
    committer: &Committer,
    mirror: &Mirror,
    customer: &Profile,
    now: Millis,
) -> Result<serde_json::Map<String, Value>, Rejected> {
    committer.messages.columns(mirror, customer, now).map_err(|error| {
        telemetry::render_failed(&mirror.destination);
        Rejected {
            received_at: now,
            code: "template_failed".to_owned(),
            reason: error.to_string(),
            source: format!("destination {}", mirror.destination),
            body: json!({ "profile": customer.id.to_string() }).to_string().into_bytes(),
        }
    })
}

fn hash(bytes: &[u8]) -> u64 {
    let mut start = [0; 8];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut start);
    u64::from_be_bytes(start)
}
