//! `POST /v1/segments/preview`: whom a condition would hold for, before it is a segment.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::Query;
use super::limits::read_body;
use super::state::{ApiState, Freshness};
use crate::engine::preview::{Condition, PreviewError};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tributary_connectors::process::object;

/// The longest condition, as in a definitions file.
const CONDITION_BYTES: usize = 64 * 1024;
/// How long a condition may take to arrive, and then to be counted.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(30);

/// A condition.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// SQL, as under `where` of a segment.
    r#where: String,
}

/// Whom it holds for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PreviewAnswer {
    /// How many customers: all of them were looked at.
    count: u64,
    /// Profile ids of at most ten.
    sample: Vec<String>,
    /// `facts` where what is kept of customers suffices, `history` where events had to be read again, as far back as they are
    /// kept.
    from: &'static str,
    took_ms: u64,
    epoch: u64,
    position: String,
}

/// Counts the customers for whom a condition holds, over all history. Needs no definition, and changes nothing.
#[utoipa::path(post, path = "/v1/segments/preview", tag = "segments", request_body = PreviewRequest, params(Freshness),
    responses((status = 200, body = PreviewAnswer), (status = 400, description = "No condition", body = ErrorAnswer),
        (status = 429, description = "Another one is being counted", body = ErrorAnswer),
        (status = 503, description = "It takes longer than 30 seconds", body = ErrorAnswer)))]
pub async fn preview(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(freshness): Query<Freshness>,
    body: Body,
) -> Result<Json<PreviewAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let body = read_body(&headers, body, CONDITION_BYTES, PATIENCE).await?;
    let request: PreviewRequest = object(&body)?;
    state.fresh(&freshness).await?;
    let turn = tokio::time::timeout(PATIENCE, state.previews.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(ApiError::too_many("too_many_previews", "other previews are being counted; ask again later"));
    };
    let answer = state.read(move |state, view| {
        let _turn = turn;
        let started = Instant::now();
        let condition = Condition::new(&request.r#where, &state.definitions(), &state.plan()).map_err(refused)?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
        let preview = condition.count(view, &state.processor, threads, started + LONGEST).map_err(refused)?;
        let (epoch, position) = state.as_of(view)?;
        Ok(PreviewAnswer {
            count: preview.count,
            sample: preview.sample.iter().map(ToString::to_string).collect(),
            from: if preview.from_history { "history" } else { "facts" },
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            epoch,
            position,
        })
    });
    answer.await.map(Json)
}

fn refused(error: PreviewError) -> ApiError {
    match error {
        PreviewError::Condition(mistakes) => {
            let told: Vec<_> = mistakes.iter().map(|at| format!("{}:{}: {}", at.line, at.column, at.message)).collect();
            ApiError::bad_request("invalid_condition", format!("where:{}", told.join("; where:")))
        }
        PreviewError::Groups(_) => ApiError::bad_request(
            "group_not_read",
            "what is read of groups is computed for definitions only, and none reads this; define a segment that does",
        ),
        PreviewError::TooLong => ApiError::unavailable(
            "preview_too_long",
            "this takes longer than 30 seconds: it reads events again; define its aggregates as a computed trait",
        ),
        PreviewError::Store(error) => error.into(),
    }
}
