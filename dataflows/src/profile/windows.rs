//! Sliding windows as buckets: exact to one granule, and small whatever the number of events.
//!
//! An event at `t` counts until its whole bucket has left the window: it is in at `now` while
//! `end of bucket + length > now`. So nothing leaves early, and it leaves at most one granule late.

use crate::segments::Window;
use serde::{Deserialize, Serialize};
use tributary_model::Millis;

/// Partial aggregates by bucket, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets<P>(Vec<(i64, P)>);

impl<P> Default for Buckets<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: Clone> Buckets<P> {
    /// One bucket.
    pub fn of(bucket: i64, partial: P) -> Self {
        Self(vec![(bucket, partial)])
    }

    /// Whether no bucket is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Combines a partial into its bucket.
    pub fn merge(&mut self, bucket: i64, partial: &P, combine: impl FnOnce(&mut P, &P)) {
        match self.0.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => {
                if let Some((_, held)) = self.0.get_mut(at) {
                    combine(held, partial);
                }
            }
            Err(at) => self.0.insert(at, (bucket, partial.clone())),
        }
    }

    /// Drops what has left the window.
    pub fn expire(&mut self, window: &Window, now: Millis) {
        self.0.retain(|(bucket, _)| window.expires(*bucket) > now);
    }

    /// When the oldest bucket leaves.
    pub fn next_expiry(&self, window: &Window) -> Option<Millis> {
        self.0.first().map(|(bucket, _)| window.expires(*bucket))
    }

    /// The buckets, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(i64, P)> {
        self.0.iter()
    }
}
