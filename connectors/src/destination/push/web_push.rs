//! Web Push to browsers: RFC 8030, with contents that only the browser can read (RFC 8291) and a token that tells who
//! sends (RFC 8292).
//!
//! Where a browser is reached is an address that a visitor has given, at one of many push services or at none. So
//! trouble there concerns only the message, never all others: neither does a service that wants to be left alone stop
//! the rest, nor can a visitor who gives an address that always fails.

use super::token::Key;
use super::{PushFields, digest, now, object};
use crate::destination::delivery::Target;
use crate::destination::http::{self, Answer, NoAnswer, SetupError};
use crate::destination::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tributary_model::{DeliveryPolicy, Reach, WebPushDestination};
use web_push_native::Auth;
use web_push_native::p256::PublicKey;

/// How long a token is good for, in seconds. Services take none that is good for more than a day.
const TOKEN_SECONDS: u64 = 12 * 60 * 60;
/// For how long it is used: half of that, in case a service's clock is another.
const RENEW_SECONDS: u64 = TOKEN_SECONDS / 2;
/// For how many services tokens are kept. There are few, but a visitor can name any.
const SERVICES: usize = 256;
/// What a service has to take, in bytes; none takes more.
const BODY_BYTES: u32 = 4_096;
/// What of that is left for the contents: without a header of 86 bytes, a byte of padding and a tag of 16.
const PAYLOAD_BYTES: usize = 3_993;
/// A topic has at most so many letters.
const TOPIC_LETTERS: usize = 32;

/// Browsers, by whichever push services.
pub struct WebPush {
    subject: String,
    ttl_seconds: u32,
    reach: Reach,
    key: Key,
    /// By the origins of services: what `Authorization` says there, and until when.
    authorizations: Mutex<HashMap<String, (String, u64)>>,
    client: Client,
}

impl std::fmt::Debug for WebPush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebPush of {}", self.subject)
    }
}

/// A browser's `PushSubscription` as JSON.
#[derive(Deserialize)]
struct Subscription {
    endpoint: String,
    keys: SubscriptionKeys,
}

/// What contents are encrypted for, in base64url.
#[derive(Deserialize)]
struct SubscriptionKeys {
    p256dh: String,
    auth: String,
}

impl SubscriptionKeys {
    /// The contents as only the browser can read them; `None` if these are no keys.
    fn encrypt(&self, contents: Vec<u8>) -> Option<Vec<u8>> {
        let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let public = PublicKey::from_sec1_bytes(&bytes(&self.p256dh)?).ok()?;
        let auth: [u8; 16] = bytes(&self.auth)?.try_into().ok()?;
        let mut body = web_push_native::encrypt(contents, &public, &Auth::from(auth)).ok()?;
        // The size of a record has to be more than the one record takes (RFC 8291, section 4); here it is just that.
        body.get_mut(16..20)?.copy_from_slice(&BODY_BYTES.to_be_bytes());
        Some(body)
    }
}

impl WebPush {
    /// Sets up a sender; nothing is called yet.
    ///
    /// # Errors
    /// If the key is none.
    pub fn new(destination: &WebPushDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        Ok(Self {
            subject: destination.subject.clone(),
            ttl_seconds: destination.ttl_seconds,
            reach: destination.reach.clone(),
            key: Key::es256_of_bytes(&destination.private_key)?,
            authorizations: Mutex::default(),
            client: http::client(&destination.reach, policy)?.build()?,
        })
    }

    async fn attempt(&self, message: &Message, now: u64) -> Outcome {
        let request = match self.request(message, now) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        match http::call(request).await {
            Ok(answer) => judge(&answer),
            Err(NoAnswer { reason, .. }) => Outcome::Retry { reason, after: None, blame: Blame::Message },
        }
    }

    fn request(&self, message: &Message, now: u64) -> Result<RequestBuilder, Outcome> {
        let fields: PushFields = message.fields()?;
        let wrong = |why: &str| Outcome::Unreachable { reason: format!("the address is no push subscription: {why}") };
        let subscription: Subscription =
            serde_json::from_str(&fields.address).map_err(|_| wrong("it has to be JSON with endpoint and keys"))?;
        let endpoint = self.endpoint(&subscription.endpoint)?;
        let contents = contents(&fields, &message.id);
        if contents.len() > PAYLOAD_BYTES {
            let reason = format!("the notification has {} bytes, and may have {PAYLOAD_BYTES}", contents.len());
            return Err(Outcome::Dead { reason });
        }
        let body = subscription.keys.encrypt(contents.into()).ok_or_else(|| wrong("its keys are none"))?;
        let authorization = self.authorization(endpoint.origin().ascii_serialization(), now)?;
        let request = self
            .client
            .post(endpoint)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_ENCODING, "aes128gcm")
            .header("ttl", fields.ttl_seconds().unwrap_or(self.ttl_seconds))
            .header("urgency", "normal")
            .body(body);
        Ok(match fields.collapse_key() {
            // A digest has the letters that a topic may have, and tells the service nothing.
            Some(key) => request.header("topic", digest(key).chars().take(TOPIC_LETTERS).collect::<String>()),
            None => request,
        })
    }

    /// Where a browser is reached, if that may be called. The address itself is not told: who knows it can send.
    fn endpoint(&self, text: &str) -> Result<Url, Outcome> {
        let url = http::url(text, &self.reach).ok().filter(|url| url.scheme() == "https" || self.reach.allow_private);
        url.ok_or_else(|| Outcome::Dead {
            reason: "the subscription's endpoint may not be called: it has to be https://… and public".to_owned(),
        })
    }

    /// Who we are, for one service.
    fn authorization(&self, origin: String, now: u64) -> Result<String, Outcome> {
        let mut held = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((authorization, renew_at)) = held.get(&origin)
            && now < *renew_at
        {
            return Ok(authorization.clone());
        }
        let claims = json!({ "aud": origin, "exp": now.saturating_add(TOKEN_SECONDS), "sub": self.subject });
        let token = self.key.token(None, &claims)?;
        let authorization = format!("vapid t={token}, k={}", BASE64_URL_SAFE_NO_PAD.encode(self.key.public()));
        if held.len() >= SERVICES {
            held.clear();
        }
        held.insert(origin, (authorization.clone(), now.saturating_add(RENEW_SECONDS)));
        Ok(authorization)
    }
}

/// What a page's service worker gets.
fn contents(fields: &PushFields, id: &str) -> String {
    let [title, text] = fields.lines();
    let contents = object([
        ("title", title.map(Value::from)),
        ("body", text.map(Value::from)),
        ("data", fields.data.clone().map(Value::from)),
        ("message", Some(id.into())),
    ]);
    contents.to_string()
}

/// What an answer means: all that may pass concerns only this message.
fn judge(answer: &Answer) -> Outcome {
    match answer.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Unreachable { reason: answer.reason() },
        // The subscription was made with another key, or this service alone dislikes ours.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => answer.retry(Blame::Message),
        _ => match answer.judge() {
            Outcome::Retry { reason, after, .. } => Outcome::Retry { reason, after, blame: Blame::Message },
            outcome => outcome,
        },
    }
}

impl Target for WebPush {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message, now()))
    }
}

#[cfg(test)]
#[path = "web_push_tests.rs"]
mod tests;
