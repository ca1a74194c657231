//! `t("key")`: a text in the language of whoever reads it. A text is a template itself, over the same values.

use super::locale::{chain, parse};
use super::{ARGUMENTS, Bounded, VARIABLES};
use minijinja::value::{Kwargs, Object, ObjectRepr, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_model::Locales;

/// What templates call it.
pub(super) const FUNCTION: &str = "t";
/// How far texts may ask for texts.
const DEEPEST: u64 = 5;
/// How far they are: no template can speak of it, since no name has brackets.
const LEVEL: &str = "(level)";

/// In which languages customers are written to.
#[derive(Clone, Debug)]
pub struct Languages {
    default: String,
    from: Option<String>,
    /// Locales that have texts: as written, by what [`chain`] calls each.
    written: BTreeMap<String, String>,
}

impl Languages {
    /// Those of some definitions.
    pub fn new(locales: &Locales) -> Self {
        let normal = |name: &String| {
            let normal = parse(name).and_then(|locale| chain(&locale).into_iter().next());
            Some((normal?, name.clone()))
        };
        let written = locales.texts.keys().filter_map(normal).collect();
        Self { default: locales.default.clone(), from: locales.from.clone(), written }
    }

    /// The locale in which a customer with these traits is written to: their own, as long as there are texts that they
    /// understand, so that dates and numbers are written in the language that is around them.
    pub fn of(&self, traits: &Map<String, Json>) -> String {
        let told = self.from.as_ref().and_then(|name| traits.get(name)).and_then(Json::as_str).and_then(parse);
        let own = told.filter(|locale| self.written.is_empty() || self.understood(locale).next().is_some());
        own.map_or_else(|| self.default.clone(), |locale| locale.to_string())
    }

    /// Locales with texts that whoever has this locale understands, best first.
    fn understood(&self, locale: &icu_locale::Locale) -> impl Iterator<Item = &str> {
        chain(locale).into_iter().filter_map(move |name| self.written.get(&name)).map(String::as_str)
    }
}

/// A text that is no template.
#[derive(Debug, thiserror::Error)]
#[error("locales.texts.{locale}.{key}: {source}")]
pub struct NoText {
    locale: String,
    key: String,
    source: Error,
}

/// Has templates find the texts of some definitions.
///
/// # Errors
/// If one is no template.
pub fn add_texts(environment: &mut Environment<'static>, locales: &Locales) -> Result<(), NoText> {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (locale, texts) in &locales.texts {
        for (key, text) in texts {
            for is_html in [false, true] {
                let added = environment.add_template_owned(name(locale, key, is_html), text.clone());
                added.map_err(|source| NoText { locale: locale.clone(), key: key.clone(), source })?;
            }
        }
        keys.insert(locale.clone(), texts.keys().cloned().collect());
    }
    let texts = Texts { languages: Languages::new(locales), keys };
    environment.add_global(FUNCTION, Value::from_object(texts));
    Ok(())
}

/// Templates are escaped by what they are called. No locale and no key has a slash.
fn name(locale: &str, key: &str, is_html: bool) -> String {
    format!("locales.texts.{locale}.{key}/{}", if is_html { "html" } else { "text" })
}

/// The function itself.
#[derive(Debug)]
struct Texts {
    languages: Languages,
    /// By locale.
    keys: BTreeMap<String, BTreeSet<String>>,
}

impl Texts {
    /// The locale whose text of this key is read, and the one in which it is written out.
    fn find<'a>(&'a self, wanted: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
        let has = |locale: &&str| self.keys.get(*locale).is_some_and(|keys| keys.contains(key));
        let locale = parse(wanted);
        let own = locale.as_ref().and_then(|locale| self.languages.understood(locale).find(has));
        let default = self.languages.default.as_str();
        own.map(|own| (own, wanted)).or_else(|| has(&default).then_some((default, default)))
    }
}

impl Object for Texts {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let failed = |why: String| Error::new(ErrorKind::InvalidOperation, format!("`{FUNCTION}`: {why}"));
        let (key, arguments): (&str, Kwargs) = from_args(args)?;
        let level = state.lookup(LEVEL).and_then(|level| u64::try_from(level).ok()).unwrap_or(0) + 1;
        if level > DEEPEST {
            return Err(failed(format!("texts ask for texts more than {DEEPEST} deep, at last for `{key}`")));
        }
        let told: Option<&str> = arguments.get("locale")?;
        let around = state.lookup("locale");
        let wanted = told.or_else(|| around.as_ref().and_then(Value::as_str)).unwrap_or_default();
        let (written, locale) = self.find(wanted, key).ok_or_else(|| failed(format!("there is no text `{key}`")))?;
        let is_html = *state.auto_escape() != AutoEscape::None;
        let template = state.env().get_template(&name(written, key, is_html))?;
        let mut text = Bounded::default();
        let rendered = template.render_captured_to(values(state, locale, &arguments, level)?, &mut text)?;
        // It has had fuel of its own; what it took is taken here too.
        if let Some((consumed, _)) = rendered.state().fuel_levels() {
            state.consume_fuel(consumed)?;
        }
        let text = text.into_text();
        Ok(if is_html { Value::from_safe_string(text) } else { Value::from(text) })
    }
}

/// What a text may speak of: what the template speaks of that asks for it, and what it is told.
fn values(state: &State<'_, '_>, locale: &str, arguments: &Kwargs, level: u64) -> Result<Value, Error> {
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    values.extend(VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), state.lookup(name)?))));
    let mut told: BTreeMap<String, Value> = BTreeMap::new();
    for name in arguments.args() {
        told.insert(name.to_owned(), arguments.peek(name)?);
    }
    values.insert("locale".to_owned(), Value::from(locale));
    values.insert(ARGUMENTS.to_owned(), Value::from(told));
    values.insert(LEVEL.to_owned(), Value::from(level));
    Ok(Value::from(values))
}

/// The function in trials.
#[derive(Debug)]
pub(super) struct Untold;

impl Object for Untold {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        Ok(Value::from(""))
    }
}
