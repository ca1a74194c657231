//! `POST /v1/triggers/{id}/render`: what a trigger would send to a customer now, and whether it would go.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::{Path, Query};
use super::limits::read_body;
use super::profiles::identifier_of;
use super::state::{ApiState, Freshness};
use crate::activation::contact::Verdict;
use crate::activation::content::Content;
use crate::activation::gate::Asked;
use crate::activation::{About, Occasion, Rendered};
use crate::engine::Profile;
use crate::store::View;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tributary_connectors::process::object;
use tributary_model::{Event, EventKind, MessageId, Millis, On, ProfileId, format_millis, limits};

/// A request has room for one event.
const REQUEST_BYTES: usize = 2 * limits::EVENT_BYTES;
/// How long it may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events of a customer among which the latest of a name is looked for.
const EVENTS: usize = 1_000;
/// The id of a message that is only looked at.
const MESSAGE: &str = "msg_preview";

/// For whom, and after what.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// `namespace:value` of any identifier, or a profile id.
    profile: String,
    /// For a trigger on an event: the event as it would be tracked, of which `properties` and `context` count. The
    /// customer's latest of that name if not given.
    #[schema(value_type = Option<Object>)]
    event: Option<Map<String, Value>>,
}

/// What would be sent.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RenderAnswer {
    /// The trigger's id.
    pub trigger: String,
    /// Where it would go.
    pub destination: String,
    /// By which way.
    pub channel: String,
    /// The locale that it is written in.
    pub locale: String,
    /// The fields of the message, where the destination takes fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub fields: Option<Map<String, Value>>,
    /// The message, where the destination takes one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// `send`, `held` or `waiting`.
    pub verdict: String,
    /// Why it would be held back, or wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it would wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Renders the message of a trigger for a customer as they are now, and asks whether it would be let out now.
/// Nothing is sent, and nothing is counted.
#[utoipa::path(post, path = "/v1/triggers/{id}/render", tag = "triggers", request_body = RenderRequest,
    params(("id" = String, Path, description = "The trigger's id"), Freshness),
    responses((status = 200, body = RenderAnswer), (status = 404, description = "No such trigger or customer"),
        (status = 409, description = "The template fails on what is known of the customer", body = ErrorAnswer),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn render(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(freshness): Query<Freshness>,
    body: Body,
) -> Result<Json<RenderAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    let body = read_body(&headers, body, REQUEST_BYTES, PATIENCE).await?;
    let request: RenderRequest = object(&body)?;
    state.fresh(&freshness).await?;
    state.read(move |state, view| answer(state, view, &id, request)).await.map(Json)
}

fn answer(state: &ApiState, view: &View<'_>, id: &str, request: RenderRequest) -> Result<RenderAnswer, ApiError> {
    let definitions = state.definitions();
    let Some(trigger) = definitions.triggers.get(id) else {
        let known: Vec<&str> = definitions.triggers.keys().map(String::as_str).collect();
        let message = format!("there is no trigger `{id}`; there are: {}", known.join(", "));
        return Err(ApiError::not_found("no_such_trigger", message));
    };
    let nobody = || ApiError::not_found("profile_not_found", "no customer has this identifier");
    let owner = view.owner(identifier_of(state, &request.profile)?)?.ok_or_else(nobody)?;
    let profile = Profile::read(view, owner, &state.plan(), &state.rules)?;
    let now = (state.clock)().max(state.store.clock());

    let event = match &trigger.on {
        On::Event { event, .. } => Some(happened(state, view, owner, event, request.event, now)?),
        _ if request.event.is_some() => {
            let message = "a segment sets this trigger off; leave `event` out";
            return Err(ApiError::bad_request("no_event", message));
        }
        _ => None,
    };
    let occasion = match (&trigger.on, &event) {
        (_, Some(event)) => Occasion::Event(event),
        (on, None) => {
            let (segment, entered) = match on {
                On::Exit { segment } => (segment.as_str(), false),
                On::Enter { segment } => (segment.as_str(), true),
                On::Event { .. } => ("", false),
            };
            let name = definitions.segments.get(segment).map(|segment| segment.name.as_str());
            Occasion::Segment { id: segment, name, entered }
        }
    };
    let about = About { message: MESSAGE, created_at: now, profile: &profile, occasion };
    let rendered = state.messages.render(id, &about);
    let rendered = rendered.map_err(|error| ApiError::conflict("template_failed", error.to_string()))?;

    let destination = &trigger.send.to;
    let kind = definitions.destinations.get(destination).map(|destination| &destination.kind);
    let mut answer = RenderAnswer {
        trigger: id.to_owned(),
        destination: destination.clone(),
        channel: kind.map(|kind| kind.channel().name()).unwrap_or_default().to_owned(),
        locale: state.messages.locale(&profile),
        fields: None,
        body: None,
        verdict: "held".to_owned(),
        reason: Some("no_address".to_owned()),
        until: None,
    };
    if let Rendered::Body(body) = rendered {
        let asked = Asked { trigger: id, destination, profile: owner, body: &body, had_gone: false };
        let verdict = state.gate.ask(view, &asked, now)?;
        (answer.verdict, answer.reason, answer.until) = told(verdict);
        match kind.map(Content::of) {
            Some(Content::Fields(_)) => answer.fields = serde_json::from_slice(&body).ok(),
            _ => answer.body = Some(String::from_utf8_lossy(&body).into_owned()),
        }
    }
    Ok(answer)
}

fn told(verdict: Verdict) -> (String, Option<String>, Option<String>) {
    match verdict {
        Verdict::Send => ("send".to_owned(), None, None),
        Verdict::Hold(reason) => ("held".to_owned(), Some(reason.name().to_owned()), None),
        Verdict::Wait(until) => ("waiting".to_owned(), Some("quiet_hours".to_owned()), Some(format_millis(until))),
    }
}

/// The event that sets a trigger off: as it is given, or else the customer's latest of that name.
fn happened(
    state: &ApiState,
    view: &View<'_>,
    profile: ProfileId,
    name: &str,
    given: Option<Map<String, Value>>,
    now: Millis,
) -> Result<Event, ApiError> {
    if let Some(mut given) = given {
        let mut part = |field: &str| match given.remove(field) {
            Some(Value::Object(fields)) => tributary_model::Object::from(fields),
            _ => tributary_model::Object::default(),
        };
        return Ok(Event {
            kind: EventKind::Track,
            event: Some(name.to_owned()),
            name: None,
            group: None,
            message_id: MessageId::of(MESSAGE),
            timestamp: now,
            identifiers: Vec::new(),
            properties: part("properties"),
            traits: tributary_model::Object::default(),
            context: part("context"),
            consent: Map::new(),
            body: Bytes::new(),
        });
    }
    let latest = view.events(&view.identifiers(profile)?, EVENTS)?;
    let mut events =
        latest.into_iter().filter_map(|one| state.processor.reread(&one.body, one.at, one.message_id).ok());
    let found = events.find(|event| event.event.as_deref() == Some(name));
    found.ok_or_else(|| {
        let message = format!("no `{name}` of this customer is kept; give one as `event`");
        ApiError::bad_request("event_needed", message)
    })
}
