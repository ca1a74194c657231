//! Quiet hours where the customer is: by the clock on their wall, on days with 23 and 25 hours too.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tributary_model::{Millis, QuietHours};

/// When the quiet hours end in which it is `now`; `None` if it is not quiet. By a time zone that there is not, the one of
/// whoever has none counts.
pub(super) fn ends(quiet: &QuietHours, time_zone: Option<&str>, now: Millis) -> Option<Millis> {
    let zone = time_zone.and_then(|name| TimeZone::get(name).ok()).or_else(|| TimeZone::get(&quiet.otherwise).ok());
    let now = Timestamp::from_millisecond(now).ok()?.to_zoned_datetime(zone.unwrap_or(TimeZone::UTC));
    if !is_quiet(quiet, now.time()) {
        return None;
    }
    let end = time(quiet.to)?;
    // Today's end, or that of a day after; twice, where a day has that time twice. And where clocks change: a day may lack it.
    let days = (0..=2).filter_map(|days| now.date().checked_add(days.days()).ok());
    let ends = days.flat_map(|date| {
        let at = now.time_zone().to_ambiguous_zoned_datetime(date.to_datetime(end));
        [at.clone().compatible().ok(), at.later().ok()].into_iter().flatten()
    });
    let changes = now.time_zone().following(now.timestamp()).take(1);
    let changes = changes.map(|change| change.timestamp().to_zoned_datetime(now.time_zone().clone()));
    let later = ends.chain(changes).filter(|end| *end > now && !is_quiet(quiet, end.time()));
    later.min().map(|end| end.timestamp().as_millisecond())
}

fn is_quiet(quiet: &QuietHours, at: Time) -> bool {
    let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap_or(0);
    match quiet.from <= quiet.to {
        true => (quiet.from..quiet.to).contains(&minute),
        false => minute >= quiet.from || minute < quiet.to,
    }
}

fn time(minute: u16) -> Option<Time> {
    Time::new(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quiet(from: u16, to: u16) -> QuietHours {
        let otherwise = "Asia/Tokyo".to_owned();
        QuietHours { from, to, channels: [].into(), time_zone: "timezone".to_owned(), otherwise }
    }

    /// The end of quiet hours, both in the time of a zone.
    #[track_caller]
    fn check(quiet: &QuietHours, zone: &str, now: &str, expected: Option<&str>) {
        let millis = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(ends(quiet, Some(zone), millis(now)), expected.map(millis));
    }

    const NIGHT: (u16, u16) = (21 * 60, 8 * 60);

    #[test]
    fn nights_end_in_the_morning_where_the_customer_is() {
        let night = quiet(NIGHT.0, NIGHT.1);
        check(&night, "Europe/Berlin", "2026-06-01T20:59:59+02:00", None);
        check(&night, "Europe/Berlin", "2026-06-01T21:00:00+02:00", Some("2026-06-02T08:00:00+02:00"));
        check(&night, "Europe/Berlin", "2026-06-02T07:59:59+02:00", Some("2026-06-02T08:00:00+02:00"));
        check(&night, "Europe/Berlin", "2026-06-02T08:00:00+02:00", None);
        check(&night, "America/New_York", "2026-06-02T08:00:00+02:00", Some("2026-06-02T08:00:00-04:00"));
    }

    #[test]
    fn an_afternoon_is_quiet_within_a_day() {
        let afternoon = quiet(13 * 60, 15 * 60 + 30);
        check(&afternoon, "UTC", "2026-06-01T12:59:59Z", None);
        check(&afternoon, "UTC", "2026-06-01T13:00:00Z", Some("2026-06-01T15:30:00Z"));
        check(&afternoon, "UTC", "2026-06-01T15:30:00Z", None);
    }

    #[test]
    fn whoever_has_no_time_zone_or_none_that_there_is_has_the_usual_one() {
        let night = quiet(NIGHT.0, NIGHT.1);
        let millis = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        for zone in [None, Some("Berlin"), Some("")] {
            let end = ends(&night, zone, millis("2026-06-01T23:00:00+09:00"));
            assert_eq!(end, Some(millis("2026-06-02T08:00:00+09:00")), "{zone:?}");
        }
    }

    #[test]
    fn days_of_23_and_25_hours() {
        let night = quiet(NIGHT.0, NIGHT.1);
        // Clocks go forward on 29 March 2026, and back on 25 October.
        check(&night, "Europe/Berlin", "2026-03-28T22:00:00+01:00", Some("2026-03-29T08:00:00+02:00"));
        check(&night, "Europe/Berlin", "2026-10-24T22:00:00+02:00", Some("2026-10-25T08:00:00+01:00"));
        // An end that this day does not have: 02:00 is 03:00 already.
        let short = quiet(60, 2 * 60 + 30);
        check(&short, "Europe/Berlin", "2026-03-29T01:15:00+01:00", Some("2026-03-29T03:00:00+02:00"));
        // An end that this day has twice: quiet both times, since the clock on the wall says so.
        check(&short, "Europe/Berlin", "2026-10-25T02:15:00+02:00", Some("2026-10-25T02:30:00+02:00"));
        check(&short, "Europe/Berlin", "2026-10-25T02:15:00+01:00", Some("2026-10-25T02:30:00+01:00"));
    }
}
