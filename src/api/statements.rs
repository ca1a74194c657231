//! What people say about identifiers: `POST /v1/identity/link` and its kin. Each is a record of the log, answered when it
//! is durable, and kept with who said it and why.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::{Path, Query};
use super::ingest::{Accepted, append};
use super::limits::read_body;
use super::page::{self, Page};
use super::state::{ApiState, Freshness};
use crate::store::statements::Made;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tributary_connectors::process::{Statement, StatementKind, object};
use tributary_model::{Identifier, IdentifierId, format_millis};

/// The most bytes of a statement, and the most characters of its texts.
pub(super) const STATEMENT_BYTES: usize = 8 * 1024;
const TEXT_CHARS: usize = 1_000;
/// How long a statement may take to arrive, and then the log to take it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two identifiers, and who says it of them, and why.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Two {
    /// `namespace:value`.
    a: String,
    /// `namespace:value`.
    b: String,
    /// Who says so.
    by: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// Who wants it, and why.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Why {
    /// Who wants it.
    pub(super) by: Option<String>,
    /// Why.
    pub(super) reason: Option<String>,
}

type Answer = Result<Json<Accepted>, ApiError>;
type Shared = State<Arc<ApiState>>;

/// The two are one customer, even where a rule would keep them apart.
#[utoipa::path(post, path = "/v1/identity/link", tag = "identity", request_body = Two, responses(
    (status = 200, body = Accepted), (status = 400, description = "No identifiers", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn link(State(state): Shared, headers: HeaderMap, body: Body) -> Answer {
    say(&state, StatementKind::Link, &headers, body).await
}

/// The two are two customers, whatever connects them; customers are parted where the evidence is weakest.
#[utoipa::path(post, path = "/v1/identity/unlink", tag = "identity", request_body = Two, responses(
    (status = 200, body = Accepted), (status = 400, description = "No identifiers", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn unlink(State(state): Shared, headers: HeaderMap, body: Body) -> Answer {
    say(&state, StatementKind::Unlink, &headers, body).await
}

/// What was stated of the two no longer holds: events alone decide again.
#[utoipa::path(post, path = "/v1/identity/retract", tag = "identity", request_body = Two, responses(
    (status = 200, body = Accepted), (status = 400, description = "No identifiers", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn retract(State(state): Shared, headers: HeaderMap, body: Body) -> Answer {
    say(&state, StatementKind::Retract, &headers, body).await
}

/// Forgets an identifier: its events, traits, links and messages so far, also those that are not committed yet. What comes
/// later begins anew. Doing it again does no harm.
#[utoipa::path(delete, path = "/v1/identifiers/{identifier}", tag = "identity",
    params(("identifier" = String, Path, description = "`namespace:value`"), Why), responses(
    (status = 200, body = Accepted), (status = 400, description = "No identifier", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn delete(
    State(state): Shared,
    headers: HeaderMap,
    Path(identifier): Path<String>,
    Query(why): Query<Why>,
) -> Answer {
    require(&state.tokens, &headers, Role::Admin)?;
    let a = identifier_of(&state, "identifier", &identifier)?;
    let (by, reason) = (text("by", why.by)?, text("reason", why.reason)?);
    append_statements(&state, &[Statement { kind: StatementKind::Delete, a, b: None, by, reason }]).await
}

/// Forgets a customer: every identifier that the customer has as of the last commit, as if each were deleted.
#[utoipa::path(delete, path = "/v1/profiles/{profile}", tag = "identity",
    params(("profile" = String, Path, description = "`namespace:value` of any identifier, or a profile id"), Why, Freshness),
    responses((status = 200, body = Accepted), (status = 404, description = "Nobody has this identifier", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn delete_profile(
    State(state): Shared,
    headers: HeaderMap,
    Path(profile): Path<String>,
    Query(why): Query<Why>,
    Query(freshness): Query<Freshness>,
) -> Answer {
    require(&state.tokens, &headers, Role::Admin)?;
    state.fresh(&freshness).await?;
    let (by, reason) = (text("by", why.by)?, text("reason", why.reason)?);
    let facts = state.read(move |state, view| {
        let id = super::profiles::find(state, view, &profile)?;
        Ok(view.facts(&view.identifiers(id)?)?)
    });
    let forget =
        |a: Identifier| Statement { kind: StatementKind::Delete, a, b: None, by: by.clone(), reason: reason.clone() };
    let statements: Vec<_> = facts.await?.into_iter().flatten().map(|facts| forget(facts.identifier)).collect();
    append_statements(&state, &statements).await
}

async fn say(state: &Arc<ApiState>, kind: StatementKind, headers: &HeaderMap, body: Body) -> Answer {
    say_of(state, kind, headers, body, |_, _, _| async { Ok(None) }).await
}

/// Makes a statement of two identifiers; `reason` may refuse them, or say why where the caller does not.
pub(super) async fn say_of<F: Future<Output = Result<Option<String>, ApiError>>>(
    state: &Arc<ApiState>,
    kind: StatementKind,
    headers: &HeaderMap,
    body: Body,
    reason: impl FnOnce(Arc<ApiState>, IdentifierId, IdentifierId) -> F,
) -> Answer {
    require(&state.tokens, headers, Role::Admin)?;
    let body = read_body(headers, body, STATEMENT_BYTES, PATIENCE).await?;
    let two: Two = object(&body)?;
    let (a, b) = (identifier_of(state, "a", &two.a)?, identifier_of(state, "b", &two.b)?);
    if a == b {
        return Err(ApiError::bad_request("invalid_identifier", "a and b are the same identifier"));
    }
    let otherwise = reason(state.clone(), a.id(), b.id()).await?;
    let (by, reason) = (text("by", two.by)?, text("reason", two.reason)?.or(otherwise));
    append_statements(state, &[Statement { kind, a, b: Some(b), by, reason }]).await
}

pub(super) fn identifier_of(state: &ApiState, field: &str, text: &str) -> Result<Identifier, ApiError> {
    let identifier = state.processor.identifier(text);
    identifier.map_err(|error| ApiError::bad_request("invalid_identifier", format!("{field}: {error}")))
}

pub(super) fn text(field: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.chars().nth(TEXT_CHARS).is_some() => {
            Err(ApiError::bad_request("invalid_parameter", format!("{field}: at most {TEXT_CHARS} characters")))
        }
        text => Ok(text),
    }
}

async fn append_statements(state: &ApiState, statements: &[Statement]) -> Answer {
    let now = (state.clock)();
    let records = statements.iter().map(|statement| statement.record(now)).collect();
    let position = append(&*state.log, records, "statements", PATIENCE).await?;
    Ok(Json(Accepted::at(&position)))
}

/// Everything that was stated, latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StatementsAnswer {
    statements: Vec<StatementAnswer>,
    /// The cursor of the next page; null on the last one.
    next: Option<u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct StatementAnswer {
    /// `link`, `unlink`, `retract` or `delete`; `suppress` or `unsuppress` of an address.
    #[schema(value_type = String)]
    kind: StatementKind,
    at: String,
    /// `namespace:value`, or the id of an identifier that was deleted since; of an address `channel:address`.
    a: String,
    b: Option<String>,
    by: Option<String>,
    reason: Option<String>,
}

/// Lists who stated what of which identifiers, and why.
#[utoipa::path(get, path = "/v1/identity/statements", tag = "identity", params(Page, Freshness),
    responses((status = 200, body = StatementsAnswer), (status = 503, description = "`min_position` is not committed in time")))]
pub async fn statements(
    State(state): Shared,
    headers: HeaderMap,
    Query(page): Query<Page>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<StatementsAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let limit = page.limit();
    let answer = state.read(move |_, view| {
        let mut made = view.statements(page.cursor, limit + 1)?;
        let next = page::cut(&mut made, limit, |(number, _)| *number);
        let mut statements = Vec::with_capacity(made.len());
        for (_, Made { at, statement }) in made {
            // Of what was deleted since, only the hash that stands for it is told.
            let name = |identifier: &Identifier| -> Result<String, ApiError> {
                let deleted = view.deleted(identifier.id())?.is_some_and(|until| at <= until.received_until);
                Ok(if deleted { identifier.id().to_string() } else { identifier.to_string() })
            };
            statements.push(StatementAnswer {
                kind: statement.kind,
                at: format_millis(at),
                a: name(&statement.a)?,
                b: statement.b.as_ref().map(name).transpose()?,
                by: statement.by,
                reason: statement.reason,
            });
        }
        Ok(StatementsAnswer { statements, next })
    });
    answer.await.map(Json)
}
