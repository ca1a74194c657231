//! What makes an e-mail, and who sends it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::destination::loopback::message;
use serde_json::{Value, json};

fn email(fields: &Value) -> Result<Email, Outcome> {
    Email::of(&message(fields))
}

#[test]
fn a_message_needs_an_address_and_something_to_read() {
    let text = json!({ "address": "ann@example.com", "subject": "Hello", "text": "Hi.", "html": "" });
    let read = email(&text).unwrap();
    assert_eq!((read.text.as_deref(), read.html), (Some("Hi."), None));
    let dead = |fields: Value| match email(&fields) {
        Err(Outcome::Dead { reason }) => reason,
        other => panic!("{:?}", other.err()),
    };
    let nothing = json!({ "address": "ann@example.com", "subject": "Hello", "text": " \n" });
    assert_eq!(dead(nothing), "the message has neither a text nor html");
    assert!(dead(json!({ "address": "ann@example.com", "text": "Hi." })).contains("missing field `subject`"));
    for address in
        ["", "ann", "ann@", "ann@example.com, bob@example.com", "ann@example.com>\r\nRCPT TO:<bob@example.com"]
    {
        let nobody = email(&json!({ "address": address, "subject": "Hello", "text": "Hi." }));
        assert!(matches!(nobody, Err(Outcome::Unreachable { .. })), "{address}");
    }
}

#[test]
fn a_subject_is_one_line() {
    let read =
        email(&json!({ "address": "ann@example.com", "subject": " Hello\nBcc: all@example.com\n", "html": "." }));
    assert_eq!(read.unwrap().subject, "Hello Bcc: all@example.com");
}

#[test]
fn readers_unsubscribe_by_one_click_where_the_way_is_secret() {
    let headers = |unsubscribe: &str| {
        let fields = json!({ "address": "ann@example.com", "subject": ".", "text": ".", "unsubscribe": unsubscribe });
        email(&fields).map(|email| email.headers)
    };
    let one_click = headers("https://shop.example/u?t=a b>").unwrap();
    assert_eq!(
        one_click,
        [
            ("List-Unsubscribe", "<https://shop.example/u?t=a%20b%3E>".to_owned()),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
        ]
    );
    let plain = headers("http://localhost:8080/u").unwrap();
    assert_eq!(plain, [("List-Unsubscribe", "<http://localhost:8080/u>".to_owned())]);
    assert!(headers("").unwrap().is_empty());
    for none in ["/u", "javascript:alert(1)"] {
        assert_eq!(headers(none), Err(Outcome::Dead { reason: "`unsubscribe` is no https URL".to_owned() }));
    }
}

#[test]
fn domains_are_written_as_dns_has_them() {
    let read = email(&json!({ "address": "ann@bücher.example", "subject": ".", "text": "." })).unwrap();
    assert_eq!(read.to.to_string(), "ann@xn--bcher-kva.example");
}

#[test]
fn a_sender_is_a_mailbox_with_or_without_a_name() {
    let sender = Sender::new("Köln, \"Shop\"", None);
    assert_eq!(
        sender.err().unwrap().to_string(),
        "from: `Köln, \"Shop\"` is no mailbox; write shop@example.com or Shop <shop@example.com>"
    );
    let Sender { from, reply_to } = Sender::new("Shop Inc. <shop@example.com>", Some("help@example.com")).unwrap();
    assert_eq!((from.name.as_deref(), from.email.to_string().as_str()), (Some("Shop Inc."), "shop@example.com"));
    assert_eq!(reply_to.unwrap().to_string(), "help@example.com");
    let refused = Sender::new("shop@example.com", Some("help"));
    assert!(refused.err().unwrap().to_string().starts_with("reply_to: `help`"));
}
