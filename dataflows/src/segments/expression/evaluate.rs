//! Running a tree: total, with SQL's NULL. What cannot be computed (division by zero, an overflow, a text where a
//! number should be) is NULL.

use super::apply::concat;
use super::datum::Datum;
use super::syntax::{Operator, What};
use super::tree::{Test, Tree};
use rust_decimal::Decimal;
use std::cmp::Ordering;
use tributary_model::{Millis, Value};

/// Where leaves are read.
pub(crate) trait Source {
    type Leaf;
    fn read<'a>(&'a self, leaf: &'a Self::Leaf) -> Datum<'a>;

    /// When time alone changes a leaf, where it is one that time changes; it may have changed already.
    fn next_change(&self, _leaf: &Self::Leaf) -> Option<Millis> {
        None
    }
}

impl<L> Tree<L> {
    /// The value.
    pub(crate) fn datum<'a, S: Source<Leaf = L>>(&'a self, source: &'a S) -> Datum<'a> {
        match self {
            Self::Constant(value) => Datum::borrowed(value),
            Self::Interval(length_ms) => Datum::Number(Decimal::from(*length_ms)),
            Self::Leaf(leaf) => source.read(leaf),
            Self::Negate(number) => Datum::number(number.datum(source).as_number().map(|number| -number)),
            Self::Arithmetic(operator, pair) => {
                let numbers = (pair.0.datum(source).as_number(), pair.1.datum(source).as_number());
                let (Some(left), Some(right)) = numbers else { return Datum::Null };
                Datum::number(match operator {
                    Operator::Add => left.checked_add(right),
                    Operator::Subtract => left.checked_sub(right),
                    Operator::Multiply => left.checked_mul(right),
                    Operator::Divide => left.checked_div(right),
                    Operator::Remainder => left.checked_rem(right),
                })
            }
            Self::Shift { at, by, back } => {
                let parts = (at.datum(source).as_timestamp(), by.datum(source).as_interval());
                let (Some(at), Some(by)) = parts else { return Datum::Null };
                let shifted = if *back { at.checked_sub(by) } else { at.checked_add(by) };
                shifted.map_or(Datum::Null, Datum::Timestamp)
            }
            Self::Elapsed(pair) => {
                let instants = (pair.0.datum(source).as_timestamp(), pair.1.datum(source).as_timestamp());
                let (Some(later), Some(earlier)) = instants else { return Datum::Null };
                Datum::number(later.checked_sub(earlier).map(Decimal::from))
            }
            Self::Concat(parts) => concat(parts.iter().map(|part| part.datum(source))),
            Self::Apply(function, arguments) => function.apply(arguments.iter().map(|argument| argument.datum(source))),
            Self::Case { subject, branches, otherwise } => {
                let subject = subject.as_ref().map(|subject| subject.datum(source));
                let is_it = |when: &Self| match &subject {
                    Some(subject) => subject.compare(&when.datum(source)) == Some(Ordering::Equal),
                    None => when.truth(source) == Some(true),
                };
                let chosen = branches.iter().find(|(when, _)| is_it(when));
                chosen.map_or(otherwise.as_ref(), |(_, then)| then).datum(source)
            }
            Self::Coalesce(choices) => {
                choices.iter().map(|choice| choice.datum(source)).find(|datum| !datum.is_null()).unwrap_or(Datum::Null)
            }
            Self::NullIf(pair) => {
                let value = pair.0.datum(source);
                let is_same = value.compare(&pair.1.datum(source)) == Some(Ordering::Equal);
                if is_same { Datum::Null } else { value }
            }
            Self::Test(test) => Datum::truth(test.truth(source)),
        }
    }

    /// The value as a condition: `None` is not known.
    pub(crate) fn truth<S: Source<Leaf = L>>(&self, source: &S) -> Option<bool> {
        match self {
            Self::Test(test) => test.truth(source),
            other => other.datum(source).as_truth(),
        }
    }
}

impl<L> Test<L> {
    fn truth<S: Source<Leaf = L>>(&self, source: &S) -> Option<bool> {
        match self {
            Self::Not(condition) => condition.truth(source).map(|truth| !truth),
            Self::All(conditions) => all(conditions.iter().map(|condition| condition.truth(source))),
            Self::Any(conditions) => {
                all(conditions.iter().map(|condition| condition.truth(source).map(|truth| !truth))).map(|none| !none)
            }
            Self::Compare(comparison, left, right) => {
                left.datum(source).compare(&right.datum(source)).map(|order| comparison.holds(order))
            }
            Self::Is { subject, what, negated } => {
                let is = match what {
                    What::Null => subject.datum(source).is_null(),
                    What::True => subject.truth(source) == Some(true),
                    What::False => subject.truth(source) == Some(false),
                };
                Some(is != *negated)
            }
            Self::Distinct { left, right, negated } => {
                let (left, right) = (left.datum(source), right.datum(source));
                let is_same = match (left.is_null(), right.is_null()) {
                    (false, false) => left.compare(&right) == Some(Ordering::Equal),
                    (left, right) => left && right,
                };
                Some(is_same == *negated)
            }
            Self::In { subject, list, negated } => {
                let subject = subject.datum(source);
                if subject.is_null() {
                    return None;
                }
                let differs = |item: &Tree<L>| subject.compare(&item.datum(source)).map(Ordering::is_ne);
                all(list.iter().map(differs)).map(|in_none| in_none == *negated)
            }
            Self::Between { subject, low, high, negated } => {
                let subject = subject.datum(source);
                let from = subject.compare(&low.datum(source)).map(Ordering::is_ge);
                let to = subject.compare(&high.datum(source)).map(Ordering::is_le);
                all([from, to].into_iter()).map(|inside| inside != *negated)
            }
            Self::Like { subject, pattern, negated } => {
                let subject = subject.datum(source);
                Some(pattern.matches(subject.as_text()?) != *negated)
            }
            Self::Quantified { comparison, subject, list, all: wants_all } => {
                let (subject, Datum::List(list)) = (subject.datum(source), list.datum(source)) else { return None };
                let holds = |item: &Value| subject.compare(&Datum::borrowed(item)).map(|order| comparison.holds(order));
                let (list, wants_all) = (list.iter().map(holds), *wants_all);
                // None of them is what not all of the contrary is.
                if wants_all { all(list) } else { all(list.map(|holds| holds.map(|holds| !holds))).map(|none| !none) }
            }
            Self::StartsWith(text, start) => {
                let (text, start) = (text.datum(source), start.datum(source));
                Some(text.as_text()?.starts_with(start.as_text()?))
            }
        }
    }
}

/// AND of many: one false makes it false, else one unknown makes it unknown.
fn all(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for truth in truths {
        match truth {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = None,
        }
    }
    known
}
