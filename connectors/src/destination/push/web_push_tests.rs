//! Browsers, behind a push service that is called over a real socket. What it gets is decrypted as RFC 8291 says, by
//! other means than it was encrypted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::super::token::tests::{EC_BYTES, EC_POINT, by_ec, decoded};
use super::*;
use crate::destination::loopback::{Loopback, Received, Reply, message, policy};
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use std::time::Duration;
use tributary_model::Secret;
use web_push_native::p256::SecretKey;
use web_push_native::p256::ecdh::diffie_hellman;

/// What time it is in these tests, in seconds.
const NOW: u64 = 1_767_225_600;
/// The browser of RFC 8291, appendix A.
const BROWSER_KEY: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

fn definition(reach: Reach) -> WebPushDestination {
    WebPushDestination {
        subject: "mailto:push@example.com".to_owned(),
        private_key: Secret::new(decoded(EC_BYTES)),
        ttl_seconds: 86_400,
        reach,
    }
}

fn web_push(reach: Reach) -> WebPush {
    WebPush::new(&definition(reach), &policy()).unwrap()
}

fn open() -> Reach {
    Reach { allow_private: true, ca: None }
}

fn subscription(endpoint: &str) -> Value {
    json!({ "endpoint": endpoint, "expirationTime": null, "keys": { "p256dh": P256DH, "auth": AUTH } })
}

fn push(subscription: &Value, fields: &Value) -> Message {
    let mut all = json!({ "address": subscription.to_string() });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    message(&all)
}

/// HKDF with SHA-256 (RFC 5869) of at most 32 bytes.
fn hkdf(salt: &[u8], key: &[u8], info: &[u8], bytes: usize) -> Vec<u8> {
    let hmac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    };
    hmac(&hmac(salt, key), &[info, &[1]].concat())[..bytes].to_vec()
}

/// What a browser makes of a body: the record's size, and what was sent.
fn decrypted(body: &[u8]) -> (u32, Vec<u8>) {
    let (salt, size, length) = (&body[..16], u32::from_be_bytes(body[16..20].try_into().unwrap()), body[20].into());
    let (sender, record) = body[21..].split_at(length);
    let browser = SecretKey::from_slice(&decoded(BROWSER_KEY)).unwrap();
    let sender_point = PublicKey::from_sec1_bytes(sender).unwrap();
    let shared = diffie_hellman(browser.to_nonzero_scalar(), sender_point.as_affine());
    let info = [&b"WebPush: info\0"[..], &decoded(P256DH)[..], sender].concat();
    let key = hkdf(&decoded(AUTH), shared.raw_secret_bytes(), &info, 32);
    let content_key = hkdf(salt, &key, b"Content-Encoding: aes128gcm\0", 16);
    let nonce = hkdf(salt, &key, b"Content-Encoding: nonce\0", 12);
    let gcm = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content_key).unwrap());
    let nonce = Nonce::assume_unique_for_key(nonce.try_into().unwrap());
    let mut record = record.to_vec();
    let padded = gcm.open_in_place(nonce, Aad::empty(), &mut record).unwrap();
    // After the contents of the last record comes a two, and then zeros.
    let end = padded.iter().rposition(|byte| *byte != 0).unwrap();
    assert_eq!(padded[end], 2);
    (size, padded[..end].to_vec())
}

#[test]
fn the_example_of_rfc_8291() {
    let body = decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBr\
         u3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
    );
    assert_eq!(decrypted(&body), (4_096, b"When I grow up, I want to be a watermelon".to_vec()));
}

/// The token and the key that a request shows.
fn vapid(request: &Received) -> (&str, &str) {
    request.header("authorization").strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap()
}

