//! Definitions as a whole: many applied as one change, as `tributary apply` does, and every change that was ever made.

use super::auth::{Role, require};
use super::definitions::change;
use super::error::{ApiError, ErrorAnswer};
use super::extract::Query;
use super::limits::read_body;
use super::page::{self, Page};
use super::state::ApiState;
use crate::definitions::{Edit, Expects, named};
use crate::store::definitions::{By, Changed, Definition, Named};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tributary_connectors::process::object;
use tributary_model::{ComputedTrait, Definitions, Segment, format_millis};

/// All definitions together, as in one definitions file.
const ALL_BYTES: usize = 4 << 20;
/// How long they may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

type Shared = State<Arc<ApiState>>;

/// Many definitions at once, by name.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ManyBody {
    /// Computed traits: SQL by name.
    pub traits: BTreeMap<String, String>,
    /// Segments by id.
    pub segments: BTreeMap<String, OneOfMany>,
}

/// One of many segments.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneOfMany {
    /// For people; the id if not given.
    pub name: Option<String>,
    /// The condition, in SQL.
    pub r#where: String,
}

/// How they are applied.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// Only tells what would change.
    #[serde(default)]
    dry_run: bool,
    /// Deletes what is defined and not among these.
    #[serde(default)]
    prune: bool,
}

/// What has changed, or would.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AppliedAnswer {
    /// The number of the last change.
    pub change: u64,
    /// What has changed, or would.
    pub changed: Vec<ChangedAnswer>,
}

/// One definition before and after.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangedAnswer {
    /// `trait` or `segment`.
    pub kind: String,
    /// The trait's name, or the segment's id.
    pub id: String,
    /// SQL before; null for a new one.
    pub before: Option<String>,
    /// SQL after; null for one that is deleted.
    pub after: Option<String>,
}

/// Applies many definitions as one change: all of them or, if anything is wrong, none.
#[utoipa::path(put, path = "/v1/definitions", tag = "definitions", request_body = ManyBody, params(How), responses(
    (status = 200, body = AppliedAnswer), (status = 400, description = "Something is wrong with one", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer),
    (status = 409, description = "Something that refers to one would be wrong", body = ErrorAnswer)))]
pub async fn apply(
    State(state): Shared,
    headers: HeaderMap,
    Query(how): Query<How>,
    body: Body,
) -> Result<Json<AppliedAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    let body = read_body(&headers, body, ALL_BYTES, PATIENCE).await?;
    let ManyBody { traits, segments } = object(&body)?;
    let traits = traits.into_iter().map(|(name, expression)| (name, ComputedTrait { expression }));
    let segments = segments.into_iter().map(|(id, one)| {
        let name = one.name.unwrap_or_else(|| id.clone());
        (id, Segment { name, condition: one.r#where })
    });
    let definitions = Definitions { traits: traits.collect(), segments: segments.collect(), ..Definitions::default() };
    let mut says: BTreeMap<Named, Option<Definition>> =
        named(&definitions).map(|(name, says)| (name, Some(says))).collect();
    if how.prune {
        let there_are: Vec<Named> = named(&state.definitions()).map(|(name, _)| name).collect();
        for name in there_are {
            says.entry(name).or_default();
        }
    }
    let edit = |(name, says)| Edit { name, says, expects: Expects::Anything };
    let edits = says.into_iter().map(edit).collect();
    let (wanted, changed) = change(&state, edits, how.dry_run).await?;
    Ok(Json(AppliedAnswer { change: wanted.version, changed: changed.into_iter().map(ChangedAnswer::from).collect() }))
}

/// Changes of definitions, latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ChangesAnswer {
    changes: Vec<OneChangeAnswer>,
    /// The cursor of the next page; null on the last one.
    next: Option<u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct OneChangeAnswer {
    change: u64,
    at: String,
    /// `folder`, which is read at a start, or `admin`, over HTTP.
    #[schema(value_type = String)]
    by: By,
    changed: Vec<ChangedAnswer>,
}

/// Every change that was ever made to computed traits and segments.
#[utoipa::path(get, path = "/v1/definitions/changes", tag = "definitions", params(Page),
    responses((status = 200, body = ChangesAnswer)))]
pub async fn changes(
    State(state): Shared,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Json<ChangesAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let limit = page.limit();
    let answer = state.read(move |_, view| {
        let mut changes = view.definition_changes(page.cursor, limit + 1)?;
        let next = page::cut(&mut changes, limit, |(number, _)| *number);
        let changes = changes.into_iter().map(|(change, made)| OneChangeAnswer {
            change,
            at: format_millis(made.at),
            by: made.by,
            changed: made.changed.into_iter().map(ChangedAnswer::from).collect(),
        });
        Ok(ChangesAnswer { changes: changes.collect(), next })
    });
    answer.await.map(Json)
}

impl From<Changed> for ChangedAnswer {
    fn from(changed: Changed) -> Self {
        let sql = |says: Option<Definition>| {
            says.map(|says| match says {
                Definition::Trait(says) => says.expression,
                Definition::Segment(says) => says.condition,
            })
        };
        let (kind, id) = changed.name;
        Self { kind: kind.name().to_owned(), id, before: sql(changed.before), after: sql(changed.after) }
    }
}
