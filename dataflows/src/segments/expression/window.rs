//! Windows in a FILTER: `timestamp > now() - INTERVAL '30 days'` slides, `timestamp >= date_trunc('month', now())` begins
//! anew with each month.

use super::calendar::{Calendar, Unit, Zone};
use super::literal::{DAY_MS, HOUR_MS, MINUTE_MS, interval_text};
use super::problem::Problem;
use super::syntax::{Arguments, Call, Comparison, Kind, Operator, Syntax};
use std::fmt;
use tributary_model::{Millis, Value, limits};

/// The longest window: with a granule of a day, some thousand buckets for each identifier.
const LONGEST_MS: i64 = 3_660 * DAY_MS;
/// The shortest window: the smallest granule.
const SHORTEST_MS: i64 = MINUTE_MS;

/// How far back an aggregate looks, and how exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// An event counts for so long, to the end of its bucket.
    Sliding { length_ms: i64, granule_ms: i64 },
    /// An event counts from the begin of the unit that holds now, moved back by so much.
    Calendar { calendar: Calendar, back_ms: i64 },
}

impl Window {
    /// The window of that length: exact to a minute up to a day, to an hour up to 90 days, else to a day.
    fn sliding(length_ms: i64) -> Self {
        let granule_ms = match length_ms {
            ..=DAY_MS => MINUTE_MS,
            length_ms if length_ms <= 90 * DAY_MS => HOUR_MS,
            _ => DAY_MS,
        };
        Self(Shape::Sliding { length_ms, granule_ms })
    }

    /// The number of the bucket that holds an instant; larger ones are later.
    pub fn bucket(&self, at: Millis) -> i64 {
        match &self.0 {
            Shape::Sliding { granule_ms, .. } => at.div_euclid(*granule_ms),
            Shape::Calendar { calendar, .. } => calendar.begin(at).unwrap_or(at),
        }
    }

    /// How many buckets it has at most, with those of events that are dated ahead.
    pub fn most_buckets(&self) -> usize {
        let buckets = match &self.0 {
            Shape::Sliding { length_ms, granule_ms } => (length_ms + limits::FUTURE_MS) / granule_ms + 1,
            Shape::Calendar { calendar, back_ms } => (back_ms + limits::FUTURE_MS) / calendar.unit.least_ms() + 2,
        };
        usize::try_from(buckets).unwrap_or(usize::MAX)
    }

    /// Whether an event of some time counts at `now`.
    pub fn holds(&self, at: Millis, now: Millis) -> bool {
        self.expires(self.bucket(at)) > now
    }

    /// When a bucket has left the window.
    pub fn expires(&self, bucket: i64) -> Millis {
        match &self.0 {
            Shape::Sliding { length_ms, granule_ms } => {
                bucket.saturating_add(1).saturating_mul(*granule_ms).saturating_add(*length_ms)
            }
            Shape::Calendar { calendar, back_ms } => calendar.end(bucket).unwrap_or(bucket).saturating_add(*back_ms),
        }
    }
}

/// The condition that it is.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Sliding { length_ms, .. } => {
                write!(f, "timestamp > now() - INTERVAL '{}'", interval_text(*length_ms))
            }
            Shape::Calendar { calendar: Calendar { unit, zone }, back_ms } => {
                write!(f, "timestamp >= date_trunc('{}', now()", unit.name())?;
                if *back_ms != 0 {
                    write!(f, " - INTERVAL '{}'", interval_text(*back_ms))?;
                }
                if *zone != Zone::utc() {
                    write!(f, ", '{zone}'")?;
                }
                f.write_str(")")
            }
        }
    }
}

/// Takes the windows out of a FILTER: the shortest one, and the other conditions.
pub(super) fn split<'s>(filter: &'s Syntax, problems: &mut Vec<Problem>) -> (Option<Window>, Vec<&'s Syntax>) {
    let conjuncts = match &filter.kind {
        Kind::All(list) => list.iter().collect(),
        _ => vec![filter],
    };
    let mut shortest: Option<i64> = None;
    let mut calendars = Vec::new();
    let mut others = Vec::new();
    for conjunct in conjuncts {
        match edge(conjunct) {
            Some(Edge::Sliding(length_ms)) => {
                if !(SHORTEST_MS..=LONGEST_MS).contains(&length_ms) {
                    let message = "a window is at least a minute and at most ten years long; write one as \
                                   `timestamp > now() - INTERVAL '30 days'`, or none for all time";
                    problems.push(Problem::new(conjunct.at, message));
                }
                shortest = Some(shortest.map_or(length_ms, |shortest| shortest.min(length_ms)));
            }
            Some(Edge::Calendar(calendar, back_ms)) => {
                if !(0..=LONGEST_MS).contains(&back_ms) {
                    let message = "a window of the calendar begins at most ten years ago, and not in the future";
                    problems.push(Problem::new(conjunct.at, message));
                }
                calendars.push((conjunct.at, Window(Shape::Calendar { calendar, back_ms })));
            }
            None => others.push(conjunct),
        }
    }
    if let (Some((at, _)), true) = (calendars.last(), calendars.len() + usize::from(shortest.is_some()) > 1) {
        problems.push(Problem::new(*at, "a FILTER has one window; write the one that begins latest"));
    }
    (calendars.pop().map(|(_, window)| window).or(shortest.map(Window::sliding)), others)
}

