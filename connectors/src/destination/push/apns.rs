//! Apple Push Notification service, which speaks HTTP/2 only.

use super::token::{Cached, Key};
use super::{MESSAGE_ID, PushFields, digest, now};
use crate::destination::delivery::Target;
use crate::destination::http::{self, Answer, SetupError};
use crate::destination::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tributary_model::{ApnsDestination, DeliveryPolicy};

/// For how long a token is used, in seconds. Apple takes one for an hour.
const RENEW_SECONDS: u64 = 40 * 60;
/// Apple wants no new token more often than this, in seconds.
const LEAST_AGE_SECONDS: u64 = 20 * 60;
/// A notification has at most this many bytes.
const PAYLOAD_BYTES: usize = 4_096;
/// A collapse id has at most this many bytes.
const COLLAPSE_ID_BYTES: usize = 64;
/// All calls share one connection: that it is dead is noticed within twice this time, not when the system gives it up.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// An app at Apple's.
pub struct Apns {
    endpoint: String,
    topic: String,
    team_id: String,
    key_id: String,
    key: Key,
    token: Cached,
    client: Client,
}

impl std::fmt::Debug for Apns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Apns app {}", self.topic)
    }
}

/// Apple says no.
#[derive(Deserialize, Default)]
struct Refusal {
    reason: String,
}

impl Apns {
    /// Sets up an app; nothing is called yet.
    ///
    /// # Errors
    /// If the address is none, or is private and that is not allowed; or the key is none.
    pub fn new(destination: &ApnsDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let ApnsDestination { endpoint, reach, .. } = destination;
        http::url(endpoint, reach)?;
        let client = http::client(reach, policy)?
            .http2_prior_knowledge()
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE);
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            topic: destination.topic.clone(),
            team_id: destination.team_id.clone(),
            key_id: destination.key_id.clone(),
            key: Key::es256(&destination.private_key)?,
            token: Cached::new(),
            client: client.build()?,
        })
    }

    async fn attempt(&self, message: &Message, now: u64) -> Outcome {
        let (fields, body, token) = match self.prepare(message, now).await {
            Ok(prepared) => prepared,
            Err(outcome) => return outcome,
        };
        // What nobody sees has to be of another type, and less urgent.
        let (push_type, priority) = if fields.alert().is_some() { ("alert", "10") } else { ("background", "5") };
        let mut request = self
            .client
            .post(format!("{}/3/device/{}", self.endpoint, fields.address))
            .header(AUTHORIZATION, format!("bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .header("apns-topic", &self.topic)
            .header("apns-push-type", push_type)
            .header("apns-priority", priority);
        for (name, value) in headers(&fields, now).into_iter().chain([("apns-id", uuid(&message.id))]) {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        match http::call(request.body(body)).await {
            Ok(answer) => self.judge(&answer, &token, now).await,
            Err(unanswered) => unanswered.into(),
        }
    }

    async fn prepare(&self, message: &Message, now: u64) -> Result<(PushFields, String, Arc<str>), Outcome> {
        let fields: PushFields = message.fields()?;
        if fields.address.is_empty() || !fields.address.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let reason = "the address is no device token: it has to be hexadecimal".to_owned();
            return Err(Outcome::Unreachable { reason });
        }
        let body = body(&fields, &message.id).to_string();
        if body.len() > PAYLOAD_BYTES {
            let reason = format!("the notification has {} bytes, and may have {PAYLOAD_BYTES}", body.len());
            return Err(Outcome::Dead { reason });
        }
        let token = self.token.get(now, async {
            let claims = json!({ "iss": self.team_id, "iat": now });
            Ok((self.key.token(Some(&self.key_id), &claims)?, RENEW_SECONDS))
        });
        let token = token.await?;
        Ok((fields, body, token))
    }

    async fn judge(&self, answer: &Answer, token: &str, now: u64) -> Outcome {
        let Refusal { reason } = answer.json().unwrap_or_default();
        match reason.as_str() {
            "ExpiredToken" | "Unregistered" => Outcome::Unreachable { reason: answer.reason() },
            // Also what every device is answered with when the settings name the other environment, or another app: no
            // device is given up for that.
            "BadDeviceToken" | "DeviceTokenNotForTopic" => answer.dead(),
            "ExpiredProviderToken" => answer.retry(self.token.refused(token, now, LEAST_AGE_SECONDS).await),
            // Others with the same key change their tokens too often, or we were started too often. It passes.
            "TooManyProviderTokenUpdates" => answer.retry(Blame::Pace),
            // Too many to this device.
            "TooManyRequests" => answer.retry(Blame::Message),
            // Apple asks not to send it again.
            "Forbidden" => answer.dead(),
            // The app that the settings name, or the connection: all messages would fare the same.
            "BadTopic" | "MissingTopic" | "TopicDisallowed" | "IdleTimeout" => answer.retry(Blame::Destination),
            _ if answer.status == StatusCode::GONE => Outcome::Unreachable { reason: answer.reason() },
            _ => answer.judge_api(),
        }
    }
}

/// The headers that say how long a notification is kept and whose place it takes. FCM hands them on.
pub(super) fn headers(fields: &PushFields, now: u64) -> [(&'static str, Option<String>); 2] {
    // Zero is no time but says that it is not kept at all. Without the header it is kept as long as Apple likes.
    let expiration = fields.ttl_seconds().map(|ttl| if ttl == 0 { 0 } else { now.saturating_add(ttl.into()) });
    [
        ("apns-expiration", expiration.map(|at| at.to_string())),
        ("apns-collapse-id", fields.collapse_key().map(collapse_id)),
    ]
}

/// A key as a collapse id. If it does not fit, its digest: cut off, it might be that of another notification.
fn collapse_id(key: &str) -> String {
    let fits = key.len() <= COLLAPSE_ID_BYTES && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { key.to_owned() } else { digest(key) }
}

/// A message's id as a UUID in its canonical form.
fn uuid(id: &str) -> Option<String> {
    let mut uuid = id.strip_prefix("msg_")?.to_ascii_lowercase();
    if uuid.len() != 32 || !uuid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for at in [20, 16, 12, 8] {
        uuid.insert(at, '-');
    }
    Some(uuid)
}

/// The notification: the data, and beside them what Apple's systems read.
fn body(fields: &PushFields, id: &str) -> Value {
    let aps = match fields.alert() {
        Some(alert) => json!({ "alert": alert, "sound": "default" }),
        None => json!({ "content-available": 1 }),
    };
    let mut body = fields.data.clone().unwrap_or_default();
    body.insert("aps".to_owned(), aps);
    body.insert(MESSAGE_ID.to_owned(), id.into());
    body.into()
}

impl Target for Apns {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message, now()))
    }
}

#[cfg(test)]
#[path = "apns_tests.rs"]
mod tests;
