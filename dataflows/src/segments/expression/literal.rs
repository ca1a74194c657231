//! Literals: numbers, instants, lengths of time.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use tributary_model::Millis;

const SECOND_MS: i64 = 1_000;
pub(super) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_MS: i64 = 7 * DAY_MS;

/// A number as SQL writes it: `5`, `.5`, `1e3`. `None` where it is not exact in 28 digits.
pub(super) fn number(text: &str) -> Option<Decimal> {
    let exact = match text.find(['e', 'E']) {
        Some(_) => Decimal::from_scientific(text).ok(),
        None => Decimal::from_str_exact(text.strip_suffix('.').unwrap_or(text)).ok(),
    };
    exact.map(|number| number.normalize())
}

/// An instant: RFC 3339, or a date with or without a time, which is then in UTC.
pub(super) fn timestamp(text: &str) -> Option<Millis> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    // An offset after the date would be read over below; with one, the text was no instant above.
    let behind_date = text.get(10..).unwrap_or_default();
    if behind_date.contains(['+', '-', 'Z', 'z', '[']) {
        return None;
    }
    let civil: DateTime = text.parse().ok()?;
    Offset::UTC.to_timestamp(civil).ok().map(|at| at.as_millisecond())
}

/// Why a text is no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntervalError {
    /// Months and years have no fixed length.
    Calendar,
    /// Anything else.
    Malformed,
}

/// A length of time in milliseconds, as PostgreSQL writes it: `30 days`, `1 hour 30 minutes`. A number without a unit
/// has the `unit` behind the literal, as in `INTERVAL '30' DAY`.
pub(super) fn interval(text: &str, unit: Option<&str>) -> Result<i64, IntervalError> {
    let malformed = IntervalError::Malformed;
    let mut total = Decimal::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(malformed);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(rest.len());
        let (amount, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let letters = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
        let (name, further) = behind.split_at(letters);
        let name = match (name, unit) {
            ("", Some(unit)) if further.is_empty() => unit,
            (name, None) => name,
            (_, Some(_)) => return Err(malformed),
        };
        let amount = Decimal::from_str_exact(amount).map_err(|_| malformed)?;
        let part = amount.checked_mul(Decimal::from(unit_ms(name)?)).ok_or(malformed)?;
        total = total.checked_add(part).ok_or(malformed)?;
        rest = further.trim_start();
    }
    total.round().to_i64().ok_or(malformed)
}

fn unit_ms(name: &str) -> Result<i64, IntervalError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND_MS,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE_MS,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR_MS,
        "d" | "day" | "days" => DAY_MS,
        "w" | "week" | "weeks" => WEEK_MS,
        "mon" | "mons" | "month" | "months" | "y" | "yr" | "yrs" | "year" | "years" => {
            return Err(IntervalError::Calendar);
        }
        _ => return Err(IntervalError::Malformed),
    })
}

/// A length of time in its largest whole unit: `30 days`, `90 minutes`.
pub(super) fn interval_text(length_ms: i64) -> String {
    let units = [(DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"), (SECOND_MS, "second")];
    for (unit_ms, name) in units {
        if length_ms != 0 && length_ms % unit_ms == 0 {
            let amount = length_ms / unit_ms;
            return format!("{amount} {name}{}", if amount == 1 { "" } else { "s" });
        }
    }
    format!("{length_ms} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_none() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(number(text).map(|number| number.to_string()).as_deref(), expected, "{text}");
        };
        check("5", Some("5"));
        check("5.", Some("5"));
        check(".5", Some("0.5"));
        check("19.90", Some("19.9"));
        check("1e3", Some("1000"));
        check("2.5E-2", Some("0.025"));
        check("1e400", None);
        check("99999999999999999999999999999999", None);
        check("0x1F", None);
    }

    #[test]
    fn instants_are_rfc_3339_or_a_date_in_utc() {
        let march = 1_772_323_200_000;
        let check = |text, expected| assert_eq!(timestamp(text), expected, "{text}");
        check("2026-03-01T00:00:00Z", Some(march));
        check("2026-03-01T02:00:00+02:00", Some(march));
        check("2026-03-01 02:00:00+02", Some(march));
        check("2026-03-01", Some(march));
        check("2026-03-01 00:00:00.250", Some(march + 250));
        check("2026-03-01T12:00", Some(march + 12 * HOUR_MS));
        check("1969-12-31T23:59:59Z", Some(-1_000));
        check("yesterday", None);
        check("2026-02-30", None);
        check("2026-03-01T00:00:00+99:00", None);
        check("", None);
    }

    #[test]
    fn lengths_of_time_are_as_in_postgresql() {
        let check = |text, expected| assert_eq!(interval(text, None), expected, "{text}");
        check("30 days", Ok(30 * DAY_MS));
        check("1 hour 30 minutes", Ok(90 * MINUTE_MS));
        check("1d12h", Ok(36 * HOUR_MS));
        check("1.5 hours", Ok(90 * MINUTE_MS));
        check("-3 Days", Ok(-3 * DAY_MS));
        check("2 weeks", Ok(14 * DAY_MS));
        check("1 month", Err(IntervalError::Calendar));
        check("1 year", Err(IntervalError::Calendar));
        check("30", Err(IntervalError::Malformed));
        check("days", Err(IntervalError::Malformed));
        check("", Err(IntervalError::Malformed));
        check("9999999999999999999 days", Err(IntervalError::Malformed));
        assert_eq!(interval("30", Some("day")), Ok(30 * DAY_MS));
        assert_eq!(interval("30 days", Some("day")), Err(IntervalError::Malformed));
    }

    #[test]
    fn a_length_of_time_reads_back() {
        for length_ms in [1, 1_500, MINUTE_MS, 90 * MINUTE_MS, DAY_MS, 30 * DAY_MS, -DAY_MS, 0] {
            assert_eq!(interval(&interval_text(length_ms), None), Ok(length_ms));
        }
    }
}
