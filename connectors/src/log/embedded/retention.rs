//! What may go: committed blocks that are too old, or that make the log too large.

use super::block::Head;
use super::database::{Shared, blocks, current, key};
use crate::log::{LogError, lock};
use rocksdb::{DB, WriteBatch};
use std::sync::atomic::Ordering;
use tributary_model::Millis;

/// Which blocks may go. Blocks before one that may go may go too, since all three numbers grow from block to block.
struct Rule {
    /// Blocks that were written before may go.
    oldest: Millis,
    /// Blocks that begin before this byte may go.
    bytes: u64,
    /// None that ends after this offset may go.
    committed: i64,
    /// The last block never goes: it says where the log ends.
    end: i64,
}

impl Rule {
    fn may_go(&self, block: &Head) -> bool {
        let useless = block.written_at < self.oldest || block.bytes_before < self.bytes;
        useless && block.next() <= self.committed && block.next() < self.end
    }
}

impl Shared {
    /// Deletes what may go at a certain time.
    pub(super) fn retain(&self, now: Millis) -> Result<(), LogError> {
        // While the log is copied nothing goes; appends do not wait for that.
        let Ok(_deleting) = self.deleting.try_lock() else { return Ok(()) };
        let tail = *lock(&self.tail);
        let age = i64::try_from(self.config.retention_age.as_millis()).unwrap_or(i64::MAX);
        let rule = Rule {
            oldest: now.saturating_sub(age),
            bytes: tail.bytes.saturating_sub(self.config.retention_bytes),
            committed: self.committed.load(Ordering::Relaxed),
            end: tail.end,
        };
        let earliest = self.earliest.load(Ordering::Acquire);
        let guard = self.database();
        let Some(database) = &*guard else { return Ok(()) };
        let keep_from = first_kept(database, &rule, earliest)?;
        if keep_from > earliest {
            self.earliest.store(keep_from, Ordering::Release);
            // The files first, as that frees room at once. Their range includes its end.
            database.delete_file_in_range(key(0), key(keep_from - 1))?;
            let mut batch = WriteBatch::default();
            batch.delete_range(key(0), key(keep_from));
            database.write(batch)?;
        }
        Ok(())
    }
}

/// The first offset of the first block that must stay. Few blocks are read to find it, however long the log is.
fn first_kept(database: &DB, rule: &Rule, earliest: i64) -> Result<i64, LogError> {
    let mut iterator = blocks(database);
    // Blocks before `low` may go, the one at `high` may not.
    let (mut low, mut high) = (earliest, rule.committed.min(rule.end));
    let mut probe = earliest;
    while low < high {
        iterator.seek_for_prev(key(probe));
        let Some((block, _)) = current(&iterator)? else { break };
        if rule.may_go(&block) {
            low = low.max(block.next());
        } else {
            high = block.first;
        }
        // The first block tells at once where nothing may go; then halves.
        probe = low + (high - low) / 2;
    }
    Ok(low)
}
