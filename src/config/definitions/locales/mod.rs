//! `locales`: in which languages customers are written to, and the texts in each.

use super::contact::only;
use super::template::{self, Known};
use super::{NameRule, named};
use crate::activation::templates::locale;
use crate::config::decode::{Entry, Field, Table};
use crate::config::mistake::suggestion;
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::Locales;

/// Keys stand within quotes in templates.
const KEY: NameRule = NameRule {
    allowed: |key| key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.')),
    mend: "a key is made of a-z, 0-9 and `_-.`",
};

/// The texts of one locale, over all files.
struct Texts<'a> {
    sections: Vec<Field<'a>>,
    entries: Vec<Entry<'a>>,
}

/// The locales, and the keys that there are in the default one: whether or not the texts are right.
pub(super) fn decode(sections: &[Field<'_>], traits: &BTreeSet<&str>, has_links: bool) -> (Locales, BTreeSet<String>) {
    let tables: Vec<Table<'_>> = sections.iter().filter_map(Field::table).collect();
    let all = |name| tables.iter().filter_map(|table| table.get(name)).collect::<Vec<_>>();
    let usual = Locales::default();
    let default_field = only(all("default"), "default");
    let default = default_field.as_ref().map_or(Some(usual.default), |field| locale_name(field).map(str::to_owned));
    // Where nobody has asked for it, all customers are written to alike.
    let from = if sections.is_empty() { None } else { from(only(all("from"), "from")) };
    let by_locale = texts(&all("texts"));
    tables.into_iter().for_each(Table::finish);
    let Some(default) = default else { return (Locales { from, ..Locales::default() }, BTreeSet::new()) };

    let keys: BTreeSet<String> = by_locale
        .get(default.as_str())
        .map(|texts| texts.entries.iter().map(|entry| entry.name.to_owned()).collect())
        .unwrap_or_default();
    if let (Some(texts), None) = (by_locale.values().next(), by_locale.get(default.as_str()))
        && let Some(field) = default_field.as_ref().or(texts.sections.first())
    {
        field.wrong(format!("there are no texts in `{default}`, which whoever has no other language reads"));
    }
    let known = Known { traits, texts: &keys, has_links };
    let mut locales = Locales { default, from, texts: BTreeMap::new() };
    for (locale, Texts { entries, .. }) in by_locale {
        let is_default = locale == locales.default;
        let text = |entry: &Entry<'_>| {
            if !is_default && !keys.is_empty() && !keys.contains(entry.name) {
                let mend = suggestion(entry.name, keys.iter().map(String::as_str));
                let message = format!("there is no text `{}` in `{}`{mend}", entry.name, locales.default);
                entry.field.wrong_at(entry.name_at, message);
            }
            Some((entry.name.to_owned(), template::decode_text(&entry.field, known)?))
        };
        let texts = entries.iter().filter_map(text).collect();
        locales.texts.insert(locale.to_owned(), texts);
    }
    (locales, keys)
}

/// The trait that names a customer's locale.
fn from(field: Option<Field<'_>>) -> Option<String> {
    let Some(field) = field else { return Some("locale".to_owned()) };
    let text = field.text()?;
    let name = text.strip_prefix("traits.").filter(|name| !name.is_empty());
    if name.is_none() {
        field.wrong(format!("`{text}` is no trait; write where the customer's locale stands: traits.locale"));
    }
    name.map(str::to_owned)
}

/// Texts by the locale that they are in. A locale may stand in several files, a key only once.
fn texts<'a>(sections: &[Field<'a>]) -> BTreeMap<&'a str, Texts<'a>> {
    let mut by_locale: BTreeMap<&str, Texts<'_>> = BTreeMap::new();
    let mut normal: BTreeMap<String, &str> = BTreeMap::new();
    for Entry { name, name_at, field } in sections.iter().flat_map(Field::entries) {
        match well_written(name) {
            Ok(as_read) => {
                let first = *normal.entry(as_read).or_insert(name);
                if first != name {
                    field.wrong_at(
                        name_at,
                        format!("`{name}` is the same locale as `{first}`; write all under one name"),
                    );
                }
            }
            Err(message) => field.wrong_at(name_at, message),
        }
        let texts = by_locale.entry(name).or_insert_with(|| Texts { sections: Vec::new(), entries: Vec::new() });
        texts.sections.push(field);
    }
    for texts in by_locale.values_mut() {
        texts.entries = named(&texts.sections, "text", &KEY);
    }
    by_locale
}

/// A locale's name.
fn locale_name<'a>(field: &Field<'a>) -> Option<&'a str> {
    let name = field.text()?;
    well_written(name).map_err(|message| field.wrong(message)).ok().map(|_| name)
}

/// What a locale is read as, if it is written as Unicode has it.
///
/// # Errors
/// What to write instead.
fn well_written(name: &str) -> Result<String, String> {
    let no_locale = || format!("`{name}` is no locale; write one such as en or de-AT");
    let locale = locale::parse(name).ok_or_else(no_locale)?;
    let written = locale.id.to_string();
    if written != name {
        return Err(format!("`{name}` is written `{written}`"));
    }
    locale::chain(&locale).into_iter().next().ok_or_else(no_locale)
}

#[cfg(test)]
mod tests;
