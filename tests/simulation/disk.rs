//! A disk that keeps all that was synced, and of what was not any first part of it.

use rand::RngExt;
use rand::rngs::StdRng;
use std::io;
use std::sync::{Arc, Mutex};
use tributary::store::{Store, StoreOptions};

#[derive(Debug, Default)]
pub(super) struct Kept {
    writes: Vec<Vec<u8>>,
    /// So many of them are there after a power cut, whatever comes.
    synced: usize,
    /// So many further writes fail, as on a full disk.
    failing: usize,
    /// After so many further writes the power is gone.
    left: Option<usize>,
}

/// What of a state outlives its process.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) kept: Arc<Mutex<Kept>>,
    /// Says that it has synced, and has not.
    pub(super) forgets: bool,
}

impl Disk {
    /// The state that is on it.
    pub(super) fn open(&self) -> Arc<Store> {
        let year = 366 * 24 * 3_600_000;
        let options = StoreOptions {
            block_cache_bytes: 1 << 20,
            history_retention_ms: 10 * year,
            dedupe_horizon_ms: year,
            rejected_retention_ms: year,
        };
        let (kept, forgets) = (self.kept.clone(), self.forgets);
        let tap = move |write: &[u8], sync: bool| {
            let mut kept = kept.lock().unwrap();
            if kept.left == Some(0) {
                return Err(io::Error::other("the power is gone"));
            }
            if kept.failing > 0 {
                kept.failing -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            kept.left = kept.left.map(|left| left - 1);
            kept.writes.push(write.to_vec());
            if sync && !forgets {
                kept.synced = kept.writes.len();
            }
            Ok(())
        };
        let writes = self.kept.lock().unwrap().writes.clone();
        Arc::new(Store::simulated(&writes, options, Arc::new(tap)).unwrap())
    }

    /// So many further writes fail.
    pub(super) fn fail(&self, writes: usize) {
        self.kept.lock().unwrap().failing = writes;
    }

    /// The power goes after so many further writes.
    pub(super) fn lose_power_after(&self, writes: usize) {
        self.kept.lock().unwrap().left = Some(writes);
    }

    pub(super) fn has_power(&self) -> bool {
        self.kept.lock().unwrap().left != Some(0)
    }

    /// The process is gone. What it wrote is there; but after a power cut only what was synced, and by chance more.
    pub(super) fn restart(&self, rng: &mut StdRng, power_cut: bool) {
        let mut kept = self.kept.lock().unwrap();
        let lost_power = power_cut || kept.left == Some(0);
        (kept.failing, kept.left) = (0, None);
        if lost_power {
            let there = rng.random_range(kept.synced..=kept.writes.len());
            kept.writes.truncate(there);
        }
        kept.synced = kept.writes.len();
    }
}
