//! Makes the message that a trigger sends: a Jinja template over the customer as of the epoch that set it off.

use super::content::{ADDRESS, Content, Form};
use super::mirrors::{self, Mirror};
use crate::engine::lookup::Profile;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Template, UndefinedBehavior, Value, context};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use tributary_model::{Channel, Definitions, Event, EventKind, Millis, On, ProfileId, Trigger, format_millis, limits};

/// A template that is none.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Of a trigger.
    #[error("triggers.{trigger}.send.{field}: {source}")]
    Trigger {
        /// Whose.
        trigger: String,
        /// Which.
        field: String,
        /// Why.
        source: minijinja::Error,
    },
    /// Of a table.
    #[error("destinations.{destination}.columns: {source}")]
    Column {
        /// Whose.
        destination: String,
        /// Why.
        source: minijinja::Error,
    },
}

/// A message that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The template fails on these values.
    #[error("triggers.{trigger}.send.{field} cannot be rendered: {source}")]
    Template {
        /// Whose.
        trigger: String,
        /// Which.
        field: String,
        /// Why.
        source: minijinja::Error,
    },
    /// The template of a column does.
    #[error("destinations.{destination}.columns.{column} cannot be rendered: {source}")]
    Column {
        /// Whose.
        destination: String,
        /// Which.
        column: String,
        /// Why.
        source: minijinja::Error,
    },
    /// What it makes of them is no JSON.
    #[error("triggers.{trigger}.send.{field} is no JSON once it is rendered: {source}")]
    Json {
        /// Whose.
        trigger: String,
        /// Which.
        field: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Why a trigger fires.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// A customer came or went.
    Segment {
        /// The segment's id.
        id: &'a str,
        /// What people call it.
        name: Option<&'a str>,
        /// Whether they came.
        entered: bool,
    },
    /// A customer did something.
    Event(&'a Event),
}

/// What is rendered: which message, about whom, and why.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The message's id.
    pub message: &'a str,
    /// The clock of its epoch.
    pub created_at: Millis,
    /// Whom it is about.
    pub profile: &'a Profile,
    /// What has set it off.
    pub occasion: Occasion<'a>,
}

/// What a trigger sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// This.
    Body(Vec<u8>),
    /// Nothing: the customer has no address of this kind.
    NoAddress,
}

/// All triggers, ready to be rendered.
pub struct Messages {
    triggers: BTreeMap<String, Trigger>,
    contents: BTreeMap<String, Content>,
    channels: BTreeMap<String, Channel>,
    mirrors: Vec<Mirror>,
    pub(super) templates: Environment<'static>,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Messages of {} triggers", self.triggers.len())
    }
}

/// The rendering environment of every template: a field that is not there is empty, as campaign tools have it, and what goes
/// into HTML is escaped.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(100_000));
    environment.set_auto_escape_callback(|name| match name.rsplit('/').next() {
        Some("html") => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    environment
}

fn template_name(trigger: &str, field: &str) -> String {
    format!("{trigger}/{field}")
}

impl Messages {
    /// Compiles the templates of all triggers.
    ///
    /// # Errors
    /// If one is no template.
    pub fn new(definitions: &Definitions) -> Result<Self, TemplateError> {
        let mut templates = environment();
        for (id, trigger) in &definitions.triggers {
            for (field, text) in &trigger.send.content {
                let added = templates.add_template_owned(template_name(id, field), text.clone());
                added.map_err(|source| TemplateError::Trigger { trigger: id.clone(), field: field.clone(), source })?;
            }
        }
        let mirrors = mirrors::mirrors(definitions);
        for mirror in &mirrors {
            let compiled = mirrors::compile(mirror, &mut templates);
            compiled.map_err(|source| TemplateError::Column { destination: mirror.destination.clone(), source })?;
        }
        let destinations = definitions.destinations.iter();
        let contents = destinations.clone().map(|(id, destination)| (id.clone(), Content::of(&destination.kind)));
        let channels = destinations.map(|(id, destination)| (id.clone(), destination.kind.channel()));
        Ok(Self {
            triggers: definitions.triggers.clone(),
            contents: contents.collect(),
            channels: channels.collect(),
            mirrors,
            templates,
        })
    }

    /// The triggers that entering (or leaving) a segment sets off.
    pub fn on_segment<'a>(&'a self, segment: &'a str, enters: bool) -> impl Iterator<Item = (&'a str, &'a Trigger)> {
        let all = self.triggers.iter().map(|(id, trigger)| (id.as_str(), trigger));
        all.filter(move |(_, trigger)| match &trigger.on {
            On::Enter { segment: on } => enters && on == segment,
            On::Exit { segment: on } => !enters && on == segment,
            On::Event { .. } => false,
        })
    }

    /// Whether any trigger takes messages back.
    pub fn retracts(&self) -> bool {
        self.triggers.values().any(|trigger| trigger.retracts)
    }

    /// A trigger by id.
    pub fn trigger(&self, id: &str) -> Option<&Trigger> {
        self.triggers.get(id)
    }

    /// Tables that are kept in step with segments.
    pub fn mirrors(&self) -> &[Mirror] {
        &self.mirrors
    }

    /// The channel of a destination.
    pub fn channel(&self, destination: &str) -> Option<Channel> {
        self.channels.get(destination).copied()
    }

    /// What a trigger sends about a customer.
    ///
    /// # Errors
    /// If a template fails on these values, or does not make what it should; the text says where.
    pub fn render(&self, trigger: &str, about: &About<'_>) -> Result<Rendered, RenderError> {
        let Some(send) = self.triggers.get(trigger).map(|trigger| &trigger.send) else {
            return Ok(Rendered::NoAddress);
        };
        let values = values(trigger, about);
        let render = |field: &str| {
            let failed =
                |source| RenderError::Template { trigger: trigger.to_owned(), field: field.to_owned(), source };
            let template = self.templates.get_template(&template_name(trigger, field)).map_err(failed)?;
            render(&template, values.clone()).map_err(failed)
        };
        let content = self.contents.get(&send.to).copied().unwrap_or(Content::None);
        let Content::Fields(rules) = content else { return Ok(Rendered::Body(render("body")?.into_bytes())) };
        let mut fields = serde_json::Map::new();
        for rule in rules.iter().filter(|rule| send.content.contains_key(rule.name)) {
            let text = render(rule.name)?;
            let value = match rule.form {
                Form::Text | Form::Html => serde_json::Value::String(text),
                // A template may well have nothing to say.
                Form::Json if text.trim().is_empty() => continue,
                Form::Json => serde_json::from_str(&text).map_err(|source| RenderError::Json {
                    trigger: trigger.to_owned(),
                    field: rule.name.to_owned(),
                    source,
                })?,
            };
            if rule.name == ADDRESS && value.as_str().is_some_and(|address| address.trim().is_empty()) {
                return Ok(Rendered::NoAddress);
            }
            fields.insert(rule.name.to_owned(), value);
        }
        Ok(Rendered::Body(serde_json::Value::Object(fields).to_string().into_bytes()))
    }
}

