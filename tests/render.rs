//! What a trigger would send, looked at before it does: over HTTP and by `tributary render`; and in many languages.

use crate::support::client::ADMIN_TOKEN;
use crate::support::command::said;
use crate::support::receiver::Receiver;
use crate::support::server::{Server, Site, program};
use crate::support::wait::{SOON, eventually};
use serde_json::{Value, json};

/// A shop that writes in English and German. Nothing listens where its mail goes.
const SHOP: &str = r#"
segments:
  vip: { name: VIP customers, where: "traits.plan = 'vip'" }
contact:
  purposes: { marketing: { name: Offers } }
locales:
  from: traits.locale
  texts:
    en:
      welcome: "Welcome, {{ traits.name }}"
      balance: "You have {{ traits.balance | money('EUR') }} since {{ traits.since | date(length='long') }}."
    de:
      welcome: "Willkommen, {{ traits.name }}"
      balance: "Sie haben {{ traits.balance | money('EUR') }} seit dem {{ traits.since | date(length='long') }}."
destinations:
  mail: { type: smtp, host: 127.0.0.1, port: 9, security: none, from: "Shop <shop@example.com>", allow_private: true }
  crm: { type: webhook, url: "http://127.0.0.1:9/hook", allow_private: true }
triggers:
  welcome:
    on: { enter: vip }
    purpose: marketing
    send:
      to: mail
      address: "{{ traits.email }}"
      subject: "{{ t('welcome') }}"
      text: "{{ t('balance') }}"
      html: "<h1>{{ t('welcome') }}</h1><p>{{ segment.name }}</p>"
  ordered:
    on: { event: Order Completed }
    send:
      to: crm
      body: '{"total": {{ event.properties.total | times(2) | tojson }}, "was": {{ event.event | tojson }}}'
"#;

fn ada(traits: Value) -> Value {
    let mut all =
        json!({ "name": "Ada & Co", "email": "ada@example.com", "balance": "1234.50", "since": "2026-01-31" });
    all.as_object_mut().unwrap().extend(traits.as_object().unwrap().clone());
    json!({ "type": "identify", "userId": "ada", "traits": all })
}

/// The answer about a customer, as of a position.
#[track_caller]
fn render(server: &Server, trigger: &str, body: &Value, position: &str) -> Value {
    let path = format!("/v1/triggers/{trigger}/render?min_position={position}&timeout_ms=2000");
    eventually("the position is committed", SOON, || {
        let answer = server.client.read_post(&path, body);
        if answer.status == 503 { Err(answer.text()) } else { Ok(answer) }
    })
    .ok()
}

fn of_ada() -> Value {
    json!({ "profile": "user_id:ada" })
}

#[test]
fn a_message_is_written_in_the_customers_language() {
    let server = Site::new(SHOP).start();
    let position = server.client.batch(&[ada(json!({ "locale": "de_DE", "consent.marketing": true }))]);
    let german = render(&server, "welcome", &of_ada(), &position);
    assert_eq!(
        german,
        json!({
            "trigger": "welcome", "destination": "mail", "channel": "email", "locale": "de-DE", "verdict": "send",
            "fields": {
                "address": "ada@example.com",
                "subject": "Willkommen, Ada & Co",
                "text": "Sie haben 1.234,50\u{a0}€ seit dem 31. Januar 2026.",
                "html": "<h1>Willkommen, Ada &amp; Co</h1><p>VIP customers</p>",
            },
        })
    );
    // There is nothing in French: all of the message is in the default language, its dates and amounts too.
    let position = server.client.batch(&[ada(json!({ "locale": "fr-FR" }))]);
    let english = render(&server, "welcome", &of_ada(), &position);
    assert_eq!(english["locale"], "en");
    assert_eq!(english["fields"]["text"], "You have €1,234.50 since January 31, 2026.");
    let position = server.client.batch(&[ada(json!({ "email": " ada@example.com\n" }))]);
    let blanks = render(&server, "welcome", &of_ada(), &position);
    assert_eq!(blanks["fields"]["address"], "ada@example.com", "blanks are no part of an address");
}

#[test]
fn what_is_sent_is_what_was_shown() {
    let receiver = Receiver::start();
    let server = Site::new(&SHOP.replace("http://127.0.0.1:9/hook", &receiver.url)).start();
    let order =
        json!({ "type": "track", "userId": "ada", "event": "Order Completed", "properties": { "total": "19.99" } });
    let position = server.client.batch(&[order]);
    let shown = render(&server, "ordered", &of_ada(), &position);
    assert_eq!(shown["verdict"], "send");
    let shown: Value = serde_json::from_str(shown["body"].as_str().unwrap()).unwrap();
    assert_eq!(shown, json!({ "total": 39.98, "was": "Order Completed" }), "of the latest such event");
    let sent = eventually("the message is sent", SOON, || receiver.accepted().into_iter().next().ok_or("nothing came"));
    assert_eq!(sent.body, shown);
    // Looking at one sends nothing.
    let given = json!({ "profile": "user_id:ada", "event": { "properties": { "total": 5 } } });
    let other = render(&server, "ordered", &given, &position);
    assert_eq!(other["body"], "{\"total\": 10, \"was\": \"Order Completed\"}");
    assert_eq!(receiver.accepted().len(), 1);
}

#[test]
fn what_would_be_held_back_says_why() {
    let server = Site::new(SHOP).start();
    let position = server.client.batch(&[ada(json!({}))]);
    let held = render(&server, "welcome", &of_ada(), &position);
    assert_eq!((&held["verdict"], &held["reason"]), (&json!("held"), &json!("no_consent")));
    assert_eq!(held["fields"]["subject"], "Welcome, Ada & Co", "what it would say is shown all the same");
    let position = server.client.batch(&[ada(json!({ "email": "", "consent.marketing": true }))]);
    let nowhere = render(&server, "welcome", &of_ada(), &position);
    assert_eq!((&nowhere["verdict"], &nowhere["reason"]), (&json!("held"), &json!("no_address")));
    assert_eq!(nowhere.get("fields"), None);
}

