//! The Mail Send API, called over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::destination::loopback::{Loopback, Reply, message, policy};
use serde_json::{Value, json};
use tributary_model::Reach;

fn account(server: &Loopback) -> SendGridDestination {
    SendGridDestination {
        api_key: Secret::new(*b"SG.key"),
        from: "Köln Shop <shop@example.com>".to_owned(),
        reply_to: None,
        endpoint: format!("{}/", server.url),
        reach: server.reach(),
    }
}

fn hello() -> Value {
    json!({ "address": "ann@example.com", "subject": "Hello", "text": "Hi." })
}

async fn attempt(account: &SendGridDestination, fields: &Value) -> Outcome {
    SendGrid::new(account, &policy()).unwrap().attempt(&message(fields)).await
}

#[tokio::test]
async fn a_mail_is_sent_as_sendgrid_documents() {
    let server = Loopback::start_tls(|_| Reply::new(202, "")).await;
    let mut account = account(&server);
    account.reply_to = Some("Help <help@example.com>".to_owned());
    let fields = json!({
        "address": "ann@example.com",
        "subject": "Grüße",
        "text": "Hello Ann",
        "html": "<p>Hello Ann</p>",
        "unsubscribe": "https://shop.example.com/u/42",
    });
    assert_eq!(attempt(&account, &fields).await, Outcome::Delivered);
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v3/mail/send"));
    assert_eq!(request.header("authorization"), "Bearer SG.key");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(
        request.json(),
        json!({
            "personalizations": [{ "to": [{ "email": "ann@example.com" }] }],
            "from": { "email": "shop@example.com", "name": "Köln Shop" },
            "reply_to": { "email": "help@example.com", "name": "Help" },
            "subject": "Grüße",
            "content": [
                { "type": "text/plain", "value": "Hello Ann" },
                { "type": "text/html", "value": "<p>Hello Ann</p>" },
            ],
            "headers": {
                "List-Unsubscribe": "<https://shop.example.com/u/42>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
            "custom_args": { "tributary_message": "msg_0123456789abcdef0123456789abcdef" },
        })
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_sent() {
    let server = Loopback::start(|_| Reply::new(202, "")).await;
    assert_eq!(attempt(&account(&server), &hello()).await, Outcome::Delivered);
    let body = server.received()[0].json();
    assert_eq!((body.get("reply_to"), body.get("headers")), (None, None));
    assert_eq!(body["content"], json!([{ "type": "text/plain", "value": "Hi." }]));
}

/// What comes of an answer with a reason.
type Meaning = dyn Fn(String) -> Outcome;

#[tokio::test]
async fn what_an_answer_means() {
    let refused =
        |message: &str| json!({ "errors": [{ "message": message, "field": null, "help": null }] }).to_string();
    let retry = |blame| move |reason| Outcome::Retry { reason, after: None, blame };
    let dead = |reason| Outcome::Dead { reason };
    let cases: [(u16, &str, &Meaning); 5] = [
        (400, "The subject is required.", &dead),
        (413, "The JSON payload you have included in your request is too large.", &dead),
        (401, "The provided authorization grant is invalid, expired, or revoked", &retry(Blame::Destination)),
        (403, "The from address does not match a verified Sender Identity.", &retry(Blame::Destination)),
        (500, "An error occurred on our server.", &retry(Blame::Destination)),
    ];
    for (status, message, outcome) in cases {
        let body = refused(message);
        let reply = Reply::new(status, body.clone());
        let server = Loopback::start(move |_| reply.clone()).await;
        let reason = format!("answered {}: {body}", StatusCode::from_u16(status).unwrap());
        assert_eq!(attempt(&account(&server), &hello()).await, outcome(reason));
    }
}

#[tokio::test]
async fn too_many_requests_wait_until_they_are_counted_anew() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let reply = Reply::new(429, "").header("x-ratelimit-reset", &(now + 40).to_string());
    let server = Loopback::start(move |_| reply.clone()).await;
    let outcome = attempt(&account(&server), &hello()).await;
    let Outcome::Retry { after: Some(after), blame: Blame::Pace, .. } = outcome else { panic!("{outcome:?}") };
    assert!((30..=40).contains(&after.as_secs()), "{after:?}");
}

#[tokio::test]
async fn what_is_wrong_with_settings_is_said_and_what_is_secret_is_not() {
    let server = Loopback::start(|_| Reply::new(202, "")).await;
    let mut account = account(&server);
    assert_eq!(format!("{:?}", SendGrid::new(&account, &policy()).unwrap()), "SendGrid at 127.0.0.1");
    account.from = "Shop".to_owned();
    assert!(matches!(SendGrid::new(&account, &policy()), Err(SetupError::Setting(_))));
    account.reach = Reach::default();
    assert!(matches!(SendGrid::new(&account, &policy()), Err(SetupError::Private(_))));
}
