//! Destinations that are programs, or colleagues: webhooks, topics, Slack.

use super::reach;
use crate::config::decode::Table;
use crate::config::secret::{Variables, resolve_secret, resolve_webhook_secrets};
use crate::config::server::{decode_servers, decode_topic};
use tributary_model::{KafkaDestination, SlackDestination, SlackWay, WebhookDestination};

pub(super) fn webhook(table: &Table<'_>, variables: &Variables) -> Option<WebhookDestination> {
    let reach = reach::decode(table);
    let allow_private = reach.as_ref().is_none_or(|reach| reach.allow_private);
    let url = table.require("url", "url: https://example.com/hook");
    let url = url.and_then(|field| reach::url(&field, allow_private));
    let secrets = table.get("secret").map_or(Some(Vec::new()), |field| resolve_webhook_secrets(&field, variables));
    Some(WebhookDestination { url: url?, secrets: secrets?, reach: reach? })
}

pub(super) fn kafka(table: &Table<'_>, has_cluster: bool) -> Option<KafkaDestination> {
    let topic = table.require("topic", "topic: triggers").and_then(|field| decode_topic(&field));
    let servers = table.get("bootstrap_servers");
    if servers.is_none() && !has_cluster {
        let mend =
            "set log.kafka.bootstrap_servers (or TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS), or write `bootstrap_servers` here";
        table.field.wrong(format!("no Kafka cluster is known; {mend}"));
    }
    let servers = servers.map(|field| decode_servers(&field));
    let bootstrap_servers = servers.map_or(Some(None), |servers| servers.map(Some))?;
    Some(KafkaDestination { topic: topic?, bootstrap_servers })
}

pub(super) fn slack(table: &Table<'_>, variables: &Variables) -> Option<SlackDestination> {
    let reach = reach::decode(table);
    let endpoint = reach::endpoint(table, "https://slack.com", reach.as_ref());
    let (webhook, token, channel) = (table.get("webhook_url"), table.get("token"), table.get("channel"));
    let way = match (webhook, token) {
        (Some(webhook), None) => {
            channel.inspect(|field| field.wrong("an incoming webhook has its channel; leave this out"));
            SlackWay::IncomingWebhook(resolve_secret(&webhook, variables)?)
        }
        (None, Some(token)) => {
            let token = resolve_secret(&token, variables);
            let channel = match channel {
                Some(channel) => channel.text(),
                None => {
                    table.field.wrong(
                        "`channel` is missing; write the channel that the bot posts to, such as `channel: \"#sales\"`",
                    );
                    None
                }
            };
            SlackWay::Bot { token: token?, channel: channel?.to_owned(), endpoint: endpoint? }
        }
        _ => {
            table
                .field
                .wrong("write either `webhook_url` (of an incoming webhook) or `token` and `channel` (of a bot)");
            return None;
        }
    };
    Some(SlackDestination { way, reach: reach? })
}
