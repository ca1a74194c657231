//! In which languages customers are written to, and the texts in each.

use std::collections::BTreeMap;

/// Locales and their texts, without mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locales {
    /// The locale of whoever has none that there are texts in, as `en`.
    pub default: String,
    /// The trait that names a customer's locale; `None` where all are written to in the default one.
    pub from: Option<String>,
    /// Templates by locale and key. The default locale has every key that any has, if there are texts at all.
    pub texts: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for Locales {
    /// Everybody is written to in English, as far as numbers and dates go.
    fn default() -> Self {
        Self { default: "en".to_owned(), from: None, texts: BTreeMap::new() }
    }
}
