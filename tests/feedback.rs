//! What vendors tell of messages afterwards, signed or with a secret: who gets nothing any more, and what customers'
//! events say.

use crate::support::client::{Answer, As, Client};
use crate::support::receiver::Receiver;
use crate::support::server::Site;
use crate::support::wait::{SOON, equal, eventually};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

const AUTH_TOKEN: &str = "an auth token of Twilio";
const FEEDBACK_KEY: &str = "a key that vendors have";
/// Where Twilio reaches the server.
const PUBLIC: &str = "https://shop.example";
const PHONE: &str = "+16502530000";

/// SendGrid, which signs its calls.
struct SendGrid {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl SendGrid {
    fn new() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap();
        Self { pair, random }
    }

    /// Its key as it shows it: what stands before a point of P-256 in a SubjectPublicKeyInfo, and the point.
    fn public_key(&self) -> String {
        let info = BASE64_STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        BASE64_STANDARD.encode([info.as_slice(), self.pair.public_key().as_ref()].concat())
    }

    fn tell(&self, client: &Client, events: &Value) -> Answer {
        let (timestamp, body) = ("1600112502", events.to_string());
        let signature = self.pair.sign(&self.random, format!("{timestamp}{body}").as_bytes()).unwrap();
        let signature = BASE64_STANDARD.encode(signature);
        let headers = [
            ("x-twilio-email-event-webhook-signature", signature.as_str()),
            ("x-twilio-email-event-webhook-timestamp", timestamp),
        ];
        client.request(Method::POST, "/v1/feedback/mail", As::Nobody, &headers, body.into_bytes()).unwrap()
    }
}

/// A shop that sends mails and text messages; a trigger for each.
fn site(receiver: &Receiver, sendgrid: &SendGrid) -> Site {
    let endpoint = receiver.url.trim_end_matches("/hook");
    let public_key = sendgrid.public_key();
    let definitions = format!(
        r#"
identity:
  namespaces:
    user_id: {{ priority: 1 }}
    email: {{ priority: 2, normalise: email, from: [traits.email] }}
    phone: {{ priority: 3, normalise: phone, from: [traits.phone] }}
destinations:
  mail: {{ type: sendgrid, api_key: "env:API_KEY", from: shop@example.com, endpoint: "{endpoint}", allow_private: true,
    webhook_public_key: "{public_key}" }}
  relay: {{ type: smtp, host: smtp.example.com, from: shop@example.com, feedback_key: "env:FEEDBACK_KEY" }}
  amazon: {{ type: ses, region: eu-central-1, access_key_id: AKIA, secret_access_key: "env:API_KEY",
    from: shop@example.com, feedback_key: "env:FEEDBACK_KEY" }}
  sms: {{ type: twilio, account_sid: AC0123456789abcdef0123456789abcdef, auth_token: "env:AUTH_TOKEN", from: Shop,
    endpoint: "{endpoint}", allow_private: true, callback_url: "{PUBLIC}" }}
triggers:
  letter:
    on: {{ event: Order Completed }}
    send:
      {{ to: mail, address: "{{{{ event.properties.to | default(traits.email) }}}}", subject: Thanks, text: Thanks }}
  text:
    on: {{ event: Order Shipped }}
    send: {{ to: sms, address: "{{{{ traits.phone }}}}", text: On its way }}
"#
    );
    Site::new(&definitions).with("API_KEY", "hush").with("FEEDBACK_KEY", FEEDBACK_KEY).with("AUTH_TOKEN", AUTH_TOKEN)
}

/// Somebody with an address.
fn known(user: &str) -> Value {
    json!({ "type": "identify", "userId": user, "traits": { "email": format!("{user}@example.com") } })
}

fn event(user: &str, name: &str) -> Value {
    json!({ "type": "track", "userId": user, "event": name })
}

/// What became of a customer's latest message, and why, once so many are through.
#[track_caller]
fn outcome(client: &Client, user: &str, count: usize) -> String {
    eventually("the messages are through", SOON, || {
        let answer = client.get(&format!("/v1/profiles/user_id:{user}/messages"));
        if answer.status == 404 {
            return Err(answer.text()); // not committed yet
        }
        let answer = answer.ok();
        let messages = answer["messages"].as_array().unwrap();
        let is_through =
            |message: &Value| matches!(message["status"].as_str(), Some("delivered" | "held" | "dead" | "unreachable"));
        if messages.len() != count || !messages.iter().all(is_through) {
            return Err(answer.to_string());
        }
        let word = |field: &str| messages[0][field].as_str().unwrap_or("-").to_owned();
        Ok(format!("{} {}", word("status"), word("reason")))
    })
}

