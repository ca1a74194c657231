//! Addresses that get nothing: `GET /v1/suppressions`, and putting one on the list or taking it off.

use super::auth::{Role, require};
use super::consent::{listed, people};
use super::error::{ApiError, ErrorAnswer};
use super::extract::{Path, Query};
use super::ingest::{Accepted, append};
use super::page;
use super::state::{ApiState, Freshness};
use super::statements::{Why, text};
use crate::activation::links::namespace;
use crate::activation::news::reachability;
use crate::activation::own_events::{Call, OwnEvent};
use crate::activation::{contact::Consent, gate::normalised};
use crate::store::View;
use crate::store::suppressions::Suppression;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tributary_connectors::process::{Statement, StatementKind};
use tributary_dataflows::profile::merged_traits;
use tributary_model::{Channel, Identifier, UNREACHABLE_PREFIX, format_millis, limits};

/// Entries of a page where nobody says how many, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;
/// How long the log may take to take a word.
const PATIENCE: Duration = Duration::from_secs(10);

type Shared = State<Arc<ApiState>>;

/// Which addresses.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// `email`, `sms` or `push`.
    channel: String,
    /// At most so many; 100 if not given, at most 1,000.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Addresses of a channel that get nothing, in their order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SuppressionsAnswer {
    suppressions: Vec<SuppressionAnswer>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct SuppressionAnswer {
    address: String,
    /// Since when.
    at: String,
    by: Option<String>,
    reason: Option<String>,
}

/// Lists addresses that get nothing, whatever a message is for.
#[utoipa::path(get, path = "/v1/suppressions", tag = "consent", params(Which, Freshness),
    responses((status = 200, body = SuppressionsAnswer),
        (status = 400, description = "A channel that reaches no customers", body = ErrorAnswer),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn suppressions(
    State(state): Shared,
    headers: HeaderMap,
    Query(which): Query<Which>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<SuppressionsAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let channel = channel_of(&which.channel)?;
    state.fresh(&freshness).await?;
    let limit = which.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let answer = state.read(move |_, view| {
        let mut found = view.suppressions(channel.name(), which.cursor.as_deref(), limit + 1)?;
        let next = page::cut(&mut found, limit, |(address, _)| address.clone());
        let entry = |(address, Suppression { made, by, reason, .. }): (String, Suppression)| SuppressionAnswer {
            address,
            at: format_millis(made.0),
            by,
            reason,
        };
        Ok(SuppressionsAnswer { suppressions: found.into_iter().map(entry).collect(), next })
    });
    answer.await.map(Json)
}

/// Nothing goes to the address any more. Doing it again does no harm.
#[utoipa::path(put, path = "/v1/suppressions/{channel}/{address}", tag = "consent",
    params(("channel" = String, Path, description = "`email`, `sms` or `push`"),
        ("address" = String, Path, description = "An e-mail address, a phone number, a device's token"), Why),
    responses((status = 200, body = Accepted),
        (status = 400, description = "A channel that reaches no customers, or no address", body = ErrorAnswer),
        (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn suppress(
    State(state): Shared,
    headers: HeaderMap,
    Path(address): Path<(String, String)>,
    Query(why): Query<Why>,
) -> Result<Json<Accepted>, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    let (_, _, statement) = statement(StatementKind::Suppress, &address, why)?;
    let records = vec![statement.record((state.clock)())];
    let position = append(&*state.log, records, "statements", PATIENCE).await?;
    Ok(Json(Accepted::at(&position)))
}

/// Messages may go to the address again, as far as its customer has agreed to them. Whoever was held to be out of reach
/// for it no longer is.
#[utoipa::path(delete, path = "/v1/suppressions/{channel}/{address}", tag = "consent",
    params(("channel" = String, Path, description = "`email`, `sms` or `push`"),
        ("address" = String, Path, description = "An e-mail address, a phone number, a device's token"), Why),
    responses((status = 200, body = Accepted),
        (status = 400, description = "A channel that reaches no customers, or no address", body = ErrorAnswer),
        (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn unsuppress(
    State(state): Shared,
    headers: HeaderMap,
    Path(address): Path<(String, String)>,
    Query(why): Query<Why>,
) -> Result<Json<Accepted>, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    let (channel, address, statement) = statement(StatementKind::Unsuppress, &address, why)?;
    let now = (state.clock)();
    let mut records = vec![statement.record(now)];
    let out_of_reach = state.read(move |state, view| out_of_reach(state, view, channel, &address)).await?;
    records.extend(out_of_reach.map(|identifier| {
        let call = Call::Identify { traits: reachability(channel, Value::Null) };
        let message_id = format!("reached-{:032x}", rand::random::<u128>());
        OwnEvent { identifier: &identifier, message_id, at: now, call, consent: Consent::default() }.record(now)
    }));
    let position = append(&*state.log, records, "statements", PATIENCE).await?;
    Ok(Json(Accepted::at(&position)))
}

fn channel_of(name: &str) -> Result<Channel, ApiError> {
    let channel = Channel::from_name(name).filter(|channel| channel.reaches_people());
    channel.ok_or_else(|| {
        let known = listed(people().map(Channel::name));
        ApiError::bad_request("unknown_channel", format!("`{name}` reaches no customers; {known}"))
    })
}

/// What is said of an address.
fn statement(
    kind: StatementKind,
    (channel, address): &(String, String),
    why: Why,
) -> Result<(Channel, String, Statement), ApiError> {
    let channel = channel_of(channel)?;
    let address = normalised(channel, address);
    if address.is_empty() || address.len() > limits::ADDRESS_BYTES {
        let most = limits::ADDRESS_BYTES;
        return Err(ApiError::bad_request("invalid_address", format!("an address has from 1 to {most} bytes")));
    }
    if address.contains(char::is_control) {
        return Err(ApiError::bad_request("invalid_address", "an address has no control characters"));
    }
    let (by, reason) = (text("by", why.by)?, text("reason", why.reason)?);
    let statement = Statement::of_address(kind, channel, &address, by, reason);
    Ok((channel, address, statement))
}

/// The identifier that an address is, if somebody has it.
pub(super) fn identifier_of_address(
    state: &ApiState,
    view: &View<'_>,
    channel: Channel,
    address: &str,
) -> Result<Option<Identifier>, ApiError> {
    let identifier = namespace(channel).map(|namespace| state.processor.identifier(&format!("{namespace}:{address}")));
    let Some(Ok(identifier)) = identifier else { return Ok(None) };
    Ok(view.owner(identifier.id())?.map(|_| identifier))
}

/// The identifier that an address is, if its customer is held to be out of reach for it.
fn out_of_reach(
    state: &ApiState,
    view: &View<'_>,
    channel: Channel,
    address: &str,
) -> Result<Option<Identifier>, ApiError> {
    let Some(identifier) = identifier_of_address(state, view, channel, address)? else { return Ok(None) };
    let Some(owner) = view.owner(identifier.id())? else { return Ok(None) };
    let facts: Vec<_> = view.facts(&view.identifiers(owner)?)?.into_iter().flatten().collect();
    let traits = merged_traits(&facts);
    let held = traits.get(&format!("{UNREACHABLE_PREFIX}{}", channel.name())).and_then(Value::as_str);
    Ok((held == Some(address)).then_some(identifier))
}
