//! What has happened so far, read again: for what was not asked of events when they came.

use crate::store::{StoreError, View};
use foldhash::{HashMap, HashMapExt};
use tributary_connectors::process::Processor;
use tributary_model::{Epoch, Event, IdentifierId};

/// Every event in a view that still counts, with its epoch and the identifier that it belongs to, until `each` says false.
///
/// Events of identifiers that were deleted do not count, nor what was an event by the rules of its time but is none by today's.
///
/// # Errors
/// If the history cannot be read, or `each` fails.
pub(super) fn each_event(
    view: &View<'_>,
    processor: &Processor,
    mut each: impl FnMut(Epoch, IdentifierId, Event) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut deleted = HashMap::new();
    view.each_deleted(|id, until| {
        deleted.insert(id, until.epoch);
        Ok(())
    })?;
    view.each_event(|epoch, happened| {
        if deleted.get(&happened.identifier).is_some_and(|until| epoch < *until) {
            return Ok(true);
        }
        match processor.reread(&happened.body, happened.at, happened.message_id) {
            Ok(event) => each(epoch, happened.identifier, event),
            Err(_) => Ok(true),
        }
    })
}
