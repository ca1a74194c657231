//! What customers agree to, by events, by the API and by the links in their mails; and that messages are held by it.

use crate::support::client::{ADMIN_TOKEN, Answer, As, Client, READ_TOKEN, path_segment};
use crate::support::command::{NOBODY, at, done};
use crate::support::receiver::Receiver;
use crate::support::server::Site;
use crate::support::wait::{SOON, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// Where customers reach the server.
const PUBLIC: &str = "https://shop.example";

/// A shop that sends mails through SendGrid's API: offers to whoever agrees to marketing, and receipts.
fn site(receiver: &Receiver) -> Site {
    let endpoint = receiver.url.trim_end_matches("/hook");
    let definitions = format!(
        r#"
identity:
  namespaces:
    user_id: {{ priority: 1 }}
    email: {{ priority: 2, normalise: email, from: [traits.email] }}
    anonymous_id: {{ priority: 9 }}
contact:
  purposes:
    marketing: {{ name: "Offers & news" }}
    Advertising: {{ default: granted }}
destinations:
  mail:
    {{ type: sendgrid, api_key: "env:API_KEY", from: shop@example.com, endpoint: "{endpoint}", allow_private: true }}
triggers:
  offer:
    on: {{ event: Offer Made }}
    send:
      {{ to: mail, address: "{{{{ traits.email }}}}", subject: Offer, text: "See {{{{ message.preferences_url }}}}" }}
    purpose: marketing
  receipt:
    on: {{ event: Order Completed }}
    send: {{ to: mail, address: "{{{{ traits.email }}}}", subject: Receipt, text: Thanks }}
    transactional: true
"#
    );
    let site = Site::new(&definitions).with("API_KEY", "hush");
    site.configure(&format!("[http]\npublic_url = \"{PUBLIC}/\"\n"));
    site
}

fn ada() -> Value {
    json!({ "type": "identify", "userId": "ada", "traits": { "email": "ada@example.com" } })
}

fn event(name: &str) -> Value {
    json!({ "type": "track", "userId": "ada", "event": name })
}

/// An event of whatever kind that says something of consent.
fn says(context: Value) -> Value {
    json!({ "type": "page", "userId": "ada", "name": "Home", "context": context })
}

/// What became of Ada's latest message, and why, once so many are through.
#[track_caller]
fn outcome(client: &Client, count: usize) -> String {
    eventually("the messages are through", SOON, || {
        let answer = client.get("/v1/profiles/user_id:ada/messages");
        if answer.status == 404 {
            return Err(answer.text()); // not committed yet
        }
        let answer = answer.ok();
        let messages = answer["messages"].as_array().unwrap();
        let is_through = |message: &Value| matches!(message["status"].as_str(), Some("delivered" | "held" | "dead"));
        if messages.len() != count || !messages.iter().all(is_through) {
            return Err(answer.to_string());
        }
        let word = |field: &str| messages[0][field].as_str().unwrap_or("-").to_owned();
        Ok(format!("{} {}", word("status"), word("reason")))
    })
}

fn put(client: &Client, path: &str, token: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    client.request(Method::PUT, path, As::Bearer(token), &headers, body.to_string().into_bytes()).unwrap()
}

/// States by the API what Ada wants; gives the log position.
#[track_caller]
fn state(client: &Client, wanted: &Value) -> String {
    put(client, "/v1/profiles/user_id:ada/consent", ADMIN_TOKEN, wanted).position()
}

fn consent(client: &Client, identifier: &str, position: &str) -> Value {
    client.get_at(&format!("/v1/profiles/{identifier}/consent"), position).ok()
}

fn visit(client: &Client, method: Method, path: &str, form: &str) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    client.request(method, path, As::Nobody, &headers, form.as_bytes().to_vec()).unwrap()
}

/// The paths of a mail's links.
fn links(mail: &Value) -> (String, String) {
    let header = mail["headers"]["List-Unsubscribe"].as_str().unwrap();
    let text = mail["content"][0]["value"].as_str().unwrap();
    let path = |url: &str| url.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{url}")).to_owned();
    (path(header.trim_matches(['<', '>'])), path(text.strip_prefix("See ").unwrap()))
}

/// Ada agrees to marketing, and gets an offer; gives its links.
#[track_caller]
fn offered(client: &Client, receiver: &Receiver) -> (String, String) {
    client.batch(&[ada()]);
    state(client, &json!({ "purposes": { "marketing": true } }));
    client.batch(&[event("Offer Made")]);
    assert_eq!(outcome(client, 1), "delivered -");
    links(&receiver.accepted()[0].body)
}

