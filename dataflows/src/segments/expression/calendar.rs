//! Calendar units in a time zone: where the day, the month or the year of an instant begins, and where the next one does.

use super::literal::{DAY_MS, HOUR_MS, MINUTE_MS};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};
use rust_decimal::Decimal;
use std::fmt;
use tributary_model::Millis;

/// A time zone of the IANA database, as it is compiled in: the same answers on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    pub(crate) fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The zone of that name, such as `Europe/Berlin`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        Some(Self { name: zone.iana_name().unwrap_or(name).to_owned(), zone })
    }

    fn local(&self, at: Millis) -> Option<ZonedDateTime> {
        Some(Timestamp::from_millisecond(at).ok()?.to_zoned_datetime(self.zone.clone()))
    }

    fn begin_of(&self, date: Date) -> Option<Millis> {
        Some(date.to_zoned_datetime(self.zone.clone()).ok()?.timestamp().as_millisecond())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A length of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Minute,
    Hour,
    Day,
    /// From Monday on.
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    /// How long the shortest one is, in milliseconds.
    pub(crate) const fn least_ms(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
            // One in which clocks go forward.
            Self::Day => 23 * HOUR_MS,
            Self::Week => 7 * DAY_MS - HOUR_MS,
            Self::Month => 28 * DAY_MS - HOUR_MS,
            Self::Quarter => 90 * DAY_MS - HOUR_MS,
            Self::Year => 365 * DAY_MS,
        }
    }

    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("quarter", Self::Quarter),
        ("year", Self::Year),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, unit)| unit)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }

    /// The length of a unit that the clock knows, in milliseconds; `None` of those of the calendar.
    const fn clock_ms(self) -> Option<i64> {
        match self {
            Self::Minute => Some(60_000),
            Self::Hour => Some(3_600_000),
            _ => None,
        }
    }

    fn first_day(self, date: Date) -> Option<Date> {
        match self {
            Self::Week => date.checked_sub(Span::new().days(date.weekday().to_monday_zero_offset())).ok(),
            Self::Month => Some(date.first_of_month()),
            Self::Quarter => Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1).ok(),
            Self::Year => Some(date.first_of_year()),
            Self::Minute | Self::Hour | Self::Day => Some(date),
        }
    }

    fn span(self) -> Span {
        let span = Span::new();
        match self {
            Self::Week => span.weeks(1),
            Self::Month => span.months(1),
            Self::Quarter => span.months(3),
            Self::Year => span.years(1),
            Self::Minute | Self::Hour | Self::Day => span.days(1),
        }
    }
}

/// A unit in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) unit: Unit,
    pub(crate) zone: Zone,
}

impl Calendar {
    /// When the unit that holds an instant begins; `None` outside the years that the calendar knows.
    pub(crate) fn begin(&self, at: Millis) -> Option<Millis> {
        let local = self.zone.local(at)?;
        match self.unit.clock_ms() {
            Some(length_ms) => {
                let offset_ms = i64::from(local.offset().seconds()) * 1_000;
                at.checked_sub(at.checked_add(offset_ms)?.rem_euclid(length_ms))
            }
            None => self.zone.begin_of(self.unit.first_day(local.date())?),
        }
    }

    /// When the next unit begins.
    pub(crate) fn end(&self, at: Millis) -> Option<Millis> {
        match self.unit.clock_ms() {
            Some(length_ms) => self.begin(at)?.checked_add(length_ms),
            None => {
                let first = self.unit.first_day(self.zone.local(at)?.date())?;
                self.zone.begin_of(first.checked_add(self.unit.span()).ok()?)
            }
        }
    }
}

/// A number that is read off an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Year,
    Quarter,
    Month,
    /// Of ISO 8601.
    Week,
    Day,
    /// From Sunday, which is 0.
    DayOfWeek,
    /// From Monday, which is 1.
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    /// Seconds since 1970.
    Epoch,
}

