//! Makes the message that a trigger sends: a Jinja template over the customer as of the epoch that set it off.

use super::content::{ADDRESS, Content, Form, UNSUBSCRIBE};
use super::links::{Links, Urls};
use super::mirrors::{self, Mirror};
use super::templates::{Languages, NoText, add_texts, environment, render};
use crate::engine::lookup::Profile;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
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
    /// A text is none.
    #[error(transparent)]
    Text(#[from] NoText),
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
    /// All that it says together is more than a message may have.
    #[error(
        "the fields of triggers.{trigger}.send have {bytes} bytes together; a message has at most {}",
        limits::MESSAGE_BYTES
    )]
    TooLong {
        /// Whose.
        trigger: String,
        /// How long they are.
        bytes: usize,
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
    languages: Languages,
    pub(super) templates: Environment<'static>,
    /// Where customers say what they want, if the server has an address that they see.
    links: Option<Arc<Links>>,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Messages of {} triggers", self.triggers.len())
    }
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
        add_texts(&mut templates, &definitions.locales)?;
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
            languages: Languages::new(&definitions.locales),
            templates,
            links: None,
        })
    }

    /// The same with links by which customers say what they want.
    #[must_use]
    pub fn with_links(self, links: Option<Arc<Links>>) -> Self {
        Self { links, ..self }
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

    /// The locale in which a customer is written to.
    pub fn locale(&self, profile: &Profile) -> String {
        self.languages.of(&profile.traits)
    }

    /// What a trigger sends about a customer.
    ///
    /// # Errors
    /// If a template fails on these values, or does not make what it should; the text says where.
    pub fn render(&self, trigger: &str, about: &About<'_>) -> Result<Rendered, RenderError> {
        let Some(Trigger { send, policy, .. }) = self.triggers.get(trigger) else { return Ok(Rendered::NoAddress) };
        let render = |field: &str, values: &Value| {
            let failed =
                |source| RenderError::Template { trigger: trigger.to_owned(), field: field.to_owned(), source };
            let template = self.templates.get_template(&template_name(trigger, field)).map_err(failed)?;
            render(&template, values.clone()).map_err(failed)
        };
        let content = self.contents.get(&send.to).copied().unwrap_or(Content::None);
        let mut values = values(trigger, &self.locale(about.profile), about);
        let has_address = matches!(content, Content::Fields(_)) && send.content.contains_key(ADDRESS);
        // What templates leave around it is no part of it: some services would take it for another address.
        let address = has_address.then(|| render(ADDRESS, &values)).transpose()?;
        let address = address.map(|address| address.trim().to_owned());
        if address.as_ref().is_some_and(String::is_empty) {
            return Ok(Rendered::NoAddress);
        }
        let urls = self.urls(&send.to, address.as_deref(), about);
        if let Some(urls) = &urls {
            values = urls.beside(values, about.message, about.created_at);
        }
        let Content::Fields(rules) = content else { return Ok(Rendered::Body(render("body", &values)?.into_bytes())) };
        let mut fields = serde_json::Map::new();
        // What a customer has asked for, as a receipt, goes on to come.
        let unsubscribe = urls.and_then(|urls| urls.unsubscribe).filter(|_| !policy.is_transactional);
        if let (Some(url), Some(Channel::Email)) = (unsubscribe, self.channel(&send.to)) {
            fields.insert(UNSUBSCRIBE.to_owned(), url.into());
        }
        for rule in rules.iter().filter(|rule| send.content.contains_key(rule.name)) {
            let text = match &address {
                Some(address) if rule.name == ADDRESS => address.clone(),
                _ => render(rule.name, &values)?,
            };
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
            fields.insert(rule.name.to_owned(), value);
        }
        let body = serde_json::Value::Object(fields).to_string().into_bytes();
        if body.len() > limits::MESSAGE_BYTES {
            return Err(RenderError::TooLong { trigger: trigger.to_owned(), bytes: body.len() });
        }
        Ok(Rendered::Body(body))
    }

    /// Where the customer of a message says what they want.
    fn urls(&self, destination: &str, address: Option<&str>, about: &About<'_>) -> Option<Urls> {
        self.links.as_ref()?.urls(self.channel(destination)?, address, &about.profile.identifiers)
    }
}

/// What templates may speak of.
pub(super) fn values(trigger: &str, locale: &str, about: &About<'_>) -> Value {
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
        locale,
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