#[tokio::test]
async fn a_notification_is_encrypted_for_the_browser_and_tells_the_service_who_sends_it() {
    let server = Loopback::start_tls(|_| Reply::new(201, "")).await;
    let fields = json!({
        "title": "Hello",
        "text": "Your order is on its way.",
        "data": { "order": 17 },
        "collapse_key": "order of Ada",
    });
    let web_push = web_push(server.reach());
    let message = push(&subscription(&format!("{}/wpush/v2/gAAAA", server.url)), &fields);
    assert_eq!(web_push.attempt(&message, NOW).await, Outcome::Delivered);
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/wpush/v2/gAAAA"));
    assert_eq!(request.header("content-encoding"), "aes128gcm");
    assert_eq!(request.header("content-type"), "application/octet-stream");
    assert_eq!(request.header("ttl"), "86400");
    assert_eq!(request.header("urgency"), "normal");
    // The one record is smaller than its size says.
    let (record_size, contents) = decrypted(&request.body);
    assert_eq!(record_size, 4_096);
    let expected = json!({
        "title": "Hello",
        "body": "Your order is on its way.",
        "data": { "order": 17 },
        "message": "msg_0123456789abcdef0123456789abcdef",
    });
    assert_eq!(serde_json::from_slice::<Value>(&contents).unwrap(), expected);

    let (token, key) = vapid(request);
    assert_eq!(key, EC_POINT);
    let (header, claims) = by_ec(token, key);
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT" }));
    let expected = json!({ "aud": server.url, "exp": NOW + 12 * 60 * 60, "sub": "mailto:push@example.com" });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn a_topic_has_the_letters_that_it_may_have_and_is_the_same_for_the_same_key() {
    let server = Loopback::start(|_| Reply::new(201, "")).await;
    let web_push = web_push(open());
    for key in ["order of Ada", "order of Ada", "order of Bob"] {
        let message = push(&subscription(&server.url), &json!({ "collapse_key": key, "ttl_seconds": 60 }));
        assert_eq!(web_push.attempt(&message, NOW).await, Outcome::Delivered);
    }
    let received = server.received();
    let topics: Vec<_> = received.iter().map(|request| request.header("topic")).collect();
    assert_eq!(topics[0], topics[1]);
    assert_ne!(topics[0], topics[2]);
    assert_eq!(topics[0].len(), 32);
    assert!(topics[0].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert_eq!(received[0].header("ttl"), "60", "the message's own time comes before the destination's");
}

#[tokio::test]
async fn each_service_gets_a_token_of_its_own_for_six_hours() {
    let servers = [Loopback::start(|_| Reply::new(201, "")).await, Loopback::start(|_| Reply::new(201, "")).await];
    let web_push = web_push(open());
    for (server, later) in [(0, 0), (1, 0), (0, 21_599), (0, 21_600)] {
        let message = push(&subscription(&servers[server].url), &json!({ "text": "Hello" }));
        assert_eq!(web_push.attempt(&message, NOW + later).await, Outcome::Delivered);
    }
    let [first, second] = servers.each_ref().map(Loopback::received);
    let used: Vec<_> = first.iter().map(vapid).collect();
    assert_eq!(used[0], used[1]);
    assert_ne!(used[0], used[2]);
    for (server, (token, key)) in [(0, used[0]), (1, vapid(&second[0]))] {
        assert_eq!(by_ec(token, key).1["aud"], servers[server].url);
    }
}

#[test]
fn as_many_services_as_visitors_may_name_take_little_memory() {
    let web_push = web_push(Reach::default());
    for number in 0..600 {
        web_push.authorization(format!("https://push{number}.example.net"), NOW).unwrap();
        assert!(web_push.authorizations.lock().unwrap().len() <= 256);
    }
}

#[tokio::test]
async fn what_an_answer_means() {
    let retry = |reason: &str, seconds: Option<u64>| Outcome::Retry {
        reason: reason.to_owned(),
        after: seconds.map(Duration::from_secs),
        blame: Blame::Message,
    };
    let dead = |reason: &str| Outcome::Dead { reason: reason.to_owned() };
    let unreachable = |reason: &str| Outcome::Unreachable { reason: reason.to_owned() };
    let cases = [
        (Reply::new(200, ""), Outcome::Delivered),
        (Reply::new(202, ""), Outcome::Delivered),
        (Reply::new(404, ""), unreachable("answered 404 Not Found")),
        (Reply::new(410, "gone"), unreachable("answered 410 Gone: gone")),
        (Reply::new(400, ""), dead("answered 400 Bad Request")),
        (Reply::new(413, ""), dead("answered 413 Payload Too Large")),
        (Reply::new(302, "").header("location", "http://169.254.169.254/"), dead("answered 302 Found")),
        // Nothing that one of many services says stops the others.
        (Reply::new(401, ""), retry("answered 401 Unauthorized", None)),
        (
            Reply::new(403, r#"{"reason":"BadJwtToken"}"#),
            retry(r#"answered 403 Forbidden: {"reason":"BadJwtToken"}"#, None),
        ),
        (Reply::new(429, "").header("retry-after", "120"), retry("answered 429 Too Many Requests", Some(120))),
        (Reply::new(500, ""), retry("answered 500 Internal Server Error", None)),
        (Reply::new(503, "").header("retry-after", "5"), retry("answered 503 Service Unavailable", Some(5))),
    ];
    for (reply, expected) in cases {
        let server = Loopback::start(move |_| reply.clone()).await;
        let message = push(&subscription(&server.url), &json!({ "text": "Hello" }));
        assert_eq!(web_push(open()).attempt(&message, NOW).await, expected);
    }
}

#[tokio::test]
async fn a_visitor_cannot_have_private_addresses_called() {
    let web_push = web_push(Reach::default());
    let endpoints =
        ["https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "http://push.example.net/", "ftp://example.net/"];
    for endpoint in endpoints {
        let outcome = web_push.attempt(&push(&subscription(endpoint), &json!({ "text": "Hello" })), NOW).await;
        let reason = "the subscription's endpoint may not be called: it has to be https://… and public".to_owned();
        assert_eq!(outcome, Outcome::Dead { reason }, "{endpoint}");
    }
    // A name is looked at when it is resolved for the connection. That it fails concerns no other message.
    let message = push(&subscription("https://localhost:1/"), &json!({ "text": "Hello" }));
    let outcome = web_push.attempt(&message, NOW).await;
    let Outcome::Retry { reason, blame: Blame::Message, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("private addresses only"), "{reason}");
}

#[tokio::test]
async fn what_is_no_subscription_is_reached_by_nothing() {
    let server = Loopback::start(|_| Reply::new(201, "")).await;
    let with = |name: &str, value: &str| {
        let mut subscription = subscription(&server.url);
        subscription["keys"][name] = value.into();
        subscription
    };
    let off_the_curve = format!("B{}", "A".repeat(86));
    let wrong = [
        json!("a token"),
        json!({ "endpoint": server.url }),
        with("p256dh", "no point"),
        with("p256dh", &off_the_curve),
        with("auth", "c2hvcnQ"),
    ];
    for subscription in wrong {
        let outcome = web_push(open()).attempt(&push(&subscription, &json!({ "text": "Hello" })), NOW).await;
        let Outcome::Unreachable { reason } = outcome else { panic!("{outcome:?}") };
        assert!(reason.starts_with("the address is no push subscription"), "{reason}");
    }
    assert!(server.received().is_empty());
    // Some pad what the standard does not.
    let padded = with("auth", &format!("{AUTH}=="));
    let outcome = web_push(open()).attempt(&push(&padded, &json!({ "text": "Hello" })), NOW).await;
    assert_eq!(outcome, Outcome::Delivered);
}

#[tokio::test]
async fn a_body_has_at_most_the_4096_bytes_that_each_service_takes() {
    let server = Loopback::start(|_| Reply::new(201, "")).await;
    let web_push = web_push(open());
    let of = |letters: usize| push(&subscription(&server.url), &json!({ "text": "x".repeat(letters) }));
    let around = contents(&of(1).fields().unwrap(), &of(1).id).len() - 1;
    assert_eq!(web_push.attempt(&of(3_993 - around), NOW).await, Outcome::Delivered);
    let outcome = web_push.attempt(&of(3_994 - around), NOW).await;
    assert_eq!(outcome, Outcome::Dead { reason: "the notification has 3994 bytes, and may have 3993".to_owned() });
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!(request.body.len(), 4_096);
}

#[test]
fn a_sender_is_set_up_with_a_key_of_32_bytes_and_shown_without_it() {
    assert_eq!(format!("{:?}", web_push(open())), "WebPush of mailto:push@example.com");
    let wrong = WebPushDestination { private_key: Secret::new(*b"short"), ..definition(open()) };
    assert!(matches!(WebPush::new(&wrong, &policy()), Err(SetupError::Secret(_))));
}
