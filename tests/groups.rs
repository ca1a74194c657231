//! Groups (accounts, workspaces, companies): group calls, what segments read of them, and that it all can be undone.

use crate::support::client::Client;
use crate::support::receiver::{Receiver, secret};
use crate::support::server::Site;
use crate::support::wait::{SOON, eventually};
use serde_json::{Value, json};

fn site(receiver: &Receiver) -> Site {
    let url = &receiver.url;
    let definitions = format!(
        r#"
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
  plan: group.traits.plan
segments:
  big_account: {{ where: group.ltv > 100 }}
  admin_of_team: {{ where: "traits.role = 'admin' AND group.members >= 3" }}
  ever_on_trial: {{ where: in_group(group.traits.plan = 'trial') }}
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  upsell:
    on: {{ enter: big_account }}
    send: {{ to: crm, body: '{{"group": {{{{ group.id | tojson }}}}, "plan": {{{{ computed.plan | tojson }}}}}}' }}
"#
    );
    Site::new(&definitions).with("CRM_SECRET", &secret())
}

fn group(user: &str, group: &str, minute: u8, traits: Value) -> Value {
    let at = format!("2026-05-04T10:{minute:02}:00Z");
    json!({ "type": "group", "userId": user, "groupId": group, "traits": traits, "timestamp": at })
}

fn order(namespace: &str, value: &str, total: u32) -> Value {
    let mut event = json!({ "type": "track", "event": "Order Completed", "properties": { "total": total } });
    event[namespace] = json!(value);
    event
}

/// The ids of the segments that a customer is in.
fn segments(client: &Client, identifier: &str, position: &str) -> Vec<String> {
    let profile = client.profile_at(identifier, position);
    let segments = profile["segments"].as_array().unwrap();
    segments.iter().map(|segment| segment["id"].as_str().unwrap().to_owned()).collect()
}

fn told(client: &Client, path: &str, position: &str) -> Value {
    let mut told = client.get_at(path, position).ok();
    for field in ["epoch", "position"] {
        told.as_object_mut().unwrap().remove(field);
    }
    told
}

#[test]
fn an_account_is_what_its_members_do_together() {
    let receiver = Receiver::start();
    let site = site(&receiver);
    let server = site.start();
    let client = &server.client;
    let position = client.batch(&[
        group("ada", "acme", 1, json!({ "plan": "trial", "name": "ACME" })),
        group("ben", " acme ", 2, json!({ "plan": "pro" })),
        order("userId", "ada", 70),
        order("userId", "cleo", 500),
    ]);
    assert!(segments(client, "user_id:ada", &position).is_empty());
    let acme = told(client, "/v1/groups/acme", &position);
    assert_eq!(
        acme,
        json!({ "id": "acme", "members": 2, "traits": { "plan": "pro", "name": "ACME" }, "computed": { "ltv": 70 } })
    );

    // What Ben buys makes both of them members of a big account; who is in no group is in none.
    let position = client.batch(&[order("userId", "ben", 40)]);
    for user in ["ada", "ben"] {
        assert_eq!(segments(client, &format!("user_id:{user}"), &position), ["big_account"]);
    }
    assert!(segments(client, "user_id:cleo", &position).is_empty());
    eventually("both are told of, with the account that they are of", SOON, || {
        let bodies: Vec<_> = receiver.attempts().iter().map(|delivery| delivery.body.clone()).collect();
        let expected = json!({ "group": "acme", "plan": "pro" });
        if bodies == [expected.clone(), expected] { Ok(()) } else { Err(format!("{bodies:?}")) }
    });

    // The latest group call says which account a customer speaks for; the others are asked with in_group.
    let role = json!({ "type": "identify", "userId": "ada", "traits": { "role": "admin" } });
    let position =
        client.batch(&[role, group("ada", "beta", 0, json!({ "plan": "trial" })), group("cleo", "acme", 3, json!({}))]);
    let ada = client.profile_at("user_id:ada", &position);
    let groups = [&ada["groups"][0]["id"], &ada["groups"][1]["id"]];
    assert_eq!((groups, &ada["computed"]["plan"]), ([&json!("acme"), &json!("beta")], &json!("pro")));
    assert_eq!(segments(client, "user_id:ada", &position), ["admin_of_team", "big_account", "ever_on_trial"]);

    // An answer is the same after a kill.
    let paths = ["/v1/groups/acme", "/v1/groups/acme/members", "/v1/groups/beta", "/v1/profiles/user_id:ada"];
    let before = paths.map(|path| told(client, path, &position));
    server.kill();
    let server = site.start();
    assert_eq!(paths.map(|path| told(&server.client, path, &position)), before);
}

