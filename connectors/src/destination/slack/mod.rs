//! A Slack channel, by an incoming webhook or by a bot that calls `chat.postMessage`
//! ([documentation](https://docs.slack.dev/messaging/)).
//!
//! Slack documents no idempotency key, so a message may come twice after a call without an answer. A bot's messages
//! carry our id in their metadata.
//!
//! `text` goes as its template made it. Slack reads `&`, `<` and `>` as control characters, so a template writes
//! `&amp;`, `&lt;` and `&gt;` for those that stand in values; else a customer named `<!channel>` calls everybody.

use super::delivery::Target;
use super::http::{self, Answer, SetupError};
use super::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tributary_model::{DeliveryPolicy, Reach, Secret, SlackDestination, SlackWay};

/// Errors of the Web API that would meet any message: Slack has trouble, does not know the token or what it may, or the bot
/// is not in its channel.
const OF_ALL_MESSAGES: [&str; 25] = [
    "access_denied",
    "accesslimited",
    "account_inactive",
    "channel_not_found",
    "deprecated_endpoint",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "fatal_error",
    "internal_error",
    "invalid_auth",
    "is_archived",
    "method_deprecated",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "request_timeout",
    "service_unavailable",
    "team_access_not_granted",
    "team_added_to_org",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
];

/// A channel.
pub struct Slack {
    way: Way,
    client: Client,
}

enum Way {
    IncomingWebhook(Url),
    Bot { url: Url, token: Secret, channel: String },
}

impl std::fmt::Debug for Slack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.way {
            Way::IncomingWebhook(_) => f.write_str("Slack by an incoming webhook"),
            Way::Bot { channel, .. } => write!(f, "Slack channel {channel}"),
        }
    }
}

/// What a trigger's templates make.
#[derive(Deserialize)]
struct Fields {
    /// The message in mrkdwn; where there are blocks, what notifications show.
    text: String,
    /// Block Kit.
    blocks: Option<Vec<Value>>,
}

/// What the Web API answers: 200 whatever comes of the call.
#[derive(Deserialize)]
struct Verdict {
    ok: bool,
    error: Option<String>,
}

impl Slack {
    /// Sets up a channel; nothing is called yet.
    ///
    /// # Errors
    /// If the address is none, or is private and that is not allowed.
    pub fn new(destination: &SlackDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let reach = &destination.reach;
        let way = match &destination.way {
            SlackWay::IncomingWebhook(secret) => Way::IncomingWebhook(secret_url(secret, reach)?),
            SlackWay::Bot { token, channel, endpoint } => Way::Bot {
                url: http::url(&format!("{}/api/chat.postMessage", endpoint.trim_end_matches('/')), reach)?,
                token: token.clone(),
                channel: channel.clone(),
            },
        };
        Ok(Self { way, client: http::client(reach, policy)?.build()? })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let fields: Fields = match message.fields() {
            Ok(fields) => fields,
            Err(outcome) => return outcome,
        };
        let mut payload = Map::from_iter([("text".to_owned(), Value::String(fields.text))]);
        payload.extend(fields.blocks.map(|blocks| ("blocks".to_owned(), Value::Array(blocks))));
        let request = match &self.way {
            Way::IncomingWebhook(url) => self.client.post(url.clone()),
            Way::Bot { url, token, channel } => {
                let metadata = json!({ "event_type": "tributary", "event_payload": { "message": message.id } });
                payload.extend([
                    ("channel".to_owned(), Value::String(channel.clone())),
                    ("metadata".to_owned(), metadata),
                ]);
                self.client.post(url.clone()).bearer_auth(token.expose_text())
            }
        };
        let request = request.header(CONTENT_TYPE, "application/json; charset=utf-8");
        match (http::call(request.body(Value::Object(payload).to_string())).await, &self.way) {
            (Ok(answer), Way::IncomingWebhook(_)) => judge_webhook(answer),
            (Ok(answer), Way::Bot { .. }) => judge_bot(&answer),
            (Err(unanswered), _) => unanswered.into(),
        }
    }
}

/// An incoming webhook's address, which no error shows.
fn secret_url(secret: &Secret, reach: &Reach) -> Result<Url, SetupError> {
    http::url(secret.expose_text(), reach).map_err(|error| {
        let wrong = match error {
            SetupError::Private(_) => "has a private address; set allow_private: true if that is what you mean",
            _ => "is no URL; write https://hooks.slack.com/services/…",
        };
        SetupError::Secret(format!("the incoming webhook {wrong}"))
    })
}

/// Incoming webhooks answer with a status and one word.
fn judge_webhook(answer: Answer) -> Outcome {
    // Anything else is not Slack's, and might repeat the address.
    let is_of_word = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    let word = answer.body.trim_ascii();
    let body = if word.iter().all(is_of_word) { Bytes::copy_from_slice(word) } else { Bytes::new() };
    let answer = Answer { body, ..answer };
    match &*answer.body {
        // The address is no webhook, or no longer one: to us, bad credentials.
        b"no_service" | b"no_service_id" | b"no_team" | b"team_disabled" => answer.retry(Blame::Destination),
        _ => answer.judge_api(),
    }
}

fn judge_bot(answer: &Answer) -> Outcome {
    let verdict = answer.json::<Verdict>();
    match verdict.as_ref().and_then(|verdict| verdict.error.as_deref()) {
        _ if verdict.as_ref().is_some_and(|verdict| verdict.ok) => Outcome::Delivered,
        Some("ratelimited" | "rate_limited" | "message_limit_exceeded") => answer.retry(Blame::Pace),
        Some(error) if OF_ALL_MESSAGES.contains(&error) => answer.retry(Blame::Destination),
        _ if !answer.status.is_success() => answer.judge_api(),
        Some(_) => answer.dead(),
        // Slack always says `ok`: something else has answered.
        None => answer.retry(Blame::Destination),
    }
}

impl Target for Slack {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }
}

#[cfg(test)]
mod tests;
