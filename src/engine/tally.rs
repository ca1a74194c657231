//! How segments grow and shrink, minute by minute: written with each epoch that changes them; a minute that is over is added to
//! its hour and its day.

use crate::store::counts::{Resolution, Row};
use crate::store::{Batch, Meta, StoreError, View};
use std::collections::BTreeMap;

/// Customers who came to a segment and who left it.
pub(super) type Moves<'a> = BTreeMap<&'a str, (u64, u64)>;

/// Notes what an epoch changed. The counts in `meta` are those after it.
pub(super) fn tally(
    batch: &mut Batch<'_>,
    view: &View<'_>,
    meta: &mut Meta,
    moves: &Moves<'_>,
) -> Result<(), StoreError> {
    let minute = Resolution::Minute.begin(meta.clock);
    for (segment, (entered, left)) in moves {
        let count = meta.counts.get(*segment).copied().unwrap_or(0);
        let (begin, row) = meta.minutes.entry((*segment).to_owned()).or_insert((minute, Row::default()));
        if *begin != minute {
            for resolution in [Resolution::Hour, Resolution::Day] {
                let at = resolution.begin(*begin);
                let so_far = view.count_row(segment, resolution, at)?.unwrap_or_default();
                batch.put_count_row(segment, resolution, at, &and_then(so_far, *row))?;
            }
            (*begin, *row) = (minute, Row::default());
        }
        *row = Row { count, entered: row.entered + entered, left: row.left + left };
        batch.put_count_row(segment, Resolution::Minute, minute, row)?;
    }
    Ok(())
}

/// A row with what happened after it.
pub(crate) fn and_then(row: Row, later: Row) -> Row {
    Row { count: later.count, entered: row.entered + later.entered, left: row.left + later.left }
}
