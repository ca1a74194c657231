//! A channel as Slack documents it: what is on the wire, and what each answer means.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::destination::loopback::{Loopback, Received, Reply, message, policy};
use std::time::Duration;
use tokio::net::TcpListener;

/// Of the form of an incoming webhook's, which nothing may show.
const SECRET_PATH: &str = "/services/T00000000/B00000000/hush";

fn webhook(base: &str, reach: Reach) -> SlackDestination {
    SlackDestination { way: SlackWay::IncomingWebhook(Secret::new(format!("{base}{SECRET_PATH}"))), reach }
}

fn bot(endpoint: &str, reach: Reach) -> SlackDestination {
    let (token, channel, endpoint) = (Secret::new("xoxb-hush"), "C0123456789".to_owned(), endpoint.to_owned());
    SlackDestination { way: SlackWay::Bot { token, channel, endpoint }, reach }
}

async fn attempt(definition: &SlackDestination, fields: &Value) -> Outcome {
    Slack::new(definition, &policy()).unwrap().attempt(&message(fields)).await
}

fn hello() -> Value {
    json!({ "text": "Hello" })
}

fn only(server: &Loopback) -> Received {
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    request.clone()
}

/// What comes of it in a word; and what Slack said.
fn told(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Delivered => ("delivered", ""),
        Outcome::Retry { blame: Blame::Destination, reason, .. } => ("retry", reason),
        Outcome::Retry { blame: Blame::Pace, reason, .. } => ("slower", reason),
        Outcome::Retry { blame: Blame::Message, reason, .. } => ("retry this one", reason),
        Outcome::MaybeSent { reason } => ("maybe sent", reason),
        Outcome::Dead { reason } => ("dead", reason),
        Outcome::Unreachable { reason } => ("unreachable", reason),
    }
}

