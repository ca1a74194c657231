//! SendEmail, called over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::destination::loopback::{Loopback, Reply, message, policy};
use serde_json::{Value, json};
use tributary_model::Reach;

fn account(server: &Loopback) -> SesDestination {
    SesDestination {
        region: "eu-central-1".to_owned(),
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new(*b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: None,
        from: "Shop <shop@example.com>".to_owned(),
        reply_to: None,
        configuration_set: None,
        endpoint: server.url.clone(),
        reach: server.reach(),
    }
}

fn hello() -> Value {
    json!({ "address": "ann@example.com", "subject": "Hello", "text": "Hi." })
}

async fn attempt(account: &SesDestination, fields: &Value) -> Outcome {
    Ses::new(account, &policy()).unwrap().attempt(&message(fields)).await
}

#[tokio::test]
async fn a_mail_is_sent_as_aws_documents() {
    let server = Loopback::start_tls(|_| Reply::new(200, r#"{"MessageId":"1"}"#)).await;
    let mut account = account(&server);
    account.from = "Köln Shop <shop@bücher.example>".to_owned();
    account.reply_to = Some("Help Desk <help@example.com>".to_owned());
    account.configuration_set = Some("shop".to_owned());
    let fields = json!({
        "address": "ann@example.com",
        "subject": "Grüße",
        "text": "Hello Ann",
        "html": "<p>Hello Ann</p>",
        "unsubscribe": "https://shop.example.com/u/42",
    });
    assert_eq!(attempt(&account, &fields).await, Outcome::Delivered);
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v2/email/outbound-emails"));
    assert_eq!(request.header("content-type"), "application/json");
    let text = |data: &str| json!({ "Data": data, "Charset": "UTF-8" });
    assert_eq!(
        request.json(),
        json!({
            "FromEmailAddress": "=?utf-8?b?S8O2bG4gU2hvcA==?= <shop@xn--bcher-kva.example>",
            "Destination": { "ToAddresses": ["ann@example.com"] },
            "ReplyToAddresses": ["\"Help Desk\" <help@example.com>"],
            "Content": {
                "Simple": {
                    "Subject": text("Grüße"),
                    "Body": { "Text": text("Hello Ann"), "Html": text("<p>Hello Ann</p>") },
                    "Headers": [
                        { "Name": "List-Unsubscribe", "Value": "<https://shop.example.com/u/42>" },
                        { "Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click" },
                    ],
                },
            },
            "ConfigurationSetName": "shop",
            "EmailTags": [{ "Name": "tributary_message", "Value": "msg_0123456789abcdef0123456789abcdef" }],
        })
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_sent() {
    let server = Loopback::start(|_| Reply::new(200, "{}")).await;
    assert_eq!(attempt(&account(&server), &hello()).await, Outcome::Delivered);
    let body = server.received()[0].json();
    assert_eq!((body.get("ReplyToAddresses"), body.get("ConfigurationSetName")), (None, None));
    let simple = json!({
        "Subject": { "Data": "Hello", "Charset": "UTF-8" },
        "Body": { "Text": { "Data": "Hi.", "Charset": "UTF-8" } },
    });
    assert_eq!(body["Content"]["Simple"], simple);
}

#[tokio::test]
async fn a_request_is_signed_over_what_arrives() {
    let server = Loopback::start(|_| Reply::new(200, "{}")).await;
    let mut account = account(&server);
    account.session_token = Some(Secret::new(*b"token"));
    assert_eq!(attempt(&account, &hello()).await, Outcome::Delivered);
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    let names = ["content-type", "host", "x-amz-date", "x-amz-security-token"];
    let headers = names.map(|name| (name, request.header(name)));
    let at = request.header("x-amz-date");
    let now = jiff::Timestamp::now().strftime("%Y%m%d").to_string();
    assert!(at.len() == 16 && at.ends_with('Z') && (at[..8] == now || at.ends_with("T235959Z")), "{at}");
    assert_eq!(request.header("x-amz-security-token"), "token");
    let secret = &account.secret_access_key;
    let key = sigv4::Key { id: "AKIDEXAMPLE", secret, region: "eu-central-1", service: "ses" };
    let expected = sigv4::authorization(&key, at, &request.path, &headers, &request.body);
    assert_eq!(request.header("authorization"), expected);
    let signed = names.join(";");
    assert!(expected.contains(&format!("/eu-central-1/ses/aws4_request, SignedHeaders={signed}, ")), "{expected}");
}

#[tokio::test]
async fn the_date_is_written_as_aws_reads_it() {
    let server = Loopback::start(|_| Reply::new(200, "{}")).await;
    let ses = Ses::new(&account(&server), &policy()).unwrap();
    let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_440_938_160);
    let request = ses.signed(Vec::new(), now).build().unwrap();
    assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
}

#[tokio::test]
async fn what_an_answer_means() {
    let pace = ["TooManyRequestsException", "ThrottlingException"];
    let trouble = [
        "LimitExceededException",
        "SendingPausedException",
        "AccountSuspendedException",
        "MailFromDomainNotVerifiedException",
        "NotFoundException",
        "ExpiredTokenException",
    ];
    let dead = ["MessageRejected", "BadRequestException"];
    let cases = pace.map(|kind| (kind, Some(Blame::Pace))).into_iter();
    let cases = cases.chain(trouble.map(|kind| (kind, Some(Blame::Destination))));
    let cases = cases.chain(dead.map(|kind| (kind, None)));
    for (kind, blame) in cases {
        let reason = |body: &str| format!("answered 400 Bad Request: {body}");
        let expected = |reason: String| match blame {
            Some(blame) => Outcome::Retry { reason, after: None, blame },
            None => Outcome::Dead { reason },
        };
        // In a header, where SES says it; or in the body.
        let named = Reply::new(400, "{}").header("x-amzn-errortype", &format!("{kind}:http://internal.amazon.com/"));
        let server = Loopback::start(move |_| named.clone()).await;
        assert_eq!(attempt(&account(&server), &hello()).await, expected(reason("{}")), "{kind}");
        let body = format!(r#"{{"__type":"com.amazonaws.sesv2#{kind}","message":"No."}}"#);
        let reply = Reply::new(400, body.clone());
        let server = Loopback::start(move |_| reply.clone()).await;
        assert_eq!(attempt(&account(&server), &hello()).await, expected(reason(&body)), "{kind}");
    }
}

#[tokio::test]
async fn other_answers_mean_what_their_status_says() {
    for (status, blame) in [(403, Blame::Destination), (429, Blame::Pace), (503, Blame::Destination)] {
        let server = Loopback::start(move |_| Reply::new(status, "")).await;
        let outcome = attempt(&account(&server), &hello()).await;
        assert!(matches!(outcome, Outcome::Retry { blame: found, .. } if found == blame), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_settings_is_said_and_what_is_secret_is_not() {
    let server = Loopback::start(|_| Reply::new(200, "{}")).await;
    let mut account = account(&server);
    let host = server.url.trim_start_matches("http://");
    assert_eq!(format!("{:?}", Ses::new(&account, &policy()).unwrap()), format!("Ses in eu-central-1 at {host}"));
    account.from = "Shop".to_owned();
    assert!(matches!(Ses::new(&account, &policy()), Err(SetupError::Setting(_))));
    account.reach = Reach::default();
    assert!(matches!(Ses::new(&account, &policy()), Err(SetupError::Private(_))));
}
