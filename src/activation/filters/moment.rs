//! `date`, `time` and `datetime`: an instant where the customer is, by the calendar and the clock of their language.

use super::argument::{excerpt, is_untold, locale, mistaken, unreadable};
use icu_datetime::fieldsets::{T, YMD, YMDE};
use icu_datetime::input::{Date as IcuDate, DateTime as IcuDateTime, Time as IcuTime};
use icu_datetime::{DateTimeFormatter, NoCalendarFormatter};
use icu_locale::Locale;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// What writing a time costs: it takes some ten microseconds.
const FUEL: u64 = 200;
const TAKES: &str = "a time: ISO 8601, or milliseconds since 1970";

/// `{{ "2026-11-28" | date(length="long") }}` is `November 28, 2026`, `28. November 2026`. A date without a time is the
/// same everywhere; an instant is a day in `time_zone`, which is UTC where none is told.
pub(super) fn date(state: &State<'_, '_>, value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let asked = Asked::read("date", state, &arguments, true)?;
    if is_untold(state, value) {
        return Ok(String::new());
    }
    let date = match asked.moment(value)? {
        Moment::At(at) => at.date(),
        Moment::Day(date) => date,
    };
    asked.done(write_date(&asked.locale, asked.length, date))
}

/// `{{ event.timestamp | time(time_zone=traits.timezone) }}` is `4:09 PM`, `16:09`.
pub(super) fn time(state: &State<'_, '_>, value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let asked = Asked::read("time", state, &arguments, false)?;
    if is_untold(state, value) {
        return Ok(String::new());
    }
    let at = asked.instant(value)?;
    asked.done(write_time(&asked.locale, at.time()))
}

/// `{{ event.timestamp | datetime }}` is `Nov 28, 2026, 4:09 PM`, `28.11.2026, 16:09`.
pub(super) fn datetime(state: &State<'_, '_>, value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let asked = Asked::read("datetime", state, &arguments, true)?;
    if is_untold(state, value) {
        return Ok(String::new());
    }
    let at = asked.instant(value)?;
    asked.done(write_datetime(&asked.locale, asked.length, at))
}

/// How much of a date is written.
#[derive(Clone, Copy)]
enum Length {
    Short,
    Medium,
    Long,
    Full,
}

const LENGTHS: [(&str, Length); 4] =
    [("short", Length::Short), ("medium", Length::Medium), ("long", Length::Long), ("full", Length::Full)];

impl Length {
    /// The fields but the day of the week, which a full date has too.
    const fn fields(self) -> YMD {
        match self {
            Self::Short => YMD::short(),
            Self::Medium => YMD::medium(),
            Self::Long | Self::Full => YMD::long(),
        }
    }
}

/// A time as it was told, where the customer is.
enum Moment {
    At(DateTime),
    Day(Date),
}

/// What a filter is asked for.
struct Asked {
    filter: &'static str,
    locale: Locale,
    zone: TimeZone,
    length: Length,
}

impl Asked {
    fn read(filter: &'static str, state: &State<'_, '_>, arguments: &Kwargs, has_length: bool) -> Result<Self, Error> {
        state.consume_fuel(FUEL)?;
        let locale = locale(filter, state, arguments)?;
        let zone: Option<Value> = arguments.get("time_zone")?;
        let zone = zone.map_or(Ok(TimeZone::UTC), |zone| {
            let known = zone.as_str().and_then(|name| TimeZone::get(name).ok());
            let name = excerpt(&zone.to_string());
            known.ok_or_else(|| mistaken(filter, &format!("`{name}` is no time zone; write one such as Europe/Berlin")))
        })?;
        let length: Option<Value> = if has_length { arguments.get("length")? } else { None };
        let length = length.map_or(Ok(Length::Medium), |told| {
            let known = LENGTHS.iter().find(|(name, _)| Some(*name) == told.as_str());
            let why = || mistaken(filter, "`length` is one of short, medium, long and full");
            known.map(|(_, length)| *length).ok_or_else(why)
        })?;
        arguments.assert_all_used()?;
        Ok(Self { filter, locale, zone, length })
    }