#[tokio::test]
async fn an_incoming_webhook_is_posted_to() {
    let server = Loopback::start_tls(|_| Reply::new(200, "ok")).await;
    let fields = json!({ "text": "Fish & chips <https://example.com|here>", "blocks": [{ "type": "divider" }] });
    assert_eq!(attempt(&webhook(&server.url, server.reach()), &fields).await, Outcome::Delivered);
    let request = only(&server);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", SECRET_PATH));
    assert_eq!(request.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(request.json(), fields);
}

#[tokio::test]
async fn a_bot_posts_to_its_channel() {
    let server = Loopback::start_tls(|_| Reply::new(200, r#"{"ok":true,"channel":"C0123456789","ts":"1.2"}"#)).await;
    let outcome = attempt(&bot(&format!("{}/", server.url), server.reach()), &hello()).await;
    assert_eq!(outcome, Outcome::Delivered);
    let request = only(&server);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/chat.postMessage"));
    assert_eq!(request.header("authorization"), "Bearer xoxb-hush");
    assert_eq!(request.header("content-type"), "application/json; charset=utf-8");
    let expected = json!({
        "channel": "C0123456789",
        "text": "Hello",
        "metadata": {
            "event_type": "tributary",
            "event_payload": { "message": "msg_0123456789abcdef0123456789abcdef" }
        }
    });
    assert_eq!(request.json(), expected);
}

#[tokio::test]
async fn what_each_error_of_the_web_api_means() {
    let cases = [
        ("channel_not_found", "retry"),
        ("not_in_channel", "retry"),
        ("is_archived", "retry"),
        ("msg_too_long", "dead"),
        ("no_text", "dead"),
        ("invalid_blocks", "dead"),
        ("restricted_action", "dead"),
        ("something_new", "dead"),
        ("ratelimited", "slower"),
        ("rate_limited", "slower"),
        ("message_limit_exceeded", "slower"),
        ("not_authed", "retry"),
        ("invalid_auth", "retry"),
        ("account_inactive", "retry"),
        ("token_revoked", "retry"),
        ("token_expired", "retry"),
        ("missing_scope", "retry"),
        ("internal_error", "retry"),
        ("fatal_error", "retry"),
        ("service_unavailable", "retry"),
    ];
    for (error, expected) in cases {
        let body = json!({ "ok": false, "error": error }).to_string();
        let reply = Reply::new(200, body.clone());
        let server = Loopback::start(move |_| reply.clone()).await;
        let outcome = attempt(&bot(&server.url, server.reach()), &hello()).await;
        assert_eq!(told(&outcome), (expected, format!("answered 200 OK: {body}").as_str()));
    }
}

#[tokio::test]
async fn what_is_not_the_web_apis_answer_is_no_delivery() {
    let cases = [
        (Reply::new(200, "<html>Sign in to the network"), "retry"),
        (Reply::new(200, ""), "retry"),
        (Reply::new(502, "<html>"), "retry"),
        (Reply::new(404, "<html>"), "dead"),
        (Reply::new(302, "").header("location", "https://example.com/"), "dead"),
    ];
    for (reply, expected) in cases {
        let server = Loopback::start(move |_| reply.clone()).await;
        let outcome = attempt(&bot(&server.url, server.reach()), &hello()).await;
        assert_eq!(told(&outcome).0, expected, "{outcome:?}");
    }
}

#[tokio::test]
async fn slack_is_left_alone_for_as_long_as_it_asks() {
    let limited = r#"{"ok":false,"error":"ratelimited"}"#;
    let server = Loopback::start(move |_| Reply::new(429, limited).header("retry-after", "30")).await;
    for definition in [bot(&server.url, server.reach()), webhook(&server.url, server.reach())] {
        let outcome = attempt(&definition, &hello()).await;
        let Outcome::Retry { after, blame, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((after, blame), (Some(Duration::from_secs(30)), Blame::Pace));
    }
}

#[tokio::test]
async fn what_each_error_of_an_incoming_webhook_means() {
    let cases = [
        (400, "invalid_payload", "dead", "answered 400 Bad Request: invalid_payload"),
        (400, "user_not_found", "dead", "answered 400 Bad Request: user_not_found"),
        (403, "action_prohibited", "retry", "answered 403 Forbidden: action_prohibited"),
        (403, "invalid_token", "retry", "answered 403 Forbidden: invalid_token"),
        (404, "channel_not_found", "dead", "answered 404 Not Found: channel_not_found"),
        (404, "no_service", "retry", "answered 404 Not Found: no_service"),
        (404, "no_team\n", "retry", "answered 404 Not Found: no_team"),
        (410, "channel_is_archived", "dead", "answered 410 Gone: channel_is_archived"),
        (429, "rate_limited", "slower", "answered 429 Too Many Requests: rate_limited"),
        (500, "rollup_error", "retry", "answered 500 Internal Server Error: rollup_error"),
    ];
    for (status, word, expected, reason) in cases {
        let server = Loopback::start(move |_| Reply::new(status, word)).await;
        let outcome = attempt(&webhook(&server.url, server.reach()), &hello()).await;
        assert_eq!(told(&outcome), (expected, reason));
    }
}

#[tokio::test]
async fn the_address_of_an_incoming_webhook_is_shown_nowhere() {
    // Not by who answers in Slack's place.
    let server = Loopback::start(|request| Reply::new(404, format!("Cannot POST {}", request.path))).await;
    let outcome = attempt(&webhook(&server.url, server.reach()), &hello()).await;
    assert_eq!(outcome, Outcome::Dead { reason: "answered 404 Not Found".to_owned() });
    // Not when nobody answers.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = attempt(&webhook(&format!("http://{free}"), server.reach()), &hello()).await;
    let ("retry", reason) = told(&outcome) else { panic!("{outcome:?}") };
    assert!(reason.starts_with("no connection: ") && !reason.contains("hush"), "{reason}");
    // Not when it cannot be called.
    let setup = |base: &str, reach: Reach| Slack::new(&webhook(base, reach), &policy());
    for (base, expected) in [
        ("hooks.slack.com", "the incoming webhook is no URL; write https://hooks.slack.com/services/…"),
        ("ftp://hooks.slack.com", "the incoming webhook is no URL; write https://hooks.slack.com/services/…"),
        (
            "http://127.0.0.1",
            "the incoming webhook has a private address; set allow_private: true if that is what you mean",
        ),
    ] {
        let refused = setup(base, Reach::default()).unwrap_err();
        assert_eq!(refused.to_string(), expected);
        assert!(!format!("{refused:?}").contains("hush"));
    }
    // Not by printing, and neither is a bot's token.
    let webhook = setup("https://hooks.slack.com", Reach::default()).unwrap();
    assert_eq!(format!("{webhook:?}"), "Slack by an incoming webhook");
    let bot = Slack::new(&bot("https://slack.com", Reach::default()), &policy()).unwrap();
    assert_eq!(format!("{bot:?}"), "Slack channel C0123456789");
}

#[tokio::test]
async fn fields_of_another_form_are_not_sent() {
    let server = Loopback::start(|_| Reply::new(200, "ok")).await;
    for fields in [json!({ "blocks": [] }), json!({ "text": "Hello", "blocks": "none" })] {
        let outcome = attempt(&webhook(&server.url, server.reach()), &fields).await;
        assert_eq!(told(&outcome).0, "dead", "{outcome:?}");
    }
    assert!(server.received().is_empty());
}
