//! What is delivered, as those see it who get it: their own libraries and servers say whether it is what they expect.

use crate::support::client::Client;
use crate::support::endpoint::{Call, Endpoint, Mood};
use crate::support::load::Load;
use crate::support::postgres::Postgres;
use crate::support::server::{Server, Site};
use crate::support::traffic::{order, seed};
use crate::support::vendors::{MAIL_USER, MailServer, ask};
use crate::support::wait::{SOON, equal, eventually};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);

fn identify(user: &str, traits: &Value) -> Value {
    json!({ "type": "identify", "userId": user, "traits": traits })
}

/// The one call that comes.
#[track_caller]
fn the_call(endpoint: &Endpoint) -> Call {
    let call = eventually("the message comes", SOON, || endpoint.calls().pop().ok_or("nothing has come"));
    assert_eq!(endpoint.calls().len(), 1);
    call
}

/// The id that is told of a customer's only message, once it is delivered.
#[track_caller]
fn delivered_id(server: &Server, user: &str) -> String {
    eventually("the message is delivered", SOON, || {
        let answer = server.client.get(&format!("/v1/profiles/user_id:{user}/messages")).json();
        let is_delivered = answer["messages"][0]["status"] == "delivered";
        if is_delivered { Ok(answer["messages"][0]["id"].as_str().unwrap().to_owned()) } else { Err(answer) }
    })
}

#[test]
fn standard_webhooks_own_library_verifies_a_delivery_by_the_new_secret_and_by_the_old_one() {
    let endpoint = Endpoint::start(Mood::Accepts);
    let definitions = r#"
destinations:
  crm: { type: webhook, url: "BASE/hook", secret: ["env:NEW_SECRET", "env:OLD_SECRET"], allow_private: true }
triggers:
  welcome:
    on: { event: Signed Up }
    send: { to: crm, body: '{"name": {{ traits.name | tojson }}}' }
"#;
    let [new, old, foreign] = ["the new key, of 24 bytes", "the old key, of 24 bytes", "somebody's, of 24 bytes "]
        .map(|key| format!("whsec_{}", BASE64_STANDARD.encode(key)));
    let site = Site::new(&definitions.replace("BASE", &endpoint.base));
    let site = site.with("NEW_SECRET", &new).with("OLD_SECRET", &old);
    let server = site.start();
    let sign_up = json!({ "type": "track", "userId": "u1", "event": "Signed Up" });
    server.client.batch(&[identify("u1", &json!({ "name": "Zoë" })), sign_up]);

    let call = the_call(&endpoint);
    assert_eq!(call.header("webhook-id"), delivered_id(&server, "u1"));
    let body = String::from_utf8(call.body).unwrap();
    let mut delivery = json!({ "secrets": [new, old, foreign], "headers": call.headers, "body": body });
    let said = json!({ "name": "Zoë" });
    assert_eq!(ask("webhook.py", &delivery), json!([said, said, null]));
    delivery["body"] = json!(body.replace("Zo", "Lo"));
    assert_eq!(ask("webhook.py", &delivery), json!([null, null, null]), "what was changed is not what was signed");
}

#[test]
fn a_browser_opens_what_its_push_service_was_given_and_knows_who_has_sent_it() {
    let service = Endpoint::start(Mood::Accepts);
    let definitions = r#"
destinations:
  browsers:
    type: web_push
    subject: "mailto:push@shop.example"
    private_key: "env:VAPID_PRIVATE_KEY"
    ttl: 1 h
    allow_private: true
triggers:
  shipped:
    on: { event: Order Shipped }
    send:
      to: browsers
      address: "{{ traits.push_subscription }}"
      title: "{{ traits.name }}, it is on its way"
      text: "Order {{ event.properties.order_id }} comes tomorrow."
      data: '{"order": {{ event.properties.order_id | tojson }}}'
"#;
    let made = ask("browser.py", &json!({}));
    let site = Site::new(definitions).with("VAPID_PRIVATE_KEY", made["vapid"]["private_key"].as_str().unwrap());
    let server = site.start();
    // As a page sends it: JSON.stringify(subscription).
    let endpoint = format!("{}/send/7f3a", service.base);
    let subscription = json!({ "endpoint": endpoint, "expirationTime": null, "keys": made["keys"] }).to_string();
    let shipped =
        json!({ "type": "track", "userId": "u1", "event": "Order Shipped", "properties": { "order_id": "17" } });
    server.client.batch(&[identify("u1", &json!({ "name": "Zoë", "push_subscription": subscription })), shipped]);

    let call = the_call(&service);
    let message = delivered_id(&server, "u1");
    assert_eq!(call.path, "/send/7f3a");
    assert_eq!([call.header("content-encoding"), call.header("ttl")], ["aes128gcm", "3600"]);
    let told = ask(
        "browser.py",
        &json!({
            "private_key": made["private_key"], "auth": made["keys"]["auth"], "audience": service.base,
            "authorization": call.header("authorization"), "body": BASE64_URL_SAFE_NO_PAD.encode(&call.body),
        }),
    );
    let shown = json!({
        "title": "Zoë, it is on its way", "body": "Order 17 comes tomorrow.", "data": { "order": "17" },
        "message": message,
    });
    assert_eq!(told["opened"], shown);
    assert_eq!(told["public_key"], made["vapid"]["public_key"]);
    assert_eq!(told["claims"]["sub"], "mailto:push@shop.example");
    let now = jiff::Timestamp::now().as_second();
    assert!((now..=now + 86_400).contains(&told["claims"]["exp"].as_i64().unwrap()), "{told}");
}

