//! Every edge of every window, one after the other: where days have 23, 24½ or 25 hours, where months, quarters and years end,
//! and where windows slide. What time alone changes is told before, to the millisecond, and nothing changes in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tributary_dataflows::profile::{Change, Features, IdentifierFacts, Plan};
use tributary_dataflows::segments::Program;
use tributary_model::{Definitions, Event, EventKind, Identifier, MessageId, Millis, Segment};

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland"];
const UNITS: [&str; 5] = ["day", "week", "month", "quarter", "year"];
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Lengths as SQL has them, in milliseconds, and the granule to which a window of that length is exact.
const SLIDING: [(&str, i64, i64); 5] = [
    ("1 minute", MINUTE, MINUTE),
    ("1 day", DAY, MINUTE),
    ("25 hours", 25 * HOUR, HOUR),
    ("90 days", 90 * DAY, HOUR),
    ("365 days", 365 * DAY, DAY),
];

/// Whether one event, at some time, puts its customer into a segment at another time.
type Truth = Box<dyn Fn(Millis, Millis) -> bool>;

/// Segments with what they mean, by other means than the program's.
fn segments() -> Vec<(String, Truth)> {
    let mut all: Vec<(String, Truth)> = Vec::new();
    for zone in ZONES {
        for unit in UNITS {
            let text = format!("count(*) FILTER (WHERE timestamp >= date_trunc('{unit}', now(), '{zone}')) > 0");
            all.push((text, Box::new(move |at, now| at >= begin(unit, zone, now))));
        }
        // What is compared with the clock itself has the same edges.
        let text = format!("max(timestamp) >= date_trunc('month', now(), '{zone}')");
        all.push((text, Box::new(move |at, now| at >= begin("month", zone, now))));
    }
    for (length, length_ms, granule) in SLIDING {
        let text = format!("count(*) FILTER (WHERE timestamp > now() - INTERVAL '{length}') > 0");
        all.push((text, Box::new(move |at, now| (at.div_euclid(granule) + 1) * granule + length_ms > now)));
        let text = format!("max(timestamp) > now() - INTERVAL '{length}'");
        all.push((text, Box::new(move |at, now| at > now - length_ms)));
    }
    let text = "extract(year FROM now()) = 2027 AND count(*) > 0";
    all.push((text.to_owned(), Box::new(|_, now| local("UTC", now).year() == 2027)));
    all
}

fn local(zone: &str, at: Millis) -> DateTime {
    Timestamp::from_millisecond(at).unwrap().to_zoned_datetime(TimeZone::get(zone).unwrap()).datetime()
}

/// Where the day, week, month, quarter or year of an instant begins in a zone.
fn begin(unit: &str, zone: &str, at: Millis) -> Millis {
    let date = local(zone, at).date();
    let first = match unit {
        "day" => date,
        "week" => date - i64::from(date.weekday().to_monday_zero_offset()).days(),
        "month" => date.first_of_month(),
        "quarter" => date.with().month((date.month() - 1) / 3 * 3 + 1).day(1).build().unwrap(),
        _ => date.first_of_year(),
    };
    first.to_zoned_datetime(TimeZone::get(zone).unwrap()).unwrap().timestamp().as_millisecond()
}

fn event(at: Millis) -> Event {
    Event {
        kind: EventKind::Track,
        event: Some("Seen".to_owned()),
        name: None,
        group: None,
        message_id: MessageId(1),
        timestamp: at,
        identifiers: vec![Identifier::new("user_id", "ada")],
        properties: tributary_model::Object::default(),
        traits: tributary_model::Object::default(),
        context: tributary_model::Object::default(),
        consent: serde_json::Map::new(),
        body: bytes::Bytes::new(),
    }
}

/// Walks from one change to the next, for a year and more, and compares at each, and just before the next.
fn walk(plan: &Plan, segments: &[(String, Truth)], at: Millis) -> usize {
    let index = |id: usize| {
        let name = format!("s{id}");
        plan.program.segments.iter().position(|segment| segment.id == name).unwrap()
    };
    let indexes: Vec<usize> = (0..segments.len()).map(index).collect();
    let mut facts = IdentifierFacts::new(Identifier::new("user_id", "ada"), at);
    facts.apply(plan, &event(at), at, &mut Change::default());
    let (mut now, mut edges) = (at, 0);
    while now < at + 500 * DAY {
        facts.expire(plan, now, &mut Features::default());
        let features = facts.features(plan);
        let values = plan.values(&features, now);
        let members = plan.evaluate(&features, now).segments;
        let changes = indexes.iter().filter_map(|index| plan.program.changes_at(*index, &values));
        let next = changes.chain(facts.next_expiry(plan)).min().expect("time goes on");
        assert!(next > now, "a change is told before it comes");
        for ((text, truth), index) in segments.iter().zip(&indexes) {
            for now in [now, next - 1] {
                let told = format!("{text}\n of {} at {}", iso(at), iso(now));
                assert_eq!(members[*index], truth(at, now), "{told}");
            }
        }
        (now, edges) = (next, edges + 1);
    }
    edges
}

fn iso(at: Millis) -> String {
    Timestamp::from_millisecond(at).unwrap().to_string()
}

#[test]
fn nothing_changes_but_at_the_edges_and_all_of_them_are_told() {
    let segments = segments();
    let definition = |(at, (text, _)): (usize, &(String, Truth))| {
        let id = format!("s{at}");
        (id.clone(), Segment { name: id, condition: text.clone() })
    };
    let definitions =
        Definitions { segments: segments.iter().enumerate().map(definition).collect(), ..Definitions::default() };
    let plan = Plan::new(Program::compile(&definitions).unwrap());
    let critical = [
        // Clocks go forward and back in Berlin, New York, on Lord Howe Island (by half an hour), in Auckland.
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-10-03T15:30:00Z",
        "2027-04-03T15:00:00Z",
        "2026-09-26T14:00:00Z",
        // The year ends in Auckland, Kolkata, Berlin, UTC, New York.
        "2026-12-31T11:00:00Z",
        "2026-12-31T18:30:00Z",
        "2026-12-31T23:00:00Z",
        "2027-01-01T00:00:00Z",
        "2027-01-01T05:00:00Z",
        // A leap day begins and ends.
        "2028-02-29T00:00:00Z",
        "2028-03-01T00:00:00Z",
    ];
    let mut edges = 0;
    for instant in critical {
        let instant = instant.parse::<Timestamp>().unwrap().as_millisecond();
        for offset in [-25 * HOUR, -HOUR, -1, 0, 1, HOUR - 1] {
            edges += walk(&plan, &segments, instant + offset);
        }
    }
    assert!(edges > 9_000, "{edges} edges");
}
