//! What follows what: `followed_by`, `not_followed_by` and `count_since`, over the instants at which two kinds of events happened.

use super::aggregate::{Aggregate, AggregateFunction};
use super::check;
use super::customer::{CustomerColumn, Registry};
use super::event::{EventColumn, EventScope, EventTree};
use super::problem::Problem;
use super::syntax::{Arguments, Call, Comparison, Kind, Syntax};
use super::tree::{Test, Tree};
use super::types::{Type, Typed};
use crate::segments::ProfileValues;
use rust_decimal::Decimal;
use tributary_model::{MessageId, Millis, Value};

/// One kind of events and another one, and how they are to stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) relation: Relation,
    /// The slot of the instants of the first kind.
    pub(crate) first: usize,
    /// That of the second kind.
    pub(crate) second: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// One of the first kind has one of the second kind behind it, at most so long.
    Followed { within_ms: i64 },
    /// The latest of the first kind had none of the second kind behind it for so long, which is over.
    NotFollowed { within_ms: i64 },
    /// How many of the first kind there are behind the latest of the second kind.
    CountSince,
}

/// When something happened, and what breaks a tie.
type Instant = (Millis, MessageId);

impl Sequence {
    /// Whether time alone changes it.
    pub(crate) const fn reads_clock(&self) -> bool {
        matches!(self.relation, Relation::NotFollowed { .. })
    }

    pub(super) fn value(&self, profile: &impl ProfileValues) -> Value {
        let (first, second) = (profile.instants(self.first), profile.instants(self.second));
        match self.relation {
            Relation::Followed { within_ms } => {
                let is_followed = |at: &Instant| next(&second, *at).is_some_and(|then| then.0 - at.0 <= within_ms);
                Value::Bool(first.iter().any(is_followed))
            }
            Relation::NotFollowed { within_ms } => Value::Bool(first.last().is_some_and(|at| {
                let over = at.0.saturating_add(within_ms) <= profile.now();
                over && next(&second, *at).is_none_or(|then| then.0 - at.0 > within_ms)
            })),
            Relation::CountSince => {
                let since = second.last().copied();
                let count = first.iter().filter(|at| since.is_none_or(|since| **at > since)).count();
                Value::Number(Decimal::from(count))
            }
        }
    }

    /// When time alone changes it.
    pub(super) fn next_change(&self, profile: &impl ProfileValues) -> Option<Millis> {
        let Relation::NotFollowed { within_ms } = self.relation else { return None };
        let at = *profile.instants(self.first).last()?;
        let is_followed = next(&profile.instants(self.second), at).is_some_and(|then| then.0 - at.0 <= within_ms);
        (!is_followed).then(|| at.0.saturating_add(within_ms))
    }

    /// As it is written, given how conditions are.
    pub(crate) fn text(&self, condition: impl Fn(usize) -> String) -> String {
        let (name, within) = match self.relation {
            Relation::Followed { within_ms } => ("followed_by", Some(within_ms)),
            Relation::NotFollowed { within_ms } => ("not_followed_by", Some(within_ms)),
            Relation::CountSince => ("count_since", None),
        };
        let within = within.map(|length_ms| format!(", INTERVAL '{}'", super::literal::interval_text(length_ms)));
        format!("{name}({}, {}{})", condition(self.first), condition(self.second), within.unwrap_or_default())
    }
}

/// The first of some instants that is behind another one.
fn next(instants: &[Instant], at: Instant) -> Option<Instant> {
    instants.get(instants.partition_point(|other| *other <= at)).copied()
}

/// The names of the functions.
pub(super) fn is_sequence(name: &str) -> bool {
    matches!(name, "followed_by" | "not_followed_by" | "count_since")
}

/// Checks a call of one of them.
pub(super) fn call(
    registry: &mut Registry,
    call: &Call,
    problems: &mut Vec<Problem>,
) -> Result<Typed<CustomerColumn>, String> {
    let name = call.name.as_str();
    let arguments = match &call.arguments {
        Arguments::List(list) if call.filter.is_none() => list.as_slice(),
        _ => &[],
    };
    let (first, second, within) = match (name, arguments) {
        ("count_since", [first, second]) => (first, second, None),
        ("followed_by" | "not_followed_by", [first, second, Syntax { kind: Kind::Interval(within_ms), .. }]) => {
            (first, second, Some(*within_ms).filter(|within_ms| *within_ms > 0))
        }
        _ => {
            let within = if name == "count_since" { "" } else { ", INTERVAL '30 minutes'" };
            return Err(format!(
                "{name} takes two kinds of events{}; write {name}('Checkout Started', 'Order Completed'{within}), or conditions \
                 on one event such as event = 'Order Completed' AND properties.total > 100",
                if within.is_empty() { "" } else { " and a length of time" }
            ));
        }
    };
    let relation = match (name, within) {
        ("count_since", _) => Relation::CountSince,
        ("followed_by", Some(within_ms)) => Relation::Followed { within_ms },
        ("not_followed_by", Some(within_ms)) => Relation::NotFollowed { within_ms },
        _ => return Err(format!("the length of time of {name} is more than none; write INTERVAL '30 minutes'")),
    };
    let before = problems.len();
    let (first, second) = (kind_of_events(first, problems), kind_of_events(second, problems));
    if problems.len() > before {
        return Ok(Typed::mistaken());
    }
    let mut timeline =
        |condition| registry.aggregate_slot(Aggregate::new(AggregateFunction::Timeline, None, vec![condition], None));
    let sequence = Sequence { relation, first: timeline(first)?, second: timeline(second)? };
    let is = if relation == Relation::CountSince { Type::Number } else { Type::Bool };
    Ok(Typed::new(Tree::Leaf(CustomerColumn::Sequence(sequence)), is))
}

/// A condition on one event; a text is the name of a track event.
fn kind_of_events(syntax: &Syntax, problems: &mut Vec<Problem>) -> EventTree {
    match &syntax.kind {
        Kind::Literal(name @ Value::Text(_)) => {
            Tree::test(Test::Compare(Comparison::Equal, Tree::Leaf(EventColumn::Event), Tree::Constant(name.clone())))
        }
        _ => check::condition(&mut EventScope::Aggregate, syntax, problems),
    }
}