#[test]
fn a_mail_server_takes_a_mail_that_programs_read_as_text_or_as_html() {
    let mail_server = MailServer::start();
    let definitions = r#"
destinations:
  post:
    type: smtp
    host: localhost
    port: PORT
    ca: CERTIFICATE
    username: USER
    password: "env:SMTP_PASSWORD"
    from: Köln Shop <shop@shop.example>
    reply_to: help@shop.example
    allow_private: true
triggers:
  shipped:
    on: { event: Order Shipped }
    send:
      to: post
      address: "{{ traits.email }}"
      subject: "Grüße, {{ traits.name }}"
      text: "Hello {{ traits.name }},\nit is on its way."
      html: "<p>Hello {{ traits.name }},</p>"
      unsubscribe: "https://shop.example/unsubscribe/{{ profile.id }}"
"#;
    let definitions = definitions.replace("PORT", &mail_server.port.to_string()).replace("USER", MAIL_USER.0);
    let definitions = definitions.replace("CERTIFICATE", &mail_server.certificate().display().to_string());
    let site = Site::new(&definitions).with("SMTP_PASSWORD", MAIL_USER.1);
    let server = site.start();
    let shipped = json!({ "type": "track", "userId": "u1", "event": "Order Shipped" });
    let traits = json!({ "name": "Zoë & Co", "email": "zoe@example.com" });
    let position = server.client.batch(&[identify("u1", &traits), shipped]);

    let message = delivered_id(&server, "u1");
    let mail = eventually("the mail is read", SOON, || mail_server.mails().pop().ok_or("there is none"));
    assert_eq!(mail_server.mails().len(), 1);
    assert_eq!(mail["defects"], json!([]));
    assert_eq!([&mail["from"], &mail["to"][0], &mail["user"]], ["shop@shop.example", "zoe@example.com", MAIL_USER.0]);
    assert_eq!(mail["is_encrypted"], true);
    let profile = server.client.profile_at("user_id:u1", &position)["id"].as_str().unwrap().to_owned();
    let message_id = format!("<{message}@shop.example>");
    let unsubscribe = format!("<https://shop.example/unsubscribe/{profile}>");
    for (name, value) in [
        ("From", "Köln Shop <shop@shop.example>"),
        ("To", "zoe@example.com"),
        ("Reply-To", "help@shop.example"),
        ("Subject", "Grüße, Zoë & Co"),
        ("Message-ID", message_id.as_str()),
        ("List-Unsubscribe", unsubscribe.as_str()),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ] {
        assert_eq!(mail["headers"][name], value, "{name}");
    }
    assert_eq!(mail["type"], "multipart/alternative");
    let parts: Vec<[&str; 2]> = mail["parts"].as_array().unwrap().iter().map(part).collect();
    let expected =
        [["text/plain", "Hello Zoë & Co,\r\nit is on its way."], ["text/html", "<p>Hello Zoë &amp; Co,</p>"]];
    assert_eq!(parts, expected);
}

/// Its type and text, whose last line may have an end or not.
fn part(part: &Value) -> [&str; 2] {
    [part[0].as_str().unwrap(), part[1].as_str().unwrap().trim_end()]
}

/// Customers in the segment have rows in the table `vip_customers`.
const TABLE: &str = r#"
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
segments:
  vip: { where: ltv > 100 AND traits.banned IS NULL }
destinations:
  crm:
    type: postgres
    url: "env:POSTGRES_URL"
    table: vip_customers
    segment: vip
    columns: { email: "{{ traits.email }}", ltv: "{{ computed.ltv }}" }
"#;

/// Waits until the table has these rows, in the order of their values.
#[track_caller]
fn await_rows(postgres: &Postgres, rows: &[Value]) {
    eventually("the table is as the segment", SOON, || {
        let is_there = postgres.rows("SELECT 1 FROM pg_tables WHERE tablename = 'vip_customers'");
        equal(&is_there.len(), &1)?;
        let mut found = postgres.rows("SELECT profile_id, email, ltv FROM vip_customers");
        found.sort_by_key(Value::to_string);
        let mut rows = rows.to_vec();
        rows.sort_by_key(Value::to_string);
        equal(&found, &rows)
    });
}

