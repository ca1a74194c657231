//! When time alone next changes what an expression says.
//!
//! `now()` stands only where that can be told: beside an instant or a length of time in a comparison, where the two meet at
//! one instant, or in `date_trunc` and `extract`, which change where the calendar does. The types see to it.

use super::apply::Function;
use super::calendar::{Calendar, Unit, Zone};
use super::customer::{CustomerColumn, CustomerTree};
use super::datum::Datum;
use super::evaluate::Source;
use super::syntax::{CastType, Comparison};
use super::tree::Test;
use rust_decimal::prelude::ToPrimitive;
use tributary_model::Millis;

type Read<'s, S> = (&'s S, Millis);

impl CustomerTree {
    /// The first instant after `now` at which it may say something else although nothing happens; `None` if there is none.
    pub(crate) fn next_change<S: Source<Leaf = CustomerColumn>>(&self, source: &S, now: Millis) -> Option<Millis> {
        let mut earliest: Option<Millis> = None;
        let mut open = vec![self];
        while let Some(tree) = open.pop() {
            let change = tree.own_change((source, now)).filter(|at| *at > now);
            earliest = earliest.into_iter().chain(change).min();
            open.extend(tree.parts());
        }
        earliest
    }

    /// The change that comes from this node itself.
    fn own_change<S: Source<Leaf = CustomerColumn>>(&self, read: Read<'_, S>) -> Option<Millis> {
        match self {
            Self::Test(test) => match &**test {
                Test::Compare(comparison, left, right) => meet(left, right, *comparison, read),
                Test::Between { subject, low, high, .. } => {
                    let from = meet(subject, low, Comparison::GreaterOrEqual, read);
                    let to = meet(subject, high, Comparison::LessOrEqual, read);
                    from.into_iter().chain(to).min()
                }
                _ => None,
            },
            Self::Leaf(leaf) => read.0.next_change(leaf),
            Self::Apply(function, arguments) => {
                let calendar = match function {
                    Function::DateTrunc(calendar) => calendar.clone(),
                    Function::Extract(part, zone) => Calendar { unit: part.changes_with()?, zone: zone.clone() },
                    Function::Cast(CastType::Date) => Calendar { unit: Unit::Day, zone: Zone::utc() },
                    _ => return None,
                };
                let of = arguments.first().filter(|of| of.slope() == 1)?;
                let at = of.datum(read.0).as_timestamp()?;
                read.1.checked_add(calendar.end(at)?.checked_sub(at)?)
            }
            _ => None,
        }
    }

    /// By how much its value, an instant or a length of time, grows with each millisecond that passes.
    fn slope(&self) -> i64 {
        match self {
            Self::Leaf(CustomerColumn::Now) => 1,
            Self::Shift { at, .. } => at.slope(),
            Self::Elapsed(pair) => pair.0.slope() - pair.1.slope(),
            _ => 0,
        }
    }
}

