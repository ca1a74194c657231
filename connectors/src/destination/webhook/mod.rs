//! An HTTP endpoint, called as [Standard Webhooks](https://www.standardwebhooks.com) says.

mod signature;

use super::delivery::Target;
use super::http::{self, SetupError};
use super::{Message, Outcome};
use crate::log::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use std::time::{SystemTime, UNIX_EPOCH};
use tributary_model::{DeliveryPolicy, Secret, WebhookDestination};

/// An endpoint.
pub struct Webhook {
    url: Url,
    secrets: Vec<Secret>,
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
    pub fn new(destination: &WebhookDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let url = http::url(&destination.url, &destination.reach)?;
        let client = http::client(&destination.reach, policy)?.build()?;
        Ok(Self { url, secrets: destination.secrets.clone(), client })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string());
        if !self.secrets.is_empty() {
            // By each key: while it is changed, the receiver may have either.
            let signed = self.secrets.iter().map(|key| signature::sign(key, &message.id, timestamp, &message.body));
            request = request.header("webhook-signature", signed.collect::<Vec<_>>().join(" "));
        }
        match http::call(request.body(message.body.clone())).await {
            Ok(answer) => answer.judge(),
            Err(unanswered) => unanswered.into(),
        }
    }
}

impl Target for Webhook {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }
}

#[cfg(test)]
mod tests;
