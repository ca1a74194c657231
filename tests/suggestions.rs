//! Customers who may be one person although nothing connects them: suggested with reasons, decided by people.

use crate::support::client::{As, Client, READ_TOKEN};
use crate::support::server::Site;
use crate::support::tool;
use reqwest::Method;
use serde_json::{Value, json};

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    user_id: { priority: 1, max_per_profile: 1 }
  suggestions:
    compare:
      name: { from: [traits.name, traits.full_name], as: name }
      born: { from: [traits.birthday], as: date }
      postcode: { from: [traits.address.postcode], as: code }
segments:
  german: { where: traits.country = 'DE' }
"#;

fn person(user: &str, name: &str, born: &str, postcode: &str) -> Value {
    json!({ "type": "identify", "userId": user,
        "traits": { "name": name, "birthday": born, "address": { "postcode": postcode } } })
}

/// Compares everybody as of this position; gives the suggestions in short: who, and how each field compares.
fn suggested(client: &Client, position: &str) -> Vec<String> {
    client.admin(&format!("/v1/identity/suggestions/refresh?min_position={position}"), &json!({})).ok();
    listed(client, position)
}

fn listed(client: &Client, position: &str) -> Vec<String> {
    let answer = client.get_at("/v1/identity/suggestions", position).ok();
    let short = |suggestion: &Value| {
        let mut two = ["a", "b"].map(|end| suggestion[end].as_str().unwrap().to_owned());
        two.sort();
        let parts = suggestion["parts"].as_array().unwrap();
        let levels: Vec<_> = parts.iter().map(|part| part["level"].as_str().unwrap_or("unknown")).collect();
        format!("{} {}", two.join(" "), levels.join(" "))
    };
    answer["suggestions"].as_array().unwrap().iter().map(short).collect()
}

#[test]
fn a_suggestion_merges_nobody_until_somebody_accepts_it_and_one_that_is_refused_does_not_come_again() {
    let site = Site::new(DEFINITIONS);
    let server = site.start();
    let client = &server.client;
    let position = client.batch(&[
        person("ada", "Ada Lovelace", "1815-12-10", "10115"),
        person("ada.l", "LOVELACE, Ada", "10.12.1815", "10115"),
        person("mary", "Mary Somerville", "1780-12-26", "20095"),
        person("mary.s", "Mary Sommerville", "1780-12-26", ""),
        person("charles", "Charles Babbage", "1791-12-26", "10115"),
    ]);
    let both = ["user_id:ada user_id:ada.l same same same", "user_id:mary user_id:mary.s same close unknown"];
    // Fields stand in the order of their names: born, name, postcode.
    assert_eq!(suggested(client, &position), both);
    let id = |of: &str, position: &str| client.profile_at(of, position)["id"].clone();
    assert_ne!(id("user_id:ada", &position), id("user_id:ada.l", &position), "a suggestion merges nobody");

    let answer = client.get("/v1/identity/suggestions?limit=1").ok();
    let first = &answer["suggestions"][0];
    assert!(first["score"].as_f64().unwrap() > 0.99, "{answer}");
    let named = [&first["parts"][1]["field"], &first["parts"][1]["a"], &first["parts"][1]["b"]];
    assert!(named[0] == "name" && named.contains(&&json!("LOVELACE, Ada")), "{answer}");
    assert_eq!(answer["comparison"]["profiles"], 5);
    let rest = client.get(&format!("/v1/identity/suggestions?cursor={}", answer["next"])).ok();
    assert_eq!((rest["suggestions"].as_array().unwrap().len(), &rest["next"]), (1, &json!(null)));

    let two = |a: &str, b: &str| json!({ "a": format!("user_id:{a}"), "b": format!("user_id:{b}"), "by": "support" });
    let position = client.admin("/v1/identity/suggestions/accept", &two("ada.l", "ada")).position();
    assert_eq!(id("user_id:ada", &position), id("user_id:ada.l", &position));
    assert_eq!(listed(client, &position), both[1..]);
    let position = client.admin("/v1/identity/suggestions/refuse", &two("mary", "mary.s")).position();
    assert!(listed(client, &position).is_empty());
    assert_ne!(id("user_id:mary", &position), id("user_id:mary.s", &position));
    let statements = client.get("/v1/identity/statements").ok();
    let (refused, accepted) = (&statements["statements"][0], &statements["statements"][1]);
    assert_eq!(
        (&refused["kind"], &accepted["kind"], &accepted["by"]),
        (&json!("unlink"), &json!("link"), &json!("support"))
    );
    assert!(accepted["reason"].as_str().unwrap().starts_with("suggested with a probability of "), "{accepted}");

    // What was decided stays so, also after a kill and a new comparison.
    server.kill();
    let server = site.start();
    assert!(suggested(&server.client, &position).is_empty());
    assert_eq!(server.client.metric("tributary_identity_suggestions", &[]), 0.0);
}

