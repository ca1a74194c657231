//! Text messages by [Twilio's Messages API](https://www.twilio.com/docs/messaging/api/message-resource).
//!
//! Twilio has no idempotency key: sending a message again is sending another one. So what may have been sent (no answer
//! in time, a connection that broke after the request went out, a 5xx) is [`MaybeSent`](Outcome::MaybeSent) and goes no
//! second time, unless `after_timeout: repeat` says that twice is better than never. A connection that was not made,
//! a 429 and Twilio's own 20503 (unavailable, try again) are always repeated.
//!
//! Delivered means that Twilio has taken the message. What became of it comes back to the status callback: see
//! [`feedback()`].

mod feedback;

pub use feedback::feedback;

use super::delivery::Target;
use super::http::{self, Answer, NoAnswer, SetupError};
use super::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use reqwest::{Client, Url};
use serde::Deserialize;
use std::time::Duration;
use tributary_model::{DeliveryPolicy, Secret, TwilioDestination, TwilioSender};

/// The person has answered STOP to this sender.
const OPTED_OUT: u32 = 21_610;
/// The address can get no text message from anybody: it is no phone number (21211), a short code (21265), no mobile
/// number (21614), a landline (21635, 30006), or not in service (30005).
const DEAD_ADDRESS: [u32; 6] = [21_211, 21_265, 21_614, 21_635, 30_005, 30_006];

/// An account.
pub struct Twilio {
    url: Url,
    account_sid: String,
    auth_token: Secret,
    sender: TwilioSender,
    callback_url: Option<String>,
    repeat_after_timeout: bool,
    client: Client,
}

impl std::fmt::Debug for Twilio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Twilio account {}", self.account_sid)
    }
}

/// What a trigger's templates make.
#[derive(Deserialize)]
struct Fields {
    /// The phone number in E.164: `+491701234567`.
    address: String,
    text: String,
}

/// Why Twilio refuses a request.
#[derive(Deserialize)]
struct Refusal {
    /// Its number in Twilio's [dictionary](https://www.twilio.com/docs/api/errors).
    code: u32,
}

impl Twilio {
    /// Sets up an account; nothing is called yet.
    ///
    /// # Errors
    /// If the address of the API is none, or is private and that is not allowed.
    pub fn new(destination: &TwilioDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let endpoint = destination.endpoint.trim_end_matches('/');
        let url = format!("{endpoint}/2010-04-01/Accounts/{}/Messages.json", destination.account_sid);
        Ok(Self {
            url: http::url(&url, &destination.reach)?,
            account_sid: destination.account_sid.clone(),
            auth_token: destination.auth_token.clone(),
            sender: destination.sender.clone(),
            callback_url: destination.callback_url.clone(),
            repeat_after_timeout: destination.repeat_after_timeout,
            client: http::client(&destination.reach, policy)?.build()?,
        })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let fields: Fields = match message.fields() {
            Ok(fields) => fields,
            Err(outcome) => return outcome,
        };
        let mut form = vec![("To", fields.address), ("Body", fields.text)];
        form.push(match &self.sender {
            TwilioSender::From(sender) => ("From", sender.clone()),
            TwilioSender::MessagingService(sid) => ("MessagingServiceSid", sid.clone()),
        });
        if let Some(callback_url) = &self.callback_url {
            let base = callback_url.trim_end_matches('/');
            let callback = format!("{base}/v1/feedback/{}?message={}", message.destination, message.id);
            form.push(("StatusCallback", callback));
        }
        let request = self.client.post(self.url.clone());
        let request = request.basic_auth(&self.account_sid, Some(self.auth_token.expose_text())).form(&form);
        match http::call(request).await {
            Ok(answer) => self.judge(&answer),
            Err(NoAnswer { reason, is_maybe_done: true }) => self.maybe_sent(reason, None),
            Err(unanswered) => unanswered.into(),
        }
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        match answer.json().map(|Refusal { code }| code) {
            Some(code) if code == OPTED_OUT || DEAD_ADDRESS.contains(&code) => {
                Outcome::Unreachable { reason: answer.reason() }
            }
            // Too many requests, or more waiting at Twilio than it sends in its longest wait.
            Some(14_107 | 20_429 | 21_611) => answer.retry(Blame::Pace),
            // Not now: Twilio asks that it be tried again.
            Some(20_503 | 21_730) => answer.retry(Blame::Destination),
            // It cannot be done as asked: a country, a sender, a text. Such a thing may be told as 403 too, but is no
            // matter of credentials.
            Some(21_000..=21_999) => answer.dead(),
            _ if answer.status.is_server_error() => self.maybe_sent(answer.reason(), answer.retry_after()),
            _ => answer.judge_api(),
        }
    }

    /// Nobody knows whether it was sent.
    fn maybe_sent(&self, reason: String, after: Option<Duration>) -> Outcome {
        match self.repeat_after_timeout {
            true => Outcome::Retry { reason, after, blame: Blame::Destination },
            false => Outcome::MaybeSent { reason },
        }
    }
}

impl Target for Twilio {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }
}

#[cfg(test)]
mod tests;
