//! Sliding windows: `timestamp > now() - INTERVAL '30 days'` in a FILTER.

use super::literal::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::problem::Problem;
use super::syntax::{Arguments, Call, Comparison, Kind, Operator, Syntax};

/// The longest window: with a granule of a day, some thousand buckets for each identifier.
const LONGEST_MS: i64 = 3_660 * DAY_MS;
/// The shortest window: the smallest granule.
const SHORTEST_MS: i64 = MINUTE_MS;

/// How far back an aggregate looks, and how exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How long an event counts, in milliseconds.
    pub length_ms: i64,
    /// The length of a bucket in milliseconds: edges of the window are exact to one bucket.
    pub granule_ms: i64,
}

impl Window {
    /// The window of that length: exact to a minute up to a day, to an hour up to 90 days, else to a day.
    pub(crate) fn new(length_ms: i64) -> Self {
        let granule_ms = match length_ms {
            ..=DAY_MS => MINUTE_MS,
            length_ms if length_ms <= 90 * DAY_MS => HOUR_MS,
            _ => DAY_MS,
        };
        Self { length_ms, granule_ms }
    }
}

/// Takes the windows out of a FILTER: the shortest one, and the other conditions.
pub(super) fn split<'s>(filter: &'s Syntax, problems: &mut Vec<Problem>) -> (Option<Window>, Vec<&'s Syntax>) {
    let conjuncts = match &filter.kind {
        Kind::All(list) => list.iter().collect(),
        _ => vec![filter],
    };
    let mut shortest: Option<i64> = None;
    let mut others = Vec::new();
    for conjunct in conjuncts {
        let Some(length_ms) = window_length(conjunct) else {
            others.push(conjunct);
            continue;
        };
        if !(SHORTEST_MS..=LONGEST_MS).contains(&length_ms) {
            let message = "a window is at least a minute and at most ten years long; write one as `timestamp > now() - \
                           INTERVAL '30 days'`, or none for all time";
            problems.push(Problem::new(conjunct.at, message));
        }
        shortest = Some(shortest.map_or(length_ms, |shortest| shortest.min(length_ms)));
    }
    (shortest.map(Window::new), others)
}

fn window_length(condition: &Syntax) -> Option<i64> {
    let Kind::Compare(comparison, pair) = &condition.kind else { return None };
    let (timestamp, edge) = match comparison {
        Comparison::Greater | Comparison::GreaterOrEqual => (&pair.0, &pair.1),
        Comparison::Less | Comparison::LessOrEqual => (&pair.1, &pair.0),
        Comparison::Equal | Comparison::NotEqual => return None,
    };
    let is_timestamp = matches!(&timestamp.kind, Kind::Path(steps)
        if matches!(steps.as_slice(), [step] if step.folded() == "timestamp"));
    let Kind::Arithmetic(Operator::Subtract, parts) = &edge.kind else { return None };
    match (&parts.0.kind, &parts.1.kind) {
        (Kind::Call(call), Kind::Interval(length_ms)) if is_timestamp && is_now(call) => Some(*length_ms),
        _ => None,
    }
}

fn is_now(call: &Call) -> bool {
    let has_no_arguments = matches!(&call.arguments, Arguments::List(list) if list.is_empty());
    call.name == "now" && has_no_arguments && call.filter.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_window_has_a_coarser_granule() {
        let granule = |length_ms| Window::new(length_ms).granule_ms;
        assert_eq!(granule(HOUR_MS), MINUTE_MS);
        assert_eq!(granule(DAY_MS), MINUTE_MS);
        assert_eq!(granule(DAY_MS + 1), HOUR_MS);
        assert_eq!(granule(90 * DAY_MS), HOUR_MS);
        assert_eq!(granule(91 * DAY_MS), DAY_MS);
    }
}