/// Where a window begins.
enum Edge {
    Sliding(i64),
    Calendar(Calendar, i64),
}

fn edge(condition: &Syntax) -> Option<Edge> {
    let Kind::Compare(comparison, pair) = &condition.kind else { return None };
    let (timestamp, edge) = match comparison {
        Comparison::Greater | Comparison::GreaterOrEqual => (&pair.0, &pair.1),
        Comparison::Less | Comparison::LessOrEqual => (&pair.1, &pair.0),
        Comparison::Equal | Comparison::NotEqual => return None,
    };
    let is_timestamp = matches!(&timestamp.kind, Kind::Path(steps)
        if matches!(steps.as_slice(), [step] if step.folded() == "timestamp"));
    if !is_timestamp {
        return None;
    }
    match &edge.kind {
        Kind::Arithmetic(Operator::Subtract, _) => before_now(edge).map(Edge::Sliding),
        Kind::Call(call) if matches!(comparison, Comparison::GreaterOrEqual | Comparison::LessOrEqual) => begin(call),
        _ => None,
    }
}

/// `date_trunc('month', now() - INTERVAL '1 day', 'Europe/Berlin')`.
fn begin(call: &Call) -> Option<Edge> {
    let Arguments::List(arguments) = &call.arguments else { return None };
    let (unit, at, zone) = match arguments.as_slice() {
        [unit, at] => (unit, at, None),
        [unit, at, zone] => (unit, at, Some(zone)),
        _ => return None,
    };
    let text = |syntax: &Syntax| match &syntax.kind {
        Kind::Literal(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    if call.name != "date_trunc" || call.filter.is_some() {
        return None;
    }
    let unit = Unit::named(&text(unit)?)?;
    let zone = zone.map_or_else(|| Some(Zone::utc()), |zone| Zone::named(&text(zone)?))?;
    let back_ms = if is_now(at) { 0 } else { before_now(at)? };
    Some(Edge::Calendar(Calendar { unit, zone }, back_ms))
}

/// How long before now `now() - INTERVAL '…'` is, in milliseconds.
fn before_now(syntax: &Syntax) -> Option<i64> {
    let Kind::Arithmetic(Operator::Subtract, parts) = &syntax.kind else { return None };
    match &parts.1.kind {
        Kind::Interval(length_ms) if is_now(&parts.0) => Some(*length_ms),
        _ => None,
    }
}

fn is_now(syntax: &Syntax) -> bool {
    let Kind::Call(call) = &syntax.kind else { return false };
    let has_no_arguments = matches!(&call.arguments, Arguments::List(list) if list.is_empty());
    call.name == "now" && has_no_arguments && call.filter.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_window_has_a_coarser_granule() {
        let check = |length_ms: i64, granule_ms: i64| {
            let window = Window::sliding(length_ms);
            let bucket = window.bucket(10 * DAY_MS);
            assert_eq!(window.bucket(10 * DAY_MS + granule_ms - 1), bucket);
            assert_eq!(window.bucket(10 * DAY_MS + granule_ms), bucket + 1);
            assert_eq!(window.expires(bucket), 10 * DAY_MS + granule_ms + length_ms);
        };
        check(HOUR_MS, MINUTE_MS);
        check(DAY_MS, MINUTE_MS);
        check(DAY_MS + 1, HOUR_MS);
        check(90 * DAY_MS, HOUR_MS);
        check(91 * DAY_MS, DAY_MS);
    }

    #[test]
    fn a_window_of_the_calendar_is_exact_to_the_day_with_25_hours() {
        let zone = Zone::named("Europe/Berlin").unwrap_or_else(Zone::utc);
        let window = Window(Shape::Calendar { calendar: Calendar { unit: Unit::Day, zone }, back_ms: DAY_MS });
        // 2026-10-25 in Berlin: from 22:00Z to 23:00Z of the next day.
        let begin = 1_792_879_200_000;
        let bucket = window.bucket(begin + 12 * HOUR_MS);
        assert_eq!((window.bucket(begin), window.bucket(begin + 25 * HOUR_MS - 1)), (bucket, bucket));
        assert!(window.bucket(begin + 25 * HOUR_MS) > bucket && window.bucket(begin - 1) < bucket);
        assert_eq!(window.expires(bucket), begin + 25 * HOUR_MS + DAY_MS);
    }
}
