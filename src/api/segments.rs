//! Segments: how many, who, and live.

use super::auth::{Role, require};
use super::definitions::Standing;
use super::error::ApiError;
use super::extract::{Path, Query};
use super::page;
use super::state::{ApiState, Freshness};
use crate::definitions::Wanted;
use crate::engine::{Committed, Progress};
use crate::store::definitions::Kind;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::Stream;
use tributary_model::{ProfileId, Segment, format_millis};

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 10_000;
/// Counts are sent at most ten times a second.
const BETWEEN_COUNTS: Duration = Duration::from_millis(100);

/// One segment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SegmentAnswer {
    id: String,
    name: String,
    /// The condition, in SQL.
    r#where: String,
    /// Members there are.
    count: i64,
    #[serde(flatten)]
    standing: Standing,
}

/// All segments as of one epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SegmentsAnswer {
    segments: Vec<SegmentAnswer>,
    epoch: u64,
    position: String,
}

/// One segment as of one epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OneSegmentAnswer {
    #[serde(flatten)]
    segment: SegmentAnswer,
    epoch: u64,
    position: String,
}

pub(super) fn described(
    (id, segment): (&str, &Segment),
    wanted: &Wanted,
    committed: &Committed,
    progress: Option<&Progress>,
) -> SegmentAnswer {
    SegmentAnswer {
        id: id.to_owned(),
        name: segment.name.clone(),
        r#where: segment.condition.clone(),
        count: committed.counts.get(id).copied().unwrap_or(0),
        standing: Standing::of(&(Kind::Segment, id.to_owned()), wanted, committed, progress),
    }
}

/// All segments with their counts.
#[utoipa::path(get, path = "/v1/segments", tag = "segments", params(Freshness),
    responses((status = 200, body = SegmentsAnswer)))]
pub async fn segments(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(freshness): Query<Freshness>,
) -> Result<Json<SegmentsAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let committed = state.fresh(&freshness).await?;
    let (wanted, progress) = (state.wanted(), *state.progress.borrow());
    let segments = wanted.definitions.segments.iter();
    let described = segments.map(|(id, segment)| described((id, segment), &wanted, &committed, progress.as_ref()));
    let position = committed.positions.get(&state.log_stream).map(ToString::to_string).unwrap_or_default();
    Ok(Json(SegmentsAnswer { segments: described.collect(), epoch: committed.epoch, position }))
}

/// One segment with its count.
#[utoipa::path(get, path = "/v1/segments/{id}", tag = "segments",
    params(("id" = String, Path, description = "The segment's id"), Freshness),
    responses((status = 200, body = OneSegmentAnswer), (status = 404, description = "No such segment")))]
pub async fn segment(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<OneSegmentAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let committed = state.fresh(&freshness).await?;
    let (wanted, progress) = (state.wanted(), *state.progress.borrow());
    let segment = wanted.definitions.segments.get(&id).ok_or_else(|| no_segment(&id))?;
    let position = committed.positions.get(&state.log_stream).map(ToString::to_string).unwrap_or_default();
    let segment = described((&id, segment), &wanted, &committed, progress.as_ref());
    Ok(Json(OneSegmentAnswer { segment, epoch: committed.epoch, position }))
}

pub(super) fn no_segment(id: &str) -> ApiError {
    ApiError::not_found("segment_not_found", format!("there is no segment `{id}`; GET /v1/segments lists them"))
}

/// Which members.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// At most so many; 100 if not given, at most 10,000.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

impl Page {
    /// How many, and after whom.
    pub(super) fn read<T: FromStr>(self) -> Result<(usize, Option<T>), ApiError> {
        let after = self.cursor.map(|cursor| cursor.parse()).transpose();
        let after = after.map_err(|_| ApiError::bad_request("invalid_cursor", "give the `next` of the page before"))?;
        Ok((self.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE), after))
    }
}

/// A page of members.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MembersAnswer {
    /// Profile ids, in order.
    pub(super) members: Vec<String>,
    /// The cursor of the next page; null on the last one.
    pub(super) next: Option<String>,
    /// The epoch that this page is as of.
    pub(super) epoch: u64,
}

/// The members of a segment, in the order of their ids.
#[utoipa::path(get, path = "/v1/segments/{id}/members", tag = "segments",
    params(("id" = String, Path, description = "The segment's id"), Page, Freshness),
    responses((status = 200, body = MembersAnswer), (status = 404, description = "No such segment")))]
pub async fn members(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(page): Query<Page>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<MembersAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    if !state.definitions().segments.contains_key(&id) {
        return Err(no_segment(&id));
    }
    let (limit, after) = page.read::<ProfileId>()?;
    let answer = state.read(move |state, view| {
        let mut members = view.members(&id, after, limit + 1)?;
        let next = page::cut(&mut members, limit, |(profile, _)| profile.to_string());
        let members = members.into_iter().map(|(profile, _)| profile.to_string()).collect();
        Ok(MembersAnswer { members, next, epoch: state.as_of(view)?.0 })
    });
    answer.await.map(Json)
}

/// Counts as they change: `event: counts`, at most ten a second; the first at once.
#[utoipa::path(get, path = "/v1/segments/stream", tag = "segments",
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream")))]
pub async fn stream(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let room = state.room_for_a_stream()?;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let _room = room;
        let mut committed = state.committed.clone();
        committed.mark_changed();
        let mut last = None;
        loop {
            let changed = tokio::select! {
                changed = committed.changed() => changed.is_ok(),
                () = state.shutdown.cancelled() => false,
                () = send.closed() => false,
            };
            if !changed {
                break;
            }
            let event = {
                let now = committed.borrow_and_update();
                let shown = (now.counts.clone(), now.profiles);
                let is_new = last.as_ref() != Some(&shown);
                let definitions = state.definitions();
                let counts = definitions.segments.keys();
                let counts: serde_json::Map<_, _> =
                    counts.map(|id| (id.clone(), json!(now.counts.get(id).copied().unwrap_or(0)))).collect();
                let data = json!({ "epoch": now.epoch, "counts": counts, "profiles": now.profiles,
                    "as_of": format_millis(now.clock) });
                last = Some(shown);
                is_new.then(|| Event::default().event("counts").data(data.to_string()))
            };
            if let Some(event) = event {
                if send.send(Ok(event)).await.is_err() {
                    break;
                }
                tokio::time::sleep(BETWEEN_COUNTS).await;
            }
        }
    });
    let events = tokio_stream::wrappers::ReceiverStream::new(receive);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