#[test]
fn offers_go_to_whoever_has_agreed_and_receipts_to_everybody() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    client.batch(&[ada(), event("Offer Made")]);
    assert_eq!(outcome(client, 1), "held no_consent", "whoever has said nothing has not agreed");
    client.batch(&[event("Order Completed")]);
    assert_eq!(outcome(client, 2), "delivered -");

    let agrees = says(json!({ "consent": { "categoryPreferences": { "marketing": true, "Advertising": false } } }));
    client.batch(&[agrees, event("Offer Made")]);
    assert_eq!(outcome(client, 3), "delivered -");
    let position = state(client, &json!({ "purposes": { "marketing": false }, "by": "support", "reason": "asked" }));
    client.batch(&[event("Offer Made")]);
    assert_eq!(outcome(client, 4), "held no_consent");
    let told = consent(client, "user_id:ada", &position);
    let purposes = json!({
        "marketing": { "name": "Offers & news", "granted": false, "said": true },
        "Advertising": { "name": "Advertising", "granted": false, "said": true },
    });
    assert_eq!(told["purposes"], purposes);
    let events = client.get("/v1/profiles/user_id:ada/events").ok();
    let updated = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event"]["event"] == "Consent Preference Updated");
    assert_eq!(updated.unwrap()["event"]["properties"], json!({ "by": "support", "reason": "asked" }));

    state(client, &json!({ "purposes": { "marketing": true }, "subscriptions": { "email": "unsubscribed" } }));
    client.batch(&[event("Offer Made")]);
    assert_eq!(outcome(client, 5), "held unsubscribed");
    let wants = json!([{ "key": "ada@example.com", "type": "EMAIL", "status": "SUBSCRIBED" }]);
    let position = client.batch(&[says(json!({ "messaging_subscriptions": wants })), event("Offer Made")]);
    assert_eq!(outcome(client, 6), "delivered -");
    let told = consent(client, "email:ada@example.com", &position);
    let subscriptions = json!({ "email": "subscribed", "sms": "did_not_subscribe", "push": "did_not_subscribe" });
    assert_eq!(told["subscriptions"], subscriptions);
    assert_eq!(client.metric("tributary_triggers_held_back_total", &["offer", "no_consent"]), 2.0);
}

