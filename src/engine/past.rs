//! What has happened so far, read again: for what was not asked of events when they came.

use crate::store::history::{self, Happened, events_of};
use crate::store::{StoreError, View};
use crossbeam_channel::{SendTimeoutError, Sender, bounded};
use foldhash::{HashMap, HashMapExt};
use std::time::Duration;
use tributary_connectors::process::Processor;
use tributary_model::{Epoch, Event, IdentifierId};

/// How often it is looked whether anybody still reads.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
    let counting = Counting::new(view, processor)?;
    view.each_event(|epoch, happened| match counting.event(epoch, &happened) {
        Some(event) => each(epoch, happened.identifier, event),
        None => Ok(true),
    })
}

/// The same on several threads, in no order: each takes in what it is given into something of its own, until it says false.
///
/// # Errors
/// If the history cannot be read.
pub(super) fn on_threads<S: Default + Send>(
    view: &View<'_>,
    processor: &Processor,
    threads: usize,
    each: impl Fn(&mut S, IdentifierId, &Event) -> bool + Sync,
) -> Result<Vec<S>, StoreError> {
    let counting = Counting::new(view, processor)?;
    let (blocks, to_read) = bounded::<(Epoch, Box<[u8]>)>(2 * threads);
    let read = |mut own: S| -> Result<S, StoreError> {
        for (epoch, block) in &to_read {
            for happened in events_of(&block)? {
                let Some(event) = counting.event(epoch, &happened) else { continue };
                if !each(&mut own, happened.identifier, &event) {
                    return Ok(own);
                }
            }
        }
        Ok(own)
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| read(S::default()))).collect();
        // What is sent when nobody reads any more is not needed.
        let told = view.each_block(|epoch, block| {
            Ok(send_while(&blocks, (epoch, block), || running.iter().any(|thread| !thread.is_finished())))
        });
        drop(blocks);
        let read = running.into_iter().map(|thread| thread.join().unwrap_or(Err(StoreError::Damaged(history::TABLE))));
        told.and_then(|()| read.collect())
    })
}

/// Sends as soon as there is room, while somebody reads.
fn send_while<T>(to: &Sender<T>, mut what: T, somebody_reads: impl Fn() -> bool) -> bool {
    while somebody_reads() {
        match to.send_timeout(what, LOOK_AGAIN) {
            Ok(()) => return true,
            Err(SendTimeoutError::Timeout(back) | SendTimeoutError::Disconnected(back)) => what = back,
        }
    }
    false
}

/// What of the history still counts.
struct Counting<'a> {
    processor: &'a Processor,
    /// Up to which epoch the past of identifiers does not.
    deleted: HashMap<IdentifierId, Epoch>,
}

impl<'a> Counting<'a> {
    fn new(view: &View<'_>, processor: &'a Processor) -> Result<Self, StoreError> {
        let mut deleted = HashMap::new();
        view.each_deleted(|id, until| {
            deleted.insert(id, until.epoch);
            Ok(())
        })?;
        Ok(Self { processor, deleted })
    }

    fn event(&self, epoch: Epoch, happened: &Happened) -> Option<Event> {
        if self.deleted.get(&happened.identifier).is_some_and(|until| epoch < *until) {
            return None;
        }
        self.processor.reread(&happened.body, happened.at, happened.message_id).ok()
    }
}