impl Part {
    pub(crate) const NAMES: [(&'static str, Self); 12] = [
        ("year", Self::Year),
        ("quarter", Self::Quarter),
        ("month", Self::Month),
        ("week", Self::Week),
        ("day", Self::Day),
        ("dow", Self::DayOfWeek),
        ("isodow", Self::IsoDayOfWeek),
        ("doy", Self::DayOfYear),
        ("hour", Self::Hour),
        ("minute", Self::Minute),
        ("second", Self::Second),
        ("epoch", Self::Epoch),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, part)| part)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, part)| *part == self).map_or("", |(name, _)| name)
    }

    /// The unit with which it changes at the latest; `None` of what changes all the time.
    pub(crate) const fn changes_with(self) -> Option<Unit> {
        match self {
            Self::Year => Some(Unit::Year),
            Self::Quarter => Some(Unit::Quarter),
            Self::Month => Some(Unit::Month),
            Self::Week => Some(Unit::Week),
            Self::Day | Self::DayOfWeek | Self::IsoDayOfWeek | Self::DayOfYear => Some(Unit::Day),
            Self::Hour => Some(Unit::Hour),
            Self::Minute => Some(Unit::Minute),
            Self::Second | Self::Epoch => None,
        }
    }

    pub(crate) fn of(self, at: Millis, zone: &Zone) -> Option<Decimal> {
        let local = zone.local(at)?;
        Some(match self {
            Self::Year => Decimal::from(local.year()),
            Self::Quarter => Decimal::from((local.month() - 1) / 3 + 1),
            Self::Month => Decimal::from(local.month()),
            Self::Week => Decimal::from(local.date().iso_week_date().week()),
            Self::Day => Decimal::from(local.day()),
            Self::DayOfWeek => Decimal::from(local.weekday().to_sunday_zero_offset()),
            Self::IsoDayOfWeek => Decimal::from(local.weekday().to_monday_one_offset()),
            Self::DayOfYear => Decimal::from(local.day_of_year()),
            Self::Hour => Decimal::from(local.hour()),
            Self::Minute => Decimal::from(local.minute()),
            Self::Second => Decimal::from(local.second()) + Decimal::new(i64::from(local.millisecond()), 3),
            Self::Epoch => Decimal::try_from_i128_with_scale(i128::from(at), 3).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::segments::expression::literal::timestamp;
    use tributary_model::format_millis;

    #[track_caller]
    fn check(unit: Unit, zone: &str, at: &str, begin: &str, end: &str) {
        let calendar = Calendar { unit, zone: Zone::named(zone).unwrap() };
        let at = timestamp(at).unwrap();
        let told = |at: Option<Millis>| format_millis(at.unwrap()).replace(":00.000Z", "Z");
        assert_eq!((told(calendar.begin(at)), told(calendar.end(at))), (begin.to_owned(), end.to_owned()));
        assert_eq!(calendar.begin(calendar.begin(at).unwrap()), calendar.begin(at), "its begin is its own begin");
        assert_eq!(calendar.begin(calendar.end(at).unwrap()), calendar.end(at), "the next one's begin too");
    }

    #[test]
    fn units_begin_where_the_calendar_says() {
        let at = "2026-08-19T15:42:17Z";
        check(Unit::Minute, "UTC", at, "2026-08-19T15:42Z", "2026-08-19T15:43Z");
        check(Unit::Hour, "Asia/Kolkata", at, "2026-08-19T15:30Z", "2026-08-19T16:30Z");
        check(Unit::Day, "UTC", at, "2026-08-19T00:00Z", "2026-08-20T00:00Z");
        check(Unit::Week, "UTC", at, "2026-08-17T00:00Z", "2026-08-24T00:00Z");
        check(Unit::Month, "America/New_York", at, "2026-08-01T04:00Z", "2026-09-01T04:00Z");
        check(Unit::Quarter, "UTC", at, "2026-07-01T00:00Z", "2026-10-01T00:00Z");
        check(Unit::Year, "Europe/Berlin", at, "2025-12-31T23:00Z", "2026-12-31T23:00Z");
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_the_clocks_change() {
        check(Unit::Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z");
        check(Unit::Day, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z");
        // Midnight itself does not exist there on that day.
        check(Unit::Day, "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z");
        // An hour that comes twice is two hours.
        check(Unit::Hour, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z");
        check(Unit::Hour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z");
    }

    #[test]
    fn years_end_where_the_zone_says() {
        check(Unit::Year, "Pacific/Kiritimati", "2026-12-31T10:00:00Z", "2026-12-31T10:00Z", "2027-12-31T10:00Z");
        check(Unit::Year, "UTC", "2026-12-31T23:59:59.999Z", "2026-01-01T00:00Z", "2027-01-01T00:00Z");
        check(Unit::Month, "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00Z", "2028-03-01T00:00Z");
    }

    #[test]
    fn what_the_calendar_does_not_know_has_no_answer() {
        let calendar = Calendar { unit: Unit::Year, zone: Zone::utc() };
        assert_eq!((calendar.begin(Millis::MAX), calendar.end(Millis::MIN)), (None, None));
        assert_eq!(Zone::named("Mars/Olympus"), None);
    }
}
