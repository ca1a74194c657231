//! What vendors tell of messages afterwards: `POST /v1/feedback/{destination}`. It is answered when it is durable;
//! vendors tell again what is not taken.

use super::error::{ApiError, ErrorAnswer};
use super::extract::Path;
use super::ingest::append;
use super::state::ApiState;
use super::suppressions::identifier_of_address;
use super::visitors::fields;
use crate::activation::gate::normalised;
use crate::activation::news::{self, Known, News};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use bytes::Bytes;
use reqwest::redirect::Policy;
use std::sync::Arc;
use std::time::Duration;
use tributary_connectors::destination::email::feedback::{Sns, dsn, sendgrid, ses};
use tributary_connectors::destination::{FeedbackError, twilio};
use tributary_model::{Destination, DestinationKind as Kind};

/// The most that a vendor tells at once.
const FEEDBACK_BYTES: usize = 1 << 20;
/// How long the log may take it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long SNS may take to take a confirmation.
const CONFIRMATION: Duration = Duration::from_secs(10);

/// A call, as far as it shows who makes it.
struct Call<'a> {
    /// The destination's id, and what it is.
    destination: (&'a str, &'a Destination),
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

/// Takes what a vendor tells of messages: bounces, complaints, who wants no more, what was opened. Twilio and SendGrid
/// sign their calls; others have the destination's `feedback_key` as `?key=` in the address.
#[utoipa::path(post, path = "/v1/feedback/{destination}", tag = "feedback",
    params(("destination" = String, Path, description = "The destination's id")),
    request_body(content = String, description = "As the vendor documents it; a mail server's mail as `message/rfc822`",
        content_type = "application/octet-stream"),
    responses((status = 204, description = "It is taken"),
        (status = 400, description = "Of another form than the vendor documents", body = ErrorAnswer),
        (status = 403, description = "Not from the vendor", body = ErrorAnswer),
        (status = 404, description = "No such destination, or none that takes it", body = ErrorAnswer),
        (status = 408, description = "The body did not arrive in time", body = ErrorAnswer),
        (status = 413, description = "More than 1 MiB", body = ErrorAnswer),
        (status = 415, description = "The body's type or encoding is not known", body = ErrorAnswer),
        (status = 429, description = "Too much at once; `Retry-After`", body = ErrorAnswer),
        (status = 503, description = "Not stored; `Retry-After`", body = ErrorAnswer)))]
