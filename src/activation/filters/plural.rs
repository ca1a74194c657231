//! `plural`: the word that goes with a number.

use super::argument::{is_untold, locale};
use super::number::{FUEL, read, unwritable};
use icu_plurals::{PluralCategory, PluralRules};
use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

/// `{{ count | plural(one="item", other="items") }}`. Which forms there are, the language says: `zero`, `one`, `two`,
/// `few`, `many`. `other` must be told, and stands for those that are not.
pub(super) fn plural(state: &State<'_, '_>, value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    state.consume_fuel(FUEL)?;
    let locale = locale("plural", state, &arguments)?;
    let other: Value = arguments.get("other")?;
    let mut forms = Vec::new();
    for name in ["zero", "one", "two", "few", "many"] {
        let form: Option<Value> = arguments.get(name)?;
        forms.extend(form.map(|form| (name, form)));
    }
    arguments.assert_all_used()?;
    if is_untold(state, value) {
        return Ok(other);
    }
    let number = read("plural", value)?;
    let rules = PluralRules::try_new_cardinal((&locale).into()).map_err(|error| unwritable("plural", &error))?;
    let wanted = name(rules.category_for(&number));
    Ok(forms.into_iter().find(|(name, _)| *name == wanted).map_or(other, |(_, form)| form))
}

const fn name(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}
