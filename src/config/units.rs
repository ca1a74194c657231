//! Times and sizes as people write them: `7 days`, `250 ms`, `1 GiB`.

use std::time::Duration;

const TIMES: [(&[&str], u64); 6] = [
    (&["ms", "millisecond", "milliseconds"], 1),
    (&["s", "second", "seconds"], 1_000),
    (&["min", "minute", "minutes"], 60_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["week", "weeks"], 604_800_000),
];

const SIZES: [(&[&str], u64); 9] = [
    (&["B", "byte", "bytes"], 1),
    (&["kB", "KB"], 1_000),
    (&["MB"], 1_000_000),
    (&["GB"], 1_000_000_000),
    (&["TB"], 1_000_000_000_000),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
    (&["TiB"], 1 << 40),
];

/// A length of time, exact to the millisecond. The error is the mend.
///
/// ```
/// # use std::time::Duration;
/// # use tributary::config::parse_duration;
/// assert_eq!(parse_duration("7 days"), Ok(Duration::from_secs(7 * 24 * 60 * 60)));
/// assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
/// assert!(parse_duration("7").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &TIMES, "a time is a whole number and ms, s, min, h, days or weeks, such as \"7 days\"")
        .map(Duration::from_millis)
}

/// A number of bytes. The error is the mend.
///
/// ```
/// # use tributary::config::parse_size;
/// assert_eq!(parse_size("64 MiB"), Ok(64 << 20));
/// assert!(parse_size("64 megs").is_err());
/// ```
pub fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &SIZES, "a size is a whole number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as \"64 MiB\"")
}

/// A time as it would be written, in the largest unit that leaves it whole.
pub(crate) fn format_duration(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let units = [("days", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
    let whole = units.into_iter().find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor));
    whole.map_or_else(|| "0 ms".to_owned(), |(unit, factor)| format!("{} {unit}", millis / factor))
}

/// A size as it would be written, in the largest unit that leaves it whole.
pub(crate) fn format_size(bytes: u64) -> String {
    let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    let whole = units.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    whole.map_or_else(|| "0 B".to_owned(), |(unit, factor)| format!("{} {unit}", bytes / factor))
}

fn parse(text: &str, units: &[(&[&str], u64)], mend: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let number: Option<u64> = number.replace('_', "").parse().ok();
    let factor = units.iter().find(|(names, _)| names.contains(&unit)).map(|(_, factor)| *factor);
    match (number, factor) {
        (Some(number), Some(factor)) => number
            .checked_mul(factor)
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or_else(|| format!("`{text}` is too much")),
        (Some(_), None) if unit.is_empty() => Err(format!("`{text}` has no unit: {mend}")),
        _ => Err(format!("`{text}` is not understood: {mend}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        let day = Duration::from_secs(86_400);
        for (text, expected) in [
            ("7 days", 7 * day),
            ("1 day", day),
            ("2 weeks", 14 * day),
            ("36h", day + day / 2),
            ("90 min", day / 16),
            ("5 seconds", Duration::from_secs(5)),
            (" 1_000 ms ", Duration::from_secs(1)),
        ] {
            assert_eq!(parse_duration(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_how_one_is_written() {
        let mend = "a time is a whole number and ms, s, min, h, days or weeks, such as \"7 days\"";
        assert_eq!(parse_duration("7").unwrap_err(), format!("`7` has no unit: {mend}"));
        assert_eq!(parse_duration("1.5 h").unwrap_err(), format!("`1.5 h` is not understood: {mend}"));
        assert_eq!(parse_duration("1 month").unwrap_err(), format!("`1 month` is not understood: {mend}"));
        assert_eq!(parse_duration("-1 s").unwrap_err(), format!("`-1 s` is not understood: {mend}"));
        assert_eq!(parse_duration("99999999999999999 days").unwrap_err(), "`99999999999999999 days` is too much");
    }

    #[test]
    fn sizes_know_the_two_kinds_of_thousand() {
        assert_eq!(parse_size("10 GB").unwrap(), 10_000_000_000);
        assert_eq!(parse_size("10 GiB").unwrap(), 10 << 30);
        assert_eq!(parse_size("512 bytes").unwrap(), 512);
        assert!(parse_size("10 gb").unwrap_err().starts_with("`10 gb` is not understood"));
    }

    #[test]
    fn limits_read_well() {
        assert_eq!(format_duration(Duration::from_secs(7 * 86_400)), "7 days");
        assert_eq!(format_duration(Duration::from_millis(1_500)), "1500 ms");
        assert_eq!(format_duration(Duration::ZERO), "0 ms");
        assert_eq!(format_size(64 << 20), "64 MiB");
        assert_eq!(format_size(512_000), "500 KiB");
    }
}
