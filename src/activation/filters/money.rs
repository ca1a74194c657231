//! `money`, and how percentages are written: all that is used of `icu_experimental`, which may change with each of its
//! versions. The rest of ICU4X is stable.

use super::argument::{excerpt, is_untold, locale, mistaken, unreadable};
use super::number::{FUEL, read, unwritable};
use fixed_decimal::{Decimal, Sign};
use icu_experimental::dimension::currency::CurrencyType;
use icu_experimental::dimension::currency::formatter::CurrencyFormatter;
use icu_experimental::dimension::currency::options::CurrencyFormatterOptions;
use icu_experimental::dimension::percent::formatter::PercentFormatter;
use icu_experimental::dimension::percent::options::PercentFormatterOptions;
use icu_locale::Locale;
use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

/// `{{ 1234.5 | money("EUR") }}` is `€1,234.50`, `1.234,50 €`; with as many digits as the currency has.
pub(super) fn money(
    state: &State<'_, '_>,
    value: &Value,
    currency: &Value,
    arguments: Kwargs,
) -> Result<String, Error> {
    state.consume_fuel(2 * FUEL)?;
    let locale = locale("money", state, &arguments)?;
    arguments.assert_all_used()?;
    if is_untold(state, currency) {
        return Ok(String::new());
    }
    let code = currency.as_str().ok_or_else(|| unreadable("money", "a currency such as \"EUR\"", currency))?;
    let no_code = |_| mistaken("money", &format!("`{}` is no currency; write one such as EUR", excerpt(code)));
    let code = CurrencyType::try_from_str(code.trim()).map_err(no_code)?;
    if is_untold(state, value) {
        return Ok(String::new());
    }
    let amount = read("money", value)?;
    let formatter = CurrencyFormatter::try_new_symbol((&locale).into(), code, CurrencyFormatterOptions::default());
    let formatter = formatter.map_err(|error| unwritable("money", &error))?;
    let write = |amount: &Decimal| formatter.format_fixed_decimal(amount).to_string();
    if amount.sign == Sign::Negative {
        // What is rounded to nothing has no sign; to how many digits, the formatter alone knows.
        let nothing = write(&Decimal::from(0));
        if write(&amount.clone().with_sign(Sign::None)) == nothing {
            return Ok(nothing);
        }
    }
    Ok(write(&amount))
}

/// A number of percent.
pub(super) fn write_percent(locale: &Locale, number: &Decimal) -> Result<String, Error> {
    let formatter = PercentFormatter::try_new(locale.into(), PercentFormatterOptions::default());
    Ok(formatter.map_err(|error| unwritable("percent", &error))?.format(number).to_string())
}
