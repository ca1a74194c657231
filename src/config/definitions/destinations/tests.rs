//! What may stand below `destinations`, and what is said of a mistake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::config::definitions::tests::{check, read_files};
use crate::config::secret::Variables;
use tributary_model::{Channel, DeliveryPolicy, DestinationKind, SlackWay, SmtpSecurity, TwilioSender};

/// The destination `a` of these fields, with one secret of each kind in the environment.
fn read(fields: &str) -> Result<tributary_model::Destination, Vec<String>> {
    let yaml = format!("segments:\n  vip: {{ where: 1 = 1 }}\ndestinations:\n  a: {{ {fields} }}\n");
    let variables = Variables::from([
        ("WEBHOOK", "whsec_c2VjcmV0"),
        ("NEXT_WEBHOOK", "whsec_bmV4dA=="),
        ("TOKEN", "hush"),
        ("SLACK_URL", "https://hooks.slack.com/services/T0/B0/hush"),
        ("POSTGRES_URL", "postgres://me:hush@db.example.com/crm"),
    ]);
    let definitions = read_files(&[("t.yaml", &yaml)], &variables)?.definitions;
    Ok(definitions.destinations["a"].clone())
}

fn good(fields: &str) -> DestinationKind {
    read(fields).expect("no mistake").kind
}

/// What is said of a destination of these fields, without the place.
#[track_caller]
fn told(fields: &str, expected: &str) {
    let told = read(fields).expect_err("a mistake");
    let told: Vec<_> = told.iter().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(told, [expected]);
}

#[test]
fn how_a_destination_may_be_called_has_usual_values_and_can_be_set() {
    let usual = DeliveryPolicy {
        timeout_ms: 10_000,
        max_attempts: 35,
        concurrency: 8,
        rate: None,
        give_up_after_ms: 3 * 86_400_000,
    };
    let url = r#"type: webhook, url: "https://example.com/""#;
    assert_eq!(read(url).unwrap().policy, usual);
    let set = format!("{url}, timeout: 3 s, max_attempts: 4, concurrency: 2, rate: 90/min, give_up_after: 1 h");
    let policy = read(&set).unwrap().policy;
    let expected = DeliveryPolicy {
        timeout_ms: 3_000,
        max_attempts: 4,
        concurrency: 2,
        rate: Some(1.5),
        give_up_after_ms: 3_600_000,
    };
    assert_eq!(policy, expected);
    for wrong in ["0/s", "10", "10/day", "-1/s"] {
        let text = format!("{url}, rate: \"{wrong}\"");
        let mend = "write so many a second, minute or hour: 100/s, 90/min, 1000/h";
        told(&text, &format!("destinations.a.rate: `{wrong}` is no rate; {mend}"));
    }
}

#[test]
fn a_webhook_has_one_secret_or_two_while_it_is_changed() {
    let url = r#"type: webhook, url: "https://example.com/""#;
    for (fields, expected) in [
        ("", &[][..]),
        (", secret: env:WEBHOOK", &[&b"secret"[..]]),
        (", secret: [env:NEXT_WEBHOOK, env:WEBHOOK]", &[b"next", b"secret"]),
    ] {
        let DestinationKind::Webhook(webhook) = good(&format!("{url}{fields}")) else { panic!("no webhook") };
        let secrets: Vec<_> = webhook.secrets.iter().map(tributary_model::Secret::expose).collect();
        assert_eq!(secrets, expected);
    }
}

#[test]
fn a_webhook_secret_has_the_standard_form() {
    let yaml = "destinations:\n  a: { type: webhook, url: \"https://example.com/\", secret: \"env:S\" }\n";
    for wrong in ["plain", "whsec_", "whsec_***"] {
        let told = read_files(&[("t.yaml", yaml)], &[("S", wrong)].into()).unwrap_err();
        let expected = "t.yaml:2:60: destinations.a.secret: what is kept there is no Standard Webhooks secret; it begins with \
                        whsec_, and base64 follows";
        assert_eq!(told, [expected]);
    }
}

