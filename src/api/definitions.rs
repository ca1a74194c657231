//! Computed traits and segments as they are defined: made, changed and deleted while the server runs.
//!
//! A change answers when it is kept; the engine then computes it over all history beside the stream. `state` tells how far it
//! is, and what holds until then.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::Path;
use super::limits::read_body;
use super::segments::{SegmentAnswer, described, no_segment};
use super::state::ApiState;
use crate::definitions::{Edit, Expects, Known, Refused, Wanted};
use crate::engine::{Committed, Progress, clock};
use crate::store::definitions::{Changed, Definition, Kind, Named};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tributary_connectors::process::object;
use tributary_model::{ComputedTrait, Segment};

/// The longest definition.
const ONE_BYTES: usize = 128 * 1024;
/// How long it may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

type Shared = State<Arc<ApiState>>;

/// Where a definition stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Standing {
    /// Grows with each change of the definition.
    version: u64,
    /// `live`, or `computing` while customers are not yet told of by this version: until it is their turn by the one before.
    state: &'static str,
    /// The most values that are kept of one identifier for what it reads itself.
    values_max: usize,
    /// How far that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressAnswer>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ProgressAnswer {
    /// `starting` until the server has caught up; `waiting` for changes before it; `history` is read for what it needs of the
    /// past; `customers` are looked at.
    stage: &'static str,
    /// How much of the stage is done, from 0 to 1.
    done: f64,
    /// How long the stage still takes at this pace; null while that cannot be told.
    seconds_left: Option<u64>,
}

impl Standing {
    pub(super) fn of(name: &Named, wanted: &Wanted, committed: &Committed, progress: Option<&Progress>) -> Self {
        let version = wanted.kept.get(name).map_or(1, |kept| kept.version);
        let Known { as_of: change, values_max } = wanted.known(name);
        if change <= committed.plan.version && committed.hydrated {
            return Self { version, state: "live", values_max, progress: None };
        }
        let underway = progress.filter(|progress| progress.version >= change);
        let stage = if committed.hydrated { "waiting" } else { "starting" };
        let progress = underway.map_or(ProgressAnswer { stage, done: 0.0, seconds_left: None }, |progress| {
            let left = progress.since.elapsed().mul_f64((1.0 - progress.done).max(0.0) / progress.done.max(0.001));
            ProgressAnswer {
                stage: progress.stage,
                done: (progress.done * 1_000.0).round() / 1_000.0,
                seconds_left: (progress.done > 0.001).then_some(left.as_secs()),
            }
        });
        Self { version, state: "computing", values_max, progress: Some(progress) }
    }
}

/// A new segment.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSegment {
    /// a-z, 0-9, `_` and `-`.
    id: String,
    /// For people; the id if not given.
    name: Option<String>,
    /// The condition, in SQL.
    r#where: String,
}

/// What a segment is to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentBody {
    /// For people; the id if not given.
    name: Option<String>,
    /// The condition, in SQL.
    r#where: String,
    /// The version that this one is made from: refused if there is another one by now.
    version: Option<u64>,
}

/// A new computed trait.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrait {
    /// a-z, 0-9 and `_`.
    name: String,
    /// SQL.
    expression: String,
}

/// What a computed trait is to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TraitBody {
    /// SQL.
    expression: String,
    /// The version that this one is made from: refused if there is another one by now.
    version: Option<u64>,
}

/// One computed trait.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TraitAnswer {
    name: String,
    /// SQL.
    expression: String,
    #[serde(flatten)]
    standing: Standing,
}

/// All computed traits.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TraitsAnswer {
    traits: Vec<TraitAnswer>,
}

/// Makes a segment: it is computed over all history beside the stream, and fires nothing while it is.
#[utoipa::path(post, path = "/v1/segments", tag = "definitions", request_body = NewSegment, responses(
    (status = 201, body = SegmentAnswer), (status = 400, description = "No segment can be so", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer),
    (status = 409, description = "There is one of that id, or it reads of groups what only a start computes", body = ErrorAnswer)))]
