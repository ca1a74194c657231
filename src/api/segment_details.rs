//! One segment looked at closely: why a customer is in it, how it grew, and what it shares with others.

use super::auth::{Role, require};
use super::error::ApiError;
use super::extract::{Path, Query};
use super::profiles::find;
use super::segments::no_segment;
use super::state::{ApiState, Freshness};
use crate::engine::Profile;
use crate::engine::tally::and_then;
use crate::store::View;
use crate::store::counts::Resolution;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::segments::Explained;
use tributary_model::{IdentifierId, Millis, format_millis};

/// Events that are looked at to say which count.
const EVENTS: usize = 1_000;
/// Events that are named of each aggregate.
const NAMED: usize = 10;
/// Rows of a history in one answer.
const MOST_ROWS: usize = 10_000;
/// Segments whose overlap is told.
const MOST_SEGMENTS: usize = 6;

/// Why a customer is in a segment, or is not.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ExplainAnswer {
    /// The profile's id.
    profile: String,
    segment: String,
    is_member: bool,
    /// Since when, if the customer is in it.
    since: Option<String>,
    /// When time alone may next change it, if nothing happens before.
    changes_at: Option<String>,
    /// The condition, part by part.
    explanation: PartAnswer,
    /// The events that count, of the customer's latest thousand.
    events: Vec<AggregateAnswer>,
    epoch: u64,
    position: String,
}

/// A part of an expression, and what it is for this customer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(no_recursion)]
struct PartAnswer {
    expression: String,
    /// Null where it is not known.
    value: Value,
    /// What a comparison with a number lacks, as `2 of 3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartAnswer>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct AggregateAnswer {
    /// The aggregate, as SQL.
    expression: String,
    /// How many events count.
    count: usize,
    /// The latest ten of them, as they were sent.
    #[schema(value_type = Vec<Object>)]
    latest: Vec<Value>,
}

impl From<Explained> for PartAnswer {
    fn from(part: Explained) -> Self {
        Self {
            expression: part.expression,
            value: part.value.to_json(),
            missing: part.missing.map(|(have, need)| format!("{have} of {need}")),
            parts: part.parts.into_iter().map(Self::from).collect(),
        }
    }
}

