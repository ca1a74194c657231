//! SendGrid's [Event Webhook](https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event).

use crate::destination::feedback::{Feedback, FeedbackError, FeedbackKind};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;

/// What stands before a point of the curve P-256 in a SubjectPublicKeyInfo (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// One event. What is left out is the account's business, not a mail's.
#[derive(Deserialize)]
struct Event {
    event: String,
    sg_event_id: Option<String>,
    email: Option<String>,
    /// In seconds.
    timestamp: Option<i64>,
    /// Of a bounce: `bounce` or `blocked`.
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    /// Opened by a program that looks at all mails, as Apple's does, and not by the reader.
    #[serde(default)]
    sg_machine_open: bool,
    /// The custom argument that we have sent.
    tributary_message: Option<String>,
}

/// What a call of the Event Webhook tells. `signature` is the values of `X-Twilio-Email-Event-Webhook-Signature` and
/// `X-Twilio-Email-Event-Webhook-Timestamp`; `public_key` the verification key as SendGrid shows it: a
/// SubjectPublicKeyInfo in base64. Without a key the signature is not looked at.
///
/// # Errors
/// If there is a key and the call is not signed by it; or if the body is no list of events.
pub fn sendgrid(
    body: &[u8],
    signature: Option<(&str, &str)>,
    public_key: Option<&[u8]>,
) -> Result<Vec<Feedback>, FeedbackError> {
    if let Some(public_key) = public_key {
        let (signature, timestamp) = signature.ok_or(FeedbackError::Signature("there is none"))?;
        verify(public_key, signature, timestamp, body)?;
    }
    let events: Vec<Event> =
        serde_json::from_slice(body).map_err(|error| FeedbackError::Form(format!("no list of events: {error}")))?;
    events.into_iter().filter_map(|event| kind(&event).map(|kind| feedback(event, kind))).collect()
}

/// ECDSA over the timestamp and the body, as they are.
fn verify(public_key: &[u8], signature: &str, timestamp: &str, body: &[u8]) -> Result<(), FeedbackError> {
    let wrong = FeedbackError::Signature;
    let info = BASE64_STANDARD.decode(public_key.trim_ascii()).map_err(|_| wrong("the key is no base64"))?;
    let point = info.strip_prefix(&P256_INFO).ok_or(wrong("the key is none of the curve P-256"))?;
    let signature = BASE64_STANDARD.decode(signature.trim()).map_err(|_| wrong("it is no base64"))?;
    let signed = [timestamp.as_bytes(), body].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
    key.verify(&signed, &signature).map_err(|_| wrong("the call is not signed by the key"))
}

/// What an event means; `None` if it says nothing that is not known or not yet over.
fn kind(event: &Event) -> Option<FeedbackKind> {
    match event.event.as_str() {
        "delivered" => Some(FeedbackKind::Delivered),
        "open" if event.sg_machine_open => None,
        "open" => Some(FeedbackKind::Opened),
        "click" => Some(FeedbackKind::Clicked),
        // Refused for what it is or where it comes from, not for its address.
        "bounce" if event.kind.as_deref() == Some("blocked") => Some(FeedbackKind::NotDelivered),
        "bounce" => Some(FeedbackKind::Bounced),
        // Not sent, for what SendGrid remembers of the address.
        "dropped" => Some(match event.reason.as_deref() {
            Some("Bounced Address" | "Invalid") => FeedbackKind::Bounced,
            Some("Spam Reporting Address") => FeedbackKind::Complained,
            Some("Unsubscribed Address") => FeedbackKind::Unsubscribed,
            _ => FeedbackKind::NotDelivered,
        }),
        "spamreport" => Some(FeedbackKind::Complained),
        "unsubscribe" | "group_unsubscribe" => Some(FeedbackKind::Unsubscribed),
        // `group_resubscribe` is a yes to one group of mails, which is none to the whole channel.
        _ => None,
    }
}

