//! Customers who may be one person: listed with a score and its parts, accepted or refused, never merged by themselves.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::Query;
use super::ingest::Accepted;
use super::state::{ApiState, Freshness};
use super::statements::{Two, say_of};
use crate::engine::suggestions::{Found, Suggested, Suggestions};
use crate::store::View;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tributary_connectors::process::StatementKind;
use tributary_dataflows::identity::{Stated, ends};
use tributary_dataflows::profile::IdentifierFacts;
use tributary_model::{IdentifierId, format_millis};

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

type Shared = State<Arc<ApiState>>;

/// Which suggestions.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// At most so many; 100 if not given, at most 1,000.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<usize>,
}

/// Customers who may be one person, the most probable first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SuggestionsAnswer {
    suggestions: Vec<SuggestionAnswer>,
    /// The cursor of the next page; null on the last one.
    next: Option<usize>,
    /// The comparison that they come from; null before the first one since the start.
    comparison: Option<ComparisonAnswer>,
}

/// One comparison of all customers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ComparisonAnswer {
    at: String,
    took_ms: u64,
    /// Customers with something to compare.
    profiles: usize,
    /// Pairs that are equal in some field, and so were compared.
    compared: usize,
    /// Values that too many customers have to compare them all, also together with another field.
    left_out: u64,
    /// Pairs that are probable enough, of which at most 10,000 are kept.
    probable: usize,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct SuggestionAnswer {
    /// The identifier that names one customer, `namespace:value`.
    a: String,
    /// The identifier that names the other.
    b: String,
    /// The probability that they are one person, from 0 to 1.
    score: f64,
    /// What each field says of it.
    parts: Vec<ComparedAnswer>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ComparedAnswer {
    /// The name under `identity.suggestions.compare`.
    field: String,
    /// What is known of the one customer.
    a: Option<String>,
    /// What is known of the other.
    b: Option<String>,
    /// `same`, `close`, `alike` or `different`; null where a value is missing.
    level: Option<&'static str>,
    /// How much it speaks for one person, or against if negative: powers of two, which add up.
    bits: f64,
}

/// Lists customers who may be one person, with the reasons.
#[utoipa::path(get, path = "/v1/identity/suggestions", tag = "identity", params(Page, Freshness),
    responses((status = 200, body = SuggestionsAnswer), (status = 404, description = "The definitions compare nothing")))]
pub async fn suggestions(
    State(state): Shared,
    headers: HeaderMap,
    Query(page): Query<Page>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<SuggestionsAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let suggesting = configured(&state)?.clone();
    let Some(found) = suggesting.found() else {
        return Ok(Json(SuggestionsAnswer { suggestions: Vec::new(), next: None, comparison: None }));
    };
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let answer = state.read(move |_, view| {
        let (mut shown, mut next) = (Vec::new(), None);
        for (place, suggested) in found.suggestions.iter().enumerate().skip(page.cursor.unwrap_or(0)) {
            if shown.len() == limit {
                next = Some(place);
                break;
            }
            shown.extend(told(&suggesting, view, suggested)?);
        }
        Ok(SuggestionsAnswer { suggestions: shown, next, comparison: Some(described(&found)) })
    });
    answer.await.map(Json)
}

/// Compares all customers now, and answers when that is done.
#[utoipa::path(post, path = "/v1/identity/suggestions/refresh", tag = "identity", params(Freshness), responses(
    (status = 200, body = ComparisonAnswer), (status = 404, description = "The definitions compare nothing"),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn refresh(
    State(state): Shared,
    headers: HeaderMap,
    Query(freshness): Query<Freshness>,
) -> Result<Json<ComparisonAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    state.fresh(&freshness).await?;
    let shutdown = state.shutdown.clone();
    let found = configured(&state)?.refresh((state.clock)(), move || shutdown.is_cancelled()).await?;
    let found = found.ok_or_else(|| ApiError::unavailable("shutting_down", "the server is stopping; ask again"))?;
    Ok(Json(described(&found)))
}

