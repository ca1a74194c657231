//! Whether definitions can be as somebody wants them, and why not.

use super::Expects;
use crate::config::{computed_in_template, mistaken_name};
use crate::store::StoreError;
use crate::store::definitions::{Definition, Kept, Kind, Named};
use std::collections::BTreeSet;
use tributary_dataflows::profile::{NotOfGroups, Plan};
use tributary_dataflows::segments::{DefinitionError, Place, Program};
use tributary_model::{Definitions, On, Segment, limits};

/// The characters of a segment's name for people.
const NAME_CHARS: usize = 200;

/// Why definitions stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is one of that name.
    #[error("there is a {} `{}` already; PUT changes it", .0.0.name(), .0.1)]
    Exists(Named),
    /// There is none of that name.
    #[error("there is no {} `{}`; POST makes one", .0.0.name(), .0.1)]
    Missing(Named),
    /// It has been changed since.
    #[error("the {} `{}` has version {is}, not {given}: somebody has changed it; read it again", .name.0.name(), .name.1)]
    Version {
        /// Which.
        name: Named,
        /// Its version.
        is: u64,
        /// The one that was expected.
        given: u64,
    },
    /// The name cannot be one.
    #[error("{0}")]
    Name(String),
    /// There are as many definitions as there may be.
    #[error("there may be {} computed traits and segments together; delete some", limits::DEFINITIONS)]
    TooMany,
    /// Expressions that are wrong.
    #[error("{}", told(.0))]
    Mistakes(Vec<DefinitionError>),
    /// Others would be wrong without it.
    #[error("it is in use: {0}")]
    InUse(String),
    /// Only a start computes more of groups.
    #[error(
        "`{0}` is not computed of groups since no definition read it at the start; put this one into the definitions folder \
         and start the server again"
    )]
    Groups(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn told(errors: &[DefinitionError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

pub(super) fn expected(kept: Option<&Kept>, name: &Named, expects: Expects) -> Result<(), Refused> {
    let version = kept.filter(|kept| kept.says.is_some()).map(|kept| kept.version);
    match (expects, version) {
        (Expects::Nothing, Some(_)) => Err(Refused::Exists(name.clone())),
        (Expects::Something | Expects::Version(_), None) => Err(Refused::Missing(name.clone())),
        (Expects::Version(given), Some(is)) if given != is => Err(Refused::Version { name: name.clone(), is, given }),
        _ => Ok(()),
    }
}

/// A segment's name for people is a line of text.
pub(super) fn says(says: &Definition) -> Result<(), Refused> {
    let Definition::Segment(Segment { name, .. }) = says else { return Ok(()) };
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS {
        return Err(Refused::Name(format!("a segment's `name` is a text of at most {NAME_CHARS} characters")));
    }
    Ok(())
}

pub(super) fn name((kind, id): &Named) -> Result<(), Refused> {
    mistaken_name(*kind == Kind::Segment, id).map_or(Ok(()), |message| Err(Refused::Name(message)))
}

/// Compiles the definitions, of which some have been edited.
pub(super) fn compile(definitions: &Definitions, edited: &BTreeSet<Named>) -> Result<Program, Refused> {
    if definitions.traits.len() + definitions.segments.len() > limits::DEFINITIONS {
        return Err(Refused::TooMany);
    }
    for (id, trigger) in &definitions.triggers {
        if let On::Enter { segment } | On::Exit { segment } = &trigger.on
            && !definitions.segments.contains_key(segment)
        {
            return Err(Refused::InUse(format!("trigger `{id}` is set off by the segment `{segment}`")));
        }
        let unknown = trigger.send.content.values().flat_map(|text| computed_in_template(text));
        if let Some(name) = unknown.into_iter().find(|name| !definitions.traits.contains_key(name)) {
            return Err(Refused::InUse(format!("the message of trigger `{id}` reads `computed.{name}`")));
        }
    }
    let texts =
        definitions.locales.texts.iter().flat_map(|(locale, texts)| texts.iter().map(move |text| (locale, text)));
    for (locale, (key, text)) in texts {
        if let Some(name) = computed_in_template(text).into_iter().find(|name| !definitions.traits.contains_key(name)) {
            return Err(Refused::InUse(format!("the text `{key}` in `{locale}` reads `computed.{name}`")));
        }
    }
    Program::compile(definitions).map_err(|errors| {
        let is_edited = |error: &&DefinitionError| match &error.place {
            Place::Trait(name) => edited.contains(&(Kind::Trait, name.clone())),
            Place::Segment(id) => edited.contains(&(Kind::Segment, id.clone())),
            Place::Trigger(_) => false,
        };
        let own: Vec<DefinitionError> = errors.iter().filter(is_edited).cloned().collect();
        match own.is_empty() && !edited.is_empty() {
            true => Refused::InUse(told(&errors)),
            false => Refused::Mistakes(if own.is_empty() { errors } else { own }),
        }
    })
}

/// Whether no more is read of groups than at the start.
pub(super) fn groups(program: &Program, start: &Plan) -> Result<(), Refused> {
    start.check_groups(program).map_err(|NotOfGroups(expression)| Refused::Groups(expression))
}
