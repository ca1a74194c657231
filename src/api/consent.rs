//! What a customer has agreed to: `GET` and `PUT /v1/profiles/{profile}/consent`.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::{Path, Query};
use super::ingest::{Accepted, append};
use super::limits::read_body;
use super::state::{ApiState, Freshness};
use super::statements::{STATEMENT_BYTES, identifier_of, text};
use crate::activation::contact::Consent;
use crate::activation::own_events::{Call, OwnEvent};
use crate::store::View;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tributary_connectors::process::object;
use tributary_dataflows::profile::merged_traits;
use tributary_model::{
    Channel, Identifier, IdentifierId, Millis, PURPOSE_PREFIX, ProfileId, Purpose, SUBSCRIPTION_PREFIX, Subscription,
    limits,
};

/// How long a request may take to arrive, and then the log to take it.
const PATIENCE: Duration = Duration::from_secs(10);
/// As Segment calls it.
const UPDATED: &str = "Consent Preference Updated";

type Shared = State<Arc<ApiState>>;

/// Moments of which no two are the same: of two words the later one counts, also within a millisecond.
#[derive(Debug, Default)]
pub struct Moments(Mutex<Millis>);

impl Moments {
    fn next(&self, now: Millis) -> Millis {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now.max(last.saturating_add(1));
        *last
    }
}

/// What a customer has agreed to, as of one epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ConsentAnswer {
    /// By the name that is used in definitions: all that are defined, and others that something was said of.
    purposes: BTreeMap<String, PurposeAnswer>,
    /// `subscribed`, `unsubscribed` or `did_not_subscribe`, by channel: `email`, `sms`, `push`.
    subscriptions: BTreeMap<String, String>,
    /// The epoch that this is as of.
    epoch: u64,
    /// What that epoch covers of the log.
    position: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PurposeAnswer {
    /// For people; null of one that is not defined.
    name: Option<String>,
    /// Whether messages for it may be sent.
    granted: bool,
    /// Whether the customer has said so; else it is the purpose's default.
    said: bool,
}

