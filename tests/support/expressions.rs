//! Random expressions, each written twice: in Tributary's language, and as DuckDB has it over a table of events.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// The same condition for both engines.
#[derive(Clone, Debug)]
pub(crate) struct Twice {
    pub(crate) ours: String,
    pub(crate) duck: String,
}

/// Makes expressions; the same ones for the same seed.
#[derive(Debug)]
pub(crate) struct Expressions {
    dice: SmallRng,
    /// What DuckDB takes for now, as SQL.
    now: String,
}

fn both(ours: impl Into<String>, duck: impl Into<String>) -> Twice {
    Twice { ours: ours.into(), duck: duck.into() }
}

/// The same text for both.
fn alike(text: impl Into<String>) -> Twice {
    let text = text.into();
    both(text.clone(), text)
}

fn join(pattern: &str, parts: &[&Twice]) -> Twice {
    let fill = |pick: fn(&Twice) -> &String| {
        parts
            .iter()
            .enumerate()
            .fold(pattern.to_owned(), |text, (at, part)| text.replace(&format!("${at}"), pick(part)))
    };
    both(fill(|part| &part.ours), fill(|part| &part.duck))
}

/// When the events happened that meet a condition.
fn instants(condition: &Twice) -> String {
    format!("coalesce(list(e.ts) FILTER (WHERE {}), [])", condition.duck)
}

impl Expressions {
    pub(crate) fn new(seed: u64, now: &str) -> Self {
        Self { dice: SmallRng::seed_from_u64(seed), now: format!("TIMESTAMP '{now}'") }
    }

    fn one_of(&mut self, choices: &[&str]) -> String {
        (*choices.choose(&mut self.dice).unwrap()).to_owned()
    }

    fn number(&mut self, below: i64) -> i64 {
        self.dice.random_range(-2..below)
    }

    /// A condition on a customer.
    pub(crate) fn condition(&mut self, depth: u32) -> Twice {
        if depth > 0 && self.dice.random_bool(0.5) {
            let (a, b) = (self.condition(depth - 1), self.condition(depth - 1));
            let pattern = self.one_of(&["($0 AND $1)", "($0 OR $1)", "(NOT $0 OR $1)", "($0 AND $1 IS NOT TRUE)"]);
            return join(&pattern, &[&a, &b]);
        }
        match self.dice.random_range(0..9) {
            0 => self.sequence(),
            1..=2 => {
                let (a, b) = (self.numeric(2), self.numeric(1));
                let pattern = self.one_of(&["$0 > $1", "$0 >= $1", "$0 < $1", "$0 = $1", "$0 <> $1", "$0 <= $1"]);
                join(&format!("({pattern})"), &[&a, &b])
            }
            3 => {
                let (a, b) = (self.text(2), self.text(1));
                let pattern = self.one_of(&[
                    "($0 = $1)",
                    "($0 < $1)",
                    "($0 IS DISTINCT FROM $1)",
                    "($0 LIKE 'a%')",
                    "($0 ILIKE '%B%')",
                    "($0 IN ('a', 'ab', $1))",
                    "($0 NOT IN ('a', NULL))",
                    "starts_with($0, 'a')",
                ]);
                join(&pattern, &[&a, &b])
            }
            4 => {
                let (a, b) = (self.instant(), self.instant());
                let pattern = self.one_of(&[
                    "($0 > $1)",
                    "($0 + INTERVAL '12 hours' < $1)",
                    "($0 - $1 > INTERVAL '1 day')",
                    "(extract(hour FROM $0) = extract(hour FROM $1))",
                    "(date_trunc('day', $0) = date_trunc('day', $1))",
                    "(extract(isodow FROM $0) < 4)",
                ]);
                join(&pattern, &[&a, &b])
            }
            5 => {
                let (a, hours) = (self.instant(), 6 * self.dice.random_range(1..40));
                let now = both("now()", self.now.clone());
                let pattern =
                    self.one_of(&["($0 < $1 - INTERVAL '#')", "($1 - $0 <= INTERVAL '#')", "($1 > $0 + INTERVAL '#')"]);
                join(&pattern.replace('#', &format!("{hours} hours")), &[&a, &now])
            }
            6 => {
                let (a, b, c) = (self.numeric(1), self.numeric(0), self.numeric(0));
                join("($0 BETWEEN $1 AND $2)", &[&a, &b, &c])
            }
            _ => {
                let pattern = self.one_of(&["($0 IS NULL)", "($0 IS NOT NULL)"]);
                let value = match self.dice.random_range(0..3) {
                    0 => self.numeric(1),
                    1 => self.text(1),
                    _ => self.instant(),
                };
                join(&pattern, &[&value])
            }
        }
    }

