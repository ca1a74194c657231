//! The part of a program that is computed of groups.

use super::expression::{CustomerColumn, CustomerTree, Group, GroupColumn, NoGroup};
use super::program::{ProfileValues, Program, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tributary_model::Value;

/// What is known of a group, by the program's slots: the group's own traits, and the aggregates of all members.
pub trait GroupValues: ProfileValues {
    /// The `groupId`.
    fn id(&self) -> Value;
    /// How many customers belong to it.
    fn members(&self) -> i64;
}

/// What definitions read of groups.
#[derive(Clone, Debug, Default)]
pub struct GroupProgram {
    /// Expressions over one group; what a customer's expressions read of groups are their values.
    pub(super) expressions: Vec<CustomerTree>,
    /// The computed traits that they read, by index.
    pub computed: Vec<usize>,
    /// The aggregates that all of this needs, by index.
    pub aggregates: BTreeSet<usize>,
    /// The trait paths that all of this needs, by index.
    pub traits: BTreeSet<usize>,
    /// The computed traits and segments that all of this needs, in order.
    steps: Vec<Step>,
    /// The value of each expression for whoever has no account: that of which nothing is known.
    pub without_account: Vec<Value>,
}

impl GroupProgram {
    /// Finds what the expressions need of the program.
    pub(super) fn new(expressions: Vec<CustomerTree>, program: &Program) -> Self {
        let without_account = expressions.iter().map(|expression| expression.datum(&NoGroup).into_value()).collect();
        let mut needs = Self { expressions, without_account, ..Self::default() };
        let mut needed: BTreeSet<Step> = BTreeSet::new();
        for expression in needs.expressions.clone() {
            needs.look_at(&expression, &mut needed);
        }
        needs.computed = needed.iter().filter_map(|step| step.computed()).collect();
        let mut open: Vec<Step> = needed.iter().copied().collect();
        while let Some(step) = open.pop() {
            let mut found = BTreeSet::new();
            program.expression(step).into_iter().for_each(|expression| needs.look_at(expression, &mut found));
            open.extend(found.into_iter().filter(|step| needed.insert(*step)));
        }
        needs.steps = program.steps.iter().filter(|step| needed.contains(step)).copied().collect();
        needs
    }

    /// Notes what a tree reads, and gives the steps among it.
    fn look_at(&mut self, tree: &CustomerTree, steps: &mut BTreeSet<Step>) {
        tree.each_leaf(&mut |leaf| match leaf {
            CustomerColumn::Group(GroupColumn::Id | GroupColumn::Members) => {}
            CustomerColumn::Group(GroupColumn::Trait(index)) | CustomerColumn::Trait(index) => {
                self.traits.insert(*index);
            }
            CustomerColumn::Group(GroupColumn::Computed(index)) | CustomerColumn::Computed(index) => {
                steps.insert(Step::Computed(*index));
            }
            CustomerColumn::InSegment(index) => drop(steps.insert(Step::Segment(*index))),
            CustomerColumn::Count(index)
            | CustomerColumn::Sum(index)
            | CustomerColumn::Average(index)
            | CustomerColumn::Value(index) => drop(self.aggregates.insert(*index)),
            CustomerColumn::Sequence(sequence) => self.aggregates.extend([sequence.first, sequence.second]),
            // A group is in no group.
            CustomerColumn::Account(_) | CustomerColumn::InGroup(_) | CustomerColumn::Now => {}
        });
    }

    pub(super) fn expression(&self, index: usize) -> Option<&CustomerTree> {
        self.expressions.get(index)
    }

    /// How many expressions there are; without any, nothing has to be known of groups.
    pub fn len(&self) -> usize {
        self.expressions.len()
    }

    /// Whether no definition reads anything of groups.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }
}

/// What is computed of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupEvaluation {
    /// How many customers belong to it.
    pub members: i64,
    /// The value of each expression, which members read.
    pub expressions: Vec<Value>,
    /// The values of [`GroupProgram::computed`], in that order.
    pub computed: Vec<Value>,
}

impl Program {
    /// What definitions read of one group: computed traits are those of a customer with all members' events.
    pub fn evaluate_group(&self, group: &impl GroupValues) -> GroupEvaluation {
        let evaluation = self.run(&self.groups.steps, group);
        let computed = &evaluation.computed;
        let source = Group { group, computed };
        let expressions = self.groups.expressions.iter().map(|expression| expression.datum(&source).into_value());
        let read = self.groups.computed.iter().map(|index| computed.get(*index).cloned().unwrap_or_default());
        GroupEvaluation { members: group.members(), expressions: expressions.collect(), computed: read.collect() }
    }
}