/// Reads what a customer has agreed to.
#[utoipa::path(get, path = "/v1/profiles/{profile}/consent", tag = "consent",
    params(("profile" = String, Path, description = "`namespace:value` of any identifier, or a profile id"), Freshness),
    responses((status = 200, body = ConsentAnswer), (status = 307, description = "Part of another profile by now"),
        (status = 404, description = "Nobody has this identifier"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn consent(
    State(state): Shared,
    headers: HeaderMap,
    Path(key): Path<String>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<ConsentAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let answer = state.read(move |state, view| {
        let said = consent_of(view, super::profiles::find(state, view, &key)?)?;
        let unsaid = |purpose: &Purpose| PurposeAnswer {
            name: Some(purpose.name.clone()),
            granted: purpose.is_granted_by_default,
            said: false,
        };
        let definitions = state.definitions();
        let defined = definitions.contact.purposes.iter();
        let mut purposes: BTreeMap<_, _> = defined.map(|(name, purpose)| (name.clone(), unsaid(purpose))).collect();
        for (name, agrees) in said.purposes {
            let purpose = purposes.entry(name).or_insert(PurposeAnswer { name: None, granted: agrees, said: true });
            (purpose.granted, purpose.said) = (agrees, true);
        }
        let subscription = |channel: Channel| {
            let wanted = said.subscriptions.get(&channel).copied().unwrap_or(Subscription::DidNotSubscribe);
            (channel.name().to_owned(), wanted.name().to_owned())
        };
        let subscriptions = people().map(subscription).collect();
        let (epoch, position) = state.as_of(view)?;
        Ok(ConsentAnswer { purposes, subscriptions, epoch, position })
    });
    answer.await.map(Json)
}

/// What a customer wants, as far as it is said.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentChange {
    /// Whether each purpose is agreed to, by the name that is used in definitions.
    #[serde(default)]
    purposes: BTreeMap<String, bool>,
    /// `subscribed`, `unsubscribed` or `did_not_subscribe`, by channel: `email`, `sms`, `push`.
    #[serde(default)]
    subscriptions: BTreeMap<String, String>,
    /// Who says so.
    by: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// Says what a customer wants. What is not named stays as it is. It counts from now on, whatever was said before; and
/// it brings in whoever is not known yet.
#[utoipa::path(put, path = "/v1/profiles/{profile}/consent", tag = "consent", request_body = ConsentChange,
    params(("profile" = String, Path, description = "`namespace:value` of the identifier that says it")),
    responses((status = 200, body = Accepted),
        (status = 400, description = "No identifier, or a purpose or channel that there is not", body = ErrorAnswer),
        (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn put_consent(
    State(state): Shared,
    headers: HeaderMap,
    Path(profile): Path<String>,
    body: Body,
) -> Result<Json<Accepted>, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    let identifier = identifier_of(&state, "profile", &profile)?;
    let body = read_body(&headers, body, STATEMENT_BYTES, PATIENCE).await?;
    let change: ConsentChange = object(&body)?;
    let said = [("by", text("by", change.by)?), ("reason", text("reason", change.reason)?)];
    let definitions = state.definitions();
    let purposes = &definitions.contact.purposes;
    if let Some(unknown) = change.purposes.keys().find(|name| !purposes.contains_key(*name)) {
        let known = listed(purposes.keys().map(String::as_str));
        return Err(ApiError::bad_request("unknown_purpose", format!("there is no purpose `{unknown}`; {known}")));
    }
    let subscriptions = change.subscriptions.iter().map(|(channel, wanted)| {
        let channel = Channel::from_name(channel).filter(|it| it.reaches_people()).ok_or_else(|| {
            let known = listed(people().map(Channel::name));
            ApiError::bad_request("unknown_channel", format!("`{channel}` reaches no customers; {known}"))
        });
        let wanted = Subscription::from_name(wanted).ok_or_else(|| {
            let message = format!("`{wanted}` is none of subscribed, unsubscribed, did_not_subscribe");
            ApiError::bad_request("unknown_subscription", message)
        });
        Ok((channel?, wanted?))
    });
    let subscriptions = subscriptions.collect::<Result<_, ApiError>>()?;
    let consent = Consent { purposes: change.purposes, subscriptions };
    if consent == Consent::default() {
        return Err(ApiError::bad_request("nothing_said", "name a purpose or a channel, and what is wanted of it"));
    }
    let why = said.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
    say(&state, identifier, consent, why.collect()).await
}

/// Channels that customers can want or not.
pub(super) fn people() -> impl Iterator<Item = Channel> {
    Channel::ALL.into_iter().filter(|channel| channel.reaches_people())
}

/// What there is, in words.
pub(super) fn listed<'a>(known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) }
}

/// What a customer has agreed to.
pub(super) fn consent_of(view: &View<'_>, profile: ProfileId) -> Result<Consent, ApiError> {
    let facts: Vec<_> = view.facts(&view.identifiers(profile)?)?.into_iter().flatten().collect();
    Ok(Consent::of(&merged_traits(&facts)))
}

/// Has the log say what a customer wants, as the latest word on it.
pub(super) async fn say(
    state: &Arc<ApiState>,
    identifier: Identifier,
    consent: Consent,
    why: Map<String, Value>,
) -> Result<Json<Accepted>, ApiError> {
    let now = state.moments.next((state.clock)());
    let (id, names) = (identifier.id(), names(&consent));
    let latest = state.read(move |_, view| latest(view, id, &names)).await?;
    // A client whose clock is ahead may have said something that has not happened yet.
    let at = latest.map_or(now, |latest| now.max(latest.saturating_add(1)).min(now + limits::FUTURE_MS));
    let record = |consent: Consent| {
        let call = Call::Track { event: UPDATED.to_owned(), properties: why.clone() };
        let message_id = format!("consent-{:032x}", rand::random::<u128>());
        OwnEvent { identifier: &identifier, message_id, at, call, consent }.record(now)
    };
    let records = parts(consent).into_iter().map(record).collect();
    let position = append(&*state.log, records, "consent", PATIENCE).await?;
    Ok(Json(Accepted::at(&position)))
}

/// The same in as many parts as it takes events to say it.
fn parts(consent: Consent) -> Vec<Consent> {
    let Consent { purposes, subscriptions } = consent;
    let purposes: Vec<_> = purposes.into_iter().collect();
    let some = purposes.chunks(limits::CONSENT_ENTRIES);
    let some = some.map(|some| Consent { purposes: some.iter().cloned().collect(), ..Consent::default() });
    let wanted = (!subscriptions.is_empty()).then(|| Consent { subscriptions, ..Consent::default() });
    some.chain(wanted).collect()
}

/// The traits that hold what is said.
fn names(consent: &Consent) -> Vec<String> {
    let purposes = consent.purposes.keys().map(|name| format!("{PURPOSE_PREFIX}{name}"));
    let channels = consent.subscriptions.keys().map(|channel| format!("{SUBSCRIPTION_PREFIX}{}", channel.name()));
    purposes.chain(channels).collect()
}

/// When something was last said in one of some traits, by any identifier of a customer.
fn latest(view: &View<'_>, identifier: IdentifierId, names: &[String]) -> Result<Option<Millis>, ApiError> {
    let Some(owner) = view.owner(identifier)? else { return Ok(None) };
    let facts = view.facts(&view.identifiers(owner)?)?;
    let said = facts.iter().flatten().flat_map(|facts| names.iter().filter_map(move |name| facts.traits.get(name)));
    Ok(said.map(|fact| fact.at).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_words_are_of_one_moment() {
        let moments = Moments::default();
        assert_eq!([1_000, 1_000, 999, 1_001, 5_000].map(|now| moments.next(now)), [1_000, 1_001, 1_002, 1_003, 5_000]);
    }

    #[test]
    fn more_than_an_event_can_say_is_said_in_several() {
        let purposes: BTreeMap<_, _> = (0..120).map(|number| (format!("p{number:03}"), true)).collect();
        let subscriptions = BTreeMap::from([(Channel::Email, Subscription::Unsubscribed)]);
        let parts = parts(Consent { purposes: purposes.clone(), subscriptions: subscriptions.clone() });
        assert!(parts.iter().all(|part| part.purposes.len() <= limits::CONSENT_ENTRIES));
        let all: BTreeMap<_, _> = parts.iter().flat_map(|part| part.purposes.clone()).collect();
        let channels: BTreeMap<_, _> = parts.iter().flat_map(|part| part.subscriptions.clone()).collect();
        assert_eq!((all, channels), (purposes, subscriptions));
    }
}
