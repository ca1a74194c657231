//! Locales: what customers write of theirs, and which goes back to which.

use icu_locale::fallback::LocaleFallbackConfig;
use icu_locale::{Locale, LocaleFallbacker};

/// The longest name of a locale that means something.
const LONGEST: usize = 100;

/// The locale that a text names, also as operating systems write it: `de_AT.UTF-8` is `de-AT`. `None` where it names no
/// language.
pub fn parse(text: &str) -> Option<Locale> {
    let name = text.trim().split(['.', '@']).next().filter(|name| name.len() <= LONGEST)?;
    let locale: Locale = name.replace('_', "-").parse().ok()?;
    (!locale.id.language.is_unknown()).then_some(locale)
}

/// A locale and those that it goes back to, as Unicode has them: `es-MX`, `es-419`, `es`. What all go back to is none.
pub fn chain(locale: &Locale) -> Vec<String> {
    let fallbacker = LocaleFallbacker::new().for_config(LocaleFallbackConfig::default());
    let mut at = fallbacker.fallback_for(locale.into());
    let mut chain = Vec::new();
    while !at.get().is_unknown() {
        chain.push(at.get().to_string());
        at.step();
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(parse(text).map(|locale| chain(&locale)).unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn a_locale_is_written_in_many_ways() {
        for text in ["de-AT", "de_AT", " de-at ", "de_AT.UTF-8", "de_AT@euro", "DE-at-u-nu-latn"] {
            check(text, &["de-AT", "de"]);
        }
    }

    #[test]
    fn a_locale_goes_back_to_what_is_spoken_most_like_it() {
        check("es-MX", &["es-MX", "es-419", "es"]);
        check("zh-Hans", &["zh"]);
        check("en", &["en"]);
    }

    #[test]
    fn what_names_no_language_is_no_locale() {
        for text in ["", "C", "german", "und", "-", "1", "d e"] {
            check(text, &[]);
        }
        check(&"de-".repeat(1_000), &[]);
    }
}