    /// Whether something followed something else in time, or did not.
    fn sequence(&mut self) -> Twice {
        let (a, b, hours) = (self.event_condition(1), self.event_condition(1), 6 * self.dice.random_range(1..40));
        let within = format!("INTERVAL '{hours} hours'");
        let (first, second, now) = (instants(&a), instants(&b), &self.now);
        match self.dice.random_bool(0.5) {
            true => both(
                format!("followed_by({}, {}, {within})", a.ours, b.ours),
                format!(
                    "(len(list_filter({first}, lambda x: len(list_filter({second}, lambda y: y > x AND y - x <= {within})) > 0)) > 0)"
                ),
            ),
            false => both(
                format!("not_followed_by({}, {}, {within})", a.ours, b.ours),
                format!(
                    "coalesce(list_max({first}) + {within} <= {now} AND len(list_filter({second}, \
                     lambda y: y > list_max({first}) AND y <= list_max({first}) + {within})) = 0, FALSE)"
                ),
            ),
        }
    }

    fn numeric(&mut self, depth: u32) -> Twice {
        if depth == 0 {
            return alike(self.number(8).to_string());
        }
        match self.dice.random_range(0..11) {
            10 => {
                let (a, b) = (self.event_condition(1), self.event_condition(1));
                let (counted, since) = (instants(&a), instants(&b));
                let since = format!("coalesce(list_max({since}), TIMESTAMP '1900-01-01')");
                both(
                    format!("count_since({}, {})", a.ours, b.ours),
                    format!("len(list_filter({counted}, lambda x: x > {since}))"),
                )
            }
            0..=3 => self.aggregate(),
            4 => {
                let (a, b) = (self.numeric(depth - 1), self.numeric(depth - 1));
                let pattern = self.one_of(&[
                    "($0 + $1)",
                    "($0 - $1)",
                    "($0 * 2)",
                    "abs($0)",
                    "coalesce($0, $1)",
                    "nullif($0, $1)",
                ]);
                join(&pattern, &[&a, &b])
            }
            5 => {
                let (condition, a, b) = (self.condition(0), self.numeric(depth - 1), self.numeric(depth - 1));
                join("(CASE WHEN $0 THEN $1 ELSE $2 END)", &[&condition, &a, &b])
            }
            6 => join("length($0)", &[&self.text(depth - 1)]),
            7 => {
                let text = self.text(depth - 1);
                both(format!("{}::integer", text.ours), format!("TRY_CAST({} AS INTEGER)", text.duck))
            }
            8 => {
                let pattern = self.one_of(&["extract(hour FROM $0)", "extract(dow FROM $0)", "extract(day FROM $0)"]);
                join(&pattern, &[&self.instant()])
            }
            _ => {
                // Integers only: what is divided is exact in both.
                let filter = self.filter();
                let sum = both(format!("sum(properties.qty){}", filter.ours), format!("sum(e.qty){}", filter.duck));
                join("($0 / $1)", &[&sum, &alike(self.one_of(&["2", "4", "8"]))])
            }
        }
    }

    fn aggregate(&mut self) -> Twice {
        let filter = self.filter();
        let (ours, duck) = *[
            ("count(*)", "count(e.kind)"),
            ("count(properties.qty)", "count(e.qty)"),
            ("sum(properties.qty)", "sum(e.qty)"),
            ("sum(properties.total)", "sum(e.total)"),
            ("avg(properties.total)", "avg(e.total)"),
            ("min(properties.qty)", "min(e.qty)"),
            ("max(properties.qty)", "max(e.qty)"),
            ("count(DISTINCT properties.qty)", "count(DISTINCT e.qty)"),
            ("count(DISTINCT event)", "count(DISTINCT e.event)"),
        ]
        .choose(&mut self.dice)
        .unwrap();
        both(format!("{ours}{}", filter.ours), format!("{duck}{}", filter.duck))
    }

