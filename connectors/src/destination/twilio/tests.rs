//! An account as Twilio documents it: what is on the wire, and what each answer means.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::destination::feedback::{Feedback, FeedbackError, FeedbackKind};
use crate::destination::loopback::{Loopback, Reply, message, policy};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tributary_model::Reach;

const ACCOUNT: &str = "AC00000000000000000000000000000000";
const TOKEN: &str = "12345";

fn definition(endpoint: &str, reach: Reach) -> TwilioDestination {
    TwilioDestination {
        account_sid: ACCOUNT.to_owned(),
        auth_token: Secret::new(TOKEN),
        sender: TwilioSender::From("+15005550006".to_owned()),
        callback_url: None,
        repeat_after_timeout: false,
        endpoint: endpoint.to_owned(),
        reach,
    }
}

fn open() -> Reach {
    Reach { allow_private: true, ca: None }
}

async fn attempt(definition: &TwilioDestination) -> Outcome {
    let fields = json!({ "address": "+491701234567", "text": "Hello & welcome" });
    Twilio::new(definition, &policy()).unwrap().attempt(&message(&fields)).await
}

/// What comes of an answer, in a word.
async fn answered(reply: Reply, repeat_after_timeout: bool) -> &'static str {
    let server = Loopback::start(move |_| reply.clone()).await;
    word(&attempt(&TwilioDestination { repeat_after_timeout, ..definition(&server.url, server.reach()) }).await)
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Retry { blame: Blame::Destination, .. } => "retry",
        Outcome::Retry { blame: Blame::Pace, .. } => "slower",
        Outcome::Retry { blame: Blame::Message, .. } => "retry this one",
        Outcome::MaybeSent { .. } => "maybe sent",
        Outcome::Dead { .. } => "dead",
        Outcome::Unreachable { .. } => "unreachable",
    }
}

/// An error as Twilio tells it.
fn refusal(status: u16, code: u32) -> Reply {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({ "code": code, "message": "Why", "more_info": more_info, "status": status });
    Reply::new(status, body.to_string())
}

