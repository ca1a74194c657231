//! A Firebase project and where its tokens come from, called over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::super::token::tests::{EC_KEY, RSA_KEY, by_rsa};
use super::*;
use crate::destination::loopback::{Loopback, Received, Reply, message, policy};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use tributary_model::Secret;

/// What time it is in these tests, in seconds.
const NOW: u64 = 1_767_225_600;

fn definition(server: &Loopback) -> FcmDestination {
    FcmDestination {
        project_id: "shop-1234".to_owned(),
        client_email: "push@shop-1234.iam.gserviceaccount.com".to_owned(),
        private_key: Secret::new(RSA_KEY),
        token_uri: format!("{}/token", server.url),
        endpoint: server.url.clone(),
        reach: server.reach(),
    }
}

fn fcm(server: &Loopback) -> Fcm {
    Fcm::new(&definition(server), &policy()).unwrap()
}

fn push(fields: &Value) -> Message {
    let mut all = json!({ "address": "bk3RNwTe3H0:CI2k_HHwg" });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    message(&all)
}

/// Gives access tokens `ya29.1`, `ya29.2`, and so on; and answers to messages as `answer` says.
async fn google(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Loopback {
    let given = AtomicU32::new(0);
    Loopback::start(move |request| {
        if request.path != "/token" {
            return answer(request);
        }
        let number = given.fetch_add(1, Ordering::Relaxed) + 1;
        let access = json!({ "access_token": format!("ya29.{number}"), "expires_in": 3_599, "token_type": "Bearer" });
        Reply::new(200, access.to_string())
    })
    .await
}

fn taken() -> Reply {
    Reply::new(200, r#"{"name":"projects/shop-1234/messages/0:1500415314455276%31bd1c9631bd1c96"}"#)
}

/// What FCM answers when it does not take a message.
fn failure(code: u16, status: &str, text: &str, details: &Value) -> Reply {
    let error = json!({ "error": { "code": code, "message": text, "status": status, "details": details } });
    Reply::new(code, error.to_string())
}

fn fcm_error(code: &str) -> Value {
    json!([{ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code }])
}

/// What came to where tokens come from, and what came to where messages go.
fn sorted(server: &Loopback) -> (Vec<Received>, Vec<Received>) {
    server.received().into_iter().partition(|request| request.path == "/token")
}

#[tokio::test]
async fn a_service_account_asks_for_a_token_and_sends_a_notification() {
    let server = google(|_| taken()).await;
    let message = push(&json!({
        "title": "Hello",
        "text": "Your order is on its way.",
        "data": { "order": "17", "total": 9.5, "lines": ["a"], "tributary_message": "not mine" },
        "ttl_seconds": 3_600,
        "collapse_key": "order-17",
    }));
    assert_eq!(fcm(&server).attempt(&message, NOW).await, Outcome::Delivered);
    let (tokens, messages) = sorted(&server);
    let ([asked], [sent]) = (&tokens[..], &messages[..]) else { panic!("{:?}", server.received()) };

    assert_eq!(asked.method, "POST");
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    let form = Url::parse(&format!("form:?{}", asked.text())).unwrap();
    let form: BTreeMap<_, _> = form.query_pairs().into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims) = by_rsa(&form["assertion"]);
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT" }));
    let expected = json!({
        "iss": "push@shop-1234.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": format!("{}/token", server.url),
        "iat": NOW,
        "exp": NOW + 3_600,
    });
    assert_eq!(claims, expected);

    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/v1/projects/shop-1234/messages:send"));
    assert_eq!(sent.header("authorization"), "Bearer ya29.1");
    assert_eq!(sent.header("content-type"), "application/json");
    let expected = json!({ "message": {
        "token": "bk3RNwTe3H0:CI2k_HHwg",
        "notification": { "title": "Hello", "body": "Your order is on its way." },
        "data": {
            "order": "17",
            "total": "9.5",
            "lines": "[\"a\"]",
            "tributary_message": "msg_0123456789abcdef0123456789abcdef",
        },
        "android": { "ttl": "3600s", "collapse_key": "order-17" },
        "apns": { "headers": {
            "apns-expiration": (NOW + 3_600).to_string(),
            "apns-collapse-id": "order-17",
        } },
    } });
    assert_eq!(sent.json(), expected);
}

#[tokio::test]
async fn what_is_not_said_is_not_sent() {
    let server = google(|_| taken()).await;
    let fields = json!({ "title": "", "data": { "refresh": true }, "ttl_seconds": 999_999_999, "collapse_key": "" });
    assert_eq!(fcm(&server).attempt(&push(&fields), NOW).await, Outcome::Delivered);
    let expected = json!({ "message": {
        "token": "bk3RNwTe3H0:CI2k_HHwg",
        "data": { "refresh": "true", "tributary_message": "msg_0123456789abcdef0123456789abcdef" },
        // FCM keeps nothing for longer than four weeks.
        "android": { "ttl": "2419200s" },
        "apns": { "headers": { "apns-expiration": (NOW + 2_419_200).to_string() } },
    } });
    assert_eq!(sorted(&server).1[0].json(), expected);
}

#[tokio::test]
async fn sends_at_once_and_after_share_a_token_until_shortly_before_its_end() {
    let server = google(|_| taken()).await;
    let (fcm, message) = (fcm(&server), push(&json!({ "text": "Hello" })));
    let (first, second) = tokio::join!(fcm.attempt(&message, NOW), fcm.attempt(&message, NOW));
    assert_eq!((first, second), (Outcome::Delivered, Outcome::Delivered));
    for later in [3_478, 3_479] {
        assert_eq!(fcm.attempt(&message, NOW + later).await, Outcome::Delivered);
    }
    let (tokens, messages) = sorted(&server);
    assert_eq!(tokens.len(), 2);
    let used: Vec<_> = messages.iter().map(|sent| sent.header("authorization")).collect();
    assert_eq!(used, ["Bearer ya29.1", "Bearer ya29.1", "Bearer ya29.1", "Bearer ya29.2"]);
}

/// What the outcome is: its name, and for another attempt what has to change and how many seconds are asked for.
fn told(outcome: &Outcome) -> (&'static str, Option<Blame>, Option<u64>) {
    match outcome {
        Outcome::Delivered => ("delivered", None, None),
        Outcome::Retry { after, blame, .. } => ("retry", Some(*blame), after.map(|after| after.as_secs())),
        Outcome::MaybeSent { .. } => ("maybe sent", None, None),
        Outcome::Dead { .. } => ("dead", None, None),
        Outcome::Unreachable { .. } => ("unreachable", None, None),
    }
}

#[tokio::test]
async fn what_an_answer_means() {
    let unreachable = ("unreachable", None, None);
    let dead = ("dead", None, None);
    let retry = |blame, after| ("retry", Some(blame), after);
    let violation = |field: &str| {
        json!([{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": field, "description": "Invalid value" }],
        }])
    };
    let invalid_token = "The registration token is not a valid FCM registration token";
    let cases = [
        (failure(404, "NOT_FOUND", "Requested entity was not found.", &fcm_error("UNREGISTERED")), unreachable),
        (failure(403, "PERMISSION_DENIED", "SenderId mismatch", &fcm_error("SENDER_ID_MISMATCH")), dead),
        (failure(400, "INVALID_ARGUMENT", invalid_token, &fcm_error("INVALID_ARGUMENT")), unreachable),
        (failure(400, "INVALID_ARGUMENT", "Invalid token", &violation("message.token")), unreachable),
        (failure(400, "INVALID_ARGUMENT", "Invalid value", &violation("message.data[0].value")), dead),
        (failure(400, "INVALID_ARGUMENT", "Message too big", &fcm_error("INVALID_ARGUMENT")), dead),
        (
            failure(429, "RESOURCE_EXHAUSTED", "Quota", &fcm_error("QUOTA_EXCEEDED")).header("retry-after", "7"),
            retry(Blame::Pace, Some(7)),
        ),
        (failure(429, "RESOURCE_EXHAUSTED", "Quota", &json!([])), retry(Blame::Pace, Some(60))),
        (
            failure(503, "UNAVAILABLE", "Down", &fcm_error("UNAVAILABLE")).header("retry-after", "30"),
            retry(Blame::Destination, Some(30)),
        ),
        (failure(500, "INTERNAL", "Oh", &fcm_error("INTERNAL")), retry(Blame::Destination, None)),
        (
            failure(401, "UNAUTHENTICATED", "Bad APNs key", &fcm_error("THIRD_PARTY_AUTH_ERROR")),
            retry(Blame::Destination, None),
        ),
        (failure(403, "PERMISSION_DENIED", "The API is not enabled", &json!([])), retry(Blame::Destination, None)),
        (Reply::new(502, "<html>"), retry(Blame::Destination, None)),
    ];
    for (reply, expected) in cases {
        let shown = reply.body.clone();
        let server = google(move |_| reply.clone()).await;
        let outcome = fcm(&server).attempt(&push(&json!({ "text": "Hello" })), NOW).await;
        assert_eq!(told(&outcome), expected, "{shown}");
    }
}

#[tokio::test]
async fn a_token_that_is_taken_no_more_is_replaced() {
    let server = google(|request| match request.header("authorization") {
        "Bearer ya29.1" => failure(401, "UNAUTHENTICATED", "Invalid credentials", &json!([])),
        _ => taken(),
    })
    .await;
    let (fcm, message) = (fcm(&server), push(&json!({ "text": "Hello" })));
    // It was given just now: whoever gives it has trouble.
    assert_eq!(told(&fcm.attempt(&message, NOW).await), ("retry", Some(Blame::Destination), None));
    // It was good for some time.
    assert_eq!(told(&fcm.attempt(&message, NOW + 60).await), ("retry", Some(Blame::Message), None));
    assert_eq!(fcm.attempt(&message, NOW + 61).await, Outcome::Delivered);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_no_secret_is_told() {
    let refusal = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    let secret = r#"{"access_token":"ya29.secret"}"#;
    for (reply, reason) in [
        (Reply::new(400, refusal), format!("no access token: answered 400 Bad Request: {refusal}")),
        (Reply::new(200, secret), "no access token: the answer is not understood".to_owned()),
    ] {
        let server = Loopback::start(move |_| reply.clone()).await;
        let outcome = fcm(&server).attempt(&push(&json!({ "text": "Hello" })), NOW).await;
        assert_eq!(outcome, Outcome::Retry { reason, after: None, blame: Blame::Destination });
        assert!(sorted(&server).1.is_empty());
    }
}

#[tokio::test]
async fn a_project_is_set_up_with_an_rsa_key_and_shown_without_it() {
    let server = google(|_| taken()).await;
    assert_eq!(format!("{:?}", fcm(&server)), "Fcm project shop-1234");
    let wrong = FcmDestination { private_key: Secret::new(EC_KEY), ..definition(&server) };
    assert!(matches!(Fcm::new(&wrong, &policy()), Err(SetupError::Secret(_))));
}

#[tokio::test]
async fn a_message_without_an_address_is_dead() {
    let server = google(|_| taken()).await;
    let outcome = Target::send(&fcm(&server), &message(&json!({ "text": "Hello" }))).await;
    assert_eq!(told(&outcome), ("dead", None, None));
    assert!(server.received().is_empty());
}
