//! Messages that were given up: `GET /v1/dead_letters`, and sending them again.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::Query;
use super::limits::read_body;
use super::page;
use super::state::ApiState;
use crate::activation::dead_letters;
use crate::store::outbox::DEAD;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tributary_connectors::process::object;
use tributary_model::format_millis;

/// The most ids in one request to send again, and the most bytes that they take.
const IDS: usize = 1_000;
const BODY_BYTES: usize = 128 << 10;
/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// A page whose messages have more bytes together ends early: a thousand of the longest would be 256 MiB.
const PAGE_BYTES: usize = 4 << 20;
/// Messages that are read at once.
const AT_ONCE: usize = 16;

/// Which dead letters.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// The destination's id.
    destination: String,
    /// At most so many; 100 if not given, at most 1,000. Of long messages a page has fewer.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<u64>,
}

/// Messages to a destination that were given up, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeadLettersAnswer {
    dead_letters: Vec<DeadLetter>,
    /// The cursor of the next page; null on the last one.
    next: Option<u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct DeadLetter {
    id: String,
    trigger: String,
    profile: String,
    attempts: u32,
    created_at: String,
    /// What was to be sent: the fields of a message, or the text of a body that is no JSON. Links by which customers
    /// decide are left out.
    #[schema(value_type = Object)]
    body: Value,
}

/// What to send again.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayBody {
    /// The destination's id.
    destination: String,
    /// Ids of messages, at most 1,000; all of the destination's dead letters if not given.
    ids: Option<Vec<String>>,
}

/// How many are sent again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReplayAnswer {
    replayed: usize,
}

/// Messages to a destination that were given up, oldest first; why, is in the messages of each profile.
#[utoipa::path(get, path = "/v1/dead_letters", tag = "operations", params(Which),
    responses((status = 200, body = DeadLettersAnswer), (status = 404, description = "No such destination", body = ErrorAnswer)))]
pub async fn list(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(which): Query<Which>,
) -> Result<Json<DeadLettersAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.destination(&which.destination)?;
    let page = page::Page::new(which.limit, which.cursor);
    let answer = state.read(move |state, view| {
        let (mut limit, mut after, mut bytes) = (page.limit(), page.cursor, 0);
        let mut letters = Vec::new();
        while letters.len() <= limit && bytes < PAGE_BYTES {
            let some = view.messages_to(DEAD, &which.destination, after, AT_ONCE.min(limit + 1 - letters.len()))?;
            let Some((last, _)) = some.last() else { break };
            after = Some(*last);
            bytes += some.iter().map(|(_, letter)| letter.body.len()).sum::<usize>();
            letters.extend(some);
        }
        if bytes >= PAGE_BYTES {
            // It takes several messages to get there; the last one is that of the next page.
            limit = limit.min(letters.len().saturating_sub(1));
        }
        let next = page::cut(&mut letters, limit, |(number, _)| *number);
        let without_links = |body: &[u8]| {
            let text = String::from_utf8_lossy(body).into_owned();
            let text = match &state.links {
                Some(links) => links.hidden(&text),
                None => text,
            };
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        let shown = letters.into_iter().map(|(_, letter)| DeadLetter {
            id: letter.id,
            trigger: letter.trigger,
            profile: letter.profile.to_string(),
            attempts: letter.attempts,
            created_at: format_millis(letter.created_at),
            body: without_links(&letter.body),
        });
        Ok(DeadLettersAnswer { dead_letters: shown.collect(), next })
    });
    answer.await.map(Json)
}

/// Sends dead letters again, under their ids.
#[utoipa::path(post, path = "/v1/dead_letters/replay", tag = "operations", request_body = ReplayBody,
    responses((status = 200, body = ReplayAnswer), (status = 404, description = "No such destination", body = ErrorAnswer),
        (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn replay(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ReplayAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    let body = read_body(&headers, body, BODY_BYTES, PATIENCE).await?;
    let body: ReplayBody = object(&body).map_err(|reason| ApiError::bad_request(reason.code(), reason.to_string()))?;
    state.destination(&body.destination)?;
    if body.ids.as_ref().is_some_and(|ids| ids.len() > IDS) {
        return Err(ApiError::bad_request("too_many_ids", format!("name at most {IDS} messages; or none, for all")));
    }
    let replayed = state.read(move |state, _view| {
        Ok(dead_letters::replay(&state.store, &body.destination, body.ids.as_deref(), (state.clock)())?)
    });
    Ok(Json(ReplayAnswer { replayed: replayed.await? }))
}
