//! The yardstick: union-find over a hash map of identifiers, one thread, no rules, nothing can be undone.

use super::graphs::Customers;
use std::collections::HashMap;
use std::time::Instant;
use tributary_model::IdentifierId;

/// How fast, and how large.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) bytes: f64,
}

#[derive(Default)]
struct UnionFind {
    places: HashMap<IdentifierId, u32, foldhash::fast::FixedState>,
    above: Vec<u32>,
}

impl UnionFind {
    fn place(&mut self, id: IdentifierId) -> u32 {
        *self.places.entry(id).or_insert_with(|| {
            self.above.push(self.above.len() as u32);
            self.above.len() as u32 - 1
        })
    }

    fn root(&mut self, mut at: u32) -> u32 {
        while self.above[at as usize] != at {
            self.above[at as usize] = self.above[self.above[at as usize] as usize];
            at = self.above[at as usize];
        }
        at
    }
}

pub(crate) fn rate(customers: &Customers) -> Measured {
    let started = Instant::now();
    let mut all = UnionFind::default();
    for link in &customers.links {
        let (a, b) = (all.place(link.ends.0), all.place(link.ends.1));
        let (a, b) = (all.root(a), all.root(b));
        all.above[a.max(b) as usize] = a.min(b);
    }
    let rate = customers.links.len() as f64 / started.elapsed().as_secs_f64();
    assert_eq!(all.above.len(), customers.nodes.len());
    let entry = size_of::<(IdentifierId, u32)>() + 1;
    let bytes = all.places.capacity() * 8 / 7 * entry + all.above.capacity() * size_of::<u32>();
    Measured { rate, bytes: bytes as f64 / customers.nodes.len() as f64 }
}
