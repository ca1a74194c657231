//! Messages that were given up, and sending them again.

use crate::store::outbox::{DEAD, Status};
use crate::store::waiting::WaitingMessage;
use crate::store::{Store, StoreError};
use tributary_model::Millis;

/// Messages that are looked at in one write.
const SHARE: usize = 1_000;

/// Sends dead letters of a destination again, with all their attempts before them: those of these ids, or all that there are
/// now. They come back to the outbox with the next epoch. Gives how many.
///
/// # Errors
/// If one cannot be read or written; those before it are sent.
pub fn replay(store: &Store, destination: &str, ids: Option<&[String]>, now: Millis) -> Result<usize, StoreError> {
    let (mut after, mut sent) = (None, 0);
    loop {
        let _held = store.hold_outbox();
        let view = store.view();
        let letters = view.messages_to(DEAD, destination, after, SHARE)?;
        let Some((last, _)) = letters.last() else { return Ok(sent) };
        after = Some(*last);
        let mut batch = store.batch();
        for (number, mut message) in letters {
            if ids.is_some_and(|ids| !ids.contains(&message.id)) {
                continue;
            }
            message.attempts = 0;
            batch.delete_dead(destination, number)?;
            batch.put_note(destination, number, &message, Status::Waiting(now), Some("replayed"), now)?;
            batch.put_waiting((now, number), &WaitingMessage { destination: destination.to_owned(), message })?;
            sent += 1;
        }
        store.write(batch, true)?;
        store.look_who_waits()?;
    }
}
