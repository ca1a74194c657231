//! Events by HTTP, as the Segment spec has them: `POST /v1/track` and its kin, answered when they are durable.

mod splice;
mod envelope;
mod settings;
mod backlog;

pub use backlog::Backlog;
pub use settings::{__path_settings, settings};

use super::auth::{Client, Tokens, credential, unknown_write_key};
use super::error::{ApiError, ErrorAnswer};
use super::limits::{Place, Room};
use crate::engine::Clock;
use crate::telemetry;
use axum::body::Body;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use envelope::{Batch, Head};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{Any, CorsLayer};
use tributary_connectors::log::{AppendError, Log, Record};
use tributary_connectors::process::{Processor, Reason, Scalar};
use tributary_model::{EventKind, Position, limits};

/// How long a body may take to arrive, and then the log to take it, where nothing else is configured.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A batch that is read off the async threads: others would wait for it.
const LONG_BODY: usize = 32 << 10;
/// How long browsers may remember that they may send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the ingestion handlers have at hand.
#[derive(Clone)]
pub struct IngestState {
    log: Arc<dyn Log>,
    processor: Arc<Processor>,
    tokens: Arc<Tokens>,
    clock: Clock,
    room: Room,
    backlog: Option<Arc<Backlog>>,
    timeout: Duration,
    shutdown: CancellationToken,
}

impl std::fmt::Debug for IngestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IngestState into {:?}", self.log)
    }
}

impl IngestState {
    /// Takes events into `log`, at most `max_requests` requests at once, until `shutdown`.
    pub fn new(
        log: Arc<dyn Log>,
        processor: Arc<Processor>,
        tokens: Arc<Tokens>,
        clock: Clock,
        max_requests: usize,
        shutdown: CancellationToken,
    ) -> Self {
        let room = Room::new(max_requests);
        Self { log, processor, tokens, clock, room, backlog: None, timeout: REQUEST_TIMEOUT, shutdown }
    }

    /// How far the engine may be behind.
    #[must_use]
    pub fn with_backlog(self, backlog: Backlog) -> Self {
        Self { backlog: Some(Arc::new(backlog)), ..self }
    }

    /// How long a body may take to arrive (then 408), and after that the log to take it (then 503).
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Reads a body and takes the place in which its events are stored.
    async fn enter(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<(bytes::Bytes, Place), ApiError> {
        if self.shutdown.is_cancelled() {
            return Err(ApiError::unavailable("shutting_down", "the server is stopping; send again").and_close());
        }
        let (body, held) = self.room.read(headers, body, limit, self.timeout).await?;
        // Only now: who is answered while still sending may see a broken connection instead.
        self.backlog.as_ref().map_or(Ok(()), |backlog| backlog.check())?;
        Ok((body, self.room.enter(held)?))
    }

    /// Whose events they are: by the key in the headers, else by the one in the body.
    fn source(&self, headers: &HeaderMap, in_body: Option<&Scalar<'_>>) -> Result<Arc<Client>, ApiError> {
        let by_headers = self.tokens.source(credential(headers).as_deref());
        let by_body = || self.tokens.source(Some(in_body?.id()?.as_bytes()));
        by_headers.or_else(by_body).ok_or_else(unknown_write_key)
    }

    async fn one(&self, kind: EventKind, headers: &HeaderMap, body: Body) -> Result<Json<Accepted>, ApiError> {
        let (event, _place) = self.enter(headers, body, limits::EVENT_BYTES).await?;
        let record = self.record(kind, headers, &event)?;
        self.append(vec![record]).await
    }

    /// The record of a single call, whose event is validated now, so that the client learns what is wrong.
    fn record(&self, kind: EventKind, headers: &HeaderMap, event: &bytes::Bytes) -> Result<Record, ApiError> {
        let head: Result<Head<'_>, Reason> = Head::read(event);
        let client = self.source(headers, head.as_ref().ok().map(|head| &head.write_key))?;
        client.admit(1)?;
        let head = head?;
        let body = head.with_type(event, kind)?;
        let received_at = (self.clock)();
        self.processor.process(&body, received_at, None, "")?;
        Ok(Record { source: client.name.clone(), received_at, sent_at: None, body, key: head.key() })
    }

    async fn many(&self, headers: &HeaderMap, body: Body) -> Result<Json<Accepted>, ApiError> {
        let (body, _place) = self.enter(headers, body, limits::BATCH_BYTES).await?;
        let records = if body.len() < LONG_BODY {
            self.records(headers, &body)?
        } else {
            let (state, headers) = (self.clone(), headers.clone());
            let read = tokio::task::spawn_blocking(move || state.records(&headers, &body)).await;
            read.map_err(|error| ApiError::internal(format!("the batch was not read to its end: {error}")))??
        };
        self.append(records).await
    }

    fn records(&self, headers: &HeaderMap, body: &bytes::Bytes) -> Result<Vec<Record>, ApiError> {
        let batch: Result<Batch<'_>, Reason> = Batch::read(body);
        let client = self.source(headers, batch.as_ref().ok().map(|batch| &batch.write_key))?;
        let records = batch?.records(body, &client.name, (self.clock)())?;
        client.admit(records.len())?;
        Ok(records)
    }

    async fn append(&self, records: Vec<Record>) -> Result<Json<Accepted>, ApiError> {
        let events = records.len();
        let position = append(&*self.log, records, "events", self.timeout).await?;
        telemetry::ingested(events);
        self.backlog.iter().for_each(|backlog| backlog.appended(&position));
        Ok(Json(Accepted::at(&position)))
    }
}

/// Makes records durable; `what` they are is told where the log does not take them in time.
pub(super) async fn append(
    log: &dyn Log,
    records: Vec<Record>,
    what: &str,
    timeout: Duration,
) -> Result<Position, ApiError> {
    let count = records.len();
    let unavailable =
        || ApiError::unavailable("log_unavailable", format!("{what} cannot be stored at the moment; send again"));
    match tokio::time::timeout(timeout, log.append(records)).await {
        Ok(Ok(position)) => Ok(position),
        Ok(Err(error @ AppendError::Busy)) => Err(ApiError::too_many("log_busy", error.to_string())),
        Ok(Err(error @ AppendError::Unavailable(_))) => {
            tracing::warn!(%error, count, "{what} were refused");
            Err(unavailable())
        }
        Err(_) => {
            tracing::warn!(count, "the log did not take {what} in time");
            Err(unavailable())
        }
    }
}

/// The events are durable.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Accepted {
    /// Always true.
    success: bool,
    /// Where the log stands after them: what `min_position=` of a query takes to read one's own writes.
    position: String,
}

