//! Functions of values: each total, as PostgreSQL has it, with NULL for what cannot be computed.

use super::calendar::{Calendar, Part, Zone};
use super::datum::{Datum, Text};
use super::literal;
use super::syntax::CastType;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use tributary_model::format_millis;

/// The longest text that a function makes; a longer one is NULL.
pub(super) const TEXT_BYTES: usize = 64 * 1024;

/// A function with all that is written out in its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Lower,
    Upper,
    /// In characters.
    Length,
    Trim,
    TrimStart,
    TrimEnd,
    Replace,
    Substring,
    Left,
    Right,
    /// Where a text stands in another, from 1; 0 where it does not.
    Position,
    SplitPart,
    /// Of any values; NULLs are left out.
    Concat,
    Abs,
    Round,
    Floor,
    Ceil,
    /// Of any values; NULLs are left out.
    Greatest,
    /// Of any values; NULLs are left out.
    Least,
    /// How many values a list holds.
    Cardinality,
    DateTrunc(Calendar),
    Extract(Part, Zone),
    Cast(CastType),
}

impl Function {
    /// Its name where it is written as `name(…)`.
    fn name(&self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Length => "length",
            Self::Trim => "trim",
            Self::TrimStart => "ltrim",
            Self::TrimEnd => "rtrim",
            Self::Replace => "replace",
            Self::Substring => "substring",
            Self::Left => "left",
            Self::Right => "right",
            Self::Position => "strpos",
            Self::SplitPart => "split_part",
            Self::Concat => "concat",
            Self::Abs => "abs",
            Self::Round => "round",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Greatest => "greatest",
            Self::Least => "least",
            Self::Cardinality => "cardinality",
            Self::DateTrunc(_) => "date_trunc",
            Self::Extract(..) => "extract",
            Self::Cast(_) => "cast",
        }
    }

    /// The text of a call, whose arguments `write` writes.
    pub(super) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        write: impl FnOnce(&mut fmt::Formatter<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write!(f, "{}(", self.name())?;
        match self {
            Self::DateTrunc(Calendar { unit, .. }) => write!(f, "'{}', ", unit.name())?,
            Self::Extract(part, _) => write!(f, "'{}', ", part.name())?,
            _ => {}
        }
        write(f)?;
        match self {
            Self::DateTrunc(Calendar { zone, .. }) | Self::Extract(_, zone) if *zone != Zone::utc() => {
                write!(f, ", '{zone}'")?;
            }
            Self::Cast(to) => write!(f, " AS {to}")?,
            _ => {}
        }
        f.write_str(")")
    }

    /// The value for these arguments.
    pub(super) fn apply<'a>(&self, mut arguments: impl Iterator<Item = Datum<'a>>) -> Datum<'a> {
        match self {
            Self::Concat => return concat(arguments.filter(|value| !value.is_null())),
            Self::Greatest => return extreme(arguments, Ordering::Greater),
            Self::Least => return extreme(arguments, Ordering::Less),
            _ => {}
        }
        let first = arguments.next().unwrap_or(Datum::Null);
        self.of(&first, arguments).unwrap_or(Datum::Null)
    }

    /// Of one value and those that follow it; `None` is NULL.
    fn of<'a>(&self, first: &Datum<'a>, mut rest: impl Iterator<Item = Datum<'a>>) -> Option<Datum<'a>> {
        let text = || first.as_text();
        let number = || first.as_number();
        let mut next_number = || rest.next().map(|value| value.as_number());
        Some(match self {
            Self::Lower => made(text()?.to_lowercase()),
            Self::Upper => made(text()?.to_uppercase()),
            Self::Length => Datum::Number(Decimal::from(text()?.chars().count())),
            Self::Trim => made(text()?.trim_matches(' ')),
            Self::TrimStart => made(text()?.trim_start_matches(' ')),
            Self::TrimEnd => made(text()?.trim_end_matches(' ')),
            Self::Left => made(part_of(text()?, 1, counted(text()?, next_number()??)?)),
            Self::Right => {
                let length = text()?.chars().count() as i64;
                let count = counted(text()?, next_number()??)?;
                made(part_of(text()?, length.saturating_sub(count) + 1, count))
            }
            Self::Substring => {
                let from = next_number()??.to_i64()?;
                let count = match next_number() {
                    Some(count) => count?.to_i64()?,
                    None => i64::MAX,
                };
                made(part_of(text()?, from, (count >= 0).then_some(count)?))
            }
            Self::Replace => {
                let (old, new) = (rest.next()?, rest.next()?);
                let (text, old, new) = (text()?, old.as_text()?, new.as_text()?);
                let grows = text.len().saturating_mul(new.len().max(1));
                if old.is_empty() || (grows > TEXT_BYTES && replaced_bytes(text, old, new) > TEXT_BYTES) {
                    return (old.is_empty()).then(|| made(text));
                }
                made(text.replace(old, new))
            }
            Self::Position => {
                let sought = rest.next()?;
                let (text, sought) = (text()?, sought.as_text()?);
                let found = text.find(sought).and_then(|at| text.get(..at)).map(|before| before.chars().count() + 1);
                Datum::Number(Decimal::from(found.unwrap_or(0)))
            }
            Self::SplitPart => {
                let delimiter = rest.next()?;
                let place = rest.next()?.as_number()?.to_i64()?;
                let (text, delimiter) = (text()?, delimiter.as_text()?);
                let place = usize::try_from(place.checked_sub(1)?).ok()?;
                let parts: Vec<&str> = if delimiter.is_empty() { vec![text] } else { text.split(delimiter).collect() };
                made(parts.get(place).copied().unwrap_or_default())
            }
            Self::Abs => Datum::Number(number()?.abs()),
            Self::Floor => Datum::Number(number()?.floor()),
            Self::Ceil => Datum::Number(number()?.ceil()),
            Self::Round => {
                let places = match next_number() {
                    Some(places) => u32::try_from(places?.to_i64()?.clamp(0, 28)).ok()?,
                    None => 0,
                };
                Datum::Number(number()?.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero))
            }
            Self::Cardinality => match first {
                Datum::List(list) => Datum::Number(Decimal::from(list.len())),
                _ => return None,
            },
            Self::DateTrunc(calendar) => Datum::Timestamp(calendar.begin(first.as_timestamp()?)?),
            Self::Extract(part, zone) => Datum::Number(part.of(first.as_timestamp()?, zone)?),
            Self::Cast(to) => cast(first, *to)?,
            Self::Concat | Self::Greatest | Self::Least => return None,
        })
    }
}

