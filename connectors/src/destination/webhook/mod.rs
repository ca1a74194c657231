//! An HTTP endpoint, called as [Standard Webhooks](https://www.standardwebhooks.com) says.

mod address;
mod signature;

use super::delivery::Target;
use super::{Message, Outcome};
use crate::log::BoxFuture;
use address::PublicOnly;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tributary_model::{Secret, WebhookDestination};

/// How much of an answer is kept as the reason of a failure.
const REASON_BYTES: usize = 300;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A webhook that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The address is none.
    #[error("`{0}` is no URL of a webhook; write http://… or https://…")]
    Url(String),
    /// The address is one that only this machine or network has.
    #[error("`{0}` is a private address; set allow_private: true if that is what you mean")]
    Private(String),
    /// TLS cannot be set up.
    #[error("webhook: {0}")]
    Client(#[from] reqwest::Error),
}

/// An endpoint.
pub struct Webhook {
    url: Url,
    secret: Option<Secret>,
    client: Client,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path may hold a token.
        write!(f, "Webhook at {}", self.url.host_str().unwrap_or_default())
    }
}

impl Webhook {
    /// Sets up an endpoint; nothing is called yet.
    ///
    /// # Errors
    /// If the address is none, or is private and that is not allowed.
    pub fn new(destination: &WebhookDestination) -> Result<Self, WebhookError> {
        let wrong = || WebhookError::Url(destination.url.clone());
        let url = Url::parse(&destination.url).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong());
        }
        let mut client = Client::builder()
            .timeout(Duration::from_millis(destination.timeout_ms))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(destination.concurrency)
            .user_agent(concat!("tributary/", env!("CARGO_PKG_VERSION")));
        if !destination.allow_private {
            if address::literal(&url).is_some_and(address::is_private) {
                return Err(WebhookError::Private(destination.url.clone()));
            }
            client = client.dns_resolver(Arc::new(PublicOnly));
        }
        Ok(Self { url, secret: destination.secret.clone(), client: client.build()? })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string());
        if let Some(secret) = &self.secret {
            let signature = signature::sign(secret, &message.id, timestamp, &message.body);
            request = request.header("webhook-signature", signature);
        }
        match request.body(message.body.clone()).send().await {
            Ok(response) => judge(response).await,
            Err(error) => Outcome::Retry { reason: reason_of(&error), after: None },
        }
    }
}

impl Target for Webhook {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }
}

/// The innermost cause in words; the URL is left out, since it may hold a token.
fn reason_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("no connection: {cause}")
}

/// What an answer means for the message.
async fn judge(response: Response) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Delivered;
    }
    let after = retry_after(response.headers());
    let reason = format!("answered {status}{}", beginning(response).await);
    let passing = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    // A redirect is a mistake in the definition or an attack; a refusal stays one however often it is asked for.
    match passing || status.is_server_error() {
        true => Outcome::Retry { reason, after },
        false => Outcome::Dead { reason },
    }
}

/// The beginning of an answer's text, as `: …`.
async fn beginning(mut response: Response) -> String {
    let mut text = Vec::new();
    while text.len() < REASON_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    text.truncate(REASON_BYTES);
    let text = String::from_utf8_lossy(&text);
    if text.trim().is_empty() { String::new() } else { format!(": {}", text.trim()) }
}

/// `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(u64::try_from(at).ok()?.saturating_sub(now)))
}

#[cfg(test)]
mod tests;
