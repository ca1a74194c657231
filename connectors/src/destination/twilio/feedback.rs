//! What Twilio tells afterwards: how a message fared (status callbacks), and that somebody answers STOP or START.
//!
//! Both are forms, signed as
//! [Secure webhooks](https://www.twilio.com/docs/usage/webhooks/webhooks-security) says. Messages name the address for
//! their callbacks themselves; for answers it is set at Twilio, as `<callback_url>/v1/feedback/<destination>`.

use super::{DEAD_ADDRESS, OPTED_OUT};
use crate::destination::feedback::{Feedback, FeedbackError, FeedbackKind};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use ring::hmac;
use tributary_model::Secret;

/// What a request from Twilio tells: one thing; or nothing, while a message is under way and of answers that are no
/// keyword. When it happened Twilio does not say, or in no time zone.
///
/// `url` is the whole address, with its query, as it was given to Twilio: behind a proxy that is not what this server
/// was called by. Its parameter `message` names the message. `form` is the decoded body with all its fields, and
/// `signature` the header `X-Twilio-Signature`.
///
/// # Errors
/// If it is not signed with the account's token, or is neither a status callback nor an incoming message.
pub fn feedback(
    url: &str,
    form: &[(String, String)],
    signature: &str,
    auth_token: &Secret,
) -> Result<Vec<Feedback>, FeedbackError> {
    verify(url, form, signature, auth_token)?;
    let told = match value(form, "MessageStatus") {
        Some(status) => of_status(url, form, status)?,
        None => of_answer(form)?,
    };
    Ok(told.into_iter().collect())
}

/// Checks the signature: HMAC-SHA1 over the address and the sorted fields, name after value without anything between.
pub(super) fn verify(
    url: &str,
    form: &[(String, String)],
    signature: &str,
    auth_token: &Secret,
) -> Result<(), FeedbackError> {
    let tag = BASE64_STANDARD.decode(signature).map_err(|_| FeedbackError::Signature("it is not in base64"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.expose());
    let mut fields: Vec<_> = form.iter().collect();
    fields.sort_unstable();
    // A field that comes twice with one value is signed once.
    fields.dedup();
    let fields: String = fields.into_iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect();
    let is_signed = |url: &str| hmac::verify(&key, format!("{url}{fields}").as_bytes(), &tag).is_ok();
    if is_signed(url) || other_form(url).is_some_and(|url| is_signed(&url)) {
        return Ok(());
    }
    Err(FeedbackError::Signature("it is made with another token, or for another address"))
}

/// The same address without its port, or with the usual one: Twilio signs either, whichever it was given.
fn other_form(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    Some(match authority.rsplit_once(':').filter(|(_, port)| is_port(port)) {
        Some((host, _)) => format!("{scheme}://{host}{path}"),
        None if scheme == "https" => format!("{scheme}://{authority}:443{path}"),
        None => format!("{scheme}://{authority}:80{path}"),
    })
}

/// How a message fared, once that is known.
fn of_status(url: &str, form: &[(String, String)], status: &str) -> Result<Option<Feedback>, FeedbackError> {
    let code = value(form, "ErrorCode");
    let kind = match (status, code.and_then(|code| code.parse::<u32>().ok())) {
        ("delivered", _) => FeedbackKind::Delivered,
        // Of RCS, which a messaging service may use in place of SMS.
        ("read", _) => FeedbackKind::Opened,
        ("undelivered" | "failed", Some(OPTED_OUT)) => FeedbackKind::Unsubscribed,
        ("undelivered" | "failed", Some(code)) if DEAD_ADDRESS.contains(&code) => FeedbackKind::Bounced,
        ("undelivered" | "failed", _) => FeedbackKind::NotDelivered,
        _ => return Ok(None),
    };
    Ok(Some(Feedback {
        id: format!("{}:{status}", need(form, "MessageSid")?),
        address: need(form, "To")?.to_owned(),
        message: message(url),
        kind,
        reason: code.map(|code| format!("error {code}")),
        at: None,
    }))
}

/// What an incoming message asks for: a keyword alone, or what Twilio's Advanced Opt-Out takes it for.
///
/// `YES` is no keyword here, though Twilio lifts its own block for it: it is as likely to answer a question, and nobody
/// who left in another way should be back for that.
fn of_answer(form: &[(String, String)]) -> Result<Option<Feedback>, FeedbackError> {
    let body = need(form, "Body")?;
    let word = value(form, "OptOutType").unwrap_or(body).trim().to_ascii_uppercase();
    let kind = match word.as_str() {
        "STOP" | "STOPALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "OPTOUT" | "REVOKE" => {
            FeedbackKind::Unsubscribed
        }
        "START" | "UNSTOP" => FeedbackKind::Resubscribed,
        _ => return Ok(None),
    };
    Ok(Some(Feedback {
        id: format!("{}:received", need(form, "MessageSid")?),
        address: need(form, "From")?.to_owned(),
        message: None,
        kind,
        reason: Some(word),
        at: None,
    }))
}

/// Our message's id, which the status callback's address holds.
fn message(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    url.query_pairs().find(|(name, _)| name == "message").map(|(_, id)| id.into_owned())
}

/// A field that is not empty.
fn value<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(field, value)| field == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

fn need<'a>(form: &'a [(String, String)], name: &str) -> Result<&'a str, FeedbackError> {
    let found = form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    found.ok_or_else(|| FeedbackError::Form(format!("there is no {name}")))
}
