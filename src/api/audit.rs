//! Who changed what: every request that may, by anybody known, is kept with what became of it.

use super::auth::{Role, require};
use super::error::ApiError;
use super::extract::Query;
use super::page::{self, Page};
use super::state::ApiState;
use crate::store::audit::Audited;
use crate::store::{Store, StoreError};
use axum::Json;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tributary_model::{Millis, format_millis};

/// Of a longer path the beginning is kept.
const PATH_CHARS: usize = 2_000;
/// Whether a path is asked by `POST` and changes nothing.
fn is_question(path: &str) -> bool {
    path == "/v1/segments/preview" || (path.starts_with("/v1/triggers/") && path.ends_with("/render"))
}

/// Keeps the entries in order.
#[derive(Debug)]
pub struct Audit(Mutex<u64>);

impl Audit {
    /// Goes on where the state's entries end.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        let last = store.view().audited(None, 1)?.first().map_or(0, |(number, _)| *number);
        Ok(Self(Mutex::new(last + 1)))
    }

    fn keep(&self, store: &Store, audited: &Audited) -> Result<(), StoreError> {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = store.batch();
        batch.put_audited(*next, audited)?;
        store.write(batch, true)?;
        *next += 1;
        Ok(())
    }
}

/// Answers a request, and keeps who asked for it if it may change something. Nobody unknown can fill the disk so.
pub(super) async fn audit(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let only_asks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if only_asks || is_question(request.uri().path()) {
        return next.run(request).await;
    }
    let Some(client) = state.tokens.reader(request.headers()) else { return next.run(request).await };
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(from)| from.ip().to_string());
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let route = request.extensions().get::<MatchedPath>().map_or_else(String::new, |route| route.as_str().to_owned());
    let mut audited = Audited {
        at: (state.clock)(),
        who: client.name.clone(),
        from: from.unwrap_or_default(),
        method: request.method().to_string(),
        path: path.chars().take(PATH_CHARS).collect(),
        status: 0,
    };
    let response = next.run(request).await;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        return response;
    }
    audited.status = response.status().as_u16();
    let Audited { who, from, method, status, .. } = &audited;
    // Addresses name customers, of whom logs say nothing.
    tracing::info!(target: "audit", who, from, method, route, status, "asked to change something");
    let kept = tokio::task::spawn_blocking(move || state.audit.keep(&state.store, &audited)).await;
    // What was done stays done; that it could not be kept is for whoever reads the log.
    match kept {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the audit log cannot be written"),
        Err(error) => tracing::error!(%error, "the audit log was not written"),
    }
    response
}

/// What was asked for, latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AuditAnswer {
    audit: Vec<AuditEntry>,
    /// The cursor of the next page; null on the last one.
    next: Option<u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct AuditEntry {
    at: String,
    /// The name of the token.
    who: String,
    /// The address that the request came from.
    from: String,
    method: String,
    path: String,
    /// The status of the answer: 403 if who asked may not.
    status: u16,
}

/// Lists every request that may change something, with who asked and what became of it. Kept for two years.
#[utoipa::path(get, path = "/v1/audit", tag = "operations", params(Page), responses((status = 200, body = AuditAnswer),
    (status = 403, description = "Needs an admin token", body = super::error::ErrorAnswer)))]
pub async fn audited(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Json<AuditAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    let limit = page.limit();
    let mut found = state.read(move |_, view| Ok(view.audited(page.cursor, limit + 1)?)).await?;
    let next = page::cut(&mut found, limit, |(number, _)| *number);
    let entry = |at: Millis, audited: Audited| {
        let Audited { who, from, method, path, status, .. } = audited;
        AuditEntry { at: format_millis(at), who, from, method, path, status }
    };
    Ok(Json(AuditAnswer { audit: found.into_iter().map(|(_, audited)| entry(audited.at, audited)).collect(), next }))
}
