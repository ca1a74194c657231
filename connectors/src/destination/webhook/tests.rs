//! One endpoint, called over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tributary_model::{IdentifierId, ProfileId};

fn message() -> Message {
    Message {
        sequence: 1,
        id: "msg_1".to_owned(),
        trigger: "t".to_owned(),
        destination: "d".to_owned(),
        profile: ProfileId(1),
        about: IdentifierId(1),
        body: Bytes::from_static(b"{\"a\":1}"),
        created_at: 0,
        attempts: 0,
    }
}

fn definition(url: String, allow_private: bool) -> WebhookDestination {
    WebhookDestination {
        url,
        secret: Some(Secret::new(*b"key")),
        allow_private,
        timeout_ms: 2_000,
        max_attempts: 3,
        concurrency: 1,
    }
}

/// Calls an endpoint that answers `answer`; gives the outcome and the request as it came.
async fn call(answer: &'static str) -> (Outcome, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{\"a\":1}") {
            assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0, "the request is cut off");
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let outcome = Webhook::new(&definition(url, true)).unwrap().attempt(&message()).await;
    (outcome, served.await.unwrap())
}

#[tokio::test]
async fn a_delivery_is_signed_as_standard_webhooks_says() {
    let (outcome, request) = call("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(outcome, Outcome::Delivered);
    let header = |name: &str| {
        let line = request.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        line.expect(name).split_once(": ").unwrap().1.to_owned()
    };
    assert!(request.starts_with("POST /hook HTTP/1.1"));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("webhook-id"), "msg_1");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
    mac.update(format!("msg_1.{}.{{\"a\":1}}", header("webhook-timestamp")).as_bytes());
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);
}

#[tokio::test]
async fn what_an_answer_means() {
    let retry = |reason: &str, seconds: Option<u64>| Outcome::Retry {
        reason: reason.to_owned(),
        after: seconds.map(Duration::from_secs),
    };
    let dead = |reason: &str| Outcome::Dead { reason: reason.to_owned() };
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Outcome::Delivered),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", dead("answered 410 Gone")),
        ("HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nno!", dead("answered 400 Bad Request: no!")),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            dead("answered 302 Found"),
        ),
        (
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            retry("answered 429 Too Many Requests", Some(7)),
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\ncontent-length: 0\r\n\r\n",
            retry("answered 503 Service Unavailable", Some(0)),
        ),
    ];
    for (answer, expected) in cases {
        assert_eq!(call(answer).await.0, expected, "{answer}");
    }
}

#[tokio::test]
async fn nobody_there_is_a_reason_to_try_again() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = Webhook::new(&definition(format!("http://{free}/"), true)).unwrap().attempt(&message()).await;
    let Outcome::Retry { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("no connection:"), "{reason}");
}

#[tokio::test]
async fn a_private_address_is_called_only_where_that_is_allowed() {
    let refused = Webhook::new(&definition("http://127.0.0.1/".to_owned(), false));
    assert!(matches!(refused, Err(WebhookError::Private(_))));
    // A name is looked at when it is resolved for the connection.
    let named = Webhook::new(&definition("http://localhost:1/".to_owned(), false)).unwrap();
    let Outcome::Retry { reason, .. } = named.attempt(&message()).await else { panic!("called") };
    assert!(reason.contains("private addresses only"), "{reason}");
}
