//! An app at Apple's, called over TLS and HTTP/2.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::super::token::tests::{EC_KEY, EC_POINT, RSA_KEY, by_ec};
use super::*;
use crate::destination::loopback::{Loopback, Received, Reply, message, policy};
use tributary_model::Secret;

/// What time it is in these tests, in seconds.
const NOW: u64 = 1_767_225_600;
const DEVICE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

fn definition(server: &Loopback) -> ApnsDestination {
    ApnsDestination {
        team_id: "DEF123GHIJ".to_owned(),
        key_id: "ABC123DEFG".to_owned(),
        private_key: Secret::new(EC_KEY),
        topic: "com.example.shop".to_owned(),
        endpoint: server.url.clone(),
        reach: server.reach(),
    }
}

fn apns(server: &Loopback) -> Apns {
    Apns::new(&definition(server), &policy()).unwrap()
}

/// Sends a notification with these fields besides its address, and gives what came.
async fn sent(fields: &Value) -> Received {
    let server = Loopback::start(|_| Reply::new(200, "")).await;
    assert_eq!(apns(&server).attempt(&push(fields), NOW).await, Outcome::Delivered);
    server.received().pop().unwrap()
}

fn push(fields: &Value) -> Message {
    let mut all = json!({ "address": DEVICE });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    message(&all)
}

fn refusal(code: u16, reason: &str) -> Reply {
    Reply::new(code, json!({ "reason": reason }).to_string())
}

#[tokio::test]
async fn a_notification_goes_over_http_2_with_apples_headers() {
    let server = Loopback::start_tls(|_| Reply::new(200, "")).await;
    let fields = json!({
        "title": "Hello",
        "text": "Your order is on its way.",
        "data": { "order": 17, "aps": "not mine" },
        "ttl_seconds": 3_600,
        "collapse_key": "order-17",
    });
    assert_eq!(apns(&server).attempt(&push(&fields), NOW).await, Outcome::Delivered);
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!(request.version, "HTTP/2.0");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", format!("/3/device/{DEVICE}").as_str()));
    let expiration = (NOW + 3_600).to_string();
    let headers = [
        ("apns-topic", "com.example.shop"),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", expiration.as_str()),
        ("apns-collapse-id", "order-17"),
        ("apns-id", "01234567-89ab-cdef-0123-456789abcdef"),
    ];
    for (name, value) in headers {
        assert_eq!(request.header(name), value, "{name}");
    }
    let token = request.header("authorization").strip_prefix("bearer ").unwrap();
    let (header, claims) = by_ec(token, EC_POINT);
    assert_eq!(header, json!({ "alg": "ES256", "kid": "ABC123DEFG", "typ": "JWT" }));
    assert_eq!(claims, json!({ "iss": "DEF123GHIJ", "iat": NOW }));
    let expected = json!({
        "aps": { "alert": { "title": "Hello", "body": "Your order is on its way." }, "sound": "default" },
        "order": 17,
        "tributary_message": "msg_0123456789abcdef0123456789abcdef",
    });
    assert_eq!(request.json(), expected);
}

#[tokio::test]
async fn without_title_and_text_the_app_is_woken_in_the_background() {
    let request = sent(&json!({ "text": "", "data": { "refresh": true } })).await;
    assert_eq!(request.version, "HTTP/2.0", "also without TLS");
    assert_eq!((request.header("apns-push-type"), request.header("apns-priority")), ("background", "5"));
    let expected = json!({
        "aps": { "content-available": 1 },
        "refresh": true,
        "tributary_message": "msg_0123456789abcdef0123456789abcdef",
    });
    assert_eq!(request.json(), expected);
}

#[tokio::test]
async fn how_long_it_is_kept_is_left_to_apple_unless_it_is_said() {
    let request = sent(&json!({ "text": "Hello" })).await;
    assert!(!request.headers.contains_key("apns-expiration"));
    assert!(!request.headers.contains_key("apns-collapse-id"));
    // Zero is Apple's word for not at all.
    assert_eq!(sent(&json!({ "text": "Hello", "ttl_seconds": 0 })).await.header("apns-expiration"), "0");
}

