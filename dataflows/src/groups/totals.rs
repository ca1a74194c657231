//! What one group adds up to. A group may have a million members, so a change costs what it changes, not what there is.

use crate::profile::features::{SUM_SCALE, Slot};
use crate::profile::values::Pick;
use crate::profile::{Features, Plan, Slots};
use crate::segments::{GroupEvaluation, GroupValues, ProfileValues};
use rust_decimal::Decimal;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tributary_model::{GroupId, MessageId, Millis, Value};

/// The sum of all differences of one group, with an index of what does not add.
#[derive(Clone, Debug, Default)]
struct Total {
    additive: BTreeMap<Slot, (i64, i128)>,
    valued: BTreeMap<Slot, BTreeMap<(Millis, MessageId, Value), i64>>,
    /// What was last said of it.
    said: Option<GroupEvaluation>,
}

impl Total {
    fn add(&mut self, features: Features) {
        for entry in features.additive {
            let held = self.additive.entry(entry.slot).or_default();
            *held = (held.0 + entry.count, held.1 + entry.sum);
            if *held == (0, 0) {
                self.additive.remove(&entry.slot);
            }
        }
        for entry in features.valued {
            let values = self.valued.entry(entry.slot).or_default();
            match values.entry((entry.at, entry.tie, entry.value)) {
                Entry::Vacant(room) => {
                    room.insert(entry.copies.into());
                }
                Entry::Occupied(mut held) => {
                    *held.get_mut() += i64::from(entry.copies);
                    if *held.get() == 0 {
                        held.remove();
                    }
                }
            }
            if values.is_empty() {
                self.valued.remove(&entry.slot);
            }
        }
    }
}

/// A total as expressions read it.
struct Read<'a> {
    slots: &'a Slots,
    total: &'a Total,
}

impl Read<'_> {
    fn picked(&self, slot: Slot, pick: Pick) -> Value {
        let values = self.total.valued.get(&slot).into_iter().flatten();
        pick.of(values.map(|((at, tie, value), copies)| (*at, *tie, value, *copies)))
    }
}

impl ProfileValues for Read<'_> {
    fn trait_value(&self, slot: usize) -> Value {
        self.picked(self.slots.trait_path(slot), Pick::Last)
    }

    fn additive(&self, slot: usize) -> (i64, Option<Decimal>) {
        match self.total.additive.get(&self.slots.aggregate(slot)) {
            Some((count, sum)) => (*count, Decimal::try_from_i128_with_scale(*sum, SUM_SCALE).ok()),
            None => (0, Some(Decimal::ZERO)),
        }
    }

    fn value(&self, slot: usize) -> Value {
        self.picked(self.slots.aggregate(slot), self.slots.pick(slot))
    }

    fn account(&self, _index: usize) -> Value {
        Value::Null
    }

    fn groups_where(&self, _index: usize) -> i64 {
        0
    }

    fn instants(&self, slot: usize) -> Vec<(Millis, MessageId)> {
        let values = self.total.valued.get(&self.slots.aggregate(slot)).into_iter().flatten();
        values.map(|((at, tie, _), _)| (*at, *tie)).collect()
    }

    fn now(&self) -> Millis {
        // Nothing that is computed of groups changes with time alone.
        0
    }
}

impl GroupValues for Read<'_> {
    fn id(&self) -> Value {
        self.picked(self.slots.group_id(), Pick::Last)
    }

    fn members(&self) -> i64 {
        self.total.additive.get(&self.slots.members()).map_or(0, |(count, _)| *count)
    }
}

/// All groups, kept from epoch to epoch.
#[derive(Clone, Debug)]
pub struct Totals {
    plan: Arc<Plan>,
    groups: HashMap<GroupId, Total>,
}

impl Totals {
    /// No groups yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self { plan, groups: HashMap::new() }
    }

    /// Takes in an epoch's differences; gives how what is computed of groups has changed. A group exists while it has
    /// members.
    pub fn apply(&mut self, changes: Vec<(GroupId, Features)>) -> Vec<((GroupId, GroupEvaluation), isize)> {
        let mut touched: Vec<GroupId> = changes.iter().map(|(group, _)| *group).collect();
        for (group, features) in changes {
            self.groups.entry(group).or_default().add(features);
        }
        touched.sort_unstable();
        touched.dedup();
        let mut output = Vec::new();
        for group in touched {
            let Some(total) = self.groups.get_mut(&group) else { continue };
            let read = Read { slots: &self.plan.slots, total };
            let now = (read.members() > 0).then(|| self.plan.program.evaluate_group(&read));
            if now != total.said {
                let before = std::mem::replace(&mut total.said, now.clone());
                output.extend(before.map(|before| ((group, before), -1)));
                output.extend(now.map(|now| ((group, now), 1)));
            }
            if total.said.is_none() && total.additive.is_empty() && total.valued.is_empty() {
                self.groups.remove(&group);
            }
        }
        output
    }
}
