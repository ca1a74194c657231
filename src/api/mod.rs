//! HTTP: every route on one page.

pub mod error;
pub mod limits;
pub mod extract;
pub mod auth;
pub mod rate;
pub mod ingest;
pub mod state;
mod page;
pub mod profiles;
pub mod identity;
pub mod statements;
pub mod suggestions;
pub mod consent;
pub mod suppressions;
pub mod visitors;
pub mod pages;
pub mod preferences;
pub mod feedback;
pub mod groups;
pub mod dead_letters;
pub mod definitions;
pub mod definition_changes;
pub mod segments;
pub mod segment_details;
pub mod preview;
pub mod render;
pub mod operations;
mod description;
pub mod snapshots;
pub mod audit;

use crate::activation::{Gate, Links, Messages};
use crate::backup::Snapshots;
use crate::config::ServerConfig;
use crate::definitions::Definer;
use crate::engine::preview::live::Happened;
use crate::engine::suggestions::Suggestions;
use crate::engine::{Committed, Progress, clock};
use crate::store::Store;
use crate::telemetry;
use audit::Audit;
use auth::Tokens;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use error::{ApiError, Moved};
use ingest::Backlog;
use metrics_exporter_prometheus::PrometheusHandle;
use state::ApiState;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tributary_connectors::log::Log;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;

/// What the routes answer from.
pub struct Parts<'a> {
    /// The server's settings.
    pub config: &'a ServerConfig,
    /// The state.
    pub store: Arc<Store>,
    /// Where definitions are changed.
    pub definer: Arc<Definer>,
    /// How far the engine is with that.
    pub progress: watch::Receiver<Option<Progress>>,
    /// Where committed epochs are watched.
    pub happened: broadcast::Sender<Happened>,
    /// What triggers send.
    pub messages: Arc<Messages>,
    /// Identity rules.
    pub rules: Arc<Rules>,
    /// Customers who may be one person, where definitions ask for it.
    pub suggestions: Option<Arc<Suggestions>>,
    /// Reads the links in messages, where there are any.
    pub links: Option<Arc<Links>>,
    /// The last committed epoch.
    pub committed: watch::Receiver<Committed>,
    /// The name of the log that positions are about.
    pub log_stream: String,
    /// Where events are made durable.
    pub log: Arc<dyn Log>,
    /// Validates single events before they are.
    pub processor: Arc<Processor>,
    /// Takes snapshots for backups.
    pub snapshots: Arc<Snapshots>,
    /// Who may ask.
    pub tokens: Arc<Tokens>,
    /// Keeps who asked to change what.
    pub audit: Audit,
    /// The numbers of `/metrics`.
    pub metrics: PrometheusHandle,
    /// Ends streams at shutdown.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts of {:?}", self.store)
    }
}

