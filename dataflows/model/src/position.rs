//! Where in the log: what an ingestion answer carries and `min_position=` takes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// For each partition, the offset of the *next* record: everything below it is covered.
///
/// Written as `partition:offset` pairs, joined by commas: `0:1042` or `0:17,3:5`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub BTreeMap<i32, i64>);

impl Position {
    /// The position of a log with one partition.
    pub fn single(next_offset: i64) -> Self {
        Self(BTreeMap::from([(0, next_offset)]))
    }

    /// Whether everything that `other` covers is covered by this position too.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(partition, offset)| self.0.get(partition).copied().unwrap_or(0) >= *offset)
    }

    /// Moves one partition forward; never back.
    pub fn advance(&mut self, partition: i32, next_offset: i64) {
        let entry = self.0.entry(partition).or_insert(next_offset);
        *entry = (*entry).max(next_offset);
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (partition, offset)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{partition}:{offset}")?;
        }
        Ok(())
    }
}

/// A text that is no position.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no position; a position looks like `0:1042` or `0:17,3:5`")]
pub struct PositionError(String);

impl FromStr for Position {
    type Err = PositionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut position = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let parsed = pair.split_once(':').and_then(|(p, o)| Some((p.parse().ok()?, o.parse().ok()?)));
            let (partition, offset) = parsed.ok_or_else(|| PositionError(text.to_owned()))?;
            position.advance(partition, offset);
        }
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_compares_by_partition() {
        let position: Position = "0:17,3:5".parse().unwrap_or_default();
        assert_eq!(position.to_string(), "0:17,3:5");
        assert!(position.covers(&Position::single(17)));
        assert!(!position.covers(&Position::single(18)));
        assert!("x".parse::<Position>().is_err());
    }
}
