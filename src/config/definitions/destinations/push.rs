//! Destinations that are notifications on phones and in browsers.

use super::reach;
use crate::config::decode::{Field, Table};
use crate::config::secret::{Variables, resolve_secret};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::time::Duration;
use tributary_model::{ApnsDestination, FcmDestination, Secret, WebPushDestination};

/// What of a service account's JSON is needed.
#[derive(Deserialize)]
struct ServiceAccount {
    project_id: String,
    client_email: String,
    private_key: String,
    token_uri: Option<String>,
}

pub(super) fn fcm(table: &Table<'_>, variables: &Variables) -> Option<FcmDestination> {
    let reach = reach::decode(table);
    let endpoint = reach::endpoint(table, "https://fcm.googleapis.com", reach.as_ref());
    let field = table.require("service_account", "service_account: file:/etc/tributary/firebase.json")?;
    let json = resolve_secret(&field, variables)?;
    let Ok(account) = serde_json::from_slice::<ServiceAccount>(json.expose()) else {
        // Serde's own words could hold a piece of the key.
        field.wrong("what is kept there is no service account's JSON with project_id, client_email and private_key");
        return None;
    };
    Some(FcmDestination {
        project_id: account.project_id,
        client_email: account.client_email,
        private_key: Secret::new(account.private_key),
        token_uri: account.token_uri.unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned()),
        endpoint: endpoint?,
        reach: reach?,
    })
}

pub(super) fn apns(table: &Table<'_>, variables: &Variables) -> Option<ApnsDestination> {
    let reach = reach::decode(table);
    let sandbox = table.get("sandbox").map_or(Some(false), |field| field.bool());
    let usual = match sandbox {
        Some(true) => "https://api.sandbox.push.apple.com",
        _ => "https://api.push.apple.com",
    };
    let endpoint = reach::endpoint(table, usual, reach.as_ref());
    let team = table.require("team_id", "team_id: A1B2C3D4E5").and_then(|field| ten(&field));
    let key_id = table.require("key_id", "key_id: F6G7H8I9J0").and_then(|field| ten(&field));
    let key = table.require("key", "key: file:/etc/tributary/AuthKey_F6G7H8I9J0.p8");
    let key = key.and_then(|field| resolve_secret(&field, variables));
    let topic = table.require("topic", "topic: com.example.app").and_then(|field| field.text());
    Some(ApnsDestination {
        team_id: team?,
        key_id: key_id?,
        private_key: key?,
        topic: topic?.to_owned(),
        endpoint: endpoint?,
        reach: reach?,
    })
}

/// Apple's ids of teams and keys.
fn ten(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() != 10 || !text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
        field.wrong(format!("`{text}` is none of Apple's ids, which have ten capital letters and digits"));
        return None;
    }
    Some(text.to_owned())
}

/// Four weeks: longer, and push services refuse it.
const LONGEST_TTL: Duration = Duration::from_secs(28 * 86_400);
const TTL: Duration = Duration::from_secs(86_400);

pub(super) fn web_push(table: &Table<'_>, variables: &Variables) -> Option<WebPushDestination> {
    let reach = reach::decode(table);
    let subject = table.require("subject", "subject: mailto:push@example.com").and_then(|field| {
        let text = field.text()?;
        let is_contact = text.starts_with("mailto:") || text.starts_with("https://");
        if !is_contact {
            field.wrong(format!("`{text}` is no contact; write mailto:push@example.com or an https:// address"));
        }
        is_contact.then(|| text.to_owned())
    });
    let key = table.require("private_key", "private_key: env:VAPID_PRIVATE_KEY").and_then(|field| {
        let text = resolve_secret(&field, variables)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.expose_text().trim_end_matches('='));
        let key = bytes.ok().filter(|bytes| bytes.len() == 32);
        if key.is_none() {
            field.wrong("what is kept there is no VAPID private key: 32 bytes in base64url, as `web-push generate-vapid-keys` prints it");
        }
        key.map(Secret::new)
    });
    let second = Duration::from_secs(1);
    let ttl = table.get("ttl").map_or(Some(TTL), |field| field.duration(second..=LONGEST_TTL));
    Some(WebPushDestination {
        subject: subject?,
        private_key: key?,
        ttl_seconds: u32::try_from(ttl?.as_secs()).ok()?,
        reach: reach?,
    })
}
