//! Aggregates: what is kept of a customer's events.

use super::event::{EventColumn, EventTree, OneEvent};
use super::syntax::Comparison;
use super::tree::{Test, Tree, conjoined};
pub use super::window::Window;
use std::fmt::{self, Display};
use tributary_model::{Event, Value, limits};

/// What is kept. An average is the sum and the count of one [`Sum`](Self::Sum).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateFunction {
    /// How many events, or values that are not NULL.
    Count,
    /// The sum of the numbers, and how many they are.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The value of the earliest event that has one; ties by message id.
    First,
    /// The value of the latest event that has one; ties by message id.
    Last,
    /// How many different values.
    Distinct,
    /// The most frequent value; of several, the smallest.
    Mode,
    /// When the events happened: the latest of them.
    Timeline,
}

impl Display for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::Distinct => "count",
            Self::Mode => "mode",
            Self::Timeline => "timeline",
        })
    }
}

/// One aggregate; the same in every definition that needs it.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Names it in stored state: the same for the same text in every version and on every machine.
    pub id: u64,
    /// Its canonical text, as `sum(properties.total) FILTER (WHERE event = 'Order Completed')`.
    pub text: String,
    /// What is kept.
    pub function: AggregateFunction,
    /// How far back it looks; `None` is all time.
    pub window: Option<Window>,
    argument: Option<EventTree>,
    filter: Option<EventTree>,
    asks: Vec<(EventColumn, String)>,
}

impl Aggregate {
    /// An aggregate of `argument`, or of whole events where there is none, over the events that meet all `filters`.
    pub(super) fn new(
        function: AggregateFunction,
        argument: Option<EventTree>,
        filters: Vec<EventTree>,
        window: Option<Window>,
    ) -> Self {
        let asks = filters.iter().filter_map(asks).map(|(column, text)| (column.clone(), text.to_owned())).collect();
        let text =
            Canonical { function, argument: argument.as_ref(), filters: &filters, window: window.as_ref() }.to_string();
        let filter = (!filters.is_empty()).then(|| Tree::test(Test::All(filters)));
        Self { id: fnv1a(text.as_bytes()), text, function, window, argument, filter, asks }
    }

    /// The most values that it keeps of one identifier: of all buckets of its window together.
    pub fn most_values(&self) -> usize {
        let in_one = match self.function {
            AggregateFunction::Distinct => limits::DISTINCT_VALUES,
            AggregateFunction::Mode => limits::FREQUENT_VALUES,
            AggregateFunction::Timeline => limits::TIMELINE_INSTANTS,
            _ => 1,
        };
        in_one.saturating_mul(self.window.as_ref().map_or(1, Window::most_buckets))
    }

    /// Texts that columns of an event must have for it to be seen: of each condition `column = 'text'` that is joined to all
    /// others by AND.
    pub(crate) fn asks(&self) -> &[(EventColumn, String)] {
        &self.asks
    }

    /// What the event adds: `None` where the filter is not true, or the argument is NULL or, for a sum, no number.
    ///
    /// `count(*)` gives `true`. The window is not looked at.
    pub fn observe(&self, event: &Event) -> Option<Value> {
        let source = OneEvent(event);
        if self.filter.as_ref().is_some_and(|filter| filter.truth(&source) != Some(true)) {
            return None;
        }
        let Some(argument) = &self.argument else { return Some(Value::Bool(true)) };
        let value = argument.datum(&source).into_value();
        match (self.function, &value) {
            (_, Value::Null) => None,
            (AggregateFunction::Sum, Value::Number(_)) => Some(value),
            (AggregateFunction::Sum, _) => None,
            _ => Some(value),
        }
    }
}

/// The text that a condition asks a column to have.
fn asks(condition: &EventTree) -> Option<(&EventColumn, &str)> {
    let Tree::Test(test) = condition else { return None };
    match &**test {
        Test::Compare(Comparison::Equal, Tree::Leaf(column), Tree::Constant(Value::Text(text)))
        | Test::Compare(Comparison::Equal, Tree::Constant(Value::Text(text)), Tree::Leaf(column)) => {
            Some((column, text))
        }
        _ => None,
    }
}

struct Canonical<'a> {
    function: AggregateFunction,
    argument: Option<&'a EventTree>,
    filters: &'a [EventTree],
    window: Option<&'a Window>,
}

impl Display for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.argument {
            Some(argument) => {
                let distinct = if self.function == AggregateFunction::Distinct { "DISTINCT " } else { "" };
                write!(f, "{}({distinct}{argument})", self.function)?;
            }
            None => write!(f, "{}(*)", self.function)?,
        }
        let window = self.window;
        if self.filters.is_empty() && window.is_none() {
            return Ok(());
        }
        f.write_str(" FILTER (WHERE ")?;
        conjoined(f, self.filters, " AND ")?;
        if let Some(window) = window {
            let and = if self.filters.is_empty() { "" } else { " AND " };
            write!(f, "{and}{window}")?;
        }
        f.write_str(")")
    }
}

/// FNV-1a in 64 bits: written out, since stored state relies on it for ever.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn ids_are_those_of_the_published_hash() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
