//! Makes the message that a trigger sends: a Jinja template over the customer as of the epoch that set it off.

use crate::engine::lookup::Profile;
use minijinja::value::Serde;
use minijinja::{Environment, Template, UndefinedBehavior, Value, context};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use tributary_model::{Definitions, Event, EventKind, On, ProfileId, Trigger, format_millis, limits};

/// A template that is none.
#[derive(Debug, thiserror::Error)]
#[error("triggers.{trigger}.send.body: {source}")]
pub struct TemplateError {
    trigger: String,
    source: minijinja::Error,
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
    },
    /// A customer did something.
    Event(&'a Event),
}

/// All triggers, ready to be rendered.
pub struct Messages {
    triggers: BTreeMap<String, Trigger>,
    templates: Environment<'static>,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Messages of {} triggers", self.triggers.len())
    }
}

/// The rendering environment of every template: a field that is not there is empty, as campaign tools have it.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(100_000));
    environment
}

impl Messages {
    /// Compiles the templates of all triggers.
    ///
    /// # Errors
    /// If one is no template.
    pub fn new(definitions: &Definitions) -> Result<Self, TemplateError> {
        let mut templates = environment();
        for (id, trigger) in &definitions.triggers {
            let added = templates.add_template_owned(id.clone(), trigger.send.body.clone());
            added.map_err(|source| TemplateError { trigger: id.clone(), source })?;
        }
        Ok(Self { triggers: definitions.triggers.clone(), templates })
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

    /// A trigger by id.
    pub fn trigger(&self, id: &str) -> Option<&Trigger> {
        self.triggers.get(id)
    }

    /// What a trigger sends about a customer.
    ///
    /// # Errors
    /// If the template fails on these values; the text says where.
    pub fn render(
        &self,
        trigger: &str,
        message: &str,
        profile: &Profile,
        occasion: Occasion<'_>,
    ) -> Result<String, minijinja::Error> {
        let identifiers: Vec<_> = profile.identifiers.iter().map(|facts| &facts.identifier).collect();
        let (segment, event) = match occasion {
            Occasion::Segment { id, name } => (Some(context! { id, name }), None),
            Occasion::Event(event) => (None, Some(Value::from(Serde(event_json(event))))),
        };
        let context = context! {
            trigger => context! { id => trigger },
            message => context! { id => message },
            profile => context! { id => profile.id.to_string(), identifiers => Serde(identifiers) },
            group => profile.groups.first().map(|group| context! { id => &group.id }),
            traits => Serde(&profile.traits),
            computed => Serde(&profile.computed),
            segment,
            event,
        };
        render(&self.templates.get_template(trigger)?, context)
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
