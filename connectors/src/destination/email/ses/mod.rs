//! Amazon Simple Email Service's
//! [SendEmail, version 2](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html).
//!
//! Delivered means that SES has taken the mail. What became of it is published by the configuration set's event
//! destinations, with the tag `tributary_message`: see [`feedback::ses`](super::feedback::ses()).

mod sigv4;

use super::{Email, Sender, json};
use crate::destination::delivery::Target;
use crate::destination::http::{self, Answer, SetupError};
use crate::destination::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use lettre::message::Mailbox;
use lettre::message::header::{self, Headers};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Url};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use tributary_model::{DeliveryPolicy, Secret, SesDestination};

const JSON: &str = "application/json";

/// An account in one region.
pub struct Ses {
    url: Url,
    /// As it is in the header: with the port, unless it is the usual one.
    host: String,
    region: String,
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
    from: String,
    reply_to: Vec<String>,
    configuration_set: Option<String>,
    client: Client,
}

impl std::fmt::Debug for Ses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ses in {} at {}", self.region, self.host)
    }
}

/// The body of a request.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail<'a> {
    from_email_address: &'a str,
    destination: Destination<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reply_to_addresses: &'a [String],
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration_set_name: Option<&'a str>,
    email_tags: [Pair<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Destination<'a> {
    to_addresses: [&'a str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Content<'a> {
    simple: Simple<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Simple<'a> {
    subject: Text<'a>,
    body: Body<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Pair<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Text<'a> {
    data: &'a str,
    charset: &'static str,
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(data: &'a String) -> Self {
        Self { data, charset: "UTF-8" }
    }
}

/// A header or a tag.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pair<'a> {
    name: &'a str,
    value: &'a str,
}

/// Why SES refuses a request, where no header says so.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
}

impl Ses {
    /// Sets up an account; nothing is called yet.
    ///
    /// # Errors
    /// If the address of the API is none, or is private and that is not allowed; or if a mailbox is none.
    pub fn new(destination: &SesDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let endpoint = destination.endpoint.trim_end_matches('/');
        let url = http::url(&format!("{endpoint}/v2/email/outbound-emails"), &destination.reach)?;
        let name = url.host_str().unwrap_or_default();
        let Sender { from, reply_to } = Sender::new(&destination.from, destination.reply_to.as_deref())?;
        Ok(Self {
            host: url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}")),
            url,
            region: destination.region.clone(),
            access_key_id: destination.access_key_id.clone(),
            secret_access_key: destination.secret_access_key.clone(),
            session_token: destination.session_token.clone(),
            from: in_ascii(from),
            reply_to: reply_to.into_iter().map(in_ascii).collect(),
            configuration_set: destination.configuration_set.clone(),
            client: http::client(&destination.reach, policy)?.build()?,
        })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let body = match Email::of(message).and_then(|email| json(&self.mail(&message.id, &email))) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        match http::call(self.signed(body, SystemTime::now())).await {
            Ok(answer) => judge(&answer),
            Err(unanswered) => unanswered.into(),
        }
    }

    fn mail<'a>(&'a self, id: &'a str, email: &'a Email) -> SendEmail<'a> {
        let Email { to, subject, text, html, headers } = email;
        let headers = headers.iter().map(|(name, value)| Pair { name, value }).collect();
        let body = Body { text: text.as_ref().map(Text::from), html: html.as_ref().map(Text::from) };
        SendEmail {
            from_email_address: &self.from,
            destination: Destination { to_addresses: [to.as_ref()] },
            reply_to_addresses: &self.reply_to,
            content: Content { simple: Simple { subject: subject.into(), body, headers } },
            configuration_set_name: self.configuration_set.as_deref(),
            email_tags: [Pair { name: "tributary_message", value: id }],
        }
    }

    fn signed(&self, body: Vec<u8>, now: SystemTime) -> RequestBuilder {
        let at = jiff::Timestamp::try_from(now).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![("content-type", JSON), ("host", self.host.as_str()), ("x-amz-date", at.as_str())];
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, JSON).header("x-amz-date", &at);
        if let Some(token) = &self.session_token {
            headers.push(("x-amz-security-token", token.expose_text()));
            request = request.header("x-amz-security-token", token.expose_text());
        }
        let key = sigv4::Key {
            id: &self.access_key_id,
            secret: &self.secret_access_key,
            region: &self.region,
            service: "ses",
        };
        let authorization = sigv4::authorization(&key, &at, self.url.path(), &headers, &body);
        request.header(AUTHORIZATION, authorization).body(body)
    }
}

/// A mailbox with its name encoded (RFC 2047): SES takes ASCII only.
fn in_ascii(mailbox: Mailbox) -> String {
    let mut headers = Headers::new();
    headers.set(header::Sender::from(mailbox));
    // Long lines are folded there.
    let line = headers.to_string().replace("\r\n", "");
    line.strip_prefix("Sender: ").unwrap_or_default().to_owned()
}

/// What an answer means, by the kinds of errors of SendEmail and those that all of AWS has in common.
fn judge(answer: &Answer) -> Outcome {
    match kind(answer).as_deref() {
        Some("TooManyRequestsException" | "ThrottlingException" | "Throttling") => answer.retry(Blame::Pace),
        Some(
            "AccountSuspendedException"
            | "SendingPausedException"
            | "LimitExceededException"
            | "MailFromDomainNotVerifiedException"
            | "NotFoundException"
            | "AccessDeniedException"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidSignatureException"
            | "NotAuthorized"
            | "RequestExpired"
            | "UnrecognizedClientException",
        ) => answer.retry(Blame::Destination),
        _ => answer.judge_api(),
    }
}

/// The kind of an error: `MessageRejected`, or with what some protocols of AWS put around it:
/// `com.amazonaws.sesv2#MessageRejected:http://…`.
fn kind(answer: &Answer) -> Option<String> {
    let header = answer.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let kind = header.map(str::to_owned).or_else(|| answer.json().map(|Refusal { kind }| kind))?;
    Some(kind.split(':').next()?.rsplit('#').next()?.to_owned())
}

impl Target for Ses {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }
}

#[cfg(test)]
mod tests;
