//! Table `segment_history`: (segment, resolution, begin) → how many members a segment had at the end of that minute, hour or day,
//! and how many came and went in it. Only where something changed. Compaction drops minutes after two days, hours after 60
//! days, days after 400.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use tributary_model::Millis;

/// The table's name.
pub const TABLE: &str = "segment_history";

/// How long the finest rows are kept.
pub(super) const KEPT_MS: i64 = 2 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours in UTC.
    Day,
}

impl Resolution {
    /// All of them, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length in milliseconds.
    pub const fn length_ms(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => DAY_MS,
        }
    }

    /// How much longer than the finest rows those of this resolution are kept.
    const fn longer_ms(self) -> i64 {
        match self {
            Self::Minute => 0,
            Self::Hour => 58 * DAY_MS,
            Self::Day => 398 * DAY_MS,
        }
    }

    /// When the one begins that holds an instant.
    pub const fn begin(self, at: Millis) -> Millis {
        at.div_euclid(self.length_ms()).saturating_mul(self.length_ms())
    }
}

/// What happened to a segment in one minute, hour or day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Members at its end.
    pub count: i64,
    /// Customers who came.
    pub entered: u64,
    /// Customers who went.
    pub left: u64,
}

fn key(segment: &str, resolution: Resolution, begin: Millis) -> Vec<u8> {
    Key::new().text(segment).number(resolution as u64).millis(begin).done()
}

/// When a row is as old as a minute of that time, for compaction.
pub(super) fn ages_at(key: &[u8], _value: &[u8]) -> Option<Millis> {
    let mut parts = Parts(key);
    parts.text()?;
    let resolution = *Resolution::ALL.get(usize::try_from(parts.number()?).ok()?)?;
    Some(parts.millis()?.saturating_add(resolution.longer_ms()))
}

impl View<'_> {
    /// One row.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn count_row(&self, segment: &str, resolution: Resolution, begin: Millis) -> Result<Option<Row>, StoreError> {
        self.get(TABLE, &key(segment, resolution, begin))
    }

    /// The rows that begin in a span, at most `limit`, earliest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn count_rows(
        &self,
        segment: &str,
        resolution: Resolution,
        (from, to): (Millis, Millis),
        limit: usize,
    ) -> Result<Vec<(Millis, Row)>, StoreError> {
        let prefix = Key::new().text(segment).number(resolution as u64).done();
        let entries = self.prefix::<Row>(TABLE, &prefix, &key(segment, resolution, from))?;
        let mut rows = Vec::new();
        for entry in entries.take(limit) {
            let (key, row) = entry?;
            let mut parts = Parts(&key);
            let begin = parts.text().and_then(|_| parts.number()).and_then(|_| parts.millis());
            let begin = begin.ok_or(StoreError::Damaged(TABLE))?;
            if begin >= to {
                break;
            }
            rows.push((begin, row));
        }
        Ok(rows)
    }

    /// How many members a segment had when the latest row before an instant ended; `None` if none is kept.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn count_before(&self, segment: &str, resolution: Resolution, at: Millis) -> Result<Option<i64>, StoreError> {
        let prefix = Key::new().text(segment).number(resolution as u64).done();
        let mut entries = self.prefix_backwards::<Row>(TABLE, &prefix, Some(&key(segment, resolution, at)))?;
        Ok(entries.next().transpose()?.map(|(_, row)| row.count))
    }
}

impl Batch<'_> {
    /// Stores a row.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_count_row(
        &mut self,
        segment: &str,
        resolution: Resolution,
        begin: Millis,
        row: &Row,
    ) -> Result<(), StoreError> {
        self.put(TABLE, &key(segment, resolution, begin), row)
    }
}
