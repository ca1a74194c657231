//! What all HTTP destinations have in common: how they are reached, and what comes of a call.

use super::address::{self, PublicOnly};
use super::{Blame, Outcome};
use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tributary_model::{DeliveryPolicy, Reach};

/// How much of an answer is read.
const ANSWER_BYTES: usize = 64 << 10;
/// How much of it is kept as the reason of a failure.
const REASON_BYTES: usize = 300;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A destination that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is none.
    #[error("`{0}` is no URL; write https://… or http://…")]
    Url(String),
    /// The address is one that only this machine or network has.
    #[error("`{0}` is a private address; set allow_private: true if that is what you mean")]
    Private(String),
    /// TLS cannot be set up.
    #[error("no connection can be made: {0}")]
    Client(#[from] reqwest::Error),
    /// A setting is of another form than it has to be. The text tells which, and what to write.
    #[error("{0}")]
    Setting(String),
    /// Something secret is of another form than it has to be. The text tells which, and never holds it.
    #[error("{0}")]
    Secret(String),
}

/// A client for destinations, which goes nowhere that its settings do not allow.
pub(super) fn client(reach: &Reach, policy: &DeliveryPolicy) -> Result<ClientBuilder, SetupError> {
    let timeout = Duration::from_millis(policy.timeout_ms);
    let mut client = Client::builder()
        .timeout(timeout)
        // Less than the whole: that nobody was there is told from that nobody has answered.
        .connect_timeout(CONNECT_TIMEOUT.min(timeout / 2))
        .redirect(Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(policy.concurrency)
        .user_agent(concat!("tributary/", env!("CARGO_PKG_VERSION")));
    for certificate in reach.ca.iter().map(|pem| Certificate::from_pem_bundle(pem)) {
        client = certificate?.into_iter().fold(client, ClientBuilder::add_root_certificate);
    }
    Ok(if reach.allow_private { client } else { client.dns_resolver(Arc::new(PublicOnly)) })
}

/// The address of an API or endpoint, if it may be called.
pub(super) fn url(text: &str, reach: &Reach) -> Result<Url, SetupError> {
    let wrong = || SetupError::Url(text.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong());
    }
    if !reach.allow_private && address::literal(&url).is_some_and(address::is_private) {
        return Err(SetupError::Private(text.to_owned()));
    }
    Ok(url)
}

/// A call that was not answered.
#[derive(Debug)]
pub(super) struct NoAnswer {
    /// Why, in words. The URL is left out, since it may hold a token.
    pub(super) reason: String,
    /// Whether the receiver may have done what it was asked to all the same.
    pub(super) is_maybe_done: bool,
}

impl From<NoAnswer> for Outcome {
    /// For receivers that know a message by its id when it comes again.
    fn from(NoAnswer { reason, .. }: NoAnswer) -> Self {
        Self::Retry { reason, after: None, blame: Blame::Destination }
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// The beginning of its body.
    pub(super) body: Bytes,
}

/// Makes a call.
pub(super) async fn call(request: RequestBuilder) -> Result<Answer, NoAnswer> {
    let response = request.send().await.map_err(|error| NoAnswer {
        is_maybe_done: !error.is_connect() && !error.is_builder(),
        reason: reason_of(&error),
    })?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, body: beginning(response).await })
}

/// The innermost cause in words.
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

async fn beginning(mut response: Response) -> Bytes {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(ANSWER_BYTES);
    body.into()
}

impl Answer {
    /// The status and the beginning of the text.
    pub(super) fn reason(&self) -> String {
        let text = String::from_utf8_lossy(self.body.get(..REASON_BYTES).unwrap_or(&self.body));
        let text = text.trim();
        if text.is_empty() { format!("answered {}", self.status) } else { format!("answered {}: {text}", self.status) }
    }

    /// The body, where it is JSON of this form.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// How long the receiver asks to be left alone: `Retry-After` in seconds or as a date.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Duration::from_secs(u64::try_from(at).ok()?.saturating_sub(now)))
    }

    /// It is to be tried again, for this reason.
    pub(super) fn retry(&self, blame: Blame) -> Outcome {
        Outcome::Retry { reason: self.reason(), after: self.retry_after(), blame }
    }

    /// It is given up, for this reason.
    pub(super) fn dead(&self) -> Outcome {
        Outcome::Dead { reason: self.reason() }
    }

    /// What the answer means by the rules of HTTP alone: 2xx is delivered, 429 too quick, 408, 425 and 5xx pass, and all else
    /// stays as it is however often it is asked for.
    pub(super) fn judge(&self) -> Outcome {
        match self.status {
            status if status.is_success() => Outcome::Delivered,
            StatusCode::TOO_MANY_REQUESTS => self.retry(Blame::Pace),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => self.retry(Blame::Destination),
            status if status.is_server_error() => self.retry(Blame::Destination),
            // A redirect is a mistake in the definition or an attack.
            _ => self.dead(),
        }
    }

    /// The same of an API that knows us by a key: that it does not (401, 403) is no fault of the message.
    pub(super) fn judge_api(&self) -> Outcome {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.retry(Blame::Destination),
            _ => self.judge(),
        }
    }
}
