//! A mail server, spoken to over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::server::{SILENCE, Server};
use super::*;
use crate::destination::loopback::{message, policy};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tributary_model::Reach;

fn settings(server: &Server, security: SmtpSecurity) -> SmtpDestination {
    SmtpDestination {
        host: "localhost".to_owned(),
        port: server.port,
        security,
        credentials: None,
        from: "Shop <shop@example.com>".to_owned(),
        reply_to: None,
        reach: Reach { allow_private: true, ca: server.ca.clone() },
    }
}

fn hello() -> Value {
    json!({ "address": "ann@example.com", "subject": "Hello", "text": "Hi." })
}

async fn attempt(settings: &SmtpDestination, fields: &Value) -> Outcome {
    Smtp::new(settings, &policy()).unwrap().attempt(&message(fields)).await
}

#[tokio::test]
async fn a_mail_is_written_as_programs_and_readers_expect_it() {
    let server = Server::start(SmtpSecurity::StartTls).await;
    let mut settings = settings(&server, SmtpSecurity::StartTls);
    settings.credentials = Some(("shop".to_owned(), Secret::new(*b"secret")));
    settings.from = "Köln Shop <shop@example.com>".to_owned();
    settings.reply_to = Some("help@example.com".to_owned());
    let fields = json!({
        "address": "ann@example.com",
        "subject": "Grüße aus Köln",
        "text": "Hello Ann,\n.\n.hidden\r\nBye.",
        "html": "<p>Grüße, Ann</p>",
        "unsubscribe": "https://shop.example.com/u/42",
    });
    assert_eq!(attempt(&settings, &fields).await, Outcome::Delivered);
    let [mail] = &server.mails()[..] else { panic!("{:?}", server.mails()) };
    assert!(mail.is_encrypted);
    assert_eq!(mail.login.as_deref(), Some("shop"));
    assert_eq!((mail.from.as_str(), &mail.to[..]), ("<shop@example.com>", &["<ann@example.com>".to_owned()][..]));
    for (name, value) in [
        ("From", "=?utf-8?b?S8O2bG4gU2hvcA==?= <shop@example.com>"),
        ("To", "ann@example.com"),
        ("Reply-To", "help@example.com"),
        ("Subject", "=?utf-8?b?R3LDvMOfZQ==?= aus =?utf-8?b?S8O2bG4=?="),
        ("Message-ID", "<msg_0123456789abcdef0123456789abcdef@example.com>"),
        ("X-Tributary-Message", "msg_0123456789abcdef0123456789abcdef"),
        ("List-Unsubscribe", "<https://shop.example.com/u/42>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("MIME-Version", "1.0"),
    ] {
        assert_eq!(mail.header(name), value, "{name}");
    }
    assert!(jiff::fmt::rfc2822::parse(&mail.header("Date")).is_ok(), "{}", mail.text);
    let content = mail.header("Content-Type");
    assert!(content.starts_with("multipart/alternative;"), "{content}");
    // The best form comes last (RFC 2046, 5.1.4).
    let (plain, html) = mail.body().split_once("Content-Type: text/html; charset=utf-8").unwrap();
    assert!(plain.contains("Content-Type: text/plain; charset=utf-8"), "{plain}");
    assert!(plain.contains("\r\n\r\nHello Ann,\r\n.\r\n.hidden\r\nBye.\r\n"), "{plain}");
    assert!(html.contains("<p>Gr=C3=BC=C3=9Fe, Ann</p>"), "{html}");
}

#[tokio::test]
async fn a_mail_of_one_form_has_one_part() {
    let server = Server::start(SmtpSecurity::Tls).await;
    let settings = settings(&server, SmtpSecurity::Tls);
    let page = json!({ "address": "ann@example.com", "subject": "Hello", "html": "<p>Hi.</p>" });
    assert_eq!(attempt(&settings, &hello()).await, Outcome::Delivered);
    assert_eq!(attempt(&settings, &page).await, Outcome::Delivered);
    let [text, html] = &server.mails()[..] else { panic!("{:?}", server.mails()) };
    assert_eq!((text.header("Content-Type").as_str(), text.body().trim()), ("text/plain; charset=utf-8", "Hi."));
    assert_eq!((html.header("Content-Type").as_str(), html.body().trim()), ("text/html; charset=utf-8", "<p>Hi.</p>"));
    assert!(text.is_encrypted && html.is_encrypted);
    assert_eq!((text.header("List-Unsubscribe"), text.header("Reply-To")), (String::new(), String::new()));
}

#[tokio::test]
async fn what_a_reply_means() {
    let retry = |reason: &str, blame| Outcome::Retry { reason: format!("answered {reason}"), after: None, blame };
    let later = |reason: &str| retry(reason, Blame::Message);
    let trouble = |reason: &str| retry(reason, Blame::Destination);
    let dead = |reason: &str| Outcome::Dead { reason: format!("answered {reason}") };
    let gone = |reason: &str| Outcome::Unreachable { reason: format!("answered {reason}") };
    let cases = [
        ("RCPT", "550 5.1.1 No such user", gone("550 5.1.1 No such user")),
        ("RCPT", "550-5.1.1 No such user.\r\n550 5.1.1 Look again", gone("550 5.1.1 No such user. Look again")),
        ("RCPT", "556 5.1.10 Takes no mail", gone("556 5.1.10 Takes no mail")),
        ("RCPT", "550 5.7.1 Relaying denied", dead("550 5.7.1 Relaying denied")),
        ("RCPT", "552 5.2.2 Mailbox full", dead("552 5.2.2 Mailbox full")),
        ("RCPT", "550 Not here", dead("550 Not here")),
        ("RCPT", "450 4.2.0 Greylisted", later("450 4.2.0 Greylisted")),
        ("RCPT", "421 4.3.2 Shutting down", trouble("421 4.3.2 Shutting down")),
        ("RCPT", "530 5.7.0 Authentication required", trouble("530 5.7.0 Authentication required")),
        // The sender is the same for all messages.
        ("MAIL", "550 5.1.8 No such sender", trouble("550 5.1.8 No such sender")),
        ("MAIL", "451 4.3.0 Not now", trouble("451 4.3.0 Not now")),
        ("DATA", "451 4.3.0 Not now", later("451 4.3.0 Not now")),
        (".", "554 5.7.1 Spam", dead("554 5.7.1 Spam")),
        (".", "452 4.3.1 Out of storage", later("452 4.3.1 Out of storage")),
    ];
    for (command, reply, expected) in cases {
        let script = move |line: &str| line.starts_with(command).then_some(reply);
        let server = Server::start_with(SmtpSecurity::None, script).await;
        assert_eq!(attempt(&settings(&server, SmtpSecurity::None), &hello()).await, expected);
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_connection_is_used_again_also_after_a_refusal() {
    let script = |line: &str| line.starts_with("RCPT TO:<gone@").then_some("550 5.1.1 No such user");
    let server = Server::start_with(SmtpSecurity::None, script).await;
    let smtp = Smtp::new(&settings(&server, SmtpSecurity::None), &policy()).unwrap();
    let gone = json!({ "address": "gone@example.com", "subject": "Hello", "text": "Hi." });
    assert!(matches!(smtp.attempt(&message(&gone)).await, Outcome::Unreachable { .. }));
    for _ in 0..2 {
        assert_eq!(smtp.attempt(&message(&hello())).await, Outcome::Delivered);
    }
    assert_eq!((server.connections(), server.mails().len()), (1, 2));
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_made_anew() {
    let script = |line: &str| (line == "RSET").then_some("421 4.4.2 Idle too long");
    let server = Server::start_with(SmtpSecurity::None, script).await;
    let smtp = Smtp::new(&settings(&server, SmtpSecurity::None), &policy()).unwrap();
    for _ in 0..2 {
        assert_eq!(smtp.attempt(&message(&hello())).await, Outcome::Delivered);
    }
    assert_eq!((server.connections(), server.mails().len()), (2, 2));
}

#[tokio::test]
async fn no_more_connections_are_kept_than_are_used_at_once() {
    let server = Server::start(SmtpSecurity::None).await;
    let smtp = Smtp::new(&settings(&server, SmtpSecurity::None), &policy()).unwrap();
    let hello = message(&hello());
    let both = tokio::join!(smtp.attempt(&hello), smtp.attempt(&hello));
    assert_eq!(both, (Outcome::Delivered, Outcome::Delivered));
    assert_eq!((server.connections(), smtp.idle.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn a_mail_whose_answer_is_lost_comes_again_under_its_id() {
    let ends = AtomicUsize::new(0);
    let script = move |line: &str| (line == "." && ends.fetch_add(1, Ordering::Relaxed) == 0).then_some(SILENCE);
    let server = Server::start_with(SmtpSecurity::None, script).await;
    let impatient = DeliveryPolicy { timeout_ms: 500, ..policy() };
    let smtp = Smtp::new(&settings(&server, SmtpSecurity::None), &impatient).unwrap();
    assert_eq!(smtp.attempt(&message(&hello())).await, trouble("no answer in time".to_owned()));
    // The first answer may still come: it must not be taken for the second.
    assert_eq!(smtp.attempt(&message(&hello())).await, Outcome::Delivered);
    assert_eq!(server.connections(), 2);
    let [first, second] = &server.mails()[..] else { panic!("{:?}", server.mails()) };
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_where_tls_is_asked_for() {
    let server = Server::start(SmtpSecurity::None).await;
    let mut settings = settings(&server, SmtpSecurity::StartTls);
    settings.credentials = Some(("shop".to_owned(), Secret::new(*b"secret")));
    let outcome = attempt(&settings, &hello()).await;
    assert_eq!(outcome, trouble("no connection: STARTTLS is not supported on this server".to_owned()));
    assert!(server.commands().iter().all(|command| command.starts_with("EHLO ")), "{:?}", server.commands());
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_nothing() {
    for security in [SmtpSecurity::Tls, SmtpSecurity::StartTls] {
        let server = Server::start(security).await;
        let mut settings = settings(&server, security);
        settings.reach.ca = None;
        let outcome = attempt(&settings, &hello()).await;
        let Outcome::Retry { reason, blame: Blame::Destination, .. } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("certificate"), "{reason}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_password_is_trouble_of_the_destination() {
    let server = Server::start(SmtpSecurity::Tls).await;
    let mut settings = settings(&server, SmtpSecurity::Tls);
    settings.credentials = Some(("shop".to_owned(), Secret::new(*b"wrong")));
    let outcome = attempt(&settings, &hello()).await;
    assert_eq!(outcome, trouble("answered 535 5.7.8 Authentication credentials invalid".to_owned()));
}

#[tokio::test]
async fn letters_before_the_at_sign_need_a_server_that_knows_them() {
    let fields = json!({ "address": "jörg@bücher.example", "subject": "Hello", "text": "Hi." });
    let server = Server::start(SmtpSecurity::None).await;
    let outcome = attempt(&settings(&server, SmtpSecurity::None), &fields).await;
    assert!(matches!(outcome, Outcome::Dead { .. }), "{outcome:?}");
    let script = |line: &str| line.starts_with("EHLO").then_some("250-mail.example.com\r\n250 SMTPUTF8");
    let server = Server::start_with(SmtpSecurity::None, script).await;
    assert_eq!(attempt(&settings(&server, SmtpSecurity::None), &fields).await, Outcome::Delivered);
    assert_eq!(server.mails()[0].from, "<shop@example.com> SMTPUTF8");
    assert_eq!(server.mails()[0].to, ["<jörg@xn--bcher-kva.example>"]);
}

#[tokio::test]
async fn nobody_there_is_a_reason_to_try_again() {
    let server = Server::start(SmtpSecurity::None).await;
    let mut settings = settings(&server, SmtpSecurity::None);
    settings.port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let outcome = attempt(&settings, &hello()).await;
    let Outcome::Retry { reason, blame: Blame::Destination, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("no connection: "), "{reason}");
}

#[tokio::test]
async fn a_private_address_is_called_only_where_that_is_allowed() {
    let server = Server::start(SmtpSecurity::None).await;
    let mut settings = settings(&server, SmtpSecurity::None);
    settings.reach.allow_private = false;
    // A name is looked at when it is resolved for the connection.
    let outcome = attempt(&settings, &hello()).await;
    let Outcome::Retry { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("private addresses only"), "{reason}");
    for host in ["127.0.0.1", "[::1]", "10.0.0.1"] {
        settings.host = host.to_owned();
        assert!(matches!(Smtp::new(&settings, &policy()), Err(SetupError::Private(_))), "{host}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_is_wrong_with_settings_is_said_and_what_is_secret_is_not() {
    let server = Server::start(SmtpSecurity::None).await;
    let mut settings = settings(&server, SmtpSecurity::None);
    settings.credentials = Some(("shop".to_owned(), Secret::new(*b"secret")));
    let smtp = Smtp::new(&settings, &policy()).unwrap();
    assert_eq!(format!("{smtp:?}"), format!("Smtp at localhost:{}", server.port));
    settings.reach.ca = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    let refused = Smtp::new(&settings, &policy()).err().unwrap().to_string();
    assert!(refused.starts_with("ca: the certificates cannot be used: "), "{refused}");
}
