//! Firebase Cloud Messaging: the HTTP v1 API, for which a service account has an access token by OAuth 2.0.

use super::token::{Cached, Key};
use super::{MESSAGE_ID, PushFields, apns, now, object};
use crate::destination::delivery::Target;
use crate::destination::http::{self, Answer, SetupError};
use crate::destination::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tributary_model::{DeliveryPolicy, FcmDestination};

/// What an access token is asked for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// For how long an assertion asks: the most that Google grants.
const ASSERTION_SECONDS: u64 = 3_600;
/// How long before its end a token is used no more, so that none ends on its way.
const RENEW_SECONDS: u64 = 120;
/// A token younger than this, in seconds, that is refused is not the trouble.
const LEAST_AGE_SECONDS: u64 = 60;
/// How long FCM wants to be left alone when it says that there was too much, and no more: its quota is one of a minute.
const QUOTA_PAUSE: Duration = Duration::from_secs(60);

/// A Firebase project.
pub struct Fcm {
    messages: Url,
    tokens: Url,
    project_id: String,
    client_email: String,
    key: Key,
    access: Cached,
    client: Client,
    timeout: Duration,
}

impl std::fmt::Debug for Fcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fcm project {}", self.project_id)
    }
}

/// Where tokens come from gives one.
#[derive(Deserialize)]
struct Access {
    access_token: String,
    expires_in: u64,
}

/// FCM says no: `google.rpc.Status`.
#[derive(Deserialize, Default)]
struct Failure {
    error: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    status: String,
    message: String,
    details: Vec<Detail>,
}

/// An `FcmError` has a code, a `BadRequest` the fields that are wrong.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    error_code: Option<String>,
    field_violations: Vec<Violation>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Violation {
    field: String,
}

impl Status {
    /// FCM's own code; else the one that all Google's APIs have.
    fn code(&self) -> &str {
        self.details.iter().find_map(|detail| detail.error_code.as_deref()).unwrap_or(&self.status)
    }

    /// Whether what is wrong is the token. FCM names the field, or says so in words only.
    fn is_of_token(&self) -> bool {
        let mut violations = self.details.iter().flat_map(|detail| &detail.field_violations);
        violations.any(|violation| violation.field == "message.token")
            || self.message == "The registration token is not a valid FCM registration token"
    }
}

impl Fcm {
    /// Sets up a project; nothing is called yet.
    ///
    /// # Errors
    /// If an address is none, or is private and that is not allowed; or the key is none.
    pub fn new(destination: &FcmDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let FcmDestination { project_id, endpoint, reach, .. } = destination;
        let endpoint = endpoint.trim_end_matches('/');
        Ok(Self {
            messages: http::url(&format!("{endpoint}/v1/projects/{project_id}/messages:send"), reach)?,
            tokens: http::url(&destination.token_uri, reach)?,
            project_id: project_id.clone(),
            client_email: destination.client_email.clone(),
            key: Key::rs256(&destination.private_key)?,
            access: Cached::new(),
            client: http::client(reach, policy)?.build()?,
            timeout: Duration::from_millis(policy.timeout_ms),
        })
    }

    async fn attempt(&self, message: &Message, now: u64) -> Outcome {
        let (body, token) = match self.prepare(message, now).await {
            Ok(prepared) => prepared,
            Err(outcome) => return outcome,
        };
        let request = self.client.post(self.messages.clone()).bearer_auth(&token);
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        match http::call(request).await {
            Ok(answer) => self.judge(&answer, &token, now).await,
            Err(unanswered) => unanswered.into(),
        }
    }

    async fn prepare(&self, message: &Message, now: u64) -> Result<(Value, Arc<str>), Outcome> {
        let body = body(&message.fields()?, &message.id, now);
        Ok((body, self.access.get(now, self.ask(now)).await?))
    }

    /// Asks for an access token. That there is none is no fault of any message.
    async fn ask(&self, now: u64) -> Result<(String, u64), Outcome> {
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.tokens.as_str(),
            "iat": now,
            "exp": now.saturating_add(ASSERTION_SECONDS),
        });
        let assertion = self.key.token(None, &claims)?;
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
        let answer = http::call(self.client.post(self.tokens.clone()).form(&form)).await?;
        if !answer.status.is_success() {
            let reason = format!("no access token: {}", answer.reason());
            return Err(Outcome::Retry { reason, after: answer.retry_after(), blame: Blame::Destination });
        }
        let Some(Access { access_token, expires_in }) = answer.json() else {
            // The answer may hold a token all the same, and is not told.
            let reason = "no access token: the answer is not understood".to_owned();
            return Err(Outcome::Retry { reason, after: None, blame: Blame::Destination });
        };
        Ok((access_token, expires_in.saturating_sub(RENEW_SECONDS)))
    }

    async fn judge(&self, answer: &Answer, token: &str, now: u64) -> Outcome {
        let Failure { error } = answer.json().unwrap_or_default();
        match error.code() {
            "UNREGISTERED" => Outcome::Unreachable { reason: answer.reason() },
            // The token is of another project's app. If the settings name the wrong project, all are: no device is given
            // up for that.
            "SENDER_ID_MISMATCH" => answer.dead(),
            "INVALID_ARGUMENT" if error.is_of_token() => Outcome::Unreachable { reason: answer.reason() },
            "UNAUTHENTICATED" => answer.retry(self.access.refused(token, now, LEAST_AGE_SECONDS).await),
            // Apple or a browser's push service does not know the project.
            "THIRD_PARTY_AUTH_ERROR" => answer.retry(Blame::Destination),
            "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED" => Outcome::Retry {
                reason: answer.reason(),
                after: answer.retry_after().or(Some(QUOTA_PAUSE)),
                blame: Blame::Pace,
            },
            _ => answer.judge_api(),
        }
    }
}

/// The request: `projects.messages.send`.
fn body(fields: &PushFields, id: &str, now: u64) -> Value {
    // Data are texts only.
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let given = fields.data.iter().flatten().map(|(name, value)| (name.as_str(), text(value)));
    let data: Value = given.chain([(MESSAGE_ID, id.to_owned())]).collect();
    let ttl = fields.ttl_seconds().map(|seconds| format!("{seconds}s"));
    let android = object([("ttl", ttl.map(Value::from)), ("collapse_key", fields.collapse_key().map(Value::from))]);
    let apple = object(apns::headers(fields, now).map(|(name, value)| (name, value.map(Value::from))));
    let message = object([
        ("token", Some(fields.address.as_str().into())),
        ("notification", fields.alert()),
        ("data", Some(data)),
        ("android", Some(android)),
        ("apns", Some(json!({ "headers": apple }))),
    ]);
    json!({ "message": message })
}

impl Target for Fcm {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            // Waiting for an access token is part of the attempt.
            let attempt = tokio::time::timeout(self.timeout, self.attempt(message, now())).await;
            attempt.unwrap_or_else(|_| Outcome::Retry {
                reason: "no answer in time".to_owned(),
                after: None,
                blame: Blame::Destination,
            })
        })
    }
}

#[cfg(test)]
#[path = "fcm_tests.rs"]
mod tests;
