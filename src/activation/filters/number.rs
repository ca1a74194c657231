//! `number`, `percent` and `times`: exact, since decimals that came as texts or as whole numbers stay decimals.

use super::argument::{is_untold, locale, unreadable, whole};
use super::money;
use fixed_decimal::{Decimal, SignDisplay, SignedRoundingMode, UnsignedRoundingMode};
use icu_decimal::DecimalFormatter;
use icu_decimal::options::DecimalFormatterOptions;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// What writing a number costs.
pub(super) const FUEL: u64 = 50;
/// The longest number that is one; a longer one is an id.
const LONGEST: usize = 60;
/// Digits behind the point that may be asked for.
const MOST_DIGITS: u8 = 20;
const TAKES: &str = "a number, or a text that is one";

/// `{{ 1234.5 | number(digits=2) }}` is `1,234.50`, `1.234,50`, `١٬٢٣٤٫٥٠`. Without `digits` it has those that it has.
pub(super) fn number(state: &State<'_, '_>, value: &Value, arguments: Kwargs) -> Result<String, Error> {
    state.consume_fuel(FUEL)?;
    let locale = locale("number", state, &arguments)?;
    let digits = whole("number", "digits", MOST_DIGITS, &arguments)?;
    arguments.assert_all_used()?;
    if is_untold(state, value) {
        return Ok(String::new());
    }
    let number = rounded(read("number", value)?, digits);
    let formatter = DecimalFormatter::try_new((&locale).into(), DecimalFormatterOptions::default());
    Ok(formatter.map_err(|error| unwritable("number", &error))?.format(&number).to_string())
}

/// `{{ 0.256 | percent }}` is `26%`, `26 %`; `digits` are those behind the point.
pub(super) fn percent(state: &State<'_, '_>, value: &Value, arguments: Kwargs) -> Result<String, Error> {
    state.consume_fuel(FUEL)?;
    let locale = locale("percent", state, &arguments)?;
    let digits = whole("percent", "digits", MOST_DIGITS, &arguments)?;
    arguments.assert_all_used()?;
    if is_untold(state, value) {
        return Ok(String::new());
    }
    let mut number = read("percent", value)?;
    number.multiply_pow10(2);
    number.trim_start();
    money::write_percent(&locale, &rounded(number, Some(digits.unwrap_or(0))))
}

/// `{{ price | times(count) }}`, exactly. Nothing else multiplies, since `*` repeats lists and texts.
pub(super) fn times(state: &State<'_, '_>, value: &Value, factor: &Value) -> Result<Value, Error> {
    state.consume_fuel(FUEL)?;
    if is_untold(state, value) || is_untold(state, factor) {
        return Ok(Value::from(0));
    }
    let exact = |value: &Value| -> Result<rust_decimal::Decimal, Error> {
        let text = digits("times", value)?;
        let number = rust_decimal::Decimal::from_str_exact(&text);
        Ok(number.map_err(|_| unreadable("times", TAKES, value))?.normalize())
    };
    let (value, factor) = (exact(value)?, exact(factor)?);
    // As whole numbers: a product of decimals is rounded where it is too long.
    let product = value.mantissa().checked_mul(factor.mantissa());
    let product = product
        .and_then(|whole| rust_decimal::Decimal::try_from_i128_with_scale(whole, value.scale() + factor.scale()).ok());
    let too_long = || Error::new(ErrorKind::InvalidOperation, "`times`: the product has more than 28 digits");
    let text = product.ok_or_else(too_long)?.normalize().to_string();
    // A number, so that it can be compared; a text where that would not be the same number.
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(Value::from(whole));
    }
    let number = text.parse::<f64>().ok().filter(|number| number.to_string() == text);
    Ok(number.map_or_else(|| Value::from(text), Value::from))
}

/// The number that a value is, without zeros before it and without a sign where it is zero.
pub(super) fn read(filter: &str, value: &Value) -> Result<Decimal, Error> {
    let number = Decimal::try_from_str(&digits(filter, value)?);
    let mut number = number.map_err(|_| unreadable(filter, TAKES, value))?;
    number.trim_start();
    number.apply_sign_display(SignDisplay::Negative);
    Ok(number)
}

/// A number as text, without an exponent.
fn digits(filter: &str, value: &Value) -> Result<String, Error> {
    let text = match value.kind() {
        ValueKind::Number if value.is_integer() => Some(value.to_string()),
        // The shortest text that is this number: what a client has sent as 0.1 is 0.1 again.
        ValueKind::Number => f64::try_from(value.clone()).ok().map(|number| number.to_string()),
        ValueKind::String => value.as_str().map(|text| text.trim().to_owned()),
        _ => None,
    };
    let is_plain = |text: &String| {
        text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'))
    };
    text.filter(is_plain).ok_or_else(|| unreadable(filter, TAKES, value))
}

/// With so many digits behind the point; half is rounded up, away from zero, as people do.
fn rounded(mut number: Decimal, digits: Option<u8>) -> Decimal {
    if let Some(digits) = digits {
        let half_up = SignedRoundingMode::Unsigned(UnsignedRoundingMode::HalfExpand);
        number.round_with_mode(-i16::from(digits), half_up);
        number.apply_sign_display(SignDisplay::Negative);
    }
    number
}

/// A locale for which there is no data.
pub(super) fn unwritable(filter: &str, error: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("`{filter}`: this cannot be written in the language: {error}"))
}