#[test]
fn every_channel_has_its_destinations() {
    let sid = "0123456789abcdef0123456789abcdef";
    let cases = [
        (r#"type: webhook, url: "https://example.com/""#.to_owned(), Channel::Webhook),
        (r#"type: kafka, topic: t, bootstrap_servers: "localhost:9092""#.to_owned(), Channel::Kafka),
        ("type: slack, webhook_url: env:SLACK_URL".to_owned(), Channel::Slack),
        (r##"type: slack, token: env:TOKEN, channel: "#sales""##.to_owned(), Channel::Slack),
        (format!(r#"type: twilio, account_sid: AC{sid}, auth_token: env:TOKEN, from: "+15005550006""#), Channel::Sms),
    ];
    for (fields, channel) in cases {
        assert_eq!(good(&fields).channel(), channel, "{fields}");
    }
}

#[test]
fn who_sends_a_text_message_and_what_is_done_when_nobody_answers() {
    let account = "type: twilio, account_sid: AC0123456789abcdef0123456789abcdef, auth_token: env:TOKEN";
    let service = "MG0123456789abcdef0123456789abcdef";
    let fields = format!("{account}, messaging_service_sid: {service}, after_timeout: repeat");
    let DestinationKind::Twilio(twilio) = good(&fields) else { panic!("no Twilio") };
    assert_eq!(twilio.sender, TwilioSender::MessagingService(service.to_owned()));
    assert!(twilio.repeat_after_timeout);
    let DestinationKind::Twilio(twilio) = good(&format!("{account}, from: Shop")) else { panic!("no Twilio") };
    assert_eq!(twilio.sender, TwilioSender::From("Shop".to_owned()));
    assert!(!twilio.repeat_after_timeout, "a message that may have been sent is not sent again");
    for wrong in ["https://cdp.example.com/v1/feedback/a", "https://cdp.example.com/?a=b"] {
        let mend = "such as https://cdp.example.com: /v1/feedback/ID is added to it";
        told(
            &format!("{account}, from: Shop, callback_url: \"{wrong}\""),
            &format!("destinations.a.callback_url: write this server's address alone, {mend}"),
        );
    }
    told(account, "destinations.a: write either `from` (a number, short code or sender id) or `messaging_service_sid`");
    told(
        r#"type: twilio, account_sid: "12", auth_token: env:TOKEN, from: Shop"#,
        "destinations.a.account_sid: `12` is no SID of this kind; it begins with AC, and 32 hex digits follow",
    );
}

#[test]
fn a_slack_channel_is_reached_by_a_webhook_or_by_a_bot() {
    let DestinationKind::Slack(slack) = good("type: slack, webhook_url: env:SLACK_URL") else { panic!("no Slack") };
    assert!(matches!(slack.way, SlackWay::IncomingWebhook(_)));
    assert!(!format!("{slack:?}").contains("hush"), "the address is a secret");
    told(
        "type: slack",
        "destinations.a: write either `webhook_url` (of an incoming webhook) or `token` and `channel` (of a bot)",
    );
    told(
        "type: slack, token: env:TOKEN",
        "destinations.a: `channel` is missing; write the channel that the bot posts to, such as `channel: \"#sales\"`",
    );
}

#[test]
fn destinations_that_could_not_deliver() {
    check(
        "destinations:\n  a: { type: webhok }\n  b: { type: webhook, url: \"ftp://x\", secret: whsec_x, retries: 3 }\n  \
         c: { type: webhook, url: \"http://127.0.0.1/\", secret: \"env:NOT_SET\", timeout: 1 day }\n  \
         d: { type: kafka, topic: t }\n  e: { type: webhook, url: \"https://me:pw@example.com/\" }\n  \
         f: { type: kafka, topic: t, bootstrap_servers: \"h:1\", rate: 1/s }\n",
        &[
            "t.yaml:2:14: destinations.a.type: `webhok` is unknown; did you mean `webhook`?",
            "t.yaml:3:28: destinations.b.url: `ftp://x` is no address; write one that begins with https:// or http://",
            "t.yaml:3:47: destinations.b.secret: a secret does not stand in a file; write where it is kept: env:NAME or \
             file:PATH",
            "t.yaml:3:56: destinations.b.retries: there is no such field; known are type, timeout, max_attempts, concurrency, \
             rate, give_up_after, allow_private, ca, url, secret",
            "t.yaml:4:28: destinations.c.url: 127.0.0.1 is in this machine's or a private network; if that is meant, add \
             `allow_private: true`",
            "t.yaml:4:57: destinations.c.secret: the environment variable NOT_SET is not set; set it, or name another place",
            "t.yaml:4:81: destinations.c.timeout: 1 day is out of range; write a time from 100 ms to 5 min",
            "t.yaml:5:6: destinations.d: no Kafka cluster is known; set log.kafka.bootstrap_servers (or \
             TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS), or write `bootstrap_servers` here",
            "t.yaml:6:28: destinations.e.url: an address with a user or password in it would be shown in logs; put what is \
             secret into its own field",
            "t.yaml:7:57: destinations.f.rate: there is no such field; known are type, timeout, topic, bootstrap_servers",
        ],
    );
}

/// Every field that a kind knows stands in the manual, in the row of its kind or among those of all.
#[test]
fn the_manual_has_every_field() {
    let manual = include_str!("../../../../config/ACTIVATION.md");
    let has = |text: &str, field: &str| text.contains(&format!("`{field}`"));
    for (name, _) in super::TYPES {
        // A field that is none is answered with those that are.
        let told = read(&format!("type: {name}, zzzzzzzzzzzz: 1")).unwrap_err();
        let known = told.iter().find_map(|line| line.split_once("there is no such field; known are "));
        let known = known.unwrap_or_else(|| panic!("{told:?}")).1;
        let row = manual.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).expect(name);
        for field in known.split(", ") {
            assert!(has(row, field) || has(manual.split("## Kinds").next().unwrap(), field), "{name}: {field}");
        }
    }
}

#[test]
fn mailboxes_phones_and_browsers() {
    let DestinationKind::Smtp(smtp) =
        good("type: smtp, host: smtp.example.com, username: shop, password: env:TOKEN, from: Shop <shop@example.com>")
    else {
        panic!("no mail server")
    };
    assert_eq!((smtp.port, smtp.security), (587, SmtpSecurity::StartTls), "never in the clear unless asked for");
    assert!(!format!("{smtp:?}").contains("hush"));
    let DestinationKind::Ses(ses) = good(
        "type: ses, region: eu-central-1, access_key_id: AKIA0, secret_access_key: env:TOKEN, from: shop@example.com",
    ) else {
        panic!("no SES")
    };
    assert_eq!(ses.endpoint, "https://email.eu-central-1.amazonaws.com");
    let DestinationKind::Postgres(table) = good(
        "type: postgres, url: env:POSTGRES_URL, table: crm.vips, segment: vip, columns: { email: \"{{ traits.email }}\" }",
    ) else {
        panic!("no table")
    };
    assert_eq!(table.columns, [("email".to_owned(), "{{ traits.email }}".to_owned())]);
    assert!(!format!("{table:?}").contains("hush"));
    told(
        "type: smtp, host: smtp.example.com, security: none, username: shop, password: env:TOKEN, from: a@example.com",
        "destinations.a: a password would go over the network in the clear; write `security: tls` or `starttls`",
    );
    told(
        "type: sendgrid, api_key: env:TOKEN, from: a@example.com, endpoint: \"http://api.sendgrid.com\"",
        "destinations.a.endpoint: what is secret would go over the network in the clear; write https://…",
    );
    told(
        "type: fcm, service_account: env:TOKEN",
        "destinations.a.service_account: what is kept there is no service account's JSON with project_id, client_email and \
         private_key",
    );
    told(
        "type: web_push, subject: \"mailto:push@example.com\", private_key: env:TOKEN",
        "destinations.a.private_key: what is kept there is no VAPID private key: 32 bytes in base64url, as `web-push \
         generate-vapid-keys` prints it",
    );
    told(
        "type: postgres, url: env:POSTGRES_URL, table: vips, segment: vpi",
        "destinations.a.segment: there is no segment `vpi`; did you mean `vip`?",
    );
}