/// When a comparison of two values next changes, of which at least one moves.
fn meet<S: Source<Leaf = CustomerColumn>>(
    left: &CustomerTree,
    right: &CustomerTree,
    comparison: Comparison,
    (source, now): Read<'_, S>,
) -> Option<Millis> {
    let slope = left.slope() - right.slope();
    if slope == 0 {
        return None;
    }
    let value = |tree: &CustomerTree| match tree.datum(source) {
        Datum::Number(length_ms) => length_ms.to_i64(),
        other => other.as_timestamp(),
    };
    let distance = value(left)?.checked_sub(value(right)?)?;
    // As the left one overtakes the right one, or the other way round.
    let (distance, comparison) = if slope > 0 { (distance, comparison) } else { (-distance, comparison.turned()) };
    let steps = (-distance).div_euclid(slope.abs()) + i64::from((-distance).rem_euclid(slope.abs()) != 0);
    let met = now.checked_add(steps)?;
    let passed = met.checked_add(1)?;
    let changes: &[Millis] = match comparison {
        Comparison::GreaterOrEqual | Comparison::Less => &[met],
        Comparison::Greater | Comparison::LessOrEqual if slope.abs() == 1 => &[passed],
        // Where two steps are taken at once, it is looked at when they meet too.
        _ => &[met, passed],
    };
    changes.iter().copied().find(|at| *at > now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::segments::ProfileValues;
    use crate::segments::expression::customer::Customer;
    use crate::segments::expression::{CustomerScope, Registry, condition, parse};
    use proptest::prelude::*;
    use rust_decimal::Decimal;
    use tributary_model::Value;

    /// Someone with one trait, an instant, as of some time.
    struct At {
        now: Millis,
        value: Value,
    }

    impl ProfileValues for At {
        fn trait_value(&self, _slot: usize) -> Value {
            self.value.clone()
        }
        fn additive(&self, _slot: usize) -> (i64, Option<Decimal>) {
            (0, None)
        }
        fn value(&self, _slot: usize) -> Value {
            Value::Null
        }
        fn account(&self, _index: usize) -> Value {
            Value::Null
        }
        fn groups_where(&self, _index: usize) -> i64 {
            0
        }
        fn now(&self) -> Millis {
            self.now
        }
        fn instants(&self, _slot: usize) -> Vec<(Millis, tributary_model::MessageId)> {
            Vec::new()
        }
    }

    fn tree(text: &str) -> CustomerTree {
        let mut registry = Registry::default();
        let mut problems = Vec::new();
        let tree = condition(&mut CustomerScope(&mut registry), &parse::parse(text).unwrap(), &mut problems);
        assert!(problems.is_empty(), "{text}: {problems:?}");
        tree
    }

    const CONDITIONS: [&str; 12] = [
        "traits.at < now() - INTERVAL '3 ms'",
        "traits.at <= now() - INTERVAL '3 ms'",
        "traits.at > now()",
        "now() >= traits.at + INTERVAL '2 ms'",
        "now() = traits.at",
        "now() <> traits.at",
        "now() - traits.at > INTERVAL '5 ms'",
        "traits.at - now() <= INTERVAL '5 ms'",
        "now() - traits.at < traits.at - now()",
        "now() BETWEEN traits.at - INTERVAL '2 ms' AND traits.at + INTERVAL '2 ms'",
        "NOT now() - INTERVAL '1 ms' BETWEEN traits.at AND traits.at",
        "(now() > traits.at OR traits.at IS NULL) AND now() < traits.at + INTERVAL '7 ms'",
    ];

    proptest! {
        /// Between two changes an expression says the same, and where it says something else a change was told.
        #[test]
        fn nothing_changes_before_it_is_told(which in 0..CONDITIONS.len(), at in 990i64..1_020) {
            let tree = tree(CONDITIONS.get(which).unwrap());
            let say = |now| {
                let profile = At { now, value: Value::Timestamp(at) };
                let customer = Customer { profile: &profile, computed: &[], segments: &[] };
                (tree.truth(&customer), tree.next_change(&customer, now))
            };
            let (mut said, mut next) = say(980);
            for now in 981..1_040 {
                let (says, then) = say(now);
                if next.is_some_and(|next| next <= now) {
                    (said, next) = (says, then);
                }
                prop_assert_eq!(says, said, "{} at {}", CONDITIONS.get(which).unwrap(), now);
            }
        }
    }

    #[test]
    fn the_calendar_changes_at_its_edges_only() {
        let check = |text: &str, now: &str, expected: &str| {
            let profile = At { now: super::super::literal::timestamp(now).unwrap(), value: Value::Null };
            let customer = Customer { profile: &profile, computed: &[], segments: &[] };
            let next = tree(text).next_change(&customer, profile.now);
            assert_eq!(next.map(tributary_model::format_millis).as_deref(), Some(expected), "{text}");
        };
        let now = "2026-12-31T15:00:00Z";
        check("date_trunc('day', now()) > TIMESTAMP 'epoch'", now, "2027-01-01T00:00:00.000Z");
        check("date_trunc('day', now(), 'Asia/Tokyo') > TIMESTAMP 'epoch'", now, "2027-01-01T15:00:00.000Z");
        check("date_trunc('month', now() - INTERVAL '1 hour') > TIMESTAMP 'epoch'", now, "2027-01-01T01:00:00.000Z");
        check("extract(year FROM now()) - 18 > 1990", now, "2027-01-01T00:00:00.000Z");
        check(
            "extract(hour FROM now() AT TIME ZONE 'Europe/Berlin') BETWEEN 9 AND 16",
            now,
            "2026-12-31T16:00:00.000Z",
        );
        check("now()::date = TIMESTAMP '2027-01-02'", now, "2027-01-01T00:00:00.000Z");
        // The clocks change in between.
        let before = "2026-03-28T23:30:00Z";
        check("extract(day FROM now() AT TIME ZONE 'Europe/Berlin') = 1", before, "2026-03-29T22:00:00.000Z");
    }
}