impl Accepted {
    /// The log stands there.
    pub(super) fn at(position: &Position) -> Self {
        Self { success: true, position: position.to_string() }
    }
}

type Answer = Result<Json<Accepted>, ApiError>;
type Shared = State<Arc<IngestState>>;

/// One of the six calls: its handler, and its description for `/openapi.json`.
macro_rules! call {
    ($name:ident, $kind:ident, $path:literal, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(post, path = $path, tag = "ingestion",
                    request_body(content = Object, description = "The call as the Segment spec has it"),
                    responses(
                        (status = 200, body = Accepted),
                        (status = 400, description = "No event; `code` and `message` say why", body = ErrorAnswer),
                        (status = 401, description = "No known write key", body = ErrorAnswer),
                        (status = 413, description = "More than 32 KB", body = ErrorAnswer),
                        (status = 429, description = "Too much at once; `Retry-After`", body = ErrorAnswer),
                        (status = 503, description = "Not stored; `Retry-After`", body = ErrorAnswer)))]
        pub async fn $name(State(state): Shared, headers: HeaderMap, body: Body) -> Answer {
            state.one(EventKind::$kind, &headers, body).await
        }
    };
}

call!(track, Track, "/v1/track", "Something a customer did.");
call!(identify, Identify, "/v1/identify", "Who a customer is: traits.");
call!(page, Page, "/v1/page", "A page of a web site was seen.");
call!(screen, Screen, "/v1/screen", "A screen of an app was seen.");
call!(group, Group, "/v1/group", "The customer belongs to a group.");
call!(alias, Alias, "/v1/alias", "Two ids are one customer.");

/// Up to 2,500 calls in 500 KB. What is no event among them is found in `GET /v1/rejected`; the others are taken.
#[utoipa::path(post, path = "/v1/batch", tag = "ingestion",
    request_body(content = Object, description = "`batch`: calls, each with its `type`; `context` and `integrations` \
        hold for all, `sentAt` corrects their times"),
    responses(
        (status = 200, body = Accepted),
        (status = 400, description = "No batch; `code` and `message` say why", body = ErrorAnswer),
        (status = 401, description = "No known write key", body = ErrorAnswer),
        (status = 413, description = "More than 500 KB", body = ErrorAnswer),
        (status = 429, description = "Too much at once; `Retry-After`", body = ErrorAnswer),
        (status = 503, description = "Not stored; `Retry-After`", body = ErrorAnswer)))]
pub async fn batch(State(state): Shared, headers: HeaderMap, body: Body) -> Answer {
    state.many(&headers, body).await
}

/// All routes that events come in by.
pub fn routes(state: IngestState) -> Router {
    let router = Router::new().route("/v1/projects/{write_key}/settings", get(settings));
    let router = call_routes(router, ["/v1/track", "/v1/t"], track);
    let router = call_routes(router, ["/v1/identify", "/v1/i"], identify);
    let router = call_routes(router, ["/v1/page", "/v1/p"], page);
    let router = call_routes(router, ["/v1/screen", "/v1/s"], screen);
    let router = call_routes(router, ["/v1/group", "/v1/g"], group);
    let router = call_routes(router, ["/v1/alias", "/v1/a"], alias);
    let router = call_routes(router, ["/v1/batch", "/v1/b", "/v1/import"], batch);
    router
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .layer(cross_origin())
        .with_state(Arc::new(state))
}

/// The long name and the short ones that the browser's library uses.
fn call_routes<const N: usize, H, T>(
    router: Router<Arc<IngestState>>,
    paths: [&str; N],
    handler: H,
) -> Router<Arc<IngestState>>
where
    H: Handler<T, Arc<IngestState>>,
    T: 'static,
{
    paths.into_iter().fold(router, |router, path| router.route(path, post(handler.clone())))
}

/// Pages of every origin may send: the write key, not the origin, says whose events they are.
fn cross_origin() -> CorsLayer {
    const RETRY_COUNT: HeaderName = HeaderName::from_static("x-retry-count");
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::CONTENT_ENCODING, RETRY_COUNT])
        .expose_headers([header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE)
}

#[cfg(test)]
mod tests;
