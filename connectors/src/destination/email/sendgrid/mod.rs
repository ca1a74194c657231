//! Twilio SendGrid's [Mail Send API](https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send).
//!
//! Delivered means that SendGrid has taken the mail. What became of it comes back to the Event Webhook: see
//! [`feedback::sendgrid`](super::feedback::sendgrid()). Whether it tracks opens and clicks is the account's setting.

use super::{Email, Sender, json};
use crate::destination::delivery::Target;
use crate::destination::http::{self, Answer, SetupError};
use crate::destination::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use lettre::message::Mailbox;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tributary_model::{DeliveryPolicy, Secret, SendGridDestination};

/// An account.
pub struct SendGrid {
    url: Url,
    api_key: Secret,
    sender: Sender,
    client: Client,
}

impl std::fmt::Debug for SendGrid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendGrid at {}", self.url.host_str().unwrap_or_default())
    }
}

/// The body of a request.
#[derive(Serialize)]
struct MailSend<'a> {
    personalizations: [Personalization<'a>; 1],
    from: Named<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Named<'a>>,
    subject: &'a str,
    /// In the order that SendGrid wants: the text before the page.
    content: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    /// What the Event Webhook gives back with each event.
    custom_args: CustomArgs<'a>,
}

#[derive(Serialize)]
struct Personalization<'a> {
    to: [Named<'a>; 1],
}

#[derive(Serialize)]
struct Named<'a> {
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> From<&'a Mailbox> for Named<'a> {
    fn from(mailbox: &'a Mailbox) -> Self {
        Self { email: mailbox.email.as_ref(), name: mailbox.name.as_deref() }
    }
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct CustomArgs<'a> {
    tributary_message: &'a str,
}

impl SendGrid {
    /// Sets up an account; nothing is called yet.
    ///
    /// # Errors
    /// If the address of the API is none, or is private and that is not allowed; or if a mailbox is none.
    pub fn new(destination: &SendGridDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let endpoint = destination.endpoint.trim_end_matches('/');
        Ok(Self {
            url: http::url(&format!("{endpoint}/v3/mail/send"), &destination.reach)?,
            api_key: destination.api_key.clone(),
            sender: Sender::new(&destination.from, destination.reply_to.as_deref())?,
            client: http::client(&destination.reach, policy)?.build()?,
        })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let body = match Email::of(message).and_then(|email| json(&self.mail(&message.id, &email))) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let request = self.client.post(self.url.clone()).bearer_auth(self.api_key.expose_text());
        match http::call(request.header(CONTENT_TYPE, "application/json").body(body)).await {
            Ok(answer) => judge(&answer),
            Err(unanswered) => unanswered.into(),
        }
    }

    fn mail<'a>(&'a self, id: &'a str, email: &'a Email) -> MailSend<'a> {
        let text = email.text.as_deref().map(|value| Content { kind: "text/plain", value });
        let html = email.html.as_deref().map(|value| Content { kind: "text/html", value });
        MailSend {
            personalizations: [Personalization { to: [Named { email: email.to.as_ref(), name: None }] }],
            from: (&self.sender.from).into(),
            reply_to: self.sender.reply_to.as_ref().map(Named::from),
            subject: &email.subject,
            content: text.into_iter().chain(html).collect(),
            headers: email.headers.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            custom_args: CustomArgs { tributary_message: id },
        }
    }
}

/// What an answer means. Why a request is refused, SendGrid says in words only, under `errors`.
fn judge(answer: &Answer) -> Outcome {
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Retry { reason: answer.reason(), after: until_reset(answer), blame: Blame::Pace }
        }
        _ => answer.judge_api(),
    }
}

/// How long until SendGrid counts requests anew: `X-RateLimit-Reset` is that time in seconds since 1970.
fn until_reset(answer: &Answer) -> Option<Duration> {
    let at: u64 = answer.headers.get("x-ratelimit-reset")?.to_str().ok()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(at.saturating_sub(now)))
}

impl Target for SendGrid {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }
}

#[cfg(test)]
mod tests;