/// What templates may speak of.
pub(super) fn values(trigger: &str, about: &About<'_>) -> Value {
    let About { message, created_at, profile, occasion } = *about;
    let identifiers: Vec<_> = profile.identifiers.iter().map(|facts| &facts.identifier).collect();
    let (segment, event) = match occasion {
        Occasion::Segment { id, name, entered } => (Some(context! { id, name, entered }), None),
        Occasion::Event(event) => (None, Some(Value::from(Serde(event_json(event))))),
    };
    context! {
        trigger => context! { id => trigger },
        message => context! { id => message, created_at => format_millis(created_at) },
        profile => context! { id => profile.id.to_string(), identifiers => Serde(identifiers) },
        group => profile.groups.first().map(|group| context! { id => &group.id }),
        traits => Serde(&profile.traits),
        computed => Serde(&profile.computed),
        segment,
        event,
    }
}

/// Whether a template is of a size that compiling it, which goes as deep as its expressions are long, has the stack for.
///
/// # Errors
/// What is too large, in words.
pub fn check_size(body: &str) -> Result<(), String> {
    let bytes = body.len();
    if bytes > limits::TEMPLATE_BYTES {
        return Err(format!("a template has at most {} bytes; this one has {bytes}", limits::TEMPLATE_BYTES));
    }
    let (mut rest, mut tags) = (body, 0);
    while let Some(begin) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let tag = rest.get(begin + 2..).unwrap_or_default();
        let length = end_of_tag(tag);
        if length > limits::TAG_BYTES {
            return Err(format!("what stands between braces has at most {} bytes", limits::TAG_BYTES));
        }
        tags += 1;
        rest = tag.get(length..).unwrap_or_default();
    }
    let most = limits::TEMPLATE_TAGS;
    if tags > most { Err(format!("a template has at most {most} expressions and statements")) } else { Ok(()) }
}

/// Where a tag ends: at the first closing braces that are neither in a text nor within brackets.
fn end_of_tag(tag: &str) -> usize {
    let (mut quote, mut escaped, mut open) = (None, false, 0usize);
    let bytes = tag.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(begun), byte) if begun == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'}' | b'%') if open == 0 && bytes.get(at + 1) == Some(&b'}') => return at,
            (None, b'(' | b'[' | b'{') => open += 1,
            (None, b')' | b']' | b'}') => open = open.saturating_sub(1),
            (None, _) => {}
        }
    }
    bytes.len()
}

/// What a template makes of some values, if that is no more than a message may have.
///
/// # Errors
/// If it is more, or the template fails.
pub fn render(template: &Template<'_, '_>, values: Value) -> Result<String, minijinja::Error> {
    let mut body = Bounded(Vec::new());
    template.render_captured_to(values, &mut body)?;
    Ok(String::from_utf8_lossy(&body.0).into_owned())
}

/// Takes no more than a message may have: a loop in a template could else write for ever, within its fuel.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > limits::MESSAGE_BYTES {
            return Err(io::Error::other(format!("the message has more than {} bytes", limits::MESSAGE_BYTES)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn event_json(event: &Event) -> serde_json::Value {
    json!({
        "type": event.kind,
        "event": event.event,
        "name": event.name,
        "timestamp": format_millis(event.timestamp),
        "properties": event.properties,
        "traits": if event.kind == EventKind::Identify { Some(&event.traits) } else { None },
        "context": event.context,
    })
}

/// The id of a message: the same whenever the same thing fires, and unlike any other's.
pub fn message_id(state: &str, trigger: &str, profile: ProfileId, epoch: u64, place: usize) -> String {
    let digest = tributary_model::MessageId::of(&format!("{state}/{trigger}/{profile}/{epoch}/{place}"));
    format!("msg_{digest}")
}
