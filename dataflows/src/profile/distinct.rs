//! How many different values, and which is the most frequent: in bounded room.
//!
//! Different values are kept as hashes, all of them up to a number, so that the count is exact. Past it a sample is kept: the
//! hashes below a threshold, which is lowered so that they fit; the count is then an estimate, the number of hashes by the share
//! of all hashes that lie below the threshold (a *theta sketch*, Dasgupta, Lang, Rhodes and Thaler, ICDT 2016; the relative
//! standard error is 1/√(n − 1) for n kept). Unlike the registers of HyperLogLog, hashes can be taken back: when windows move
//! on, customers part, and events are deleted.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_model::{Value, limits};

/// The hashes of different values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Hashes are kept below it; `u64::MAX` while all are.
    pub threshold: u64,
    /// In order.
    pub hashes: Vec<u64>,
}

impl Sample {
    /// Of one value.
    pub fn of(value: &Value) -> Self {
        Self { threshold: u64::MAX, hashes: vec![hash(value)] }
    }

    /// Takes in another sample.
    pub fn merge(&mut self, other: &Self) {
        self.threshold = self.threshold.min(other.threshold);
        for hash in &other.hashes {
            if let Err(at) = self.hashes.binary_search(hash) {
                self.hashes.insert(at, *hash);
            }
        }
        if let Some(first_too_many) = self.hashes.get(limits::DISTINCT_VALUES) {
            self.threshold = self.threshold.min(*first_too_many);
        }
        self.hashes.truncate(self.hashes.partition_point(|hash| *hash < self.threshold));
    }
}

/// How many different values there are, by how many hashes lie below the smallest threshold.
pub fn estimate(hashes: u64, threshold: u64) -> u64 {
    match threshold {
        u64::MAX => hashes,
        threshold => (hashes as f64 / (threshold as f64 / u64::MAX as f64)).round() as u64,
    }
}

/// Values with how often each was seen. Of more than there is room for, the least frequent are forgotten.
pub fn count_more(counts: &mut BTreeMap<Value, u32>, more: &BTreeMap<Value, u32>) {
    for (value, times) in more {
        let held = counts.entry(value.clone()).or_default();
        *held = held.saturating_add(*times);
    }
    while counts.len() > limits::FREQUENT_VALUES {
        let least = counts.iter().min_by_key(|(value, times)| (**times, std::cmp::Reverse(*value)));
        let Some(least) = least.map(|(value, _)| value.clone()) else { return };
        counts.remove(&least);
    }
}

/// The same for the same value in every version, since stored state relies on it: FNV-1a, and the mixing of SplitMix64, so
/// that the upper bits are as even as the lower ones.
fn hash(value: &Value) -> u64 {
    let (kind, text) = match value {
        Value::Null => (0, String::new()),
        Value::Bool(bool) => (1, bool.to_string()),
        Value::Number(number) => (2, number.normalize().to_string()),
        Value::Timestamp(at) => (3, at.to_string()),
        Value::Text(text) => (4, text.to_string()),
        list @ Value::List(_) => (5, list.to_string()),
    };
    let bytes = [kind].into_iter().chain(text.into_bytes());
    let mut hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // No hash is the threshold of those who keep all.
    (hash ^ (hash >> 31)).min(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(numbers: impl IntoIterator<Item = i64>) -> Sample {
        let mut sample = Sample { threshold: u64::MAX, hashes: Vec::new() };
        numbers.into_iter().for_each(|number| sample.merge(&Sample::of(&Value::Number(number.into()))));
        sample
    }

    fn count(sample: &Sample) -> u64 {
        estimate(sample.hashes.len() as u64, sample.threshold)
    }

    #[test]
    fn few_are_counted_exactly() {
        let most = limits::DISTINCT_VALUES as i64;
        for values in [0, 1, 7, most] {
            assert_eq!(count(&sample(0..values)), values as u64);
            assert_eq!(count(&sample((0..values).chain(0..values))), values as u64, "each once");
        }
    }

    #[test]
    fn many_are_estimated_whatever_the_order_and_the_parts() {
        let all = sample(0..20_000);
        assert!((19_000..21_000).contains(&count(&all)), "{}", count(&all));
        assert_eq!(sample((0..20_000).rev()), all);
        let mut parts = sample(0..12_000);
        parts.merge(&sample(8_000..20_000));
        assert_eq!(parts, all);
        assert!(all.hashes.len() <= limits::DISTINCT_VALUES);
    }

    #[test]
    fn the_least_frequent_are_forgotten() {
        let mut counts = BTreeMap::new();
        for number in 0..1_000i64 {
            let times = if number == 500 { 3 } else { 1 };
            count_more(&mut counts, &BTreeMap::from([(Value::Number(number.into()), times)]));
        }
        assert_eq!(counts.len(), limits::FREQUENT_VALUES);
        assert_eq!(counts.values().max(), Some(&3));
    }

    #[test]
    fn hashes_are_the_same_in_every_version() {
        assert_eq!(hash(&Value::text("a")), 9_820_811_376_072_835_878);
    }
}
