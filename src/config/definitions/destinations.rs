//! `destinations`: where triggers go.

use super::Surroundings;
use crate::config::decode::{Field, Table};
use crate::config::secret::resolve_webhook_secret;
use crate::config::server::{decode_servers, decode_topic};
use std::net::IpAddr;
use std::time::Duration;
use tributary_model::{Destination, KafkaDestination, WebhookDestination};

/// An endpoint that needs longer does its work in the wrong place.
const TIMEOUT: Duration = Duration::from_secs(10);
/// With doubling pauses, over an hour: long enough for a restart or a deployment at the other end.
const MAX_ATTEMPTS: u32 = 10;
/// Enough to hide a network's latency, not enough to hurt an endpoint.
const CONCURRENCY: usize = 8;

#[derive(Clone, Copy)]
enum Type {
    Webhook,
    Kafka,
}

pub(super) fn decode(field: &Field<'_>, around: Surroundings<'_>) -> Option<Destination> {
    let table = field.table()?;
    let kind = table.require("type", "type: webhook")?;
    // Without its type, which fields a destination has is not known: nothing more can be told of it.
    match kind.one_of(&[("webhook", Type::Webhook), ("kafka", Type::Kafka)])? {
        Type::Webhook => decode_webhook(table, around).map(Destination::Webhook),
        Type::Kafka => decode_kafka(table, around).map(Destination::Kafka),
    }
}

fn decode_webhook(table: Table<'_>, around: Surroundings<'_>) -> Option<WebhookDestination> {
    let allow_private = table.get("allow_private").map_or(Some(false), |field| field.bool());
    let url = table.require("url", "url: https://example.com/hook");
    let url = url.and_then(|field| decode_url(&field, allow_private.unwrap_or(true)));
    let secret = table.get("secret").map(|field| resolve_webhook_secret(&field, around.variables));
    let second = Duration::from_secs(1);
    let timeout = table.get("timeout").map_or(Some(TIMEOUT), |field| field.duration(second / 10..=300 * second));
    let max_attempts = table.get("max_attempts").map_or(Some(MAX_ATTEMPTS), |field| field.integer(1..=100));
    let concurrency = table.get("concurrency").map_or(Some(CONCURRENCY), |field| field.integer(1..=1_000));
    table.finish();
    Some(WebhookDestination {
        url: url?,
        secret: secret.map_or(Some(None), |secret| secret.map(Some))?,
        allow_private: allow_private?,
        timeout_ms: u64::try_from(timeout?.as_millis()).ok()?,
        max_attempts: max_attempts?,
        concurrency: concurrency?,
    })
}

fn decode_url(field: &Field<'_>, allow_private: bool) -> Option<String> {
    let text = field.text()?;
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url.filter(reqwest::Url::has_host) else {
        field.wrong(format!("`{text}` is no address of a webhook; write one that begins with https:// or http://"));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        field.wrong("an address with a user or password in it would be shown in logs; sign with `secret` instead");
        return None;
    }
    let host = url.host_str().unwrap_or_default();
    if !allow_private && is_private(host) {
        field.wrong(format!(
            "{host} is in this machine's or a private network; if that is meant, add `allow_private: true`"
        ));
        return None;
    }
    Some(text.to_owned())
}

/// Whether a host is *written* as a private address. What a name resolves to is checked at each delivery.
fn is_private(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn decode_kafka(table: Table<'_>, around: Surroundings<'_>) -> Option<KafkaDestination> {
    let topic = table.require("topic", "topic: triggers").and_then(|field| decode_topic(&field));
    let servers = table.get("bootstrap_servers");
    if servers.is_none() && !around.has_cluster {
        let mend =
            "set log.kafka.bootstrap_servers (or TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS), or write `bootstrap_servers` here";
        table.field.wrong(format!("no Kafka cluster is known; {mend}"));
    }
    let servers = servers.map(|field| decode_servers(&field));
    table.finish();
    let bootstrap_servers = servers.map_or(Some(None), |servers| servers.map(Some))?;
    Some(KafkaDestination { topic: topic?, bootstrap_servers })
}
