//! What `/openapi.json` says is what is done: thousands of requests made from it, right and wrong ones, find no answer that is
//! not described, and none with 5xx but 503.

use crate::support::cache_folder;
use crate::support::client::{ADMIN_TOKEN, WRITE_KEY};
use crate::support::server::Site;
use crate::support::tool;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/openapi/schemathesis.toml");
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

fn schemathesis() -> PathBuf {
    tool::require(&["python3"], "apt-get install python3 python3-venv");
    let folder = cache_folder().join("schemathesis");
    tool::once(&folder, SCHEMATHESIS, || {
        tool::run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(&folder));
        let python = folder.join("venv/bin/python");
        tool::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", SCHEMATHESIS]));
    });
    folder.join("venv/bin/schemathesis")
}

#[test]
fn the_description_is_kept_to() {
    let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/config/definitions/shop.yaml");
    let definitions = std::fs::read_to_string(definitions).unwrap();
    let site = Site::new(&definitions);
    let server = site.start();
    let client = &server.client;
    client.batch(&[
        json!({ "type": "identify", "userId": "st-1", "anonymousId": "st-a1", "traits": { "email": "st-1@example.com" } }),
        json!({ "type": "track", "userId": "st-1", "event": "Order Completed", "properties": { "total": 12.5 } }),
    ]);
    let position = client.batch(&[json!({ "type": "group", "userId": "st-1", "groupId": "st-g", "traits": {} })]);
    client.profile_at("user_id:st-1", &position);

    let mut command = Command::new(schemathesis());
    command.args(["--no-color", "--config-file", SETTINGS, "run", &format!("{}/openapi.json", client.base())]);
    command.args(["--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure", "--checks", CHECKS]);
    command.env("TRIBUTARY_ADMIN_TOKEN", ADMIN_TOKEN).current_dir(site.path(""));
    command.env("WRITE_BASIC", BASE64_STANDARD.encode(format!("{WRITE_KEY}:")));
    let said = tool::run(&mut command);
    let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested: ")?.parse::<usize>().ok());
    assert!(tested.is_some_and(|tested| tested > 40), "{said}");
}

/// What tools that make clients of it stumble over.
#[test]
fn the_description_names_each_thing_once_and_says_who_may() {
    let server = Site::new("traits: {}\n").start();
    let api = server.client.get("/openapi.json").ok();
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "two operations are called {id}");
            let open = [
                "/healthz",
                "/readyz",
                "/metrics",
                "/openapi.json",
                "/v1/projects/{write_key}/settings",
                "/v1/feedback/{destination}",
            ];
            let is_secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
            assert_eq!(is_secured, !open.contains(&path.as_str()), "{method} {path}");
            assert_eq!(operation["responses"].get("401").is_some(), is_secured, "{method} {path}");
        }
    }
    // Every schema that is referred to is there.
    let schemas = &api["components"]["schemas"];
    for reference in references(&api) {
        let name = reference.rsplit('/').next().unwrap();
        assert!(schemas.get(name).is_some(), "{reference} leads nowhere");
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let here = fields.get("$ref").and_then(Value::as_str).map(str::to_owned);
            here.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