fn feedback(event: Event, kind: FeedbackKind) -> Result<Feedback, FeedbackError> {
    let lacks = |what| FeedbackError::Form(format!("an event without {what}"));
    Ok(Feedback {
        id: event.sg_event_id.ok_or_else(|| lacks("sg_event_id"))?,
        address: event.email.ok_or_else(|| lacks("email"))?,
        message: event.tributary_message,
        kind,
        reason: event.reason,
        at: event.timestamp.map(|seconds| seconds.saturating_mul(1_000)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use serde_json::{Value, json};

    /// The example that SendGrid's libraries are tested with.
    const KEY: &[u8] = b"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1\
        flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
    const SIGNATURE: &str =
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
    const TIMESTAMP: &str = "1600112502";
    const BODY: &str = concat!(
        r#"[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","#,
        r#""sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","#,
        r#""sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","#,
        r#""smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]"#,
        "\r\n"
    );

    fn told(events: &Value) -> Vec<Feedback> {
        sendgrid(events.to_string().as_bytes(), None, None).unwrap()
    }

    #[test]
    fn a_call_that_is_signed_by_the_key_is_taken() {
        let told = sendgrid(BODY.as_bytes(), Some((SIGNATURE, TIMESTAMP)), Some(KEY)).unwrap();
        assert_eq!(
            told,
            [Feedback {
                id: "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA".to_owned(),
                address: "hello@world.com".to_owned(),
                message: None,
                kind: FeedbackKind::Bounced,
                reason: Some("Bounced Address".to_owned()),
                at: Some(1_600_112_492_000),
            }]
        );
    }

    #[test]
    fn a_call_that_is_not_is_refused() {
        let other = b"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDut\
            dhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA==";
        /// A body, its signature and timestamp, the key, and what is said.
        type Refused<'a> = (&'a str, Option<(&'a str, &'a str)>, &'a [u8], &'a str);
        let cases: [Refused<'_>; 6] = [
            (BODY, None, KEY, "there is none"),
            (BODY.trim_end(), Some((SIGNATURE, TIMESTAMP)), KEY, "the call is not signed by the key"),
            (BODY, Some((SIGNATURE, "1600112503")), KEY, "the call is not signed by the key"),
            (BODY, Some((SIGNATURE, TIMESTAMP)), other, "the call is not signed by the key"),
            (BODY, Some(("%", TIMESTAMP)), KEY, "it is no base64"),
            (BODY, Some((SIGNATURE, TIMESTAMP)), b"AAAA", "the key is none of the curve P-256"),
        ];
        for (body, signature, key, why) in cases {
            assert_eq!(sendgrid(body.as_bytes(), signature, Some(key)), Err(FeedbackError::Signature(why)));
        }
    }

    #[test]
    fn what_an_event_means() {
        let cases = [
            (json!({ "event": "delivered", "response": "250 OK" }), FeedbackKind::Delivered),
            (json!({ "event": "open", "sg_machine_open": false }), FeedbackKind::Opened),
            (json!({ "event": "click", "url": "https://shop.example.com" }), FeedbackKind::Clicked),
            (json!({ "event": "bounce", "type": "bounce", "reason": "550 5.1.1 unknown" }), FeedbackKind::Bounced),
            (json!({ "event": "bounce", "type": "blocked", "reason": "550 blocked" }), FeedbackKind::NotDelivered),
            (json!({ "event": "dropped", "reason": "Invalid" }), FeedbackKind::Bounced),
            (json!({ "event": "dropped", "reason": "Spam Reporting Address" }), FeedbackKind::Complained),
            (json!({ "event": "dropped", "reason": "Unsubscribed Address" }), FeedbackKind::Unsubscribed),
            (json!({ "event": "dropped", "reason": "Spam Content" }), FeedbackKind::NotDelivered),
            (json!({ "event": "spamreport" }), FeedbackKind::Complained),
            (json!({ "event": "unsubscribe" }), FeedbackKind::Unsubscribed),
            (json!({ "event": "group_unsubscribe", "asm_group_id": 10 }), FeedbackKind::Unsubscribed),
        ];
        for (mut event, kind) in cases {
            event["email"] = "ann@example.com".into();
            event["sg_event_id"] = "1".into();
            event["timestamp"] = 1_513_299_569.into();
            event["tributary_message"] = "msg_1".into();
            let expected = Feedback {
                id: "1".to_owned(),
                address: "ann@example.com".to_owned(),
                message: Some("msg_1".to_owned()),
                kind,
                reason: event["reason"].as_str().map(str::to_owned),
                at: Some(1_513_299_569_000),
            };
            assert_eq!(told(&json!([event])), [expected]);
        }
    }

    #[test]
    fn what_is_not_over_or_not_about_a_mail_is_left_out() {
        let events = json!([
            { "event": "processed", "email": "ann@example.com", "sg_event_id": "1" },
            { "event": "deferred", "email": "ann@example.com", "sg_event_id": "2", "response": "450 later" },
            { "event": "open", "email": "ann@example.com", "sg_event_id": "3", "sg_machine_open": true },
            { "event": "group_resubscribe", "email": "ann@example.com", "sg_event_id": "5", "asm_group_id": 10 },
            { "event": "account_status_change", "sg_event_id": "4", "type": "compliance_suspend", "timestamp": 1 },
        ]);
        assert!(told(&events).is_empty());
    }

    #[test]
    fn what_has_another_form_is_not_understood() {
        for body in ["", "{}", r#"[{"event":"delivered","email":"ann@example.com"}]"#] {
            assert!(matches!(sendgrid(body.as_bytes(), None, None), Err(FeedbackError::Form(_))), "{body}");
        }
    }
}
