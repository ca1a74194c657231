//! The functions there are, and what to write for those there are not.

use super::problem::suggestion;

/// Every function, those of events first.
const NAMES: [&str; 38] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "mode",
    "followed_by",
    "not_followed_by",
    "count_since",
    "in_segment",
    "in_group",
    "coalesce",
    "nullif",
    "lower",
    "upper",
    "length",
    "starts_with",
    "trim",
    "ltrim",
    "rtrim",
    "replace",
    "substring",
    "left",
    "right",
    "strpos",
    "split_part",
    "concat",
    "abs",
    "round",
    "floor",
    "ceil",
    "greatest",
    "least",
    "cardinality",
    "date_trunc",
    "extract",
];

/// Functions of other dialects with what does the same here.
const ELSEWHERE: [(&str, &str); 18] = [
    ("ifnull", "coalesce(a, b)"),
    ("nvl", "coalesce(a, b)"),
    ("isnull", "a IS NULL"),
    ("array_length", "cardinality(a)"),
    ("instr", "strpos(a, b)"),
    ("date_format", "extract(hour FROM a)"),
    ("if", "CASE WHEN a THEN b ELSE c END"),
    ("iff", "CASE WHEN a THEN b ELSE c END"),
    ("len", "length(a)"),
    ("contains", "a LIKE '%b%'"),
    ("mean", "avg(a)"),
    ("average", "avg(a)"),
    ("localtimestamp", "now()"),
    ("current_date", "date_trunc('day', now())"),
    ("getdate", "now()"),
    ("count_distinct", "count(DISTINCT a)"),
    ("approx_count_distinct", "count(DISTINCT a)"),
    ("most_frequent", "mode(a)"),
];

/// What is said of a function that there is not.
pub(super) fn unknown(name: &str) -> String {
    let name = name.to_lowercase();
    match ELSEWHERE.iter().find(|(other, _)| *other == name) {
        Some((_, mend)) => format!("there is no function `{name}`; write {mend}"),
        None => format!("there is no function `{name}`{}", suggestion(&name, NAMES)),
    }
}

/// Whether a function reads many events and gives one value.
pub(super) fn is_aggregate(name: &str) -> bool {
    matches!(name, "count" | "sum" | "avg" | "min" | "max" | "first" | "last" | "first_value" | "last_value" | "mode")
}

/// What is said of `now()` in a FILTER wherever it is not the edge of a window.
pub(super) const NOW: &str = "in a FILTER now() is only the edge of a window: write `timestamp > now() - INTERVAL '30 days'` \
    or `timestamp >= date_trunc('month', now())`, joined to other conditions by AND";
