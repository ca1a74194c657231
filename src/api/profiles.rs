//! One customer: `GET /v1/profiles/{namespace}:{value}` and what hangs on it.

use super::auth::{Role, require};
use super::error::ApiError;
use super::extract::{Path, Query};
use super::page;
use super::state::{ApiState, Freshness};
use crate::engine::Profile;
use crate::store::View;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use tributary_model::{IdentifierId, ProfileId, format_millis};

/// The most events, or messages, in one answer.
const LARGEST_PAGE: usize = 1_000;
const PAGE: usize = 100;

/// A customer as of one epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProfileAnswer {
    /// The profile's id: that of its best identifier.
    id: String,
    /// Every identifier that is this customer, best first.
    identifiers: Vec<IdentifierAnswer>,
    /// Latest traits.
    #[schema(value_type = Object)]
    traits: Map<String, Value>,
    /// Computed traits.
    #[schema(value_type = Object)]
    computed: Map<String, Value>,
    /// Those of them that are estimates: they count more different values than are kept (512 for each identifier).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    estimates: Vec<String>,
    /// The groups that the customer belongs to; the first is the account, which `group.…` means in expressions.
    groups: Vec<GroupAnswer>,
    /// The segments that the customer is in.
    segments: Vec<MembershipAnswer>,
    /// The epoch that this is as of.
    epoch: u64,
    /// What that epoch covers of the log.
    position: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct IdentifierAnswer {
    namespace: String,
    value: String,
    first_seen: String,
    last_seen: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct GroupAnswer {
    id: String,
    first_seen: String,
    last_seen: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MembershipAnswer {
    id: String,
    since: String,
}

/// Reads a profile by any of its identifiers, or by its id.
#[utoipa::path(get, path = "/v1/profiles/{profile}", tag = "profiles",
    params(("profile" = String, Path, description = "`namespace:value` of any identifier, or a profile id"), Freshness),
    responses((status = 200, body = ProfileAnswer), (status = 307, description = "Part of another profile by now"),
        (status = 404, description = "Nobody has this identifier"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn profile(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(key): Path<String>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<ProfileAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let answer = state.read(move |state, view| {
        let id = find(state, view, &key)?;
        let plan = state.plan();
        let profile = Profile::read(view, id, &plan, &state.rules)?;
        let identifiers = profile.identifiers.iter().map(|facts| IdentifierAnswer {
            namespace: facts.identifier.namespace.clone(),
            value: facts.identifier.value.clone(),
            first_seen: format_millis(facts.first_seen),
            last_seen: format_millis(facts.last_seen),
        });
        let estimates = plan.estimates(&profile.features).into_iter().map(str::to_owned).collect();
        let segments = view.memberships(id)?.into_iter();
        let groups = profile.groups.into_iter().map(|group| GroupAnswer {
            id: group.id,
            first_seen: format_millis(group.first_seen),
            last_seen: format_millis(group.last_seen),
        });
        let (epoch, position) = state.as_of(view)?;
        Ok(ProfileAnswer {
            id: id.to_string(),
            identifiers: identifiers.collect(),
            traits: profile.traits,
            computed: profile.computed,
            estimates,
            groups: groups.collect(),
            segments: segments.map(|(id, since)| MembershipAnswer { id, since: format_millis(since) }).collect(),
            epoch,
            position,
        })
    });
    answer.await.map(Json)
}

/// The profile of a key as callers write it. Where it is the id of one that is now part of another, the error says so.
pub(super) fn find(state: &ApiState, view: &View<'_>, key: &str) -> Result<ProfileId, ApiError> {
    let identifier = identifier_of(state, key)?;
    let owner = view.owner(identifier)?;
    let owner = owner.ok_or_else(|| ApiError::not_found("profile_not_found", "no customer has this identifier"))?;
    let is_id = !key.contains(':');
    if is_id && owner != ProfileId::from(identifier) { Err(ApiError::moved(owner)) } else { Ok(owner) }
}

/// The identifier of a key as callers write it, whether somebody has it or not.
pub(super) fn identifier_of(state: &ApiState, key: &str) -> Result<IdentifierId, ApiError> {
    let Some((namespace, value)) = key.split_once(':') else {
        return key.parse().map_err(|_| {
            ApiError::bad_request(
                "invalid_profile",
                "write a profile as namespace:value, or as its id of 32 hex digits",
            )
        });
    };
    let definitions = state.definitions();
    let rules = definitions.identity.namespaces.get(namespace);
    let value = rules.map_or_else(|| Some(value.to_owned()), |rules| rules.normalise.apply(value));
    let nobody = || ApiError::not_found("profile_not_found", "no customer has this identifier");
    Ok(IdentifierId::of(namespace, &value.ok_or_else(nobody)?))
}

/// How many of the latest.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Latest {
    /// At most so many; 100 if not given, at most 1,000.
    limit: Option<usize>,
}

/// Which messages.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// At most so many; 100 if not given, at most 1,000.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// What was sent to a customer, or held back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MessagesAnswer {
    messages: Vec<MessageAnswer>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MessageAnswer {
    id: String,
    trigger: String,
    destination: String,
    /// `pending`, `retrying`, `postponed` (the destination takes no more for now), `waiting` (for its time), `delivered`,
    /// `maybe_sent` (nobody has said so, and it is not sent again), `held` (back, for `reason`), `dead`, or `unreachable` (and
    /// so is its address).
    status: String,
    /// Why: what a destination answered; or `no_address`, `suppressed`, `no_consent`, `unsubscribed`, `holdout`, `cooldown`,
    /// `frequency_cap`, `quiet_hours`, `void`.
    reason: Option<String>,
    at: String,
    /// Until when it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// The messages of a profile, latest first.
#[utoipa::path(get, path = "/v1/profiles/{profile}/messages", tag = "profiles",
    params(("profile" = String, Path, description = "`namespace:value` of any identifier, or a profile id"), Page, Freshness),
    responses((status = 200, body = MessagesAnswer), (status = 404, description = "Nobody has this identifier"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn messages(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(key): Path<String>,
    Query(page): Query<Page>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<MessagesAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let before = page.cursor.as_deref().map(|cursor| {
        let parts = cursor.split_once('-').and_then(|(at, number)| at.parse().ok().zip(number.parse().ok()));
        parts.ok_or_else(|| ApiError::bad_request("invalid_cursor", "give the `next` of the page before"))
    });
    let before = before.transpose()?;
    let answer = state.read(move |state, view| {
        let id = find(state, view, &key)?;
        // Messages go with the identifiers that set them off, through merges and their undoing.
        let mut notes = Vec::new();
        for identifier in view.identifiers(id)? {
            notes.extend(view.notes(identifier, before, limit + 1)?);
        }
        notes.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        let next = page::cut(&mut notes, limit, |((at, number), _)| format!("{at}-{number}"));
        let messages = notes.into_iter().map(|(_, note)| MessageAnswer {
            id: note.id,
            trigger: note.trigger,
            destination: note.destination,
            status: note.status,
            reason: note.reason,
            at: format_millis(note.at),
            until: note.until.map(format_millis),
        });
        Ok(MessagesAnswer { messages: messages.collect(), next })
    });
    answer.await.map(Json)
}

/// What a customer did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventsAnswer {
    events: Vec<EventAnswer>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EventAnswer {
    timestamp: String,
    /// The event as it was sent.
    #[schema(value_type = Object)]
    event: Value,
}

/// The events of a profile that are still kept, latest first.
#[utoipa::path(get, path = "/v1/profiles/{profile}/events", tag = "profiles",
    params(("profile" = String, Path, description = "`namespace:value` of any identifier, or a profile id"), Latest, Freshness),
    responses((status = 200, body = EventsAnswer), (status = 404, description = "Nobody has this identifier"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn events(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(key): Path<String>,
    Query(latest): Query<Latest>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<EventsAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let limit = latest.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let answer = state.read(move |state, view| {
        let id = find(state, view, &key)?;
        let events = view.events(&view.identifiers(id)?, limit)?;
        let events = events.into_iter().map(|event| EventAnswer {
            timestamp: format_millis(event.at),
            event: serde_json::from_slice(&event.body).unwrap_or(Value::Null),
        });
        Ok(EventsAnswer { events: events.collect() })
    });
    answer.await.map(Json)
}
