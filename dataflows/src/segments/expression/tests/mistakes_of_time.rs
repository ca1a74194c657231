//! What is said of a mistake with `now()`, with windows and with sequences of events.

use super::mistake;

#[test]
fn now_is_compared_with_instants_and_is_the_edge_of_a_window() {
    let now = "in a FILTER now() is only the edge of a window: write `timestamp > now() - INTERVAL '30 days'` or \
               `timestamp >= date_trunc('month', now())`, joined to other conditions by AND";
    for (expression, place) in [
        ("count(*) FILTER (WHERE timestamp > date_trunc('month', now()))", "1:56"),
        ("count(*) FILTER (WHERE timestamp < now() - INTERVAL '30 days')", "1:36"),
        ("count(*) FILTER (WHERE NOT timestamp > now() - INTERVAL '30 days')", "1:40"),
        ("count(*) FILTER (WHERE timestamp > now() - INTERVAL '1 day' OR event = 'A')", "1:36"),
        ("count(*) FILTER (WHERE timestamp BETWEEN now() - INTERVAL '1 day' AND TIMESTAMP 'epoch')", "1:42"),
        ("count(*) FILTER (WHERE timestamp + INTERVAL '1 day' > now())", "1:55"),
        ("last(now())", "1:6"),
    ] {
        mistake(expression, &format!("{place} {now}"));
    }
    mistake("CURRENT_DATE > max(timestamp)", "1:1 there is no function `current_date`; write date_trunc('day', now())");
    mistake("now(1) > max(timestamp)", "1:1 now() takes nothing; write now()");
    mistake(
        "now()",
        "1:1 a computed trait cannot be the time that passes; compare it, as max(timestamp) - min(timestamp) > INTERVAL '30 days'",
    );
    mistake(
        "coalesce(max(timestamp), now()) > min(timestamp)",
        "1:1 `now()` is the time that passes, which is no result; compare it with an instant",
    );
    let compare = "compare now() with an instant, as now() - INTERVAL '30 days' > max(timestamp)";
    mistake(
        "now() > 5",
        &format!("1:1 `now()` is the time that passes and `5` is a number, so they never compare; {compare}"),
    );
    mistake(
        "now() IN (max(timestamp))",
        &format!("1:1 `now()` is the time that passes and `max(…)` is an instant, so they never compare; {compare}"),
    );
    mistake("'at ' || now()", "1:1 `now()` is the time that passes, which || cannot join; write text");
    mistake("lower(now())", "1:7 `now()` is the time that passes, and lower takes text; write text");
    mistake(
        "extract(epoch FROM now()) > 5",
        "1:20 the epoch of now() is another one at any time; compare now() itself, as now() - INTERVAL '90 seconds' > \
         max(timestamp)",
    );
    mistake(
        "count(*) FILTER (WHERE timestamp >= date_trunc('day', now()) AND timestamp > now() - INTERVAL '1 hour')",
        "1:24 a FILTER has one window; write the one that begins latest",
    );
    let length = "a window is at least a minute and at most ten years long; write one as `timestamp > now() - INTERVAL '30 days'`, or none for all time";
    mistake("count(*) FILTER (WHERE timestamp > now() - INTERVAL '30 seconds')", &format!("1:24 {length}"));
    mistake("count(*) FILTER (WHERE timestamp > now() - INTERVAL '-1 day')", &format!("1:24 {length}"));
    mistake("count(*) FILTER (WHERE timestamp > now() - INTERVAL '4000 days')", &format!("1:24 {length}"));
}

#[test]
fn a_sequence_takes_two_kinds_of_events_and_a_length_of_time() {
    mistake(
        "not_followed_by('A', 'B')",
        "1:1 not_followed_by takes two kinds of events and a length of time; write not_followed_by('Checkout Started', \
         'Order Completed', INTERVAL '30 minutes'), or conditions on one event such as event = 'Order Completed' AND \
         properties.total > 100",
    );
    mistake(
        "followed_by('A', traits.b = 1, INTERVAL '1 day')",
        "1:18 an aggregate sees one event at a time, and traits are a customer's; write that condition beside the aggregate, joined by AND",
    );
    mistake(
        "followed_by('A', 'B', INTERVAL '-1 day')",
        "1:1 the length of time of followed_by is more than none; write INTERVAL '30 minutes'",
    );
}