#[test]
fn a_key_that_is_no_collapse_id_gets_one_of_its_own() {
    assert_eq!(collapse_id(&"a".repeat(64)), "a".repeat(64));
    let long = "a".repeat(64);
    let keys = [format!("{long}b"), format!("{long}c"), "größer".to_owned(), "a\nb".to_owned(), "a b".to_owned()];
    let others = keys.map(|key| collapse_id(&key));
    for (index, id) in others.iter().enumerate() {
        assert!(id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        assert!(!others[..index].contains(id), "{id}");
    }
}

#[test]
fn only_an_id_of_32_hexadecimal_digits_is_a_uuid() {
    assert_eq!(uuid("msg_0123456789ABCDEF0123456789ABCDEF").unwrap(), "01234567-89ab-cdef-0123-456789abcdef");
    let others = [
        "msg_0123",
        "0123456789abcdef0123456789abcdef",
        "msg_0123456789abcdef0123456789abcdeg",
        "msg_éééééééééééééééé",
    ];
    for id in others {
        assert_eq!(uuid(id), None, "{id}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_not_sent() {
    let server = Loopback::start(|_| Reply::new(200, "")).await;
    let apns = apns(&server);
    for address in ["", "bk3RNwTe3H0:CI2k_HHwg", "../3/device/00fc"] {
        let outcome = apns.attempt(&message(&json!({ "address": address, "text": "Hello" })), NOW).await;
        let reason = "the address is no device token: it has to be hexadecimal".to_owned();
        assert_eq!(outcome, Outcome::Unreachable { reason });
    }
    // What is left of 4096 bytes for the text.
    let one = push(&json!({ "text": "x" }));
    let room = 4_096 + 1 - body(&one.fields().unwrap(), &one.id).to_string().len();
    assert_eq!(apns.attempt(&push(&json!({ "text": "x".repeat(room) })), NOW).await, Outcome::Delivered);
    let outcome = apns.attempt(&push(&json!({ "text": "x".repeat(room + 1) })), NOW).await;
    assert_eq!(outcome, Outcome::Dead { reason: "the notification has 4097 bytes, and may have 4096".to_owned() });
    let [request] = &server.received()[..] else { panic!("{:?}", server.received()) };
    assert_eq!(request.body.len(), 4_096);
}

#[tokio::test]
async fn what_an_answer_means() {
    enum Means {
        Unreachable,
        Dead,
        Retry(Blame),
    }
    use Means::{Dead, Retry, Unreachable};
    let cases = [
        (410, "Unregistered", Unreachable),
        (410, "ExpiredToken", Unreachable),
        (410, "SomethingNew", Unreachable),
        (400, "BadDeviceToken", Dead),
        (400, "DeviceTokenNotForTopic", Dead),
        (400, "BadCollapseId", Dead),
        (400, "PayloadEmpty", Dead),
        (403, "Forbidden", Dead),
        (404, "BadPath", Dead),
        (413, "PayloadTooLarge", Dead),
        (400, "TopicDisallowed", Retry(Blame::Destination)),
        (400, "IdleTimeout", Retry(Blame::Destination)),
        (403, "InvalidProviderToken", Retry(Blame::Destination)),
        (403, "MissingProviderToken", Retry(Blame::Destination)),
        (403, "BadEnvironmentKeyIdInToken", Retry(Blame::Destination)),
        (429, "TooManyRequests", Retry(Blame::Message)),
        (429, "TooManyProviderTokenUpdates", Retry(Blame::Pace)),
        (500, "InternalServerError", Retry(Blame::Destination)),
        (503, "ServiceUnavailable", Retry(Blame::Destination)),
        (503, "Shutdown", Retry(Blame::Destination)),
    ];
    for (code, reason, means) in cases {
        let server = Loopback::start(move |_| refusal(code, reason)).await;
        let outcome = apns(&server).attempt(&push(&json!({ "text": "Hello" })), NOW).await;
        let told = format!("answered {}: {{\"reason\":\"{reason}\"}}", StatusCode::from_u16(code).unwrap());
        let expected = match means {
            Unreachable => Outcome::Unreachable { reason: told },
            Dead => Outcome::Dead { reason: told },
            Retry(blame) => Outcome::Retry { reason: told, after: None, blame },
        };
        assert_eq!(outcome, expected, "{reason}");
    }
}

#[tokio::test]
async fn a_token_serves_for_forty_minutes() {
    let server = Loopback::start(|_| Reply::new(200, "")).await;
    let (apns, message) = (apns(&server), push(&json!({ "text": "Hello" })));
    let (first, second) = tokio::join!(apns.attempt(&message, NOW), apns.attempt(&message, NOW));
    assert_eq!((first, second), (Outcome::Delivered, Outcome::Delivered));
    for later in [2_399, 2_400] {
        assert_eq!(apns.attempt(&message, NOW + later).await, Outcome::Delivered);
    }
    let received = server.received();
    let used: Vec<_> = received.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(used[..3], [used[0]; 3]);
    assert_ne!(used[3], used[0]);
}

#[tokio::test]
async fn an_expired_token_is_replaced_but_not_more_often_than_apple_wants() {
    let server = Loopback::start(|_| refusal(403, "ExpiredProviderToken")).await;
    let (apns, message) = (apns(&server), push(&json!({ "text": "Hello" })));
    let blame = async |later: u64| match apns.attempt(&message, NOW + later).await {
        Outcome::Retry { blame, .. } => blame,
        outcome => panic!("{outcome:?}"),
    };
    // A new one that is expired: a clock is wrong, and no other token would be better.
    assert_eq!(blame(0).await, Blame::Destination);
    assert_eq!(blame(1_199).await, Blame::Destination);
    assert_eq!(blame(1_200).await, Blame::Message);
    assert_eq!(blame(1_201).await, Blame::Destination);
    let received = server.received();
    let tokens = received.iter().map(|request| request.header("authorization").strip_prefix("bearer ").unwrap());
    let issued: Vec<_> = tokens.map(|token| by_ec(token, EC_POINT).1["iat"].clone()).collect();
    assert_eq!(issued, [NOW, NOW, NOW, NOW + 1_201]);
}

#[tokio::test]
async fn an_app_is_set_up_with_a_p8_key_and_shown_without_it() {
    let server = Loopback::start(|_| Reply::new(200, "")).await;
    assert_eq!(format!("{:?}", apns(&server)), "Apns app com.example.shop");
    let wrong = ApnsDestination { private_key: Secret::new(RSA_KEY), ..definition(&server) };
    assert!(matches!(Apns::new(&wrong, &policy()), Err(SetupError::Secret(_))));
}