pub async fn create_segment(
    State(state): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<SegmentAnswer>), ApiError> {
    let NewSegment { id, name, r#where } = read(&state, &headers, body).await?;
    let says = segment_of(&id, name, r#where);
    let wanted = define(&state, (Kind::Segment, id.clone()), Some(says), Expects::Nothing).await?;
    Ok((StatusCode::CREATED, Json(segment_answer(&state, &wanted, &id)?)))
}

/// Makes or changes a segment. Whoever comes or goes by that fires nothing, unless a trigger says `fire_on_backfill`.
#[utoipa::path(put, path = "/v1/segments/{id}", tag = "definitions", request_body = SegmentBody,
    params(("id" = String, Path, description = "The segment's id")), responses(
    (status = 200, body = SegmentAnswer), (status = 400, description = "No segment can be so", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer),
    (status = 404, description = "There is none, and `version` is given", body = ErrorAnswer),
    (status = 409, description = "It has another version by now, or something that refers to it would be wrong", body = ErrorAnswer)))]
pub async fn put_segment(
    State(state): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<SegmentAnswer>, ApiError> {
    let SegmentBody { name, r#where, version } = read(&state, &headers, body).await?;
    let says = segment_of(&id, name, r#where);
    let expects = version.map_or(Expects::Anything, Expects::Version);
    let wanted = define(&state, (Kind::Segment, id.clone()), Some(says), expects).await?;
    segment_answer(&state, &wanted, &id).map(Json)
}

/// Deletes a segment: nobody is in it any more, and nobody has left it.
#[utoipa::path(delete, path = "/v1/segments/{id}", tag = "definitions",
    params(("id" = String, Path, description = "The segment's id")), responses(
    (status = 204, description = "It is deleted"), (status = 404, description = "No such segment", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer),
    (status = 409, description = "Something refers to it", body = ErrorAnswer)))]
pub async fn delete_segment(
    State(state): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    define(&state, (Kind::Segment, id), None, Expects::Something).await.map(|_| StatusCode::NO_CONTENT)
}

/// All computed traits.
#[utoipa::path(get, path = "/v1/traits", tag = "definitions", responses((status = 200, body = TraitsAnswer)))]
pub async fn traits(State(state): Shared, headers: HeaderMap) -> Result<Json<TraitsAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let wanted = state.wanted();
    let names = wanted.definitions.traits.keys();
    let traits: Result<_, _> = names.map(|name| trait_answer(&state, &wanted, name)).collect();
    Ok(Json(TraitsAnswer { traits: traits? }))
}

/// One computed trait.
#[utoipa::path(get, path = "/v1/traits/{name}", tag = "definitions",
    params(("name" = String, Path, description = "The trait's name")),
    responses((status = 200, body = TraitAnswer), (status = 404, description = "No such trait", body = ErrorAnswer)))]
pub async fn one_trait(
    State(state): Shared,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<TraitAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    trait_answer(&state, &state.wanted(), &name).map(Json)
}

/// Makes a computed trait: it is computed over all history beside the stream.
#[utoipa::path(post, path = "/v1/traits", tag = "definitions", request_body = NewTrait, responses(
    (status = 201, body = TraitAnswer), (status = 400, description = "No trait can be so", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer),
    (status = 409, description = "There is one of that name, or it reads of groups what only a start computes", body = ErrorAnswer)))]
pub async fn create_trait(
    State(state): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<TraitAnswer>), ApiError> {
    let NewTrait { name, expression } = read(&state, &headers, body).await?;
    let says = Definition::Trait(ComputedTrait { expression });
    let wanted = define(&state, (Kind::Trait, name.clone()), Some(says), Expects::Nothing).await?;
    Ok((StatusCode::CREATED, Json(trait_answer(&state, &wanted, &name)?)))
}

/// Makes or changes a computed trait, and with it all that reads it.
#[utoipa::path(put, path = "/v1/traits/{name}", tag = "definitions", request_body = TraitBody,
    params(("name" = String, Path, description = "The trait's name")), responses(
    (status = 200, body = TraitAnswer), (status = 400, description = "No trait can be so", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer),
    (status = 404, description = "There is none, and `version` is given", body = ErrorAnswer),
    (status = 409, description = "It has another version by now, or something that reads it would be wrong", body = ErrorAnswer)))]
