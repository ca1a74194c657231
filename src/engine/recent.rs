//! A bounded memory of what was touched lately, which never forgets what is not yet committed.
//!
//! The driver works an epoch or two ahead of the commit. What it changed must be found here until the store has it,
//! or it would read the store's older value.

use foldhash::{HashMap, HashMapExt};
use std::collections::hash_map::Entry;
use std::hash::Hash;
use tributary_model::Epoch;

/// Entries of two generations: the older one is dropped when the younger one is full, except for what is still pending.
#[derive(Debug)]
pub struct Recent<K, V> {
    entries: HashMap<K, Held<V>>,
    /// How many of the entries are young.
    young: usize,
    generation: usize,
}

#[derive(Debug)]
struct Held<V> {
    value: V,
    /// Which epoch has changed it last.
    epoch: Epoch,
    is_young: bool,
}

impl<K: Hash + Eq + Copy, V> Recent<K, V> {
    /// Holds about `capacity` entries, and at most the pending ones beyond.
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), young: 0, generation: (capacity / 2).max(1) }
    }

    /// Removes and gives an entry.
    pub fn take(&mut self, key: &K) -> Option<V> {
        let held = self.entries.remove(key)?;
        self.young -= usize::from(held.is_young);
        Some(held.value)
    }

    /// Removes an entry.
    pub fn forget(&mut self, key: &K) {
        drop(self.take(key));
    }

    /// Whether an entry is held.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Holds an entry that `epoch` changed (or zero, where it stands in the store as it is); everything up to
    /// `committed` may be forgotten. Gives whether there was none.
    pub fn put(&mut self, key: K, value: V, epoch: Epoch, committed: Epoch) -> bool {
        if self.young >= self.generation {
            self.entries.retain(|_, held| {
                let keeps = held.is_young || held.epoch > committed;
                held.is_young = false;
                keeps
            });
            self.young = 0;
        }
        let held = Held { value, epoch, is_young: true };
        match self.entries.entry(key) {
            Entry::Vacant(room) => {
                room.insert(held);
                self.young += 1;
                true
            }
            Entry::Occupied(mut before) => {
                self.young += usize::from(!before.get().is_young);
                before.insert(held);
                false
            }
        }
    }

    /// Entries held.
    pub fn entries(&self) -> usize {
        self.entries.len()
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
            assert!(recent.put(key, "committed", 3, 5));
        }
        assert!(recent.contains(&0));
        assert!(!recent.contains(&1));
        assert!(recent.entries() <= 5);
    }

    #[test]
    fn what_is_used_again_stays_and_is_counted_once() {
        let mut recent = Recent::new(4);
        for key in 1..100 {
            assert_eq!(recent.put(0, "busy", 3, 5), key == 1);
            recent.put(key, "once", 3, 5);
            assert_eq!(recent.take(&key), Some("once"));
            recent.put(key, "once", 3, 5);
            assert!(recent.entries() <= 5, "{}", recent.entries());
        }
        assert!(recent.contains(&0));
    }
}