/// How many characters `left` and `right` take: all but so many, if negative.
fn counted(text: &str, count: Decimal) -> Option<i64> {
    let count = count.to_i64()?;
    Some(if count < 0 { (text.chars().count() as i64).saturating_add(count).max(0) } else { count })
}

/// So many characters from one on, counted from 1; places before the text count too, as PostgreSQL has it.
fn part_of(text: &str, from: i64, count: i64) -> String {
    let end = from.saturating_add(count);
    let (start, end) = (from.max(1), end.max(1));
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    text.chars().skip(usize::try_from(start - 1).unwrap_or(usize::MAX)).take(length).collect()
}

fn replaced_bytes(text: &str, old: &str, new: &str) -> usize {
    let found = text.matches(old).count();
    text.len().saturating_sub(found * old.len()).saturating_add(found.saturating_mul(new.len()))
}

fn extreme<'a>(values: impl Iterator<Item = Datum<'a>>, wanted: Ordering) -> Datum<'a> {
    let mut best = Datum::Null;
    for value in values.filter(|value| !value.is_null()) {
        if best.is_null() {
            best = value;
            continue;
        }
        match value.compare(&best) {
            Some(order) if order == wanted => best = value,
            Some(_) => {}
            // Values of two types have no greatest.
            None => return Datum::Null,
        }
    }
    best
}

/// A value of another type; `None` where it is none.
fn cast<'a>(value: &Datum<'a>, to: CastType) -> Option<Datum<'a>> {
    Some(match to {
        CastType::Number | CastType::Integer => {
            let number = match value {
                Datum::Number(number) => *number,
                Datum::Text(text) => literal::number(text.trim())?,
                Datum::Bool(bool) => Decimal::from(u8::from(*bool)),
                _ => return None,
            };
            let whole = |number: Decimal| number.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
            Datum::Number(if to == CastType::Integer { whole(number) } else { number })
        }
        CastType::Text => match value {
            Datum::Text(text) => Datum::Text(text.clone()),
            other => made(text_of(other)?),
        },
        CastType::Bool => Datum::Bool(match value {
            Datum::Bool(bool) => *bool,
            Datum::Number(number) => !number.is_zero(),
            Datum::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => true,
                "false" | "f" | "no" | "n" | "off" | "0" => false,
                _ => return None,
            },
            _ => return None,
        }),
        CastType::Timestamp => Datum::Timestamp(value.as_timestamp()?),
        CastType::Date => {
            let day = Calendar { unit: super::calendar::Unit::Day, zone: Zone::utc() };
            Datum::Timestamp(day.begin(value.as_timestamp()?)?)
        }
    })
}

/// A value as text; `None` of NULL and lists.
fn text_of(value: &Datum<'_>) -> Option<String> {
    Some(match value {
        Datum::Text(text) => text.to_string(),
        Datum::Bool(bool) => bool.to_string(),
        Datum::Number(number) => number.normalize().to_string(),
        Datum::Timestamp(at) => format_millis(*at),
        Datum::Null | Datum::List(_) => return None,
    })
}

/// All values as one text; NULL if one is NULL.
pub(super) fn concat<'a>(parts: impl Iterator<Item = Datum<'a>>) -> Datum<'static> {
    let mut whole = String::new();
    for part in parts {
        let Some(text) = text_of(&part) else { return Datum::Null };
        if whole.len() + text.len() > TEXT_BYTES {
            return Datum::Null;
        }
        whole.push_str(&text);
    }
    made(whole)
}

fn made(text: impl Into<Arc<str>>) -> Datum<'static> {
    Datum::Text(Text::Shared(text.into()))
}