    fn text(&mut self, depth: u32) -> Twice {
        if depth == 0 {
            return alike(self.one_of(&["'a'", "'ab'", "'B'", "''", "'12'"]));
        }
        match self.dice.random_range(0..6) {
            5 => {
                let filter = self.filter();
                // Of several that are as frequent, the smallest.
                let times = format!("histogram(e.name){}", filter.duck);
                both(
                    format!("mode(properties.name){}", filter.ours),
                    format!(
                        "list_min(list_filter(map_keys({times}), lambda k: {times}[k] = list_max(map_values({times}))))"
                    ),
                )
            }
            0 => both("traits.country", "last(e.country ORDER BY e.ts) FILTER (WHERE e.has_country)"),
            1 | 2 => {
                let order = self.one_of(&["first", "last"]);
                let filter = self.event_condition(1);
                both(
                    format!("{order}(properties.name) FILTER (WHERE {})", filter.ours),
                    format!("{order}(e.name ORDER BY e.ts) FILTER (WHERE ({}) AND e.name IS NOT NULL)", filter.duck),
                )
            }
            3 => {
                let pattern = self.one_of(&[
                    "lower($0)",
                    "upper($0)",
                    "trim($0)",
                    "substring($0, 1, 2)",
                    "replace($0, 'a', 'xy')",
                ]);
                join(&pattern, &[&self.text(depth - 1)])
            }
            _ => {
                let (a, b) = (self.text(depth - 1), self.text(depth - 1));
                let pattern = self.one_of(&["($0 || $1)", "coalesce($0, $1)"]);
                join(&pattern, &[&a, &b])
            }
        }
    }

    fn instant(&mut self) -> Twice {
        let filter = self.filter();
        let function = self.one_of(&["min", "max"]);
        let instant = both(format!("{function}(timestamp){}", filter.ours), format!("{function}(e.ts){}", filter.duck));
        match self.dice.random_range(0..4) {
            0 => {
                let unit = self.one_of(&["day", "week", "month", "hour"]);
                join(&format!("date_trunc('{unit}', $0)"), &[&instant])
            }
            _ => instant,
        }
    }

    /// ` FILTER (WHERE …)`, often with a window.
    fn filter(&mut self) -> Twice {
        let condition = self.event_condition(2);
        let window = match self.dice.random_range(0..4) {
            0 => {
                let length = format!("INTERVAL '{} hours'", 6 * self.dice.random_range(1..40));
                both(format!(" AND timestamp > now() - {length}"), format!(" AND e.ts > {} - {length}", self.now))
            }
            1 => {
                let unit = self.one_of(&["day", "week", "month", "year"]);
                both(
                    format!(" AND timestamp >= date_trunc('{unit}', now())"),
                    format!(" AND e.ts >= date_trunc('{unit}', {})", self.now),
                )
            }
            _ => alike(""),
        };
        both(
            format!(" FILTER (WHERE {}{})", condition.ours, window.ours),
            format!(" FILTER (WHERE ({}){})", condition.duck, window.duck),
        )
    }

    /// A condition on one event.
    fn event_condition(&mut self, depth: u32) -> Twice {
        if depth > 0 && self.dice.random_bool(0.4) {
            let (a, b) = (self.event_condition(depth - 1), self.event_condition(depth - 1));
            let pattern = self.one_of(&["($0 AND $1)", "($0 OR $1)", "(NOT $0)"]);
            return join(&pattern, &[&a, &b]);
        }
        let number = self.number(8);
        let (ours, duck) = match self.dice.random_range(0..8) {
            0 | 1 => {
                let name = self.one_of(&["A", "B", "C"]);
                (format!("event = '{name}'"), format!("e.event = '{name}'"))
            }
            2 => (format!("properties.qty > {number}"), format!("e.qty > {number}")),
            3 => (format!("properties.total <= {number}.25"), format!("e.total <= {number}.25")),
            4 => ("properties.name LIKE 'a%'".to_owned(), "e.name LIKE 'a%'".to_owned()),
            5 => ("properties.flag".to_owned(), "e.flag".to_owned()),
            6 => (
                format!("coalesce(properties.qty, 0) % 2 = {}", number.rem_euclid(2)),
                format!("coalesce(e.qty, 0) % 2 = {}", number.rem_euclid(2)),
            ),
            _ => ("type = 'track'".to_owned(), "e.kind = 'track'".to_owned()),
        };
        both(format!("({ours})"), format!("({duck})"))
    }
}
