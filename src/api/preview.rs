//! `POST /v1/segments/preview`: whom a condition would hold for, before it is a segment.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::Query;
use super::limits::read_body;
use super::state::{ApiState, Freshness};
use crate::engine::preview::live::{Live, Move};
use crate::engine::preview::{Condition, Effort, PreviewError};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::Stream;
use tributary_connectors::process::object;

/// The longest condition, as in a definitions file.
const CONDITION_BYTES: usize = 64 * 1024;
/// How long a condition may take to arrive, and then to be counted.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(30);
/// Who comes and goes is looked at ten times a second at most, and some of it waits for a reader.
const BETWEEN_MOVES: Duration = Duration::from_millis(100);
const MOVES_WAITING: usize = 256;
/// How long a stream sleeps at most: clocks may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

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
    let turn = turn(&state).await?;
    let answer = state.read(move |state, view| {
        let _turn = turn;
        let started = Instant::now();
        let condition = Condition::new(&request.r#where, &state.definitions(), &state.plan()).map_err(refused)?;
        let preview = condition.count(view, &state.processor, effort(started)).map_err(refused)?;
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

/// Which condition.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Watched {
    /// SQL, as under `where` of a segment.
    r#where: String,
}

/// Watches a condition that is no segment: `event: count` says for how many customers it holds, then `event: enter` and `event:
/// exit` who comes and goes, as it happens. A second `count` begins anew, where more happened than could be followed.
#[utoipa::path(get, path = "/v1/segments/preview/stream", operation_id = "preview_stream", tag = "segments", params(Watched),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream"),
        (status = 400, description = "No condition", body = ErrorAnswer),
        (status = 429, description = "Other previews are being counted, or too many streams are open", body = ErrorAnswer),
        (status = 503, description = "It takes longer than 30 seconds", body = ErrorAnswer)))]
pub async fn stream(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(watched): Query<Watched>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let room = state.room_for_a_stream()?;
    let mut live = watch(&state, watched.r#where.clone()).await?;
    let (send, receive) = tokio::sync::mpsc::channel(MOVES_WAITING);
    tokio::spawn(async move {
        let _room = room;
        let mut committed = state.committed.clone();
        if send.send(Ok(counted(&live))).await.is_err() {
            return;
        }
        loop {
            let until_wake = live.next_wake().map(|at| at.saturating_sub((state.clock)()).max(0));
            let sleep = Duration::from_millis(until_wake.map_or(u64::MAX / 2, |ms| u64::try_from(ms).unwrap_or(0)));
            tokio::select! {
                changed = committed.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
                () = state.shutdown.cancelled() => break,
                () = send.closed() => break,
            }
            let (store, now) = (state.store.clone(), (state.clock)());
            let went_on = tokio::task::spawn_blocking(move || {
                let moves = live.go_on(&store, now);
                (live, moves)
            });
            let Ok((went_on, Ok(moves))) = went_on.await else { break };
            live = went_on;
            let events: Vec<Event> = match moves {
                Some(moves) => moves.iter().map(|moved| told(moved, &live)).collect(),
                None => match watch(&state, watched.r#where.clone()).await {
                    Ok(anew) => {
                        live = anew;
                        vec![counted(&live)]
                    }
                    Err(_) => break,
                },
            };
            for event in events {
                if send.send(Ok(event)).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(BETWEEN_MOVES).await;
        }
    });
    let events = tokio_stream::wrappers::ReceiverStream::new(receive);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Looks at all customers, with whom the stream begins.
async fn watch(state: &Arc<ApiState>, condition: String) -> Result<Live, ApiError> {
    let turn = turn(state).await?;
    // Whatever the view does not have comes after it.
    let epochs = state.happened.subscribe();
    let live = state.read(move |state, view| {
        let _turn = turn;
        let condition = Condition::new(&condition, &state.definitions(), &state.plan()).map_err(refused)?;
        Live::new(condition, epochs, view, &state.processor, effort(Instant::now())).map_err(refused)
    });
    live.await
}

/// Waits until no other preview is being counted.
async fn turn(state: &ApiState) -> Result<OwnedSemaphorePermit, ApiError> {
    match tokio::time::timeout(PATIENCE, state.previews.clone().acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(ApiError::too_many("too_many_previews", "other previews are being counted; ask again later")),
    }
}

fn effort(started: Instant) -> Effort {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    Effort { threads, until: started + LONGEST }
}

fn counted(live: &Live) -> Event {
    let data = json!({ "count": live.count(), "epoch": live.epoch() });
    Event::default().event("count").data(data.to_string())
}

fn told(moved: &Move, live: &Live) -> Event {
    let data = json!({ "profile": moved.profile.to_string(), "count": live.count(), "epoch": live.epoch() });
    Event::default().event(if moved.enters { "enter" } else { "exit" }).data(data.to_string())
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