/// The two are one customer: a statement, as of `POST /v1/identity/link`.
#[utoipa::path(post, path = "/v1/identity/suggestions/accept", tag = "identity", request_body = Two, responses(
    (status = 200, body = Accepted), (status = 404, description = "Nobody suggests it", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn accept(State(state): Shared, headers: HeaderMap, body: Body) -> Result<Json<Accepted>, ApiError> {
    decide(&state, StatementKind::Link, &headers, body).await
}

/// The two are two customers, and are not suggested again: a statement, as of `POST /v1/identity/unlink`.
#[utoipa::path(post, path = "/v1/identity/suggestions/refuse", tag = "identity", request_body = Two, responses(
    (status = 200, body = Accepted), (status = 404, description = "Nobody suggests it", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn refuse(State(state): Shared, headers: HeaderMap, body: Body) -> Result<Json<Accepted>, ApiError> {
    decide(&state, StatementKind::Unlink, &headers, body).await
}

async fn decide(
    state: &Arc<ApiState>,
    kind: StatementKind,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<Accepted>, ApiError> {
    let suggesting = configured(state).cloned();
    say_of(state, kind, headers, body, |state, a, b| async move {
        let suggesting = suggesting?;
        let ends = ends(a, b);
        let found = suggesting.found();
        let score = state.read(move |_, view| {
            let all = found.iter().flat_map(|found| &found.suggestions);
            let Some(suggested) = all.into_iter().find(|suggested| suggested.ends == ends) else { return Ok(None) };
            Ok(told(&suggesting, view, suggested)?.map(|_| suggested.score))
        });
        let score = score.await?.ok_or_else(|| {
            let message = "these two are not suggested, or no longer; give a and b as they are listed";
            ApiError::not_found("suggestion_not_found", message)
        })?;
        Ok(Some(format!("suggested with a probability of {score:.4}")))
    })
    .await
}

fn configured(state: &ApiState) -> Result<&Arc<Suggestions>, ApiError> {
    state.suggestions.as_ref().ok_or_else(|| {
        let message = "the definitions compare nothing; write what under identity.suggestions.compare";
        ApiError::not_found("suggestions_not_configured", message)
    })
}

fn described(found: &Found) -> ComparisonAnswer {
    ComparisonAnswer {
        at: format_millis(found.at),
        took_ms: u64::try_from(found.took.as_millis()).unwrap_or(u64::MAX),
        profiles: found.profiles,
        compared: found.compared,
        left_out: found.left_out,
        probable: found.probable,
    }
}

/// A suggestion, unless it has been decided, or nobody is left whom it is about.
fn told(
    suggesting: &Suggestions,
    view: &View<'_>,
    suggested: &Suggested,
) -> Result<Option<SuggestionAnswer>, ApiError> {
    let (one, other) = suggested.ends;
    let (Some(owner), Some(other_owner)) = (view.owner(one)?, view.owner(other)?) else { return Ok(None) };
    let stated = view.standing(suggested.ends)?.and_then(|standing| standing.stated);
    if owner == other_owner || stated == Some(Stated::Different) {
        return Ok(None);
    }
    let facts = |owner| -> Result<Vec<IdentifierFacts>, ApiError> {
        let identifiers: Vec<IdentifierId> = view.identifiers(owner)?;
        Ok(view.facts(&identifiers)?.into_iter().flatten().collect())
    };
    let (facts, other_facts) = (facts(owner)?, facts(other_owner)?);
    // What has changed since is compared anew before anybody decides on it.
    if !suggested.holds(&suggesting.record(&facts), &suggesting.record(&other_facts)) {
        return Ok(None);
    }
    let names = view.names(&[one, other])?;
    let [a, b] = names.as_slice() else { return Ok(None) };
    let fields =
        suggesting.matching().compare.keys().zip(suggesting.values(&facts)).zip(suggesting.values(&other_facts));
    let parts = fields.zip(&suggested.parts).map(|(((field, a), b), part)| ComparedAnswer {
        field: field.clone(),
        a,
        b,
        level: part.map(|(level, _)| level.name()),
        bits: part.map_or(0.0, |(_, bits)| (bits * 100.0).round() / 100.0),
    });
    Ok(Some(SuggestionAnswer { a: a.clone(), b: b.clone(), score: suggested.score, parts: parts.collect() }))
}
