//! Long answers in pages: one entry more than asked for tells that there are more.

/// Cuts entries, of which one more than `limit` was read, down to a page; gives the cursor of the last one if more follow.
pub(super) fn cut<T, C>(entries: &mut Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Option<C> {
    let more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| more).map(cursor)
}