#[test]
fn a_table_has_the_row_of_each_customer_who_is_in_the_segment() {
    let postgres = Postgres::start();
    let (without, _) = TABLE.split_once("destinations:").unwrap();
    let site = Site::new(without).with("POSTGRES_URL", &postgres.url);
    let server = site.start();
    server.client.batch(&[identify("ada", &json!({ "email": "ada@example.com" })), order("ada", 200)]);
    let position = server.client.batch(&[order("ben", 50)]);
    let id = |server: &Server, user: &str, position: &str| {
        server.client.profile_at(&format!("user_id:{user}"), position)["id"].clone()
    };
    let ada = id(&server, "ada", &position);
    server.stop();

    // A table is made where there is none, and whoever is in the segment already is in it.
    site.define(TABLE);
    let server = site.start();
    let row = |id: &Value, email: Option<&str>, ltv: &str| json!({ "profile_id": id, "email": email, "ltv": ltv });
    await_rows(&postgres, &[row(&ada, Some("ada@example.com"), "200")]);
    // Whoever comes gets a row, and an event that changes what is in a row changes the row.
    let position = server.client.batch(&[order("ben", 60), order("ada", 5)]);
    let ben = id(&server, "ben", &position);
    await_rows(&postgres, &[row(&ada, Some("ada@example.com"), "205"), row(&ben, None, "110")]);

    // Two who turn out to be one have one row, under the id that they have now.
    let seen = |user: &str| json!({ "type": "identify", "userId": user, "anonymousId": "phone" });
    let position = server.client.batch(&[seen("ada"), seen("ben")]);
    let both = id(&server, "ben", &position);
    assert_eq!(both, id(&server, "ada", &position));
    await_rows(&postgres, &[row(&both, Some("ada@example.com"), "315")]);

    // Whoever goes has none.
    server.client.batch(&[identify("ada", &json!({ "banned": true })), order("cleo", 300)]);
    let position = server.client.batch(&[order("cleo", 1)]);
    let cleo = id(&server, "cleo", &position);
    await_rows(&postgres, &[row(&cleo, None, "301")]);
    server.stop();
    let server = site.start();
    server.client.batch(&[identify("ada", &json!({ "banned": null }))]);
    await_rows(&postgres, &[row(&cleo, None, "301"), row(&both, Some("ada@example.com"), "315")]);
}

/// People of whom every two share a phone: they order, turn out to be one, are banned and let in again.
fn something(number: usize, rng: &mut StdRng) -> Value {
    const PEOPLE: usize = 60;
    let person = rng.random_range(0..PEOPLE);
    let user = format!("u{person}");
    let mut event = match rng.random_range(0..10) {
        0..5 => order(&user, rng.random_range(1..40)),
        5..7 => identify(&user, &json!({ "email": format!("{user}@example.com") })),
        7 => json!({ "type": "identify", "userId": user, "anonymousId": format!("phone-{}", person / 2) }),
        8 => identify(&user, &json!({ "banned": true })),
        _ => identify(&user, &json!({ "banned": null })),
    };
    event["messageId"] = json!(format!("something-{number}"));
    event
}

/// The rows that the table has to have, by what is told of each member.
fn members(client: &Client) -> Vec<Value> {
    let row = |id: String| {
        let profile = client.get(&format!("/v1/profiles/{id}")).ok();
        json!({ "profile_id": id, "email": profile["traits"]["email"], "ltv": profile["computed"]["ltv"] })
    };
    client.members("vip", 1_000).into_iter().map(row).collect()
}

#[test]
fn a_table_stays_exact_while_the_server_and_the_database_are_killed() {
    const ROUNDS: usize = 9;
    let mut postgres = Postgres::start();
    // It may be there before, with other types, and with columns that are its user's own.
    postgres
        .run("CREATE TABLE vip_customers (profile_id text PRIMARY KEY, email text, ltv numeric NOT NULL, note text)");
    let site = Site::new(TABLE).with("POSTGRES_URL", &postgres.url);
    let mut rng = StdRng::seed_from_u64(seed());
    let events: Vec<Value> = (0..4_000).map(|number| something(number, &mut rng)).collect();
    let load = Load::new(&events, 20, &mut rng);
    for round in 0..ROUNDS {
        let server = site.start();
        let client = server.client.clone();
        load.run_until(&client, rng.random_range(5..25), || match round % 3 {
            0 => server.kill(),
            1 => {
                postgres.kill();
                postgres.start_again();
                server.kill();
            }
            _ => {
                postgres.kill();
                server.kill();
                postgres.start_again();
            }
        });
    }
    let server = site.start();
    load.run_until(&server.client, usize::MAX / 2, || {});
    assert!(load.is_through(), "all is sent in the end");
    // What is told last is told after all else.
    let position = server.client.batch(&[order("last", 1_000)]);
    let last = server.client.profile_at("user_id:last", &position)["id"].as_str().unwrap().to_owned();
    eventually("the last row is there", LONG, || {
        let query = format!("SELECT 1 FROM vip_customers WHERE profile_id = '{last}'");
        equal(&postgres.rows(&query).len(), &1)
    });
    let expected = members(&server.client);
    assert!(expected.len() > 3, "there are members to be told of");
    let rows = postgres.rows("SELECT profile_id, email, ltv FROM vip_customers ORDER BY profile_id COLLATE \"C\"");
    assert_eq!(rows, expected);
}
