//! A bounded memory of what was touched lately, which never forgets what is not yet committed.
//!
//! The driver works an epoch or two ahead of the commit. What it changed must be found here until the store has it,
//! or it would read the store's older value.

use foldhash::{HashMap, HashMapExt};
use std::hash::Hash;
use tributary_model::Epoch;

/// Two generations of a map: the older one is dropped when the younger one is full, except for what is still pending.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, (V, Epoch)>,
    old: HashMap<K, (V, Epoch)>,
    generation: usize,
}

impl<K: Hash + Eq + Copy, V> Recent<K, V> {
    /// Holds about `capacity` entries, and at most the pending ones beyond.
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: (capacity / 2).max(1) }
    }

    /// Removes and gives an entry, whichever generation holds it.
    pub fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key)).map(|(value, _)| value)
    }

    /// Removes an entry, whichever generation holds it.
    pub fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Whether an entry is held.
    pub fn contains(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Holds an entry that `epoch` changed (or zero, where it stands in the store as it is); everything up to
    /// `committed` may be forgotten.
    pub fn put(&mut self, key: K, value: V, epoch: Epoch, committed: Epoch) {
        if self.young.len() >= self.generation {
            let kept = std::mem::take(&mut self.old).into_iter().filter(|(_, (_, epoch))| *epoch > committed);
            let kept: Vec<_> = kept.collect();
            self.old = std::mem::take(&mut self.young);
            for (key, entry) in kept {
                self.old.entry(key).or_insert(entry);
            }
        }
        self.young.insert(key, (value, epoch));
    }

    /// Entries held.
    pub fn entries(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_forgotten_in_time_and_what_is_pending_never() {
        let mut recent = Recent::new(4);
        recent.put(0, "pending", 9, 5);
        for key in 1..10 {
            recent.put(key, "committed", 3, 5);
        }
        assert!(recent.contains(&0));
        assert!(!recent.contains(&1));
        assert!(recent.entries() <= 5);
    }
}
