//! `identity.suggestions`: what is compared to find customers who may be one person.

use super::{TRAIT_NAME, named};
use crate::config::decode::{Entry, Field};
use std::time::Duration;
use tributary_model::{Comparison, Likeness, Matching};

/// A pair that is less probable than this is noise.
const LEAST_PERCENT: u8 = 50;
const DEFAULT_PERCENT: u8 = 95;
const DEFAULT_EVERY: Duration = Duration::from_secs(60 * 60);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Fields that are compared of each pair.
const MOST_FIELDS: usize = 16;

pub(super) fn decode(field: &Field<'_>) -> Option<Matching> {
    let table = field.table()?;
    let compare = table.require("compare", "compare: { name: { from: [traits.name], as: name } }");
    let min_percent = table.get("min_percent").map(|field| field.integer(LEAST_PERCENT..=100));
    let every = table.get("every").map(|field| field.duration(SHORTEST..=LONGEST));
    table.finish();
    let compare = compare?;
    let entries = named(std::slice::from_ref(&compare), "comparison", &TRAIT_NAME);
    if entries.is_empty() || entries.len() > MOST_FIELDS {
        compare
            .wrong(format!("compare from one to {MOST_FIELDS} fields, as `name: {{ from: [traits.name], as: name }}`"));
    }
    // All of them, for the mistakes in each.
    let compared: Vec<_> = entries.iter().map(|entry| Some((entry.name.to_owned(), comparison(entry)?))).collect();
    Some(Matching {
        compare: compared.into_iter().collect::<Option<_>>()?,
        min_percent: min_percent.unwrap_or(Some(DEFAULT_PERCENT))?,
        every_ms: u64::try_from(every.unwrap_or(Some(DEFAULT_EVERY))?.as_millis()).unwrap_or(u64::MAX),
    })
}

fn comparison(entry: &Entry<'_>) -> Option<Comparison> {
    let table = entry.field.table()?;
    let from = table.require("from", "from: [traits.name]");
    let likeness = table.require("as", "as: name");
    table.finish();
    let likeness = likeness.and_then(|field| field.one_of(&Likeness::NAMES));
    let from: Vec<_> = from?.list().iter().map(trait_path).collect();
    Some(Comparison { from: from.into_iter().collect::<Option<_>>()?, likeness: likeness? })
}

/// A path as it is written, below the traits.
fn trait_path(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let path = text.strip_prefix("traits.").filter(|path| path.split('.').all(|part| !part.trim().is_empty()));
    if path.is_none() {
        field.wrong(format!("`{text}` is no trait; write a path below traits, such as `traits.name`"));
    }
    path.map(str::to_owned)
}
