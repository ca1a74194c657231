//! Why a customer is in a segment or not: the expression part by part, each with its value.

use super::expression::{CustomerColumn, CustomerTree, GroupColumn, Test, Tree};
use super::program::{ProfileValues, Program, Step};
use super::run::Scratch;
use std::fmt;
use tributary_model::{Millis, Value};

/// Definitions within definitions are told so deep.
const DEPTH: usize = 8;

/// A part of an expression, and what it is for one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The part, as SQL.
    pub expression: String,
    /// Its value; NULL where it is not known.
    pub value: Value,
    /// Of a comparison with a number that does not hold: what there is, and what it takes.
    pub missing: Option<(Value, Value)>,
    /// The parts that it is made of, but constants; of a definition, its expression.
    pub parts: Vec<Explained>,
}

/// A leaf by its name.
struct Name(String);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Program {
    /// Why a customer is in a segment, or is not; `None` if there is no such segment.
    pub fn explain(&self, segment: usize, profile: &impl ProfileValues) -> Option<Explained> {
        let step = Step::Segment(segment);
        let mut scratch = self.scratch();
        self.run_steps(&self.needed_by(step), profile, &mut scratch);
        Some(self.explained(self.expression(step)?, profile, &scratch, DEPTH))
    }

    /// When time alone may next change whether a customer is in a segment.
    pub fn changes_at(&self, segment: usize, profile: &impl ProfileValues) -> Option<Millis> {
        let steps = self.needed_by(Step::Segment(segment));
        let mut scratch = self.scratch();
        self.run_steps(&steps, profile, &mut scratch);
        self.next_change_of(steps.into_iter(), profile, &scratch)
    }