/// Explains why a customer is in a segment or not: each part of the condition with its value, what is missing, when time alone
/// changes it, and which events count.
#[utoipa::path(get, path = "/v1/profiles/{profile}/segments/{id}/explain", tag = "segments",
    params(("profile" = String, Path, description = "`namespace:value` of any identifier, or a profile id"),
        ("id" = String, Path, description = "The segment's id"), Freshness),
    responses((status = 200, body = ExplainAnswer), (status = 404, description = "No such customer or segment"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn explain(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path((key, id)): Path<(String, String)>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<ExplainAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let answer = state.read(move |state, view| {
        let plan = state.plan();
        let program = &plan.program;
        let segment = program.segments.iter().position(|segment| segment.id == id).ok_or_else(|| no_segment(&id))?;
        let profile_id = find(state, view, &key)?;
        let profile = Profile::read(view, profile_id, &plan, &state.rules)?;
        let now = view.meta()?.unwrap_or_default().clock;
        let values = plan.values(&profile.features, now);
        let explained = program.explain(segment, &values).ok_or_else(|| no_segment(&id))?;
        let since = view.since(profile_id, &id)?;
        let (epoch, position) = state.as_of(view)?;
        Ok(ExplainAnswer {
            profile: profile_id.to_string(),
            is_member: since.is_some(),
            since: since.map(format_millis),
            changes_at: program.changes_at(segment, &values).map(format_millis),
            explanation: explained.into(),
            events: events(state, view, &plan, segment, &view.identifiers(profile_id)?, now)?,
            segment: id,
            epoch,
            position,
        })
    });
    answer.await.map(Json)
}

/// The events that count for each aggregate of a segment.
fn events(
    state: &ApiState,
    view: &View<'_>,
    plan: &Plan,
    segment: usize,
    identifiers: &[IdentifierId],
    now: Millis,
) -> Result<Vec<AggregateAnswer>, ApiError> {
    let happened = view.events(identifiers, EVENTS)?.into_iter().filter_map(|happened| {
        let event = state.processor.reread(&happened.body, happened.at, happened.message_id).ok()?;
        Some((happened, event))
    });
    let happened: Vec<_> = happened.collect();
    let mut answers = Vec::new();
    for aggregate in plan.program.aggregates_of(segment).iter().filter_map(|at| plan.program.aggregates.get(*at)) {
        let mut answer = AggregateAnswer { expression: aggregate.text.clone(), count: 0, latest: Vec::new() };
        for (happened, event) in &happened {
            let in_window = aggregate.window.as_ref().is_none_or(|window| window.holds(event.timestamp, now));
            if in_window && aggregate.observe(event).is_some() {
                answer.count += 1;
                if answer.latest.len() < NAMED {
                    answer.latest.push(serde_json::from_slice(&happened.body).unwrap_or_default());
                }
            }
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// Which span, and how fine.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// From when on, in milliseconds since 1970; a day before now if not given.
    from: Option<i64>,
    /// Until when; now if not given.
    to: Option<i64>,
    /// `minute` (kept for two days), `hour` (60 days) or `day` (400 days); by the span if not given.
    #[param(value_type = Option<String>)]
    resolution: Option<Resolution>,
}

/// How a segment grew and shrank.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct HistoryAnswer {
    segment: String,
    #[schema(value_type = String)]
    resolution: Resolution,
    /// Members before the first row; null where nothing is kept of that time.
    count_before: Option<i64>,
    /// Only where something changed, earliest first.
    history: Vec<HistoryRow>,
    epoch: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct HistoryRow {
    /// When it begins.
    at: String,
    /// Members at its end.
    count: i64,
    /// Customers who came; a merge is no coming.
    entered: u64,
    /// Customers who went.
    left: u64,
}

/// Tells how many members a segment had, and how many came and went.
#[utoipa::path(get, path = "/v1/segments/{id}/history", tag = "segments",
    params(("id" = String, Path, description = "The segment's id"), Span, Freshness),
    responses((status = 200, body = HistoryAnswer), (status = 404, description = "No such segment"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn history(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(span): Query<Span>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<HistoryAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    if !state.definitions().segments.contains_key(&id) {
        return Err(no_segment(&id));
    }
    let answer = state.read(move |_, view| {
        let meta = view.meta()?.unwrap_or_default();
        let to = span.to.unwrap_or(Millis::MAX);
        let day_ms = Resolution::Day.length_ms();
        let from = span.from.unwrap_or_else(|| to.min(meta.clock).saturating_sub(day_ms));
        let resolution = span.resolution.unwrap_or(match to.min(meta.clock).saturating_sub(from) {
            length_ms if length_ms <= 2 * day_ms => Resolution::Minute,
            length_ms if length_ms <= 60 * day_ms => Resolution::Hour,
            _ => Resolution::Day,
        });
        let from = resolution.begin(from);
        let mut rows = view.count_rows(&id, resolution, (from, to), MOST_ROWS)?;
        // The minute that is not over yet stands in no hour.
        if let Some((begin, row)) = meta.minutes.get(&id).filter(|_| resolution != Resolution::Minute) {
            let begin = resolution.begin(*begin);
            match rows.last_mut().filter(|(last, _)| *last == begin) {
                Some((_, last)) => *last = and_then(*last, *row),
                None if (from..to).contains(&begin) => rows.push((begin, *row)),
                None => {}
            }
        }
        let history = rows.into_iter().map(|(begin, row)| HistoryRow {
            at: format_millis(begin),
            count: row.count,
            entered: row.entered,
            left: row.left,
        });
        let history = history.collect();
        let count_before = view.count_before(&id, resolution, from)?;
        Ok(HistoryAnswer { segment: id, resolution, count_before, history, epoch: meta.epoch })
    });
    answer.await.map(Json)
}

/// Which segments.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Segments {
    /// From two to six ids, with commas between.
    ids: String,
}

/// What segments share.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OverlapAnswer {
    /// Members of each segment.
    counts: std::collections::BTreeMap<String, u64>,
    /// Customers by the exact set of these segments that they are in, the largest first.
    overlap: Vec<OverlapRow>,
    epoch: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct OverlapRow {
    /// In these of the segments, and in none of the others.
    segments: Vec<String>,
    count: u64,
}

/// Counts the customers that segments share, exactly.
#[utoipa::path(get, path = "/v1/segments/overlap", tag = "segments", params(Segments, Freshness),
    responses((status = 200, body = OverlapAnswer), (status = 400, description = "Not from two to six ids"),
        (status = 404, description = "No such segment"), (status = 503, description = "`min_position` is not committed in time")))]
pub async fn overlap(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(segments): Query<Segments>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<OverlapAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let mut ids: Vec<String> = segments.ids.split(',').map(|id| id.trim().to_owned()).collect();
    ids.sort();
    ids.dedup();
    if !(2..=MOST_SEGMENTS).contains(&ids.len()) {
        return Err(ApiError::bad_request("invalid_parameter", format!("ids: from two to {MOST_SEGMENTS} segments")));
    }
    if let Some(unknown) = ids.iter().find(|id| !state.definitions().segments.contains_key(*id)) {
        return Err(no_segment(unknown));
    }
    let answer = state.read(move |state, view| {
        let sets = view.overlap(&ids)?;
        let mut counts: std::collections::BTreeMap<String, u64> = ids.iter().map(|id| (id.clone(), 0)).collect();
        let mut overlap = Vec::new();
        for (set, count) in sets {
            let segments: Vec<String> =
                ids.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, id)| id.clone()).collect();
            for id in &segments {
                counts.entry(id.clone()).and_modify(|all| *all += count);
            }
            overlap.push(OverlapRow { segments, count });
        }
        overlap.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.segments.cmp(&b.segments)));
        Ok(OverlapAnswer { counts, overlap, epoch: state.as_of(view)?.0 })
    });
    answer.await.map(Json)
}
