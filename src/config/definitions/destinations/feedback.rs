//! By what a vendor's word on what became of messages is known to be the vendor's.

use super::Type;
use crate::config::decode::{Field, Table};
use crate::config::secret::{Variables, resolve_secret};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tributary_model::{FeedbackKeys, Secret};

/// A secret of fewer characters might be found by trying.
const KEY_CHARS: usize = 16;
/// Bytes of a public key of the curve P-256 (SubjectPublicKeyInfo).
const PUBLIC_KEY_BYTES: usize = 91;

/// The fields of destinations whose vendors tell: of Twilio's none, since it signs with the account's token.
pub(super) fn decode(table: &Table<'_>, variables: &Variables, kind: Type) -> Option<FeedbackKeys> {
    if !matches!(kind, Type::Smtp | Type::SendGrid | Type::Ses) {
        return Some(FeedbackKeys::default());
    }
    let key = table.get("feedback_key").map_or(Some(None), |field| decode_key(&field, variables).map(Some));
    let public_key = match kind {
        Type::SendGrid => table.get("webhook_public_key"),
        _ => None,
    };
    let public_key = public_key.map_or(Some(None), |field| decode_public_key(&field).map(Some));
    Some(FeedbackKeys { key: key?, public_key: public_key? })
}

fn decode_key(field: &Field<'_>, variables: &Variables) -> Option<Secret> {
    let key = resolve_secret(field, variables)?;
    if key.expose().len() < KEY_CHARS {
        field.wrong(format!(
            "what is kept there has fewer than {KEY_CHARS} characters; `tributary token` makes a secret"
        ));
        return None;
    }
    Some(key)
}

fn decode_public_key(field: &Field<'_>) -> Option<String> {
    let text = field.text()?.trim();
    if !BASE64_STANDARD.decode(text).is_ok_and(|key| key.len() == PUBLIC_KEY_BYTES) {
        let place = "copy the verification key that SendGrid shows with the Event Webhook";
        field.wrong(format!("this is no public key in base64; {place}"));
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::config::definitions::tests::read_files;

    /// What SendGrid's libraries are tested with.
    const PUBLIC_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3G\
        Rqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
    const SENDGRID: &str = "type: sendgrid, api_key: env:API_KEY, from: shop@example.com";

    fn read(fields: &str) -> Result<FeedbackKeys, Vec<String>> {
        let yaml = format!("destinations:\n  a: {{ {fields} }}\n");
        let variables = [("API_KEY", "hush"), ("FEEDBACK_KEY", "0123456789abcdef"), ("SHORT", "0123456789abcde")];
        let definitions = read_files(&[("t.yaml", &yaml)], &variables.into())?.definitions;
        Ok(definitions.destinations["a"].feedback.clone())
    }

    #[track_caller]
    fn told(fields: &str, expected: &str) {
        let told = read(fields).unwrap_err();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with(expected), "{told:?}");
    }

    #[test]
    fn what_a_vendor_tells_is_taken_by_a_secret_or_a_key() {
        let keys = read(&format!("{SENDGRID}, feedback_key: env:FEEDBACK_KEY, webhook_public_key: \"{PUBLIC_KEY}\""));
        let keys = keys.unwrap();
        assert_eq!(keys.key.as_ref().map(Secret::expose), Some(&b"0123456789abcdef"[..]));
        assert_eq!(keys.public_key.as_deref(), Some(PUBLIC_KEY));
        let keys = read(SENDGRID).unwrap();
        assert!(keys.key.is_none() && keys.public_key.is_none(), "nothing is taken unless somebody wants it");
        let smtp = "type: smtp, host: smtp.example.com, from: shop@example.com, feedback_key: env:FEEDBACK_KEY";
        assert!(read(smtp).unwrap().key.is_some());
    }

    #[test]
    fn keys_that_are_none() {
        told(
            &format!("{SENDGRID}, feedback_key: env:SHORT"),
            "destinations.a.feedback_key: what is kept there has fewer than 16 characters; `tributary token` makes a \
             secret",
        );
        told(
            &format!("{SENDGRID}, webhook_public_key: \"MFkw\""),
            "destinations.a.webhook_public_key: this is no public key in base64; copy the verification key that \
             SendGrid shows with the Event Webhook",
        );
        let webhook = "type: webhook, url: \"https://example.com/\", feedback_key: env:FEEDBACK_KEY";
        let told = read(webhook).unwrap_err();
        assert!(told[0].contains("destinations.a.feedback_key: there is no such field"), "{told:?}");
    }
}