    fn explained(
        &self,
        tree: &CustomerTree,
        profile: &impl ProfileValues,
        scratch: &Scratch,
        depth: usize,
    ) -> Explained {
        let value = |tree: &CustomerTree| tree.datum(&scratch.customer(profile)).into_value();
        let is = value(tree);
        let missing = match tree {
            Tree::Test(test) => match &**test {
                Test::Compare(_, left, right) if is == Value::Bool(false) => match (value(left), value(right)) {
                    (have @ Value::Number(_), need @ Value::Number(_)) => Some((have, need)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let inner = |tree: &CustomerTree| self.explained(tree, profile, scratch, depth - 1);
        let parts = match tree {
            _ if depth == 0 => Vec::new(),
            Tree::Leaf(CustomerColumn::Computed(index)) => {
                self.expression(Step::Computed(*index)).into_iter().map(inner).collect()
            }
            Tree::Leaf(CustomerColumn::InSegment(index)) => {
                self.expression(Step::Segment(*index)).into_iter().map(inner).collect()
            }
            tree => {
                let parts = tree.parts().into_iter();
                let parts = parts.filter(|part| !matches!(part, Tree::Constant(_) | Tree::Interval(_)));
                parts.map(|part| self.explained(part, profile, scratch, depth)).collect()
            }
        };
        Explained { expression: tree.map(&|leaf| self.name(leaf)).to_string(), value: is, missing, parts }
    }

    /// A leaf as it would be written.
    fn name(&self, leaf: &CustomerColumn) -> Name {
        let aggregate = |index: &usize| self.aggregates.get(*index).map_or("", |aggregate| aggregate.text.as_str());
        let computed = |index: &usize| self.computed.get(*index).map_or("", |computed| computed.name.as_str());
        let path = |index: &usize| self.trait_paths.get(*index).map_or("", String::as_str);
        Name(match leaf {
            CustomerColumn::Trait(index) => format!("traits.{}", path(index)),
            CustomerColumn::Computed(index) => computed(index).to_owned(),
            CustomerColumn::InSegment(index) => {
                format!("in_segment('{}')", self.segments.get(*index).map_or("", |segment| segment.id.as_str()))
            }
            CustomerColumn::Count(index) | CustomerColumn::Sum(index) | CustomerColumn::Value(index) => {
                aggregate(index).to_owned()
            }
            CustomerColumn::Average(index) => aggregate(index).replacen("sum(", "avg(", 1),
            CustomerColumn::Account(index) => self.of_group(*index),
            CustomerColumn::InGroup(index) => format!("in_group({})", self.of_group(*index)),
            CustomerColumn::Group(column) => match column {
                GroupColumn::Id => "group.id".to_owned(),
                GroupColumn::Members => "group.members".to_owned(),
                GroupColumn::Trait(index) => format!("group.traits.{}", path(index)),
                GroupColumn::Computed(index) => format!("group.{}", computed(index)),
            },
            CustomerColumn::Now => "now()".to_owned(),
            CustomerColumn::Sequence(sequence) => sequence.text(|index| {
                // A timeline is written as its condition.
                let text = aggregate(&index);
                let condition = text.split_once("(WHERE ").and_then(|(_, rest)| rest.strip_suffix(')'));
                condition.unwrap_or(text).to_owned()
            }),
        })
    }

    /// An expression of groups as it would be written.
    pub(super) fn of_group(&self, index: usize) -> String {
        let expression = self.groups.expression(index);
        expression.map(|expression| expression.map(&|leaf| self.name(leaf)).to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::profile::{Change, IdentifierFacts, Plan};
    use crate::segments::Program;
    use tributary_model::{ComputedTrait, Definitions, Event, EventKind, Identifier, MessageId, Segment};

    fn plan() -> Plan {
        let segment = |id: &str, condition: &str| {
            (id.to_owned(), Segment { name: id.to_owned(), condition: condition.to_owned() })
        };
        let orders = "count(*) FILTER (WHERE event = 'Order Completed')";
        let definitions = Definitions {
            traits: [("orders".to_owned(), ComputedTrait { expression: orders.to_owned() })].into(),
            segments: [
                segment("loyal", "orders >= 3 AND NOT in_segment('lapsed')"),
                segment("lapsed", "max(timestamp) < now() - INTERVAL '1 day' OR group.members > 5"),
            ]
            .into(),
            ..Definitions::default()
        };
        Plan::new(Program::compile(&definitions).unwrap())
    }

    #[test]
    fn every_part_has_its_value_and_what_is_missing_is_told() {
        let plan = plan();
        let ada = Identifier::new("user_id", "ada");
        let mut facts = IdentifierFacts::new(ada.clone(), 0);
        let order = |at: Millis| Event {
            kind: EventKind::Track,
            event: Some("Order Completed".to_owned()),
            name: None,
            group: None,
            message_id: MessageId(at as u128),
            timestamp: at,
            identifiers: vec![ada.clone()],
            properties: tributary_model::Object::default(),
            traits: tributary_model::Object::default(),
            context: tributary_model::Object::default(),
            consent: serde_json::Map::new(),
            body: bytes::Bytes::new(),
        };
        for at in [1_000, 2_000] {
            facts.apply(&plan, &order(at), at, &mut Change::default());
        }
        let features = facts.features(&plan);
        let loyal = plan.program.segments.iter().position(|segment| segment.id == "loyal").unwrap();
        let values = plan.values(&features, 5_000);
        let explained = plan.program.explain(loyal, &values).unwrap();
        assert_eq!(explained.expression, "orders >= 3 AND NOT in_segment('lapsed')");
        assert_eq!((&explained.value, explained.parts.len()), (&Value::Bool(false), 2));
        let [orders, not_lapsed] = explained.parts.as_slice() else { panic!("{explained:?}") };
        assert_eq!(orders.missing, Some((Value::Number(2.into()), Value::Number(3.into()))));
        let definition = orders.parts.first().and_then(|leaf| leaf.parts.first()).unwrap();
        assert_eq!(definition.expression, "count(*) FILTER (WHERE event = 'Order Completed')");
        assert_eq!(not_lapsed.value, Value::Bool(true));
        let told = format!("{not_lapsed:?}");
        assert!(
            told.contains("max(timestamp) < (now() - INTERVAL '1 day')") && told.contains("group.members > 5"),
            "{told}"
        );
        // A day after the last order time alone makes her lapse.
        assert_eq!(plan.program.changes_at(loyal, &values), Some(2_000 + 86_400_000 + 1));
        assert_eq!(plan.program.aggregates_of(loyal).len(), 2);
        assert_eq!(plan.program.explain(7, &values), None);
    }
}
