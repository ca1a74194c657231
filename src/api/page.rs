//! Long answers in pages: one entry more than asked for tells that there are more.

use serde::Deserialize;

/// Entries of a page where nobody says how many, and at most.
const USUAL: usize = 100;
const LARGEST: usize = 1_000;

/// Which entries of those that have numbers.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// At most so many; 100 if not given, at most 1,000.
    limit: Option<usize>,
    /// The `next` of the page before.
    pub(super) cursor: Option<u64>,
}

impl Page {
    /// The page that somebody asks for.
    pub(super) const fn new(limit: Option<usize>, cursor: Option<u64>) -> Self {
        Self { limit, cursor }
    }

    /// How many.
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL).clamp(1, LARGEST)
    }
}

/// Cuts entries, of which one more than `limit` was read, down to a page; gives the cursor of the last one if more follow.
pub(super) fn cut<T, C>(entries: &mut Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Option<C> {
    let more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| more).map(cursor)
}