/// Every route of the server.
pub fn router(parts: Parts<'_>) -> Router {
    let tokens = parts.tokens;
    let ingest = ingest::IngestState::new(
        parts.log.clone(),
        parts.processor.clone(),
        tokens.clone(),
        Arc::new(clock::now),
        parts.config.http.max_requests,
        parts.shutdown.clone(),
    )
    .with_timeout(parts.config.http.request_timeout)
    .with_backlog(Backlog::new(parts.committed.clone(), parts.log_stream.clone(), parts.config.log.max_lag));
    let gate = Gate::new(&parts.definer.wanted().borrow().definitions);
    let state = Arc::new(ApiState {
        store: parts.store,
        messages: parts.messages,
        gate,
        wanted: parts.definer.wanted(),
        definer: parts.definer,
        progress: parts.progress,
        happened: parts.happened,
        rules: parts.rules,
        log: parts.log,
        processor: parts.processor,
        clock: Arc::new(clock::now),
        suggestions: parts.suggestions,
        links: parts.links,
        visitors: visitors::Visitors::default(),
        vendors: visitors::Visitors::default(),
        moments: consent::Moments::default(),
        committed: parts.committed,
        log_stream: parts.log_stream,
        tokens,
        snapshots: parts.snapshots,
        audit: parts.audit,
        metrics: parts.metrics,
        max_wait: parts.config.http.max_wait,
        previews: Arc::new(tokio::sync::Semaphore::new(1)),
        streams: Arc::new(tokio::sync::Semaphore::new(parts.config.http.max_streams)),
        shutdown: parts.shutdown,
    });
    let queries = Router::new()
        .route("/v1/profiles/{profile}", get(profiles::profile).delete(statements::delete_profile))
        .route("/v1/profiles/{profile}/messages", get(profiles::messages))
        .route("/v1/profiles/{profile}/events", get(profiles::events))
        .route("/v1/profiles/{profile}/consent", get(consent::consent).put(consent::put_consent))
        .route("/v1/profiles/{profile}/identity", get(identity::identity))
        .route("/v1/identity/why", get(identity::why))
        .route("/v1/identity/conflicts", get(identity::conflicts))
        .route("/v1/identity/suggestions", get(suggestions::suggestions))
        .route("/v1/identity/suggestions/refresh", post(suggestions::refresh))
        .route("/v1/identity/suggestions/accept", post(suggestions::accept))
        .route("/v1/identity/suggestions/refuse", post(suggestions::refuse))
        .route("/v1/identity/statements", get(statements::statements))
        .route("/v1/identity/link", post(statements::link))
        .route("/v1/identity/unlink", post(statements::unlink))
        .route("/v1/identity/retract", post(statements::retract))
        .route("/v1/identifiers/{identifier}", delete(statements::delete))
        .route("/v1/suppressions", get(suppressions::suppressions))
        .route("/v1/suppressions/{channel}/{address}", put(suppressions::suppress).delete(suppressions::unsuppress))
        .route("/v1/groups/{group}", get(groups::group))
        .route("/v1/groups/{group}/members", get(groups::members))
        .route("/v1/definitions", put(definition_changes::apply))
        .route("/v1/definitions/changes", get(definition_changes::changes))
        .route("/v1/traits", get(definitions::traits).post(definitions::create_trait))
        .route(
            "/v1/traits/{name}",
            get(definitions::one_trait).put(definitions::put_trait).delete(definitions::delete_trait),
        )
        .route("/v1/segments", get(segments::segments).post(definitions::create_segment))
        .route("/v1/segments/stream", get(segments::stream))
        .route("/v1/segments/preview", post(preview::preview))
        .route("/v1/segments/preview/stream", get(preview::stream))
        .route("/v1/segments/overlap", get(segment_details::overlap))
        .route(
            "/v1/segments/{id}",
            get(segments::segment).put(definitions::put_segment).delete(definitions::delete_segment),
        )
        .route("/v1/segments/{id}/history", get(segment_details::history))
        .route("/v1/profiles/{profile}/segments/{id}/explain", get(segment_details::explain))
        .route("/v1/segments/{id}/members", get(segments::members))
        .route("/v1/triggers/{id}/render", post(render::render))
        .route("/v1/rejected", get(operations::rejected))
        .route("/v1/dead_letters", get(dead_letters::list))
        .route("/v1/dead_letters/replay", post(dead_letters::replay))
        .route("/v1/audit", get(audit::audited))
        .route("/v1/snapshots", post(snapshots::take_snapshot))
        .route("/v1/snapshots/{id}", delete(snapshots::delete_snapshot))
        .route("/healthz", get(operations::health))
        .route("/readyz", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .route("/openapi.json", get(operations::description))
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .route_layer(from_fn_with_state(state.clone(), audit::audit))
        .with_state(state.clone());
    // By people and programs without a token; their addresses hold secrets, which no audit log should have.
    let visits = Router::new()
        .route("/unsubscribe/{token}", get(preferences::unsubscribe_page).post(preferences::unsubscribe))
        .route("/preferences/{token}", get(preferences::preferences_page).post(preferences::set_preferences))
        .route("/v1/feedback/{destination}", post(feedback::feedback))
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .with_state(state);
    ingest::routes(ingest)
        .merge(queries)
        .merge(visits)
        .fallback(|| async {
            ApiError::not_found("no_such_route", "there is nothing here; GET /openapi.json lists the API")
        })
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(relocate))
        .layer(from_fn(measure))
}

/// Counts and times each request by its route.
async fn measure(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = known(request.method());
    let response = next.run(request).await;
    telemetry::request(&route, method, response.status().as_u16(), started.elapsed());
    response
}

/// A method as metrics have it. HTTP lets clients make up others, and a metric keeps each for ever.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Tells where a profile is that has become part of another: the same address with the other's id.
async fn relocate(request: Request, next: Next) -> Response {
    let asked = request.uri().clone();
    let mut response = next.run(request).await;
    if let Some(Moved(to)) = response.extensions_mut().remove::<Moved>() {
        let mut segments = asked.path().split('/').map(str::to_owned).collect::<Vec<_>>();
        // /v1/profiles/{profile}/…
        segments.get_mut(3).into_iter().for_each(|profile| *profile = to.to_string());
        let query = asked.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(location) = HeaderValue::from_str(&format!("{}{query}", segments.join("/"))) {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    response
}
