//! For whoever runs it: health, readiness, metrics, what was rejected, and the description of the API.

use super::auth::{Role, require};
use super::error::ApiError;
use super::extract::Query;
use super::page::{self, Page};
use super::state::{ApiState, Freshness};
use crate::telemetry;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tributary_model::format_millis;

/// Whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, description = "It does")))]
pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Whether the dataflow has caught up with the state and epochs can be committed, so that answers are fresh.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "It has"), (status = 503, description = "Not yet")))]
pub async fn ready(State(state): State<Arc<ApiState>>) -> impl IntoResponse {
    let committed = state.committed.borrow();
    let (status, word) = match (committed.hydrated, &committed.trouble) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "the dataflow is being re-fed from the stored facts"),
        // Why, is for whoever reads the log.
        (true, Some(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the state cannot be written; it is tried again"),
        (true, None) => (StatusCode::OK, "ready"),
    };
    (status, Json(json!({ "status": word, "epoch": committed.epoch })))
}

/// Numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text exposition", content_type = "text/plain", body = String)))]
pub async fn metrics(State(state): State<Arc<ApiState>>) -> impl IntoResponse {
    telemetry::queue("log_append", state.log.queued());
    telemetry::log_health(state.log.health().is_ok());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], super::description::json())
}

/// Events that could not be taken in, latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RejectedAnswer {
    rejected: Vec<RejectedEvent>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RejectedEvent {
    /// A word for the kind of reason, as in `/metrics`.
    code: String,
    /// What is wrong.
    reason: String,
    /// Who sent it.
    source: String,
    received_at: String,
    /// The original bytes as text; what is no UTF-8 is shown as U+FFFD, and whole in `body_base64`.
    body: String,
    /// The original bytes in base64, where they are no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// What could not be taken in, with reason and original bytes.
#[utoipa::path(get, path = "/v1/rejected", tag = "operations", params(Page, Freshness),
    responses((status = 200, body = RejectedAnswer),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn rejected(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(page): Query<Page>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<RejectedAnswer>, ApiError> {
    use base64::Engine;
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let limit = page.limit();
    let answer = state.read(move |_state, view| {
        let mut rejected = view.rejected(page.cursor, limit + 1)?;
        let next = page::cut(&mut rejected, limit, |(number, _)| number.to_string());
        let shown = rejected.into_iter().map(|(_, rejected)| {
            let body_base64 = std::str::from_utf8(&rejected.body)
                .is_err()
                .then(|| base64::prelude::BASE64_STANDARD.encode(&rejected.body));
            RejectedEvent {
                code: rejected.code,
                reason: rejected.reason,
                source: rejected.source,
                received_at: format_millis(rejected.received_at),
                body: String::from_utf8_lossy(&rejected.body).into_owned(),
                body_base64,
            }
        });
        Ok(RejectedAnswer { rejected: shown.collect(), next })
    });
    answer.await.map(Json)
}