#[test]
fn merging_unmerging_and_deleting_customers_goes_through_to_their_groups() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let position = client.batch(&[
        group("ada", "acme", 1, json!({ "plan": "pro" })),
        group("ben", "acme", 2, json!({ "plan": "enterprise", "seats": 5 })),
        order("userId", "ada", 10),
        order("anonymousId", "phone", 95),
    ]);
    let acme = told(client, "/v1/groups/acme", &position);
    assert_eq!((&acme["members"], &acme["computed"]["ltv"]), (&json!(2), &json!(10)));

    // Her phone belongs to nobody's account until it is hers.
    let position = client.state("link", "user_id:ada", "anonymous_id:phone");
    assert_eq!(told(client, "/v1/groups/acme", &position)["computed"]["ltv"], json!(105));
    assert_eq!(segments(client, "user_id:ben", &position), ["big_account"]);
    let position = client.state("unlink", "user_id:ada", "anonymous_id:phone");
    assert_eq!(told(client, "/v1/groups/acme", &position), acme);
    assert!(segments(client, "user_id:ben", &position).is_empty());

    // Two members that are one count once.
    let position = client.state("link", "user_id:ada", "user_id:ben");
    assert_eq!(told(client, "/v1/groups/acme", &position)["members"], json!(1));
    assert_eq!(told(client, "/v1/groups/acme/members", &position)["members"].as_array().unwrap().len(), 1);
    let position = client.state("unlink", "user_id:ada", "user_id:ben");
    assert_eq!(told(client, "/v1/groups/acme", &position), acme);

    // What a deleted customer said of the account is as if it had never been said.
    let position = client.delete("/v1/identifiers/user_id:ben").position();
    let without_ben = told(client, "/v1/groups/acme", &position);
    assert_eq!((&without_ben["members"], &without_ben["traits"]), (&json!(1), &json!({ "plan": "pro" })));
    let position = client.delete("/v1/identifiers/user_id:ada").position();
    assert_eq!(client.get_at("/v1/groups/acme", &position).error(404), "group_not_found");
}

#[test]
fn members_are_read_page_by_page_each_once() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let calls: Vec<_> = (0..25).map(|n| group(&format!("u{n}"), "acme", 1, json!({}))).collect();
    let mut position = client.batch(&calls);
    // Nobody is in there twice, not even who joined under two names.
    for (one, other) in [(3, 4), (7, 21), (9, 10)] {
        position = client.state("link", &format!("user_id:u{one}"), &format!("user_id:u{other}"));
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get_at(&format!("/v1/groups/acme/members?limit=4{cursor}"), &position).ok();
        let members = page["members"].as_array().unwrap();
        assert!((1..=4).contains(&members.len()), "{page}");
        seen.extend(members.iter().map(|member| member.as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let profiles = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((profiles, seen.len()), (22, 22));
}

#[test]
fn who_says_no_group_is_in_none() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let position = server.client.batch(&[group("ada", "undefined", 1, json!({ "plan": "pro" }))]);
    assert_eq!(server.client.profile_at("user_id:ada", &position)["groups"], json!([]));
    assert_eq!(server.client.get_at("/v1/groups/undefined", &position).error(404), "group_not_found");
    server.client.batch(&[group("ada", " ", 1, json!({}))]);
    eventually("a call without a group is kept with its reason", SOON, || {
        let rejected = server.client.get("/v1/rejected").ok();
        if rejected.to_string().contains("missing_group") { Ok(()) } else { Err(rejected.to_string()) }
    });
}
