//! Which pairs of records are worth a look: those that are equal in some field, unless so many are that it means nothing.

use super::Record;
use std::collections::HashMap;

/// Records that share a value are all compared with each other if they are at most so many; of more, those that share
/// another field too. So a common value costs no more than rare ones.
const LARGEST_BLOCK: usize = 100;
/// Pairs that are looked at, those of the smallest blocks first: eight bytes each.
const MOST_PAIRS: usize = 20_000_000;

/// The pairs, each once, the smaller place first and in order; and how many blocks were left aside for their size.
pub(super) fn candidates(records: &[Record], fields: usize) -> (Vec<(u32, u32)>, u64) {
    let mut blocks = Vec::new();
    let mut left_out = 0;
    let all: Vec<u32> = (0..records.len() as u32).collect();
    for field in 0..fields {
        for block in shared(records, &all, field) {
            if block.len() <= LARGEST_BLOCK {
                blocks.push(block);
                continue;
            }
            for other in (0..fields).filter(|other| *other != field) {
                for block in shared(records, &block, other) {
                    if block.len() <= LARGEST_BLOCK { blocks.push(block) } else { left_out += 1 }
                }
            }
        }
    }
    blocks.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    let mut pairs = Vec::new();
    for block in blocks {
        if pairs.len() + block.len() * block.len() / 2 > MOST_PAIRS {
            left_out += 1;
            continue;
        }
        for (at, one) in block.iter().enumerate() {
            pairs.extend(block.iter().skip(at + 1).map(|other| (*one, *other)));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    (pairs, left_out)
}

/// Some records by their value of a field; only those of two or more.
fn shared(records: &[Record], of: &[u32], field: usize) -> impl Iterator<Item = Vec<u32>> {
    let mut by_value: HashMap<&str, Vec<u32>> = HashMap::new();
    for place in of {
        let value = records.get(*place as usize).and_then(|record| record.get(field)).and_then(Option::as_deref);
        value.into_iter().for_each(|value| by_value.entry(value).or_default().push(*place));
    }
    by_value.into_values().filter(|places| places.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(values: [&str; 2]) -> Record {
        values.map(|value| (!value.is_empty()).then(|| value.to_owned())).to_vec()
    }

    #[test]
    fn pairs_are_equal_in_some_field() {
        let records = [["ada", "1"], ["ada", "2"], ["ben", "2"], ["", ""], ["", ""]].map(record);
        assert_eq!(candidates(&records, 2), (vec![(0, 1), (1, 2)], 0));
    }

    #[test]
    fn a_common_value_counts_only_together_with_another() {
        let mut records: Vec<_> = (0..2_000).map(|n| record(["smith", &format!("{n}")])).collect();
        records.push(record(["smith", "7"]));
        assert_eq!(candidates(&records, 2), (vec![(7, 2_000)], 0));
        let all_the_same: Vec<_> = (0..2_000).map(|_| record(["n/a", "n/a"])).collect();
        assert_eq!(candidates(&all_the_same, 2), (vec![], 2));
    }
}
