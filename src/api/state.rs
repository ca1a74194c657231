//! What every query handler has at hand.

use super::audit::Audit;
use super::auth::Tokens;
use super::consent::Moments;
use super::error::ApiError;
use super::visitors::Visitors;
use crate::activation::{Gate, Links, Messages};
use crate::backup::Snapshots;
use crate::definitions::{Definer, Wanted};
use crate::engine::preview::live::Happened;
use crate::engine::suggestions::Suggestions;
use crate::engine::{Clock, Committed, Progress};
use crate::store::{Store, StoreError, View};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tributary_connectors::log::Log;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_model::{Definitions, Position};

/// Shared by all query handlers.
pub struct ApiState {
    /// The state that answers are read from.
    pub store: Arc<Store>,
    /// Where definitions are changed.
    pub definer: Arc<Definer>,
    /// Definitions as they are to be.
    pub wanted: watch::Receiver<Arc<Wanted>>,
    /// How far the engine is with them.
    pub progress: watch::Receiver<Option<Progress>>,
    /// Where committed epochs are watched.
    pub happened: broadcast::Sender<Happened>,
    /// What triggers send.
    pub messages: Arc<Messages>,
    /// What of that is let out.
    pub gate: Gate,
    /// Identity rules.
    pub rules: Arc<Rules>,
    /// Where statements are made durable; how much waits there is a number of `/metrics`.
    pub log: Arc<dyn Log>,
    /// Makes identifiers equal.
    pub processor: Arc<Processor>,
    /// Reads the links in messages, where there are any.
    pub links: Option<Arc<Links>>,
    /// Bounds of who comes without a token.
    pub visitors: Visitors,
    /// The same for vendors: anybody may begin a call to them, which takes no customer's place.
    pub vendors: Visitors,
    /// When customers say what they want.
    pub moments: Moments,
    /// What time it is.
    pub clock: Clock,
    /// Customers who may be one person, where definitions ask for it.
    pub suggestions: Option<Arc<Suggestions>>,
    /// The last committed epoch.
    pub committed: watch::Receiver<Committed>,
    /// The name of the log that positions are about.
    pub log_stream: String,
    /// Who may ask.
    pub tokens: Arc<Tokens>,
    /// Keeps who asked to change what.
    pub audit: Audit,
    /// Takes snapshots for backups.
    pub snapshots: Arc<Snapshots>,
    /// The numbers of `/metrics`.
    pub metrics: PrometheusHandle,
    /// The longest that `timeout_ms=` may ask to wait.
    pub max_wait: Duration,
    /// Room for previews: one at a time takes all threads.
    pub previews: Arc<tokio::sync::Semaphore>,
    /// Room for open streams.
    pub streams: Arc<tokio::sync::Semaphore>,
    /// Ends streams at shutdown.
    pub shutdown: tokio_util::sync::CancellationToken,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiState of {:?}", self.store)
    }
}

/// How fresh an answer must be.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Freshness {
    /// Answer only once everything up to this log position (from an ingestion answer) is committed.
    pub min_position: Option<String>,
    /// How long to wait for that, in milliseconds; the server's `max_wait` (5,000) if not given, and at most that.
    pub timeout_ms: Option<u64>,
}

impl ApiState {
    /// The definitions by which all customers are told of.
    pub fn plan(&self) -> Arc<Plan> {
        self.committed.borrow().plan.clone()
    }

    /// Definitions as they are to be.
    pub fn wanted(&self) -> Arc<Wanted> {
        self.wanted.borrow().clone()
    }

    /// Definitions as written.
    pub fn definitions(&self) -> Arc<Definitions> {
        self.wanted.borrow().definitions.clone()
    }

    /// Whether there is a destination.
    ///
    /// # Errors
    /// 404 that tells which there are.
    pub fn destination(&self, id: &str) -> Result<(), ApiError> {
        let definitions = self.definitions();
        if definitions.destinations.contains_key(id) {
            return Ok(());
        }
        let known: Vec<&str> = definitions.destinations.keys().map(String::as_str).collect();
        let message = format!("there is no destination `{id}`; there are: {}", known.join(", "));
        Err(ApiError::not_found("no_such_destination", message))
    }

    /// Room for one more open stream, for as long as this is held.
    ///
    /// # Errors
    /// 429 if as many are open as may be.
    pub fn room_for_a_stream(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let room = self.streams.clone().try_acquire_owned();
        room.map_err(|_| ApiError::too_many("too_many_streams", "too many streams are open; try again later"))
    }

    /// Waits until the commit covers what the caller asks for, and gives where the state then stands.
    ///
    /// # Errors
    /// 400 if the position is none; 503 if it is not committed in time.
    pub async fn fresh(&self, freshness: &Freshness) -> Result<Committed, ApiError> {
        let mut committed = self.committed.clone();
        let Some(text) = &freshness.min_position else { return Ok(committed.borrow().clone()) };
        let position: Position =
            text.parse().map_err(|error| ApiError::bad_request("invalid_position", format!("{error}")))?;
        let wait = freshness.timeout_ms.map_or(self.max_wait, Duration::from_millis).min(self.max_wait);
        let covered = committed.wait_for(|committed| committed.covers(&self.log_stream, &position));
        match tokio::time::timeout(wait, covered).await {
            Ok(Ok(committed)) => Ok(committed.clone()),
            Ok(Err(_)) | Err(_) => Err(ApiError::unavailable(
                "position_not_committed",
                format!(
                    "position {text} is not committed within {} ms; ask again, or wait longer with timeout_ms",
                    wait.as_millis()
                ),
            )),
        }
    }

    /// Reads from a view of the state, off the async threads.
    ///
    /// # Errors
    /// 500 if the state cannot be read; whatever `read` answers.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self, &View<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let state = self.clone();
        let done = tokio::task::spawn_blocking(move || read(&state, &state.store.view())).await;
        done.map_err(|error| ApiError::internal(format!("the query ended early: {error}")))?
    }

    /// What a snapshot says of itself: its epoch and log position.
    ///
    /// # Errors
    /// 500 if the state cannot be read.
    pub fn as_of(&self, view: &View<'_>) -> Result<(u64, String), ApiError> {
        let meta = view.meta()?.unwrap_or_default();
        let position = meta.positions.get(&self.log_stream).map(ToString::to_string).unwrap_or_default();
        Ok((meta.epoch, position))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}