    fn moment(&self, value: &Value) -> Result<Moment, Error> {
        let told = match value.kind() {
            ValueKind::Number => millis(value).and_then(|millis| self.local(millis)),
            ValueKind::String => value.as_str().and_then(|text| self.read_text(text.trim())),
            _ => None,
        };
        told.ok_or_else(|| unreadable(self.filter, TAKES, value))
    }

    fn instant(&self, value: &Value) -> Result<DateTime, Error> {
        match self.moment(value)? {
            Moment::At(at) => Ok(at),
            Moment::Day(_) => Err(unreadable(self.filter, "a date with a time", value)),
        }
    }

    fn read_text(&self, text: &str) -> Option<Moment> {
        if let Ok(millis) = text.parse() {
            return self.local(millis);
        }
        let pieces = Pieces::parse(text).ok()?;
        let Some(time) = pieces.time() else { return Some(Moment::Day(pieces.date())) };
        let local = DateTime::from_parts(pieces.date(), time);
        match pieces.to_numeric_offset() {
            Some(offset) => Some(self.at(offset.to_timestamp(local).ok()?)),
            // It is where it is told to be, not where the customer is.
            None if pieces.time_zone_annotation().is_some() => None,
            None => Some(Moment::At(local)),
        }
    }

    fn local(&self, millis: i64) -> Option<Moment> {
        Some(self.at(Timestamp::from_millisecond(millis).ok()?))
    }

    fn at(&self, at: Timestamp) -> Moment {
        Moment::At(at.to_zoned_datetime(self.zone.clone()).datetime())
    }

    fn done(&self, written: Option<String>) -> Result<String, Error> {
        let unwritable = || format!("`{}`: this cannot be written in the language {}", self.filter, self.locale);
        written.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, unwritable()))
    }
}

/// Whole milliseconds.
fn millis(value: &Value) -> Option<i64> {
    if value.is_integer() {
        return value.as_i64();
    }
    let millis = f64::try_from(value.clone()).ok()?.trunc();
    // Below, every whole number is one of this kind.
    (millis.abs() < 9e15).then_some(millis as i64)
}

fn write_date(locale: &Locale, length: Length, date: Date) -> Option<String> {
    let (year, month, day) = (i32::from(date.year()), u8::try_from(date.month()), u8::try_from(date.day()));
    let date = IcuDate::try_new_iso(year, month.ok()?, day.ok()?).ok()?;
    Some(match length {
        Length::Full => DateTimeFormatter::try_new(locale.into(), YMDE::long()).ok()?.format(&date).to_string(),
        _ => DateTimeFormatter::try_new(locale.into(), length.fields()).ok()?.format(&date).to_string(),
    })
}

fn write_time(locale: &Locale, time: Time) -> Option<String> {
    let (hour, minute) = (u8::try_from(time.hour()), u8::try_from(time.minute()));
    let time = IcuTime::try_new(hour.ok()?, minute.ok()?, 0, 0).ok()?;
    Some(NoCalendarFormatter::try_new(locale.into(), T::hm()).ok()?.format(&time).to_string())
}

fn write_datetime(locale: &Locale, length: Length, at: DateTime) -> Option<String> {
    let (year, month, day) = (i32::from(at.year()), u8::try_from(at.month()), u8::try_from(at.day()));
    let (hour, minute) = (u8::try_from(at.hour()), u8::try_from(at.minute()));
    let date = IcuDate::try_new_iso(year, month.ok()?, day.ok()?).ok()?;
    let time = IcuTime::try_new(hour.ok()?, minute.ok()?, 0, 0).ok()?;
    let at = IcuDateTime { date, time };
    Some(match length {
        Length::Full => {
            let formatter = DateTimeFormatter::try_new(locale.into(), YMDE::long().with_time_hm()).ok()?;
            formatter.format(&at).to_string()
        }
        _ => {
            let formatter = DateTimeFormatter::try_new(locale.into(), length.fields().with_time_hm()).ok()?;
            formatter.format(&at).to_string()
        }
    })
}
