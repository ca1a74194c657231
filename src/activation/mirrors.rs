//! Tables that are kept in step with a segment: which, and what their columns are.

use super::messages::{self, About, Messages, Occasion, RenderError};
use super::templates;
use crate::engine::lookup::Profile;
use minijinja::Environment;
use serde_json::{Map, Value};
use tributary_model::{Definitions, DestinationKind, Millis};

/// A table that is kept in step with a segment.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The destination's id.
    pub destination: String,
    /// The segment's id.
    pub segment: String,
    /// Columns, each with the template of its value.
    columns: Vec<(String, String)>,
    table: String,
}

impl Mirror {
    /// The same for the same table, segment and columns.
    pub fn fingerprint(&self) -> String {
        format!("{:?}", (&self.table, &self.segment, &self.columns))
    }
}

/// The tables that definitions name.
pub(super) fn mirrors(definitions: &Definitions) -> Vec<Mirror> {
    let mirror = |(id, destination): (&String, &tributary_model::Destination)| match &destination.kind {
        DestinationKind::Postgres(settings) => Some(Mirror {
            destination: id.clone(),
            segment: settings.segment.clone(),
            columns: settings.columns.clone(),
            table: settings.table.clone(),
        }),
        _ => None,
    };
    definitions.destinations.iter().filter_map(mirror).collect()
}

/// Compiles the templates of a table's columns.
pub(super) fn compile(mirror: &Mirror, templates: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    let columns = mirror.columns.iter();
    columns.cloned().try_for_each(|(column, text)| templates.add_template_owned(name(mirror, &column), text))
}

/// No trigger's id has a slash.
fn name(mirror: &Mirror, column: &str) -> String {
    format!("{}/columns/{column}", mirror.destination)
}

impl Messages {
    /// What the columns of a customer's row are; one whose template makes nothing is null.
    ///
    /// # Errors
    /// If a template fails on these values; the text says where.
    pub fn columns(&self, mirror: &Mirror, profile: &Profile, now: Millis) -> Result<Map<String, Value>, RenderError> {
        let occasion = Occasion::Segment { id: &mirror.segment, name: None, entered: true };
        let about = About { message: "", created_at: now, profile, occasion };
        let values = messages::values(&mirror.segment, &self.locale(profile), &about);
        let column = |(column, _): &(String, String)| {
            let failed = |source| RenderError::Column {
                destination: mirror.destination.clone(),
                column: column.clone(),
                source,
            };
            let template = self.templates.get_template(&name(mirror, column)).map_err(failed)?;
            let text = templates::render(&template, values.clone()).map_err(failed)?;
            let value = if text.is_empty() { Value::Null } else { Value::String(text) };
            Ok((column.clone(), value))
        };
        mirror.columns.iter().map(column).collect()
    }
}
