//! Compiles every SQL expression and puts what is wrong with one where it stands in its file.

use crate::config::decode::Field;
use std::collections::BTreeMap;
use tributary_dataflows::segments::{Place, Program};
use tributary_model::Definitions;

/// Where each expression stands.
#[derive(Debug, Default)]
pub(super) struct Sites<'a> {
    pub(super) traits: BTreeMap<&'a str, Field<'a>>,
    pub(super) segments: BTreeMap<&'a str, Field<'a>>,
    pub(super) triggers: BTreeMap<&'a str, Field<'a>>,
}

impl<'a> Sites<'a> {
    fn of(&self, place: &Place) -> Option<&Field<'a>> {
        match place {
            Place::Trait(name) => self.traits.get(name.as_str()),
            Place::Segment(id) => self.segments.get(id.as_str()),
            Place::Trigger(id) => self.triggers.get(id.as_str()),
        }
    }
}

/// The program of these definitions; `None`, and every mistake noted, where an expression is wrong.
pub(super) fn compile(definitions: &Definitions, sites: &Sites<'_>) -> Option<Program> {
    let errors = match Program::compile(definitions) {
        Ok(program) => return Some(program),
        Err(errors) => errors,
    };
    for error in errors {
        // An expression without a site is a stand-in for one whose mistake was told already.
        if let Some(field) = sites.of(&error.place) {
            field.wrong_at(&field.node.location_of(error.line, error.column), error.message);
        }
    }
    None
}
