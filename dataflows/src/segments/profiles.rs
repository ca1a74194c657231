//! All customers as the dataflow holds them, to be looked at in the order of their ids.

use crate::profile::Features;
use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::trace::implementations::KeySpine;
use differential_dataflow::trace::{Cursor, TraceReader, cursor::cursor_list};
use timely::progress::Antichain;
use tributary_model::{Epoch, ProfileId};

/// The differences of each customer's features, summed by the epoch.
pub(crate) type Trace = TraceAgent<KeySpine<ProfileId, Epoch, Features>>;

/// A hand on them.
pub(super) struct Profiles {
    trace: Trace,
}

impl Profiles {
    pub(super) fn new(trace: Trace) -> Self {
        Self { trace }
    }

    /// Lets epochs up to this one be summed: the next look is at a later one.
    pub(super) fn is_done_with(&mut self, epoch: Epoch) {
        let next = Antichain::from_elem(epoch + 1);
        self.trace.set_logical_compaction(next.borrow());
        self.trace.set_physical_compaction(next.borrow());
    }

    /// At most so many customers with their features as of an epoch, in the order of their ids, after one of them.
    pub(super) fn after(&self, after: Option<ProfileId>, epoch: Epoch, limit: usize) -> Vec<(ProfileId, Features)> {
        let mut batches = Vec::new();
        self.trace.map_spans(|span| batches.extend(span.inner.clone()));
        let (mut cursor, storage) = cursor_list(batches);
        if let Some(after) = after {
            cursor.seek_key(&storage, &after);
        }
        let mut found = Vec::new();
        while let Some(profile) = cursor.get_key(&storage).filter(|_| found.len() < limit) {
            if Some(*profile) != after {
                let mut features = Features::default();
                cursor.map_times(&storage, |time, difference| {
                    if *time <= epoch {
                        features.plus_equals(difference);
                    }
                });
                if !features.is_zero() {
                    found.push((*profile, features));
                }
            }
            cursor.step_key(&storage);
        }
        found
    }
}
