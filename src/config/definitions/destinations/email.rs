//! Destinations that are mailboxes.

use super::reach;
use crate::config::decode::{Field, Table};
use crate::config::secret::{Variables, resolve_secret};
use tributary_model::{SendGridDestination, SesDestination, SmtpDestination, SmtpSecurity};

pub(super) fn smtp(table: &Table<'_>, variables: &Variables) -> Option<SmtpDestination> {
    let reach = reach::decode(table);
    let host = table.require("host", "host: smtp.example.com");
    let host = host.and_then(|field| decode_host(&field, reach.as_ref().is_none_or(|reach| reach.allow_private)));
    let words = [("tls", SmtpSecurity::Tls), ("starttls", SmtpSecurity::StartTls), ("none", SmtpSecurity::None)];
    let security = table.get("security").map_or(Some(SmtpSecurity::StartTls), |field| field.one_of(&words));
    let usual = match security {
        Some(SmtpSecurity::Tls) => 465,
        Some(SmtpSecurity::None) => 25,
        _ => 587,
    };
    let port = table.get("port").map_or(Some(usual), |field| field.integer(1..=u16::MAX));
    let (username, password) = (table.get("username"), table.get("password"));
    let credentials = match (username, password) {
        (None, None) => Some(None),
        (Some(username), Some(password)) => {
            let (username, password) = (username.text(), resolve_secret(&password, variables));
            username.map(str::to_owned).zip(password).map(Some)
        }
        _ => {
            table.field.wrong("`username` and `password` come together; write both or neither");
            None
        }
    };
    if let (Some(Some(_)), Some(SmtpSecurity::None), Some(false)) =
        (&credentials, security, reach.as_ref().map(|reach| reach.allow_private))
    {
        table.field.wrong("a password would go over the network in the clear; write `security: tls` or `starttls`");
    }
    let (from, reply_to) = sender(table);
    Some(SmtpDestination {
        host: host?,
        port: port?,
        security: security?,
        credentials: credentials?,
        from: from?,
        reply_to: reply_to?,
        reach: reach?,
    })
}

pub(super) fn sendgrid(table: &Table<'_>, variables: &Variables) -> Option<SendGridDestination> {
    let reach = reach::decode(table);
    let endpoint = reach::endpoint(table, "https://api.sendgrid.com", reach.as_ref());
    let api_key = table.require("api_key", "api_key: env:SENDGRID_API_KEY");
    let api_key = api_key.and_then(|field| resolve_secret(&field, variables));
    let (from, reply_to) = sender(table);
    Some(SendGridDestination {
        api_key: api_key?,
        from: from?,
        reply_to: reply_to?,
        endpoint: endpoint?,
        reach: reach?,
    })
}

pub(super) fn ses(table: &Table<'_>, variables: &Variables) -> Option<SesDestination> {
    let reach = reach::decode(table);
    let region = table.require("region", "region: eu-central-1").and_then(|field| decode_region(&field));
    let usual = format!("https://email.{}.amazonaws.com", region.unwrap_or_default());
    let endpoint = reach::endpoint(table, &usual, reach.as_ref());
    let id = table.require("access_key_id", "access_key_id: AKIA…").and_then(|field| field.text());
    let secret = table.require("secret_access_key", "secret_access_key: env:AWS_SECRET_ACCESS_KEY");
    let secret = secret.and_then(|field| resolve_secret(&field, variables));
    let token = table.get("session_token").map_or(Some(None), |field| resolve_secret(&field, variables).map(Some));
    let set = table.get("configuration_set").map_or(Some(None), |field| field.text().map(|text| Some(text.to_owned())));
    let (from, reply_to) = sender(table);
    Some(SesDestination {
        region: region?.to_owned(),
        access_key_id: id?.to_owned(),
        secret_access_key: secret?,
        session_token: token?,
        from: from?,
        reply_to: reply_to?,
        configuration_set: set?,
        endpoint: endpoint?,
        reach: reach?,
    })
}

/// `from` and `reply_to`.
fn sender(table: &Table<'_>) -> (Option<String>, Option<Option<String>>) {
    let from = table.require("from", "from: Shop <shop@example.com>").and_then(|field| field.text().map(str::to_owned));
    let reply_to = table.get("reply_to").map_or(Some(None), |field| field.text().map(|text| Some(text.to_owned())));
    (from, reply_to)
}

fn decode_host(field: &Field<'_>, allow_private: bool) -> Option<String> {
    let host = field.text()?;
    if host.contains(['/', ':', '@', ' ']) {
        field.wrong(format!("`{host}` is no name of a host; write smtp.example.com, and the port into `port`"));
        return None;
    }
    if !allow_private && reach::is_private(host) {
        field.wrong(format!(
            "{host} is in this machine's or a private network; if that is meant, add `allow_private: true`"
        ));
        return None;
    }
    Some(host.to_owned())
}

fn decode_region<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.text()?;
    if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        field.wrong(format!("`{text}` is no AWS region; write one such as eu-central-1"));
        return None;
    }
    Some(text)
}