pub async fn put_trait(
    State(state): Shared,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<TraitAnswer>, ApiError> {
    let TraitBody { expression, version } = read(&state, &headers, body).await?;
    let says = Definition::Trait(ComputedTrait { expression });
    let expects = version.map_or(Expects::Anything, Expects::Version);
    let wanted = define(&state, (Kind::Trait, name.clone()), Some(says), expects).await?;
    trait_answer(&state, &wanted, &name).map(Json)
}

/// Deletes a computed trait.
#[utoipa::path(delete, path = "/v1/traits/{name}", tag = "definitions",
    params(("name" = String, Path, description = "The trait's name")), responses(
    (status = 204, description = "It is deleted"), (status = 404, description = "No such trait", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer),
    (status = 409, description = "Something reads it", body = ErrorAnswer)))]
pub async fn delete_trait(
    State(state): Shared,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    define(&state, (Kind::Trait, name), None, Expects::Something).await.map(|_| StatusCode::NO_CONTENT)
}

async fn read<T: serde::de::DeserializeOwned>(
    state: &ApiState,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    require(&state.tokens, headers, Role::Admin)?;
    Ok(object(&read_body(headers, body, ONE_BYTES, PATIENCE).await?)?)
}

fn segment_of(id: &str, name: Option<String>, condition: String) -> Definition {
    Definition::Segment(Segment { name: name.unwrap_or_else(|| id.to_owned()), condition })
}

fn segment_answer(state: &ApiState, wanted: &Wanted, id: &str) -> Result<SegmentAnswer, ApiError> {
    let segment = wanted.definitions.segments.get(id).ok_or_else(|| no_segment(id))?;
    let progress = *state.progress.borrow();
    Ok(described((id, segment), wanted, &state.committed.borrow(), progress.as_ref()))
}

fn trait_answer(state: &ApiState, wanted: &Wanted, name: &str) -> Result<TraitAnswer, ApiError> {
    let Some(says) = wanted.definitions.traits.get(name) else {
        let message = format!("there is no computed trait `{name}`; GET /v1/traits lists them");
        return Err(ApiError::not_found("trait_not_found", message));
    };
    let progress = *state.progress.borrow();
    let standing = Standing::of(&(Kind::Trait, name.to_owned()), wanted, &state.committed.borrow(), progress.as_ref());
    Ok(TraitAnswer { name: name.to_owned(), expression: says.expression.clone(), standing })
}

async fn define(
    state: &Arc<ApiState>,
    name: Named,
    says: Option<Definition>,
    expects: Expects,
) -> Result<Arc<Wanted>, ApiError> {
    change(state, vec![Edit { name, says, expects }], false).await.map(|(wanted, _)| wanted)
}

pub(super) async fn change(
    state: &Arc<ApiState>,
    edits: Vec<Edit>,
    is_trial: bool,
) -> Result<(Arc<Wanted>, Vec<Changed>), ApiError> {
    let definer = state.definer.clone();
    let changing = tokio::task::spawn_blocking(move || definer.change(edits, is_trial, clock::now()));
    let changed = changing.await.map_err(|error| ApiError::internal(format!("the change ended early: {error}")))?;
    changed.map_err(refused)
}

fn refused(refused: Refused) -> ApiError {
    let message = refused.to_string();
    match refused {
        Refused::Exists(_) => ApiError::conflict("already_defined", message),
        Refused::Missing((Kind::Segment, _)) => ApiError::not_found("segment_not_found", message),
        Refused::Missing((Kind::Trait, _)) => ApiError::not_found("trait_not_found", message),
        Refused::Version { .. } => ApiError::conflict("version_conflict", message),
        Refused::Name(_) => ApiError::bad_request("invalid_name", message),
        Refused::TooMany => ApiError::bad_request("too_many_definitions", message),
        Refused::Mistakes(_) => ApiError::bad_request("invalid_expression", message),
        Refused::InUse(_) => ApiError::conflict("definition_in_use", message),
        Refused::Groups(_) => ApiError::conflict("group_not_read", message),
        Refused::Store(error) => error.into(),
    }
}
