//! One endpoint, called over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::destination::Blame;
use crate::destination::loopback::{Loopback, Reply, message, policy};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::time::Duration;
use tokio::net::TcpListener;
use tributary_model::Reach;

fn definition(url: &str, reach: Reach) -> WebhookDestination {
    WebhookDestination { url: url.to_owned(), secrets: vec![Secret::new(*b"new"), Secret::new(*b"old")], reach }
}

fn open() -> Reach {
    Reach { allow_private: true, ca: None }
}

async fn attempt(definition: &WebhookDestination) -> Outcome {
    Webhook::new(definition, &policy()).unwrap().attempt(&message(&json!({ "a": 1 }))).await
}

#[tokio::test]
async fn a_delivery_is_signed_as_standard_webhooks_says_by_each_key() {
    let server = Loopback::start_tls(|_| Reply::new(204, "")).await;
    let outcome = attempt(&definition(&format!("{}/hook?a=1", server.url), server.reach())).await;
    assert_eq!(outcome, Outcome::Delivered);
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?a=1"));
    assert_eq!(request.header("content-type"), "application/json");
    let id = request.header("webhook-id");
    assert_eq!(id, "msg_0123456789abcdef0123456789abcdef");
    let signed = [b"new", b"old"].map(|key| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(format!("{id}.{}.{{\"a\":1}}", request.header("webhook-timestamp")).as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    });
    assert_eq!(request.header("webhook-signature"), signed.join(" "));
}

#[tokio::test]
async fn what_an_answer_means() {
    let retry = |reason: &str, seconds: Option<u64>, blame| Outcome::Retry {
        reason: reason.to_owned(),
        after: seconds.map(Duration::from_secs),
        blame,
    };
    let dead = |reason: &str| Outcome::Dead { reason: reason.to_owned() };
    let cases = [
        (Reply::new(200, ""), Outcome::Delivered),
        (Reply::new(410, ""), dead("answered 410 Gone")),
        (Reply::new(400, "no!"), dead("answered 400 Bad Request: no!")),
        (Reply::new(302, "").header("location", "http://169.254.169.254/"), dead("answered 302 Found")),
        (Reply::new(429, "").header("retry-after", "7"), retry("answered 429 Too Many Requests", Some(7), Blame::Pace)),
        (
            Reply::new(503, "").header("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),
            retry("answered 503 Service Unavailable", Some(0), Blame::Destination),
        ),
    ];
    for (reply, expected) in cases {
        let server = Loopback::start(move |_| reply.clone()).await;
        assert_eq!(attempt(&definition(&server.url, server.reach())).await, expected);
    }
}

#[tokio::test]
async fn nobody_there_is_a_reason_to_try_again() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = attempt(&definition(&format!("http://{free}/"), open())).await;
    let Outcome::Retry { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("no connection:"), "{reason}");
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_not_called() {
    let server = Loopback::start_tls(|_| Reply::new(204, "")).await;
    let outcome = attempt(&definition(&server.url, open())).await;
    let Outcome::Retry { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("certificate"), "{reason}");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_private_address_is_called_only_where_that_is_allowed() {
    let refused = Webhook::new(&definition("http://127.0.0.1/", Reach::default()), &policy());
    assert!(matches!(refused, Err(SetupError::Private(_))));
    // A name is looked at when it is resolved for the connection.
    let outcome = attempt(&definition("http://localhost:1/", Reach::default())).await;
    let Outcome::Retry { reason, .. } = outcome else { panic!("called") };
    assert!(reason.contains("private addresses only"), "{reason}");
}