#[test]
fn what_changes_of_a_customer_changes_what_is_suggested() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    let position = client.batch(&[
        person("ada", "Ada Lovelace", "1815-12-10", "10115"),
        json!({ "type": "identify", "anonymousId": "phone", "traits": { "full_name": "Ada Lovelace", "birthday": "1815-12-10" } }),
    ]);
    assert_eq!(suggested(client, &position), ["anonymous_id:phone user_id:ada same same unknown"]);
    // It was her daughter: another birthday speaks against it.
    let daughter = json!({ "type": "identify", "anonymousId": "phone", "traits": { "birthday": "1837-09-22" } });
    let position = client.batch(&[daughter]);
    assert!(suggested(client, &position).is_empty());
    let position =
        client.batch(&[json!({ "type": "identify", "anonymousId": "phone", "traits": { "birthday": null } })]);
    assert!(suggested(client, &position).is_empty(), "a name alone is not enough");
    let position =
        client.batch(&[json!({ "type": "identify", "anonymousId": "phone", "traits": { "birthday": "1815-12-10" } })]);
    assert_eq!(suggested(client, &position).len(), 1);
    // What has changed since is compared anew before anybody decides on it.
    let moved = json!({ "type": "identify", "anonymousId": "phone", "traits": { "address": { "postcode": "20095" } } });
    let position = client.batch(&[moved]);
    assert!(listed(client, &position).is_empty());
    let two = json!({ "a": "user_id:ada", "b": "anonymous_id:phone" });
    assert_eq!(client.admin("/v1/identity/suggestions/accept", &two).error(404), "suggestion_not_found");
    assert_eq!(suggested(client, &position).len(), 1);
    // Whoever is deleted is suggested no more, even before the next comparison, and does not come back by it.
    let position = client.delete("/v1/identifiers/anonymous_id:phone").position();
    assert!(listed(client, &position).is_empty());
    assert_eq!(client.admin("/v1/identity/suggestions/accept", &two).error(404), "suggestion_not_found");
}

#[test]
fn values_of_any_length_cost_little() {
    let server = Site::new(DEFINITIONS).start();
    let person = |n: usize| {
        let long = char::from(b'a' + (n % 26) as u8).to_string().repeat(20_000);
        person(&format!("u{n}"), "Ada Lovelace", "1815-12-10", &long)
    };
    let people: Vec<_> = (0..60).map(person).collect();
    let mut position = String::new();
    for batch in people.chunks(20) {
        position = server.client.batch(batch);
    }
    let answer = server.client.admin(&format!("/v1/identity/suggestions/refresh?min_position={position}"), &json!({}));
    let answer = answer.ok();
    assert_eq!((&answer["profiles"], &answer["compared"]), (&json!(60), &json!(60 * 59 / 2)), "{answer}");
    assert!(answer["took_ms"].as_u64().unwrap() < 5_000, "{answer}");
}

#[test]
fn only_what_is_suggested_is_decided_and_only_by_an_admin() {
    let server = Site::new(DEFINITIONS).start();
    let client = &server.client;
    let position = client.batch(&[person("ada", "Ada Lovelace", "1815-12-10", "10115")]);
    assert!(suggested(client, &position).is_empty());
    let two = json!({ "a": "user_id:ada", "b": "user_id:ben" });
    assert_eq!(client.admin("/v1/identity/suggestions/accept", &two).error(404), "suggestion_not_found");
    for path in ["accept", "refuse", "refresh"] {
        let path = format!("/v1/identity/suggestions/{path}");
        let body = two.to_string().into_bytes();
        let as_reader = client.request(Method::POST, &path, As::Bearer(READ_TOKEN), &[], body).unwrap();
        assert_eq!(as_reader.error(403), "not_allowed");
    }
    let without = Site::new("segments:\n  german: { where: traits.country = 'DE' }\n").start();
    assert_eq!(without.client.get("/v1/identity/suggestions").error(404), "suggestions_not_configured");
    let refused = without.client.admin("/v1/identity/suggestions/refuse", &two);
    assert_eq!(refused.error(404), "suggestions_not_configured");
}

#[test]
fn labelled_records_tell_how_good_the_suggestions_are() {
    let site = Site::new(DEFINITIONS);
    let names = ["Ada Lovelace", "Charles Babbage", "Mary Somerville", "Augustus De Morgan", "Caroline Herschel"];
    let mut records = "who,name,birthday,address.postcode\n".to_owned();
    for round in 0..40 {
        for (number, name) in names.iter().enumerate() {
            let (who, year) = (round * 10 + number, 1780 + round);
            records += &format!("{who},{name} {round},{year}-0{}-11,{}\n", number + 1, 10_000 + who);
            if round % 2 == 0 {
                // The same person again, with a slip in the name, or without a postcode.
                let (again, postcode) =
                    if number % 2 == 0 { (name.replace('e', "a"), 10_000 + who) } else { ((*name).to_owned(), 0) };
                let postcode = if postcode > 0 { postcode.to_string() } else { String::new() };
                records += &format!("{who},{again} {round},{year}-0{}-11,{postcode}\n", number + 1);
            }
        }
    }
    std::fs::write(site.path("people.csv"), records).unwrap();
    let told = tool::run(site.command("identity evaluate people.csv").args(["--truth", "who"]));
    assert!(told.starts_with("300 records, 100 true pairs, "), "{told}");
    let defined = told.lines().find(|line| line.ends_with("as defined")).unwrap_or_else(|| panic!("{told}"));
    let numbers: Vec<f64> = defined.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [percent, suggested, precision, recall, _f1] = numbers[..] else { panic!("{told}") };
    assert_eq!(percent, 95.0);
    assert!(suggested > 90.0 && precision > 0.95 && recall > 0.95, "{told}");

    let output = site.command("identity evaluate people.csv").args(["--truth", "person"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("people.csv: no column `person`; there are who, name, birthday, address.postcode"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
