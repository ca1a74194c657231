//! Destinations that are phones' text messages.

use super::reach;
use crate::config::decode::{Field, Table};
use crate::config::secret::{Variables, resolve_secret};
use tributary_model::{TwilioDestination, TwilioSender};

pub(super) fn twilio(table: &Table<'_>, variables: &Variables) -> Option<TwilioDestination> {
    let reach = reach::decode(table);
    let endpoint = reach::endpoint(table, "https://api.twilio.com", reach.as_ref());
    let account = table.require("account_sid", "account_sid: AC0123…").and_then(|field| sid(&field, "AC"));
    let token = table.require("auth_token", "auth_token: env:TWILIO_AUTH_TOKEN");
    let token = token.and_then(|field| resolve_secret(&field, variables));
    let sender = match (table.get("from"), table.get("messaging_service_sid")) {
        (Some(from), None) => from.text().map(|from| TwilioSender::From(from.to_owned())),
        (None, Some(service)) => sid(&service, "MG").map(TwilioSender::MessagingService),
        _ => {
            table.field.wrong("write either `from` (a number, short code or sender id) or `messaging_service_sid`");
            None
        }
    };
    let callback = table.get("callback_url");
    let callback = callback.map_or(Some(None), |field| decode_callback(&field).map(Some));
    let words = [("give_up", false), ("repeat", true)];
    let repeats = table.get("after_timeout").map_or(Some(false), |field| field.one_of(&words));
    Some(TwilioDestination {
        account_sid: account?,
        auth_token: token?,
        sender: sender?,
        callback_url: callback?.map(|url| url.trim_end_matches('/').to_owned()),
        repeat_after_timeout: repeats?,
        endpoint: endpoint?,
        reach: reach?,
    })
}

/// This server as Twilio reaches it, without what is added to it.
fn decode_callback(field: &Field<'_>) -> Option<String> {
    let url = reach::url(field, true)?;
    if url.contains(['?', '#']) || url.contains("/v1/feedback") {
        let example = "such as https://cdp.example.com: /v1/feedback/ID is added to it";
        field.wrong(format!("write this server's address alone, {example}"));
        return None;
    }
    Some(url)
}

/// Twilio's names of things: two letters and 32 hex digits.
fn sid(field: &Field<'_>, kind: &str) -> Option<String> {
    let text = field.text()?;
    let digits = text.strip_prefix(kind).unwrap_or_default();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        field.wrong(format!("`{text}` is no SID of this kind; it begins with {kind}, and 32 hex digits follow"));
        return None;
    }
    Some(text.to_owned())
}
