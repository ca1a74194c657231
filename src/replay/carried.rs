//! What a state holds that no log has: what was defined, sent, refused and asked for, and what links are signed with.

use crate::store::{Meta, Store, StoreError, audit, counts, definitions, mirrored, outbox, rejected, sends, waiting};

/// Tables that are taken from the state that there was, whatever a replay has put there.
const CARRIED: [&str; 11] = [
    definitions::TABLE,
    definitions::CHANGES,
    outbox::TABLE,
    outbox::DEAD,
    outbox::MESSAGES,
    waiting::TABLE,
    sends::TABLE,
    mirrored::TABLE,
    rejected::TABLE,
    counts::TABLE,
    audit::TABLE,
];

/// Takes over what no log has, so that the state made anew can take the place of the one before. Epochs go on where they were:
/// the ids of messages are made from their numbers.
///
/// # Errors
/// If one cannot be read or written.
pub fn carry_over(before: &Store, anew: &Store, was: &Meta) -> Result<(), StoreError> {
    for table in CARRIED {
        anew.take_over(before, table)?;
    }
    let meta = anew.view().meta()?.unwrap_or_default();
    anew.write_meta(&Meta {
        run: was.run,
        epoch: was.epoch.max(meta.epoch),
        next_message: was.next_message,
        next_rejected: was.next_rejected,
        minutes: was.minutes.clone(),
        ..meta
    })?;
    // Links in messages that were sent go on to hold.
    if let Some(key) = before.view().link_key()? {
        anew.write_link_key(&key)?;
    }
    anew.flush()
}