/// Waits until an address is on the list, or off it; gives why it is.
#[track_caller]
fn listed(client: &Client, channel: &str, address: &str, is_listed: bool) -> Option<String> {
    eventually(&format!("{address} is on the list: {is_listed}"), SOON, || {
        let answer = client.get(&format!("/v1/suppressions?channel={channel}")).ok();
        let entries = answer["suppressions"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["address"] == address);
        let reason = entry.map(|entry| entry["reason"].as_str().unwrap_or_default().to_owned());
        if reason.is_some() == is_listed { Ok(reason) } else { Err(answer.to_string()) }
    })
}

/// A customer's events of one name.
fn events(client: &Client, user: &str, name: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/profiles/user_id:{user}/events")).ok();
    let events = answer["events"].as_array().unwrap().iter().map(|event| event["event"].clone());
    events.filter(|event| event["event"] == name).collect()
}

/// Twilio's call: a form, signed with the address that Twilio was given.
fn twilio(client: &Client, path: &str, fields: &[(&str, &str)], token: &str) -> Answer {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let signed: String = sorted.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, format!("{PUBLIC}{path}{signed}").as_bytes()));
    let encode = |text: &str| text.replace('+', "%2B").replace(' ', "+");
    let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let headers = [("x-twilio-signature", signature.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    client.request(Method::POST, path, As::Nobody, &headers, body.join("&").into_bytes()).unwrap()
}

fn post(client: &Client, path: &str, content_type: &str, body: &str) -> Answer {
    let headers = [("content-type", content_type)];
    client.request(Method::POST, path, As::Nobody, &headers, body.as_bytes().to_vec()).unwrap()
}

fn with_key(path: &str) -> String {
    format!("{path}?key={}", FEEDBACK_KEY.replace(' ', "%20"))
}

#[test]
fn a_number_that_is_dead_and_a_person_who_says_stop_get_no_text_messages() {
    let receiver = Receiver::start();
    let server = site(&receiver, &SendGrid::new()).start();
    let client = &server.client;
    let with_phone = json!({ "type": "identify", "userId": "ada", "traits": { "phone": PHONE } });
    client.batch(&[with_phone, event("ada", "Order Shipped")]);
    assert_eq!(outcome(client, "ada", 1), "delivered -");
    let path = "/v1/feedback/sms?message=msg_1";
    let failed = [("MessageSid", "SM1"), ("MessageStatus", "undelivered"), ("ErrorCode", "30005"), ("To", PHONE)];
    assert_eq!(twilio(client, path, &failed, "another token").error(403), "wrong_signature");
    assert_eq!(twilio(client, path, &failed, AUTH_TOKEN).status, 204);
    assert_eq!(listed(client, "sms", PHONE, true).as_deref(), Some("bounced: error 30005"));
    client.batch(&[event("ada", "Order Shipped")]);
    assert_eq!(outcome(client, "ada", 2), "held suppressed");
    let bounced = events(client, "ada", "SMS Bounced");
    assert_eq!(bounced[0]["properties"]["message_id"], "msg_1");
    let traits = client.get("/v1/profiles/user_id:ada").ok()["traits"].clone();
    assert_eq!(traits["unreachable.sms"], PHONE);

    let answer = |sid: &str, text: &str| {
        let fields = [("MessageSid", sid), ("From", PHONE), ("To", "+15005550006"), ("Body", text)];
        assert_eq!(twilio(client, "/v1/feedback/sms", &fields, AUTH_TOKEN).status, 204);
    };
    answer("SM2", "start");
    assert_eq!(listed(client, "sms", PHONE, false), None);
    client.batch(&[event("ada", "Order Shipped")]);
    assert_eq!(outcome(client, "ada", 3), "delivered -");
    let traits = client.get("/v1/profiles/user_id:ada").ok()["traits"].clone();
    assert_eq!(traits.get("unreachable.sms"), None, "it is reached again");

    answer("SM3", "Thank you");
    answer("SM4", "Stop");
    assert_eq!(listed(client, "sms", PHONE, true).as_deref(), Some("unsubscribed: STOP"));
    client.batch(&[event("ada", "Order Shipped")]);
    assert_eq!(outcome(client, "ada", 4), "held suppressed");
    let consent = client.get("/v1/profiles/user_id:ada/consent").ok();
    assert_eq!(consent["subscriptions"]["sms"], "unsubscribed");
}

#[test]
fn what_becomes_of_mails_is_told_by_events_each_once() {
    let receiver = Receiver::start();
    let sendgrid = SendGrid::new();
    let server = site(&receiver, &sendgrid).start();
    let client = &server.client;
    let position = client.batch(&[known("ada"), known("ben"), known("cleo")]);
    client.profile_at("user_id:cleo", &position);
    let now = jiff::Timestamp::now().as_second();
    let told = |id: &str, of: &str, what: &str| {
        json!({ "sg_event_id": id, "email": of, "event": what, "timestamp": now, "tributary_message": "msg_1",
            "reason": "550 no such user" })
    };
    let events_of_mail = json!([
        told("1", "ada@example.com", "delivered"),
        told("2", "Ada@Example.com", "open"),
        told("3", "ben@example.com", "bounce"),
        told("4", "cleo@example.com", "unsubscribe"),
        told("5", "nobody@example.com", "spamreport"),
    ]);
    for _ in 0..2 {
        assert_eq!(sendgrid.tell(client, &events_of_mail).status, 204);
    }
    assert_eq!(listed(client, "email", "ben@example.com", true).as_deref(), Some("bounced: 550 no such user"));
    listed(client, "email", "nobody@example.com", true);
    eventually("Cleo has left", SOON, || {
        let consent = client.get("/v1/profiles/user_id:cleo/consent").ok();
        equal(&consent["subscriptions"]["email"].as_str(), &Some("unsubscribed"))
    });
    listed(client, "email", "cleo@example.com", false);
    for (user, name) in
        [("ada", "Email Delivered"), ("ada", "Email Opened"), ("ben", "Email Bounced"), ("cleo", "Unsubscribed")]
    {
        let events = events(client, user, name);
        assert_eq!(events.len(), 1, "told twice, it happened once: {events:?}");
        assert_eq!((&events[0]["properties"]["destination"], &events[0]["type"]), (&json!("mail"), &json!("track")));
    }
    assert_eq!(client.get("/v1/profiles/email:nobody@example.com").error(404), "profile_not_found");
    client.batch(&[event("ben", "Order Completed"), event("cleo", "Order Completed"), event("ada", "Order Completed")]);
    let outcomes = ["ben", "cleo", "ada"].map(|user| outcome(client, user, 1));
    assert_eq!(outcomes, ["held suppressed", "held unsubscribed", "delivered -"]);

    let other = SendGrid::new();
    assert_eq!(other.tell(client, &events_of_mail).error(403), "wrong_signature");
    assert_eq!(sendgrid.tell(client, &json!({})).error(400), "invalid_feedback");
}

#[test]
fn bounces_come_through_amazon_and_as_mails() {
    let receiver = Receiver::start();
    let server = site(&receiver, &SendGrid::new()).start();
    let client = &server.client;
    let event = json!({
        "eventType": "Bounce",
        "mail": { "destination": ["ada@example.com"], "tags": { "tributary_message": ["msg_1"] } },
        "bounce": { "bounceType": "Permanent", "bouncedRecipients": [{ "emailAddress": "ada@example.com" }] },
    });
    let call = json!({ "Type": "Notification", "MessageId": "1", "Message": event.to_string() }).to_string();
    assert_eq!(post(client, "/v1/feedback/amazon", "text/plain", &call).error(403), "wrong_key");
    assert_eq!(post(client, "/v1/feedback/amazon?key=guess", "text/plain", &call).error(403), "wrong_key");
    assert_eq!(post(client, &with_key("/v1/feedback/amazon"), "text/plain; charset=UTF-8", &call).status, 204);
    assert_eq!(listed(client, "email", "ada@example.com", true).as_deref(), Some("bounced"));

    let mail = "Message-ID: <1@example.com>\nContent-Type: multipart/report; boundary=b\n\n--b\n\
        Content-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example.com\n\n\
        Final-Recipient: rfc822; ben@example.com\nAction: failed\nStatus: 5.1.1\n\n--b--\n";
    assert_eq!(post(client, &with_key("/v1/feedback/relay"), "message/rfc822", mail).status, 204);
    assert_eq!(listed(client, "email", "ben@example.com", true).as_deref(), Some("bounced: 5.1.1"));
    assert_eq!(post(client, &with_key("/v1/feedback/relay"), "image/png", mail).error(415), "unknown_content_type");
    assert_eq!(post(client, &with_key("/v1/feedback/fax"), "text/plain", mail).error(404), "no_such_destination");
}

#[test]
fn an_address_that_a_delivery_finds_dead_is_not_tried_again() {
    let receiver = Receiver::start();
    let server = site(&receiver, &SendGrid::new()).start();
    let client = &server.client;
    let mut order = event("ada", "Order Completed");
    order["properties"] = json!({ "to": "Not An Address" });
    client.batch(&[known("ada"), order.clone()]);
    assert!(outcome(client, "ada", 1).starts_with("unreachable "));
    let reason = listed(client, "email", "not an address", true).unwrap();
    assert!(reason.starts_with("bounced: "), "{reason}");
    client.batch(&[order]);
    assert_eq!(outcome(client, "ada", 2), "held suppressed");
    let profile = client.get("/v1/profiles/user_id:ada").ok();
    assert_eq!(profile["traits"]["unreachable.email"], "not an address");
    assert_eq!(events(client, "ada", "Email Bounced").len(), 1);
    // Taken off the list, it is tried again, and nobody is out of reach for another address.
    client.delete("/v1/suppressions/email/not%20an%20address").position();
    client.batch(&[event("ada", "Order Completed")]);
    assert_eq!(outcome(client, "ada", 3), "delivered -");
}