#[test]
fn what_would_wait_says_until_when() {
    // Quiet from an hour ago until in two hours, whatever the time is.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60;
    let time = |minute: u64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let quiet = format!("contact:\n  quiet_hours: {{ from: \"{}\", to: \"{}\" }}\n", time(now - 60), time(now + 120));
    let server = Site::new(&SHOP.replacen("contact:\n", &quiet, 1)).start();
    let position = server.client.batch(&[ada(json!({ "consent.marketing": true }))]);
    let waits = render(&server, "welcome", &of_ada(), &position);
    assert_eq!((&waits["verdict"], &waits["reason"]), (&json!("waiting"), &json!("quiet_hours")));
    let until = waits["until"].as_str().unwrap();
    assert!(until.ends_with(&format!("T{}:00.000Z", time(now + 120))), "{until}");
    // A webhook disturbs nobody.
    let given = json!({ "profile": "user_id:ada", "event": { "properties": { "total": 1 } } });
    assert_eq!(render(&server, "ordered", &given, &position)["verdict"], "send");
}

#[test]
fn mistakes_in_asking_are_told() {
    let server = Site::new(SHOP).start();
    let client = &server.client;
    let position = client.batch(&[ada(json!({ "balance": "much" }))]);
    client.profile_at("user_id:ada", &position);
    let refused = |trigger: &str, body: &Value, status: u16| {
        let answer = client.read_post(&format!("/v1/triggers/{trigger}/render"), body);
        (answer.error(status), answer.json()["message"].as_str().unwrap().to_owned())
    };
    let (code, message) = refused("welcom", &of_ada(), 404);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("no_such_trigger", "there is no trigger `welcom`; there are: ordered, welcome")
    );
    assert_eq!(refused("welcome", &json!({ "profile": "user_id:bob" }), 404).0, "profile_not_found");
    assert_eq!(refused("ordered", &of_ada(), 400).0, "event_needed");
    assert_eq!(refused("welcome", &json!({ "profile": "user_id:ada", "event": {} }), 400).0, "no_event");
    let (code, message) = refused("welcome", &of_ada(), 409);
    assert_eq!(code, "template_failed");
    let why = "`money` takes a number, or a text that is one; this is the text `much`";
    assert!(message.contains("triggers.welcome.send.text") && message.contains(why), "{message}");
    // Looking is no change: it is not written down as one.
    let audit = client.request(
        reqwest::Method::GET,
        "/v1/audit",
        crate::support::client::As::Bearer(ADMIN_TOKEN),
        &[],
        Vec::new(),
    );
    assert_eq!(audit.unwrap().ok()["audit"], json!([]));
}

fn tool(server: &Server, arguments: &[&str]) -> (i32, String) {
    let mut command = program(&["render"]);
    command.args(arguments);
    command.args(["--server", server.client.base()]).env("TRIBUTARY_ADMIN_TOKEN", ADMIN_TOKEN);
    said(command)
}

#[test]
fn the_command_line_shows_it_too() {
    let server = Site::new(SHOP).start();
    let position = server.client.batch(&[ada(json!({ "locale": "de", "consent.marketing": true }))]);
    server.client.profile_at("user_id:ada", &position);
    let shown = "welcome to mail (email), in de\n\
                 address: ada@example.com\n\
                 html: <h1>Willkommen, Ada &amp; Co</h1><p>VIP customers</p>\n\
                 subject: Willkommen, Ada & Co\n\
                 text: Sie haben 1.234,50\u{a0}€ seit dem 31. Januar 2026.\n\
                 it would be sent now\n";
    assert_eq!(tool(&server, &["welcome", "--profile", "user_id:ada"]), (0, shown.to_owned()));
    let event = r#"{"properties": {"total": 1.5}}"#;
    let shown =
        "ordered to crm (webhook), in de\nbody: {\"total\": 3, \"was\": \"Order Completed\"}\nit would be sent now\n";
    assert_eq!(tool(&server, &["ordered", "--profile", "user_id:ada", "--event", event]), (0, shown.to_owned()));
    let (code, told) = tool(&server, &["welcome", "--profile", "user_id:bob"]);
    assert_eq!((code, told.as_str()), (1, "the server refuses: no customer has this identifier\n"));
    let (code, told) = tool(&server, &["ordered", "--profile", "user_id:ada", "--event", "{"]);
    assert!(code == 1 && told.starts_with("--event is no JSON"), "{told}");
}

/// A price that is a list, times a number: what a template multiplies comes from whoever sends events.
#[test]
fn nobody_sends_a_list_to_be_repeated() {
    let receiver = Receiver::start();
    let mut server = Site::new(&SHOP.replace("http://127.0.0.1:9/hook", &receiver.url)).start();
    let order = |total: Value| {
        let properties = json!({ "total": total });
        json!({ "type": "track", "userId": "eve", "event": "Order Completed", "properties": properties })
    };
    let position = server.client.batch(&[order(json!(["x".repeat(20_000)])), order(json!(5))]);
    server.client.profile_at("user_id:eve", &position);
    let sent =
        eventually("the other message is sent", SOON, || receiver.accepted().into_iter().next().ok_or("nothing came"));
    assert_eq!(sent.body["total"], 10);
    let rejected = server.client.get("/v1/rejected").ok();
    let reason = rejected["rejected"][0]["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("`times` takes a number, or a text that is one; this is of the kind sequence"),
        "{rejected}"
    );
    server.assert_alive();
}