#[tokio::test]
async fn a_message_is_created_with_basic_authentication() {
    let server = Loopback::start_tls(|_| Reply::new(201, r#"{"sid": "SM1", "error_code": null}"#)).await;
    let definition = TwilioDestination {
        callback_url: Some("https://cdp.example.com/".to_owned()),
        ..definition(&server.url, server.reach())
    };
    assert_eq!(attempt(&definition).await, Outcome::Delivered);
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"));
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    let credentials = BASE64_STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
    assert_eq!(request.header("authorization"), format!("Basic {credentials}"));
    assert_eq!(
        request.text(),
        "To=%2B491701234567&Body=Hello+%26+welcome&From=%2B15005550006\
         &StatusCallback=https%3A%2F%2Fcdp.example.com%2Fv1%2Ffeedback%2Fout\
         %3Fmessage%3Dmsg_0123456789abcdef0123456789abcdef"
    );
}

#[tokio::test]
async fn a_messaging_service_chooses_the_sender() {
    let server = Loopback::start(|_| Reply::new(201, "{}")).await;
    let sender = TwilioSender::MessagingService("MG1".to_owned());
    attempt(&TwilioDestination { sender, ..definition(&server.url, server.reach()) }).await;
    assert_eq!(server.received()[0].text(), "To=%2B491701234567&Body=Hello+%26+welcome&MessagingServiceSid=MG1");
}

#[tokio::test]
async fn what_each_error_of_the_dictionary_means() {
    let cases = [
        (400, 21_211, "unreachable"), // invalid 'To' phone number
        (400, 21_265, "unreachable"), // 'To' cannot be a short code
        (400, 21_610, "unreachable"), // the recipient has answered STOP
        (400, 21_614, "unreachable"), // 'To' is not a valid mobile number
        (400, 21_635, "unreachable"), // 'To' cannot be a landline
        (400, 21_266, "dead"),        // 'To' and 'From' are the same
        (403, 21_408, "dead"),        // the account may not send to this region
        (400, 21_602, "dead"),        // there is no text
        (400, 21_608, "dead"),        // a trial account, and 'To' is not verified
        (400, 21_612, "dead"),        // no way from this sender to this number
        (400, 21_617, "dead"),        // the text is too long
        (429, 20_429, "slower"),      // too many requests
        (400, 21_611, "slower"),      // the sender's queue is full
        (400, 14_107, "slower"),      // the sender's rate is exceeded
        (429, 63_038, "slower"),      // the account's daily limit is exceeded
        (401, 20_003, "retry"),       // authentication failed
        (403, 20_005, "retry"),       // the account is not active
        (503, 20_503, "retry"),       // unavailable; to be tried again
        (500, 20_500, "maybe sent"),  // internal error; a message that is sent again may come twice
    ];
    for (status, code, expected) in cases {
        assert_eq!(answered(refusal(status, code), false).await, expected, "{code}");
    }
}

#[tokio::test]
async fn the_reason_is_what_twilio_says() {
    let server = Loopback::start(|_| refusal(400, 21_610)).await;
    let outcome = attempt(&definition(&server.url, server.reach())).await;
    let Outcome::Unreachable { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("answered 400 Bad Request: {\"code\":21610,\"message\":\"Why\""), "{reason}");
}

#[tokio::test]
async fn twilio_is_left_alone_for_as_long_as_it_asks() {
    let server = Loopback::start(|_| refusal(429, 20_429).header("retry-after", "7")).await;
    let outcome = attempt(&definition(&server.url, server.reach())).await;
    let Outcome::Retry { after, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn what_may_have_been_sent_is_sent_again_only_where_that_is_wanted() {
    for (repeat_after_timeout, expected) in [(false, "maybe sent"), (true, "retry")] {
        assert_eq!(answered(Reply::new(502, "<html>"), repeat_after_timeout).await, expected);
        assert_eq!(answered(refusal(500, 20_500), repeat_after_timeout).await, expected);

        // Who is there takes the request, and hangs up.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_buf(&mut Vec::<u8>::with_capacity(64 << 10)).await.unwrap();
        });
        let broken = TwilioDestination { repeat_after_timeout, ..definition(&endpoint, open()) };
        assert_eq!(word(&attempt(&broken).await), expected);

        // Who is there says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let silent = TwilioDestination { repeat_after_timeout, ..definition(&endpoint, open()) };
        let hasty = DeliveryPolicy { timeout_ms: 100, ..policy() };
        let fields = json!({ "address": "+491701234567", "text": "Hello" });
        let outcome = Twilio::new(&silent, &hasty).unwrap().attempt(&message(&fields)).await;
        assert_eq!(word(&outcome), expected);
    }
}

#[tokio::test]
async fn what_was_never_sent_is_tried_again() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(word(&attempt(&definition(&format!("http://{free}"), open())).await), "retry");
}

#[tokio::test]
async fn a_message_without_an_address_is_not_sent() {
    let server = Loopback::start(|_| Reply::new(201, "{}")).await;
    let twilio = Twilio::new(&definition(&server.url, server.reach()), &policy()).unwrap();
    let outcome = twilio.attempt(&message(&json!({ "text": "Hello" }))).await;
    let Outcome::Dead { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("address"), "{reason}");
    assert!(server.received().is_empty());
}

#[test]
fn the_token_is_not_printed() {
    let twilio = Twilio::new(&definition("https://api.twilio.com", Reach::default()), &policy()).unwrap();
    assert_eq!(format!("{twilio:?}"), format!("Twilio account {ACCOUNT}"));
}

fn form(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn signatures_are_checked_as_twilios_own_libraries_do() {
    // From the tests of twilio-python's RequestValidator, whose token is 12345.
    let call = form(&[
        ("CallSid", "CA1234567890ABCDE"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
        ("Caller", "+14158675309"),
    ]);
    let twice = form(&[("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234")]);
    let again = [twice.as_slice(), &twice[2..3]].concat();
    let cases = [
        ("https://mycompany.com/myapp.php?foo=1&bar=2", &call, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://mycompany.com/myapp.php?foo=1&bar=2", &twice, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
        ("https://mycompany.com/myapp.php?foo=1&bar=2", &again, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
        // With or without the port, whichever Twilio was given.
        ("https://mycompany.com:1234/myapp.php?foo=1&bar=2", &call, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://mycompany.com/myapp.php?foo=1&bar=2", &call, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com:1234/myapp.php?foo=1&bar=2", &call, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        ("http://mycompany.com/myapp.php?foo=1&bar=2", &call, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    ];
    let token = Secret::new(TOKEN);
    for (url, form, signature) in cases {
        assert_eq!(feedback::verify(url, form, signature, &token), Ok(()), "{url} {signature}");
    }

    let (url, call, signature) = cases[0];
    let is_refused = |url: &str, form: &[(String, String)], signature: &str, token: &str| {
        let refused = feedback(url, form, signature, &Secret::new(token));
        assert!(matches!(refused, Err(FeedbackError::Signature(_))), "{refused:?}");
    };
    is_refused(url, call, signature, "54321");
    is_refused("https://mycompany.com/myapp.php?foo=1&bar=3", call, signature, TOKEN);
    is_refused(url, &call[1..], signature, TOKEN);
    is_refused(url, call, "", TOKEN);
    is_refused(url, call, "RSOYDt4T", TOKEN);
    is_refused(url, call, "no base64!", TOKEN);
}

const CALLBACK: &str = "https://cdp.example.com/v1/feedback/out?message=msg_0123456789abcdef0123456789abcdef";

/// What a signed request tells.
fn told(url: &str, fields: &[(&str, &str)]) -> Result<Vec<Feedback>, FeedbackError> {
    let mut signed = fields.to_vec();
    signed.sort_unstable();
    let signed = signed.into_iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOKEN.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
    feedback(url, &form(fields), &signature, &Secret::new(TOKEN))
}

fn status<'a>(status: &'a str, error: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("SmsSid", "SM1"),
        ("SmsStatus", status),
        ("MessageStatus", status),
        ("To", "+491701234567"),
        ("MessageSid", "SM1"),
        ("AccountSid", ACCOUNT),
        ("From", "+15005550006"),
        ("ApiVersion", "2010-04-01"),
    ];
    fields.extend(error.map(|code| ("ErrorCode", code)));
    fields
}

#[test]
fn a_status_callback_tells_how_a_message_fared() {
    let undelivered = told(CALLBACK, &status("undelivered", Some("30003"))).unwrap();
    let expected = Feedback {
        id: "SM1:undelivered".to_owned(),
        address: "+491701234567".to_owned(),
        message: Some("msg_0123456789abcdef0123456789abcdef".to_owned()),
        kind: FeedbackKind::NotDelivered,
        reason: Some("error 30003".to_owned()),
        at: None,
    };
    assert_eq!(undelivered, [expected]);

    let cases = [
        ("delivered", None, FeedbackKind::Delivered),
        ("read", None, FeedbackKind::Opened),
        ("undelivered", Some("30004"), FeedbackKind::NotDelivered), // blocked
        ("undelivered", Some("30005"), FeedbackKind::Bounced),      // unknown, or no longer in service
        ("undelivered", Some("30006"), FeedbackKind::Bounced),      // a landline
        ("undelivered", Some("30007"), FeedbackKind::NotDelivered), // filtered as spam
        ("undelivered", Some("30008"), FeedbackKind::NotDelivered), // the carrier does not say
        ("undelivered", None, FeedbackKind::NotDelivered),
        ("failed", Some("30001"), FeedbackKind::NotDelivered), // the queue is full
        ("failed", Some("21614"), FeedbackKind::Bounced),      // no mobile number
        ("failed", Some("21610"), FeedbackKind::Unsubscribed), // has answered STOP
    ];
    for (word, error, kind) in cases {
        let told = told(CALLBACK, &status(word, error)).unwrap();
        assert_eq!(told.len(), 1, "{word} {error:?}");
        assert_eq!(told[0].kind, kind, "{word} {error:?}");
    }
    for word in ["accepted", "scheduled", "queued", "sending", "sent"] {
        assert_eq!(told(CALLBACK, &status(word, None)), Ok(Vec::new()), "{word}");
    }
}

#[test]
fn a_status_callback_that_was_set_up_elsewhere_names_no_message() {
    let told = told("https://cdp.example.com/v1/feedback/out", &status("delivered", None)).unwrap();
    assert_eq!(told[0].message, None);
}

/// What an incoming message tells.
fn incoming(body: &str, opt_out_type: Option<&str>) -> Vec<Feedback> {
    let mut fields = vec![
        ("MessageSid", "SM2"),
        ("SmsStatus", "received"),
        ("From", "+491701234567"),
        ("To", "+15005550006"),
        ("Body", body),
    ];
    fields.extend(opt_out_type.map(|what| ("OptOutType", what)));
    told("https://cdp.example.com/v1/feedback/out", &fields).unwrap()
}

#[test]
fn who_answers_stop_gets_no_more_until_they_answer_start() {
    let expected = Feedback {
        id: "SM2:received".to_owned(),
        address: "+491701234567".to_owned(),
        message: None,
        kind: FeedbackKind::Unsubscribed,
        reason: Some("STOP".to_owned()),
        at: None,
    };
    assert_eq!(incoming(" Stop\n", None), [expected]);
    for word in ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"] {
        assert_eq!(incoming(word, None)[0].kind, FeedbackKind::Unsubscribed, "{word}");
    }
    for word in ["START", "unstop"] {
        assert_eq!(incoming(word, None)[0].kind, FeedbackKind::Resubscribed, "{word}");
    }
    for text in ["Please stop", "STOP it", "yes", "HELP", "Thank you", ""] {
        assert!(incoming(text, None).is_empty(), "{text}");
    }
}

#[test]
fn advanced_opt_out_knows_words_of_its_own() {
    assert_eq!(incoming("ARRET", Some("STOP"))[0].kind, FeedbackKind::Unsubscribed);
    assert_eq!(incoming("YES", Some("START"))[0].kind, FeedbackKind::Resubscribed);
    assert!(incoming("AIDE", Some("HELP")).is_empty());
}

#[test]
fn what_is_neither_a_status_nor_a_message_is_not_understood() {
    for fields in [&[("CallSid", "CA1")][..], &[("MessageStatus", "delivered"), ("MessageSid", "SM1")]] {
        let told = told(CALLBACK, fields);
        assert!(matches!(told, Err(FeedbackError::Form(_))), "{told:?}");
    }
}