pub async fn feedback(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let definitions = state.definitions();
    let destination = definitions.destinations.get(&id);
    let nowhere = || ApiError::not_found("no_such_destination", "there is no destination of this id");
    let destination = destination.ok_or_else(nowhere)?;
    let call = Call { destination: (id.as_str(), destination), uri: &uri, headers: &headers };
    // Whoever has no key need not send more.
    call.check_key()?;
    let (body, _place) = state.vendors.read(&headers, body, FEEDBACK_BYTES).await?;
    let told = match call.read(&body)? {
        Sns::Tell(told) => told,
        Sns::Confirm(url) => {
            confirm(&url).await?;
            return Ok(StatusCode::NO_CONTENT);
        }
    };
    let (channel, now) = (destination.kind.channel(), (state.clock)());
    let records = state.read(move |state, view| {
        let mut records = Vec::new();
        for feedback in &told {
            let address = normalised(channel, &feedback.address);
            let suppression = view.suppression(channel.name(), &address)?;
            let known = Known {
                identifier: identifier_of_address(state, view, channel, &feedback.address)?,
                is_suppressed: suppression.is_some_and(|suppression| suppression.is_suppressed),
            };
            records.extend(news::records(&News { destination: &id, channel, feedback }, &known, now));
        }
        Ok(records)
    });
    let records = records.await?;
    if !records.is_empty() {
        append(&*state.log, records, "feedback", PATIENCE).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Call<'_> {
    /// Whether whoever calls knows the secret, where that is what shows who calls.
    fn check_key(&self) -> Result<(), ApiError> {
        let (id, Destination { kind, feedback, .. }) = self.destination;
        let lacks = |what: &str| ApiError::not_found("feedback_not_taken", format!("destinations.{id} {what}"));
        match kind {
            Kind::Twilio(settings) if settings.callback_url.is_some() => return Ok(()),
            Kind::Twilio(_) => return Err(lacks("takes no feedback; set `callback_url`")),
            Kind::SendGrid(_) if feedback.public_key.is_some() => return Ok(()),
            Kind::SendGrid(_) | Kind::Ses(_) | Kind::Smtp(_) => {}
            _ => return Err(lacks("is of a kind whose vendor tells nothing afterwards")),
        }
        let Some(key) = &feedback.key else {
            let or = if matches!(kind, Kind::SendGrid(_)) { "`webhook_public_key` or " } else { "" };
            return Err(lacks(&format!("takes no feedback; set {or}`feedback_key: env:NAME`")));
        };
        let given = fields(self.uri.query().unwrap_or_default()).into_iter().find(|(name, _)| name == "key");
        // Hashes are compared in constant time.
        let is_it = given.is_some_and(|(_, given)| blake3::hash(given.as_bytes()) == blake3::hash(key.expose()));
        let wrong = "the address needs ?key= and the destination's feedback_key";
        if is_it { Ok(()) } else { Err(ApiError::forbidden("wrong_key", wrong)) }
    }

    /// What the vendor tells, or wants.
    fn read(&self, body: &Bytes) -> Result<Sns, ApiError> {
        let (_, Destination { kind, feedback, .. }) = self.destination;
        let told = match kind {
            Kind::Twilio(settings) => {
                // Behind a proxy this server is called by another name than Twilio calls.
                let base = settings.callback_url.as_deref().unwrap_or_default();
                let path = self.uri.path_and_query().map_or("", |path| path.as_str());
                let form = fields(text(body)?);
                let signature = self.header("x-twilio-signature").unwrap_or_default();
                twilio::feedback(&format!("{base}{path}"), &form, signature, &settings.auth_token)
            }
            Kind::SendGrid(_) => {
                let signature = self.header("x-twilio-email-event-webhook-signature");
                let timestamp = self.header("x-twilio-email-event-webhook-timestamp");
                sendgrid(body, signature.zip(timestamp), feedback.public_key.as_deref().map(str::as_bytes))
            }
            Kind::Ses(_) => return ses(body).map_err(not_taken),
            _ => {
                let kind = self.header(header::CONTENT_TYPE.as_str()).unwrap_or("message/rfc822");
                let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                if !matches!(kind.as_str(), "message/rfc822" | "text/plain") {
                    let mend = "send the mail as it came, as message/rfc822 or text/plain";
                    return Err(ApiError::unsupported("unknown_content_type", mend));
                }
                dsn(body)
            }
        };
        told.map(Sns::Tell).map_err(not_taken)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn text(body: &Bytes) -> Result<&str, ApiError> {
    let no_text = |_| ApiError::bad_request("invalid_feedback", "the body is no UTF-8");
    std::str::from_utf8(body).map_err(no_text)
}

fn not_taken(error: FeedbackError) -> ApiError {
    match error {
        FeedbackError::Signature(_) => ApiError::forbidden("wrong_signature", error.to_string()),
        FeedbackError::Form(_) => ApiError::bad_request("invalid_feedback", error.to_string()),
    }
}

/// Tells SNS that its messages are wanted here. The address is one of SNS's own, which was checked.
async fn confirm(url: &str) -> Result<(), ApiError> {
    let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(CONFIRMATION).build();
    let asked = match client {
        Ok(client) => client.get(url).send().await,
        Err(error) => Err(error),
    };
    let why = match asked {
        Ok(answer) if answer.status().is_success() => {
            tracing::info!("a subscription to SNS is confirmed");
            return Ok(());
        }
        Ok(answer) => format!("answered {}", answer.status()),
        // The address has a token in it.
        Err(error) => error.without_url().to_string(),
    };
    tracing::warn!(why, "a subscription to SNS cannot be confirmed");
    Err(ApiError::unavailable("not_confirmed", "the subscription could not be confirmed; ask again"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Paths, load};
    use tributary_connectors::destination::FeedbackKind;
    use tributary_model::Definitions;

    const KEY: &str = "0123456789abcdef";

    fn definitions() -> Definitions {
        let folder = tempfile::tempdir().unwrap();
        let twilio = "type: twilio, account_sid: AC0123456789abcdef0123456789abcdef, auth_token: env:KEY, from: Shop";
        let yaml = format!(
            "destinations:\n  \
             sendgrid: {{ type: sendgrid, api_key: env:KEY, from: shop@example.com, feedback_key: env:KEY }}\n  \
             shut: {{ type: sendgrid, api_key: env:KEY, from: shop@example.com }}\n  \
             ses: {{ type: ses, region: eu-central-1, access_key_id: AKIA, secret_access_key: env:KEY, \
             from: shop@example.com, feedback_key: env:KEY }}\n  \
             smtp: {{ type: smtp, host: smtp.example.com, from: shop@example.com, feedback_key: env:KEY }}\n  \
             hook: {{ type: webhook, url: \"https://example.com/\" }}\n  \
             sms: {{ {twilio}, callback_url: \"https://shop.example/cdp\" }}\n  silent: {{ {twilio} }}\n"
        );
        std::fs::write(folder.path().join("t.yaml"), yaml).unwrap();
        std::fs::write(folder.path().join("t.toml"), "").unwrap();
        let paths = Paths { config: Some(folder.path().join("t.toml")), definitions: Some(folder.path().to_owned()) };
        load(&paths, &[("KEY", KEY)].into()).unwrap().loaded.definitions
    }

    /// What a call is taken for: the kinds of what it tells, or the status of the refusal.
    fn called(id: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Result<Vec<FeedbackKind>, u16> {
        let definitions = definitions();
        let uri: Uri = format!("/v1/feedback/{id}{query}").parse().unwrap();
        let named = |name: &str| name.parse::<axum::http::HeaderName>().unwrap();
        let headers = headers.iter().map(|(name, value)| (named(name), value.parse().unwrap())).collect();
        let destination = definitions.destinations.get(id).unwrap();
        let call = Call { destination: (id, destination), uri: &uri, headers: &headers };
        let told = call.check_key().and_then(|()| call.read(&Bytes::from(body.to_owned())));
        match told.map_err(|error| error.status().as_u16())? {
            Sns::Tell(told) => Ok(told.iter().map(|told| told.kind).collect()),
            Sns::Confirm(url) => panic!("{url}"),
        }
    }

    const EVENTS: &str = r#"[{"email":"ada@example.com","event":"spamreport","sg_event_id":"1","timestamp":1}]"#;

    #[test]
    fn whoever_knows_the_key_is_the_vendor() {
        let right = format!("?key={KEY}");
        assert_eq!(called("sendgrid", &right, &[], EVENTS), Ok(vec![FeedbackKind::Complained]));
        for query in ["", "?key=", "?key=0123456789abcdeg", "?kay=0123456789abcdef"] {
            assert_eq!(called("sendgrid", query, &[], EVENTS), Err(403), "{query}");
        }
        assert_eq!(called("shut", &right, &[], EVENTS), Err(404), "nobody has said that anything is taken");
        assert_eq!(called("hook", &right, &[], EVENTS), Err(404));
        assert_eq!(called("sendgrid", &right, &[], "{}"), Err(400));
        assert_eq!(called("ses", &right, &[], "{}"), Err(400));
    }

    #[test]
    fn twilio_signs_the_address_that_it_was_given() {
        // The address and the sorted fields, through `openssl dgst -sha1 -hmac 0123456789abcdef -binary | base64`.
        let signature = [("x-twilio-signature", "jMuvCpySHH2cjMHmY/oTOosNIXA=")];
        let stop = "From=%2B16502530000&Body=STOP&MessageSid=SM1";
        assert_eq!(called("sms", "?message=m", &signature, stop), Ok(vec![FeedbackKind::Unsubscribed]));
        assert_eq!(called("sms", "?message=n", &signature, stop), Err(403), "of another message");
        assert_eq!(called("sms", "?message=m", &[("x-twilio-signature", "AAAA")], "MessageSid=SM1"), Err(403));
        assert_eq!(called("sms", "?message=m", &[], "MessageSid=SM1"), Err(403));
        assert_eq!(called("silent", "", &[], "MessageSid=SM1"), Err(404));
    }

    #[test]
    fn a_mail_server_sends_mails() {
        let right = format!("?key={KEY}");
        let mail = "Message-ID: <1@example.com>\nContent-Type: multipart/report; boundary=b\n\n--b\n\
            Content-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example.com\n\n\
            Final-Recipient: rfc822; ada@example.com\nAction: failed\nStatus: 5.1.1\n\n--b--\n";
        for kind in ["message/rfc822", "Text/Plain; charset=utf-8"] {
            assert_eq!(called("smtp", &right, &[("content-type", kind)], mail), Ok(vec![FeedbackKind::Bounced]));
        }
        assert_eq!(called("smtp", &right, &[("content-type", "application/json")], mail), Err(415));
        assert_eq!(called("smtp", &right, &[], "Hello"), Err(400));
    }
}