#[test]
fn a_link_unsubscribes_when_it_is_posted_to_and_not_when_it_is_looked_at() {
    let receiver = Receiver::start();
    let site = site(&receiver);
    let server = site.start();
    let client = &server.client;
    let (unsubscribe, preferences) = offered(client, &receiver);
    let mail = &receiver.accepted()[0].body;
    assert_eq!(mail["headers"]["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click", "{mail}");
    client.batch(&[event("Order Completed")]);
    assert_eq!(outcome(client, 2), "delivered -");
    assert_eq!(receiver.accepted()[1].body["headers"], json!(null), "what was asked for is not unsubscribed from");

    let page = visit(client, Method::GET, &unsubscribe, "");
    assert_eq!((page.status, page.headers["content-type"].to_str().unwrap()), (200, "text/html; charset=utf-8"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"));
    let html = page.text();
    assert!(html.contains("<html lang=\"en\">") && html.contains("<form method=\"post\">"), "{html}");
    assert!(!html.contains("<script") && html.contains(&format!("..{preferences}")), "{html}");
    let untouched = consent(client, "user_id:ada", &client.batch(&[ada()]));
    assert_eq!(untouched["subscriptions"]["email"], "did_not_subscribe");

    let page = visit(client, Method::POST, &unsubscribe, "List-Unsubscribe=One-Click");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("You are unsubscribed"), "{}", page.text());
    client.batch(&[event("Offer Made")]);
    assert_eq!(outcome(client, 3), "held unsubscribed");
    client.batch(&[event("Order Completed")]);
    assert_eq!(outcome(client, 4), "delivered -");

    // Nobody makes a link for somebody else, and nobody learns from the audit log what links there are.
    let forged = format!("{}A", &unsubscribe[..unsubscribe.len() - 1]);
    let forged = if forged == unsubscribe { format!("{}B", &unsubscribe[..unsubscribe.len() - 1]) } else { forged };
    for method in [Method::GET, Method::POST] {
        let page = visit(client, method, &forged, "");
        assert_eq!(page.status, 404);
        assert!(page.text().contains("This link leads nowhere"), "{}", page.text());
    }
    let known = client.request(Method::POST, &unsubscribe, As::Bearer(ADMIN_TOKEN), &[], Vec::new()).unwrap();
    assert_eq!(known.status, 200, "only of whoever is known is anything written down");
    let audit = client.request(Method::GET, "/v1/audit", As::Bearer(ADMIN_TOKEN), &[], Vec::new()).unwrap().ok();
    assert!(!audit.to_string().contains("unsubscribe/"), "{audit}");

    // Old mails are never too old, nor does it matter that the state was made anew since.
    server.stop();
    assert!(done(at(&site, "replay", NOBODY)).contains("in its place"));
    let server = site.start();
    assert_eq!(visit(&server.client, Method::GET, &unsubscribe, "").status, 200);
    assert_eq!(server.client.get("/v1/profiles/user_id:ada/consent").ok()["subscriptions"]["email"], "unsubscribed");
}

#[test]
fn preferences_are_chosen_on_a_page() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let (_, preferences) = offered(client, &receiver);
    let html = visit(client, Method::GET, &preferences, "").text();
    assert!(html.contains("<legend>Offers &amp; news</legend>"), "{html}");
    assert!(html.contains(r#"name="purpose:marketing" value="yes" checked"#), "{html}");
    assert!(html.contains(r#"name="channel:email" value="no">"#), "nobody has said so: {html}");
    assert!(html.contains(r#"name="was:purpose:marketing" value="yes""#), "{html}");
    assert!(!html.contains("channel:sms"), "no text messages are sent at all: {html}");

    let page =
        visit(client, Method::POST, &preferences, "purpose%3Amarketing=no&channel%3Aemail=yes&purpose:other=yes");
    let html = page.text();
    assert!(page.status == 200 && html.contains("Your choices are saved."), "{html}");
    assert!(html.contains(r#"name="purpose:marketing" value="no" checked"#), "{html}");
    client.batch(&[event("Offer Made")]);
    assert_eq!(outcome(client, 2), "held no_consent");
    let told = client.get("/v1/profiles/user_id:ada/consent").ok();
    assert_eq!((&told["subscriptions"]["email"], &told["purposes"]["other"]), (&json!("subscribed"), &json!(null)));
    assert_eq!(told["purposes"]["Advertising"]["said"], false, "what was not answered stays open");
    assert_eq!(visit(client, Method::GET, "/preferences/AAAA", "").status, 404);
    assert_eq!(visit(client, Method::DELETE, &preferences, "").error(405), "wrong_method");
}

#[test]
fn of_all_that_a_customer_has_said_the_latest_word_counts() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let says = |who: &str, id: &str, minute: u8, agrees: bool| {
        let mut event = json!({ "type": "page", "timestamp": format!("2026-05-04T10:{minute:02}:00Z"),
            "context": { "consent": { "categoryPreferences": { "marketing": agrees } } } });
        event[who] = json!(id);
        event
    };
    let agrees = |of: &str, position: &str| consent(client, of, position)["purposes"]["marketing"]["granted"].clone();
    // On the phone she agrees before and after she does not with her account; they come in any order.
    let position = client.batch(&[
        says("anonymousId", "phone", 9, true),
        says("userId", "ada", 5, false),
        says("anonymousId", "phone", 1, false),
    ]);
    assert_eq!(
        (agrees("anonymous_id:phone", &position), agrees("user_id:ada", &position)),
        (json!(true), json!(false))
    );
    let position = client.state("link", "user_id:ada", "anonymous_id:phone");
    assert_eq!(agrees("user_id:ada", &position), true);
    let position = client.state("unlink", "user_id:ada", "anonymous_id:phone");
    assert_eq!(
        (agrees("anonymous_id:phone", &position), agrees("user_id:ada", &position)),
        (json!(true), json!(false))
    );

    // Whoever asks now is heard, though a client's clock is hours ahead.
    let ahead = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(10)).to_string();
    let mut early = says("userId", "ada", 0, true);
    early["timestamp"] = json!(ahead);
    assert_eq!(agrees("user_id:ada", &client.batch(&[early])), true);
    assert_eq!(agrees("user_id:ada", &state(client, &json!({ "purposes": { "marketing": false } }))), false);

    // A no is heard however much else is known.
    let traits: serde_json::Map<_, _> = (0..300).map(|number| (format!("t{number}"), json!(number))).collect();
    let full = json!({ "type": "identify", "userId": "full", "traits": traits });
    let position = client.batch(&[full, says("userId", "full", 1, false)]);
    assert_eq!(consent(client, "user_id:full", &position)["purposes"]["marketing"]["said"], true);

    // Who is forgotten has said nothing.
    let position = client.delete("/v1/profiles/user_id:ada").position();
    assert_eq!(client.get_at("/v1/profiles/user_id:ada/consent", &position).error(404), "profile_not_found");
    let told = consent(client, "user_id:ada", &client.batch(&[ada()]));
    assert_eq!(told["purposes"]["marketing"], json!({ "name": "Offers & news", "granted": false, "said": false }));
    // And whoever has said something is known by it.
    let path = "/v1/profiles/anonymous_id:new/consent";
    let position = put(client, path, ADMIN_TOKEN, &json!({ "subscriptions": { "push": "subscribed" } })).position();
    assert_eq!(consent(client, "anonymous_id:new", &position)["subscriptions"]["push"], "subscribed");
}

#[test]
fn addresses_on_the_list_get_nothing_whatever_it_is_for() {
    let receiver = Receiver::start();
    let site = site(&receiver);
    let server = site.start();
    let client = &server.client;
    client.batch(&[ada()]);
    let path = "/v1/suppressions/email/Ada@Example.com?by=support&reason=asked";
    put(client, path, ADMIN_TOKEN, &json!(null)).position();
    client.batch(&[event("Order Completed")]);
    assert_eq!(outcome(client, 1), "held suppressed");
    for address in ["carol@example.com", "ben@example.com"] {
        put(client, &format!("/v1/suppressions/email/{address}"), ADMIN_TOKEN, &json!(null)).position();
    }
    let position = put(client, "/v1/suppressions/sms/%2B1%20650-253-0000", ADMIN_TOKEN, &json!(null)).position();

    let first = client.get_at("/v1/suppressions?channel=email&limit=2", &position).ok();
    let entry = &first["suppressions"][0];
    assert_eq!(
        (&entry["address"], &entry["by"], &entry["reason"]),
        (&json!("ada@example.com"), &json!("support"), &json!("asked"))
    );
    let next = first["next"].as_str().unwrap();
    let last = client.get(&format!("/v1/suppressions?channel=email&limit=2&cursor={}", path_segment(next))).ok();
    let addresses: Vec<_> = [&first, &last]
        .iter()
        .flat_map(|page| page["suppressions"].as_array().unwrap())
        .map(|it| &it["address"])
        .collect();
    assert_eq!(addresses, ["ada@example.com", "ben@example.com", "carol@example.com"]);
    assert_eq!(last["next"], json!(null));
    let numbers = client.get("/v1/suppressions?channel=sms").ok();
    assert_eq!(numbers["suppressions"][0]["address"], "+16502530000", "as vendors write it");
    let stated = client.get("/v1/identity/statements").ok();
    assert_eq!(
        (&stated["statements"][3]["kind"], &stated["statements"][3]["a"]),
        (&json!("suppress"), &json!("email:ada@example.com"))
    );

    let position = client.delete("/v1/suppressions/email/ada@example.com").position();
    client.batch(&[event("Order Completed")]);
    assert_eq!(outcome(client, 2), "delivered -");
    assert_eq!(
        client.get_at("/v1/suppressions?channel=email&limit=1", &position).ok()["suppressions"][0]["address"],
        "ben@example.com"
    );
    assert!(done(at(&site, "verify", client.base())).contains("records of the log give the same"));
}

#[test]
fn who_may_say_what() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let path = "/v1/profiles/user_id:ada/consent";
    let yes = json!({ "purposes": { "marketing": true } });
    assert_eq!(put(client, path, READ_TOKEN, &yes).error(403), "not_allowed");
    assert_eq!(client.get(path).error(404), "profile_not_found");
    for (body, code, says) in [
        (
            json!({ "purposes": { "news": true } }),
            "unknown_purpose",
            "there is no purpose `news`; there are Advertising, marketing",
        ),
        (
            json!({ "subscriptions": { "slack": "subscribed" } }),
            "unknown_channel",
            "`slack` reaches no customers; there are email, sms, push",
        ),
        (
            json!({ "subscriptions": { "email": "no" } }),
            "unknown_subscription",
            "`no` is none of subscribed, unsubscribed",
        ),
        (json!({ "purposes": {} }), "nothing_said", "name a purpose or a channel"),
        (json!({ "purposes": { "marketing": "yes" } }), "invalid_json", ""),
    ] {
        let answer = put(client, path, ADMIN_TOKEN, &body);
        assert_eq!(answer.error(400), code);
        assert!(answer.json()["message"].as_str().unwrap().starts_with(says), "{}", answer.text());
    }
    assert_eq!(put(client, "/v1/profiles/ada/consent", ADMIN_TOKEN, &yes).error(400), "invalid_identifier");
    assert_eq!(client.get("/v1/suppressions?channel=fax").error(400), "unknown_channel");
    assert_eq!(client.get("/v1/suppressions").error(400), "invalid_parameter");
    assert_eq!(put(client, "/v1/suppressions/email/a@example.com", READ_TOKEN, &json!(null)).error(403), "not_allowed");
}
