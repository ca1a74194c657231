//! Messages whose reason turns out not to have been one: a trigger with `on_void: retract` takes them back.
//!
//! A membership is void, and has not merely ended, if it ends by evidence that says that it never was: identifiers that turn out
//! to be somebody else's, or were deleted; or late events only, which had all happened when it began. What happens after that,
//! and time, end a membership without making it void.

use super::epoch::Prepared;
use super::fire::Outbox;
use crate::store::outbox::{Note, Status, StoredMessage};
use crate::store::{Batch, Meta, StoreError};
use crate::telemetry;
use serde_json::json;
use std::collections::BTreeSet;
use tributary_dataflows::SegmentIndex;
use tributary_dataflows::triggers::Changes;
use tributary_model::{IdentifierId, Millis, ProfileId, format_millis};

/// The most messages of an identifier that are looked through for the one to take back.
const NOTES: usize = 1_000;

/// Takes back what triggers have said of memberships that an epoch makes void.
pub(super) fn retract(
    outbox: &mut Outbox<'_>,
    batch: &mut Batch<'_>,
    meta: &mut Meta,
    (prepared, changes): (&Prepared, &Changes),
) -> Result<(), StoreError> {
    let Outbox { committer, view, .. } = *outbox;
    if !committer.messages.retracts() {
        return Ok(());
    }
    for (profile, segment) in changes.left.iter().filter(|left| !changes.redefined.contains(left)) {
        let Some(id) = committer.plan.slots.segment_id(*segment) else { continue };
        let mut triggers = committer.messages.on_segment(id, true).filter(|(_, trigger)| trigger.retracts).peekable();
        if triggers.peek().is_none() {
            continue;
        }
        let Some(since) = view.since(*profile, id)? else { continue };
        let identifiers = view.identifiers(*profile)?;
        if !is_void(outbox, changes, (*profile, *segment, id), &identifiers, since)? {
            continue;
        }
        for (trigger, definition) in triggers {
            let Some((number, about, note)) = first_message(outbox, &identifiers, trigger, since)? else { continue };
            let destination = &definition.send.to;
            if let Some(until) = note.until
                && let Some(unsent) = view.waiting_at((until, number))?
            {
                // Nobody has got it, and nobody will.
                batch.delete_waiting((until, number))?;
                let status = Status::Held;
                batch.put_note(destination, number, &unsent.message, status, Some("void"), prepared.clock)?;
                telemetry::held_back(trigger, "void");
                continue;
            }
            let body = json!({
                "type": "retraction",
                "retracts": note.id,
                "trigger": trigger,
                "segment": id,
                "profile": profile.to_string(),
                "timestamp": format_millis(prepared.clock),
            });
            let message = StoredMessage {
                id: format!("{}_void", note.id),
                trigger: trigger.to_owned(),
                profile: *profile,
                about,
                body: body.to_string().into_bytes(),
                created_at: prepared.clock,
                attempts: 0,
                sent_at: None,
                retracts: true,
            };
            batch.put_message(destination, meta.next_message, &message)?;
            meta.next_message += 1;
            telemetry::retracted(trigger);
        }
    }
    Ok(())
}

/// Whether a membership that ends never was.
fn is_void(
    outbox: &Outbox<'_>,
    changes: &Changes,
    (profile, segment, id): (ProfileId, SegmentIndex, &str),
    identifiers: &[IdentifierId],
    since: Millis,
) -> Result<bool, StoreError> {
    let moved = identifiers.iter().filter_map(|identifier| changes.owners.get(identifier));
    let heirs: BTreeSet<ProfileId> = moved.clone().filter_map(|(_, new)| *new).filter(|new| *new != profile).collect();
    for heir in &heirs {
        // Whom the customer has become part of, or who was part of them, is in: what was said holds of them.
        let stays = !changes.left.contains(&(*heir, segment)) && outbox.view.since(*heir, id)?.is_some();
        if stays || changes.entered.contains(&(*heir, segment)) {
            return Ok(false);
        }
    }
    if moved.clone().any(|(_, new)| *new != Some(profile)) {
        return Ok(true);
    }
    let latest = identifiers.iter().filter_map(|identifier| outbox.latest_event(identifier)).max();
    Ok(latest.is_some_and(|latest| latest <= since))
}

/// The latest message of a trigger that a membership since then has caused: its number, with whom it goes, and its note.
fn first_message(
    outbox: &Outbox<'_>,
    identifiers: &[IdentifierId],
    trigger: &str,
    since: Millis,
) -> Result<Option<(u64, IdentifierId, Note)>, StoreError> {
    let mut found: Option<(Millis, u64, IdentifierId, Note)> = None;
    for identifier in identifiers {
        let notes = outbox.view.notes(*identifier, None, NOTES)?.into_iter();
        let of_trigger = notes.take_while(|((at, _), _)| *at >= since).filter(|(_, note)| note.trigger == trigger);
        let not_sent = [Status::Held.name(), Status::Dead.name(), Status::Unreachable.name()];
        for ((at, number), note) in of_trigger.filter(|(_, note)| !not_sent.contains(&note.status.as_str())) {
            if found.as_ref().is_none_or(|(latest, ..)| *latest < at) {
                found = Some((at, number, *identifier, note));
            }
        }
    }
    Ok(found.map(|(_, number, identifier, note)| (number, identifier, note)))
}
