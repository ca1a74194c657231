//! What a destination does not take: dead letters, sending them again, and trying a destination out.

use crate::support::client::ADMIN_TOKEN;
use crate::support::command::{done, said};
use crate::support::receiver::{Behaviour, Receiver, secret};
use crate::support::server::{Server, Site, program};
use crate::support::wait::{SOON, eventually};
use serde_json::{Value, json};

fn site(receiver: &Receiver) -> Site {
    let url = &receiver.url;
    let definitions = format!(
        r#"
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  support:
    on: {{ event: Help Wanted }}
    send: {{ to: crm, body: '{{"number": {{{{ event.properties.number | tojson }}}}}}' }}
"#
    );
    Site::new(&definitions).with("CRM_SECRET", &secret())
}

fn help(number: u32) -> Value {
    json!({ "type": "track", "userId": "ada", "event": "Help Wanted", "properties": { "number": number } })
}

fn dead_letters(server: &Server) -> Vec<Value> {
    let answer = server.client.get("/v1/dead_letters?destination=crm").ok();
    answer["dead_letters"].as_array().unwrap().clone()
}

/// The statuses of the customer's messages, latest first.
fn statuses(server: &Server) -> Vec<String> {
    let answer = server.client.get("/v1/profiles/user_id:ada/messages").ok();
    answer["messages"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
}

/// A command to a running server.
fn ask(server: &Server, words: &[&str]) -> std::process::Command {
    let mut command = program(words);
    command.args(["--server", server.client.base()]).env("TRIBUTARY_ADMIN_TOKEN", ADMIN_TOKEN);
    command
}

#[test]
fn what_was_given_up_is_listed_and_sent_again_under_its_id() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Refuse(400));
    let site = site(&receiver);
    let server = site.start();
    server.client.batch(&[help(1), help(2)]);
    let letters = eventually("two are given up", SOON, || {
        let letters = dead_letters(&server);
        if letters.len() == 2 { Ok(letters) } else { Err(format!("{letters:?}")) }
    });
    assert_eq!(letters[0]["body"], json!({ "number": 1 }));
    assert_eq!((&letters[0]["trigger"], &letters[0]["attempts"]), (&json!("support"), &json!(1)));
    assert_eq!(done(ask(&server, &["destinations", "dead", "crm"])).lines().count(), 2);

    // One by its id; and then, after a crash, what is left.
    receiver.behave(Behaviour::Accept);
    let first = letters[0]["id"].as_str().unwrap();
    let told = done(ask(&server, &["destinations", "replay", "crm", first]));
    assert_eq!(told, "1 message sent again\n");
    eventually("the one is there, and that is noted", SOON, || {
        let statuses = statuses(&server);
        if statuses.contains(&"delivered".to_owned()) { Ok(()) } else { Err(format!("{statuses:?}")) }
    });
    server.kill();
    let server = site.start();
    let told = done(ask(&server, &["destinations", "replay", "crm"]));
    assert_eq!(told, "1 message sent again\n");
    eventually("both are there", SOON, || {
        let statuses = statuses(&server);
        if statuses == ["delivered", "delivered"] { Ok(()) } else { Err(format!("{statuses:?}")) }
    });
    let accepted = receiver.accepted();
    let ids: Vec<_> = letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect();
    assert_eq!(accepted.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ids);
    assert!(dead_letters(&server).is_empty());
    receiver.assert_faultless();
}

#[test]
fn of_long_messages_a_page_has_fewer() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Refuse(400));
    let url = &receiver.url;
    let body = "{{ event.properties.text }}".repeat(8);
    let definitions = format!(
        "destinations:\n  crm: {{ type: webhook, url: \"{url}\", secret: \"env:CRM_SECRET\", allow_private: true }}\n\
         triggers:\n  long: {{ on: {{ event: Long }}, send: {{ to: crm, body: '\"{body}\"' }} }}\n"
    );
    let server = Site::new(&definitions).with("CRM_SECRET", &secret()).start();
    let text = "x".repeat(30_000);
    let long = json!({ "type": "track", "userId": "ada", "event": "Long", "properties": { "text": text } });
    let six: Vec<Value> = std::iter::repeat_n(long, 6).collect();
    let mut position = String::new();
    for _ in 0..4 {
        position = server.client.batch(&six);
    }
    server.client.profile_at("user_id:ada", &position);
    eventually("all are given up", SOON, || {
        let count = statuses(&server).iter().filter(|status| *status == "dead").count();
        if count == 24 { Ok(()) } else { Err(count) }
    });
    let page = dead_letters(&server);
    assert!((16..24).contains(&page.len()), "{}", page.len());
    assert_eq!(done(ask(&server, &["destinations", "dead", "crm"])).lines().count(), 24, "all, page by page");
}

#[test]
fn who_asks_for_dead_letters_names_a_destination_that_there_is() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let answer = server.client.get("/v1/dead_letters?destination=cmr");
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("there is no destination `cmr`; there are: crm"), "{}", answer.text());
    let (code, told) = said(ask(&server, &["destinations", "replay", "cmr"]));
    assert_eq!(code, 1);
    assert!(told.contains("there is no destination `cmr`"), "{told}");
}

#[test]
fn a_destination_is_tried_out_without_a_server() {
    let receiver = Receiver::start();
    let site = site(&receiver);
    assert_eq!(done(site.command("destinations test crm")), "delivered\n");
    assert_eq!(receiver.accepted()[0].body, json!({ "type": "test", "destination": "crm" }));
    receiver.assert_faultless();
    receiver.behave(Behaviour::Refuse(410));
    let (code, told) = said(site.command("destinations test crm"));
    assert_eq!((code, told.as_str()), (1, "not delivered: answered 410 Gone\n"));
    let (code, told) = said(site.command("destinations test cmr"));
    assert_eq!((code, told.as_str()), (1, "there is no destination `cmr`; there are: crm\n"));
}
