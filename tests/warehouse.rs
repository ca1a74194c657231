//! What the engine answers live, a warehouse answers too: the same conditions over the same events in DuckDB, as a `GROUP BY`
//! with the condition behind `HAVING`.

use crate::support::cache_folder;
use crate::support::expressions::Expressions;
use crate::support::server::Site;
use crate::support::tool;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/duckdb");
const DUCKDB: &str = "duckdb==2.0.1";
const HOUR_MS: i64 = 3_600_000;
const CUSTOMERS: u32 = 30;

fn python() -> PathBuf {
    tool::require(&["python3"], "apt-get install python3 python3-venv");
    let folder = cache_folder().join("duckdb");
    let python = folder.join("venv/bin/python");
    tool::once(&folder, DUCKDB, || {
        tool::run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(&folder));
        tool::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", DUCKDB]));
    });
    python
}

/// Events three hours off the edges of all windows, with values that are missing, null and of other types; some customers
/// begin without a name and are one with a named one later.
fn events(seed: u64, now: i64, count: usize) -> Vec<Value> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut events = Vec::new();
    for number in 0..count {
        let customer = dice.random_range(0..CUSTOMERS);
        let at = now - (6 * dice.random_range(0..60) + 3) * HOUR_MS + number as i64;
        let mut event =
            json!({ "messageId": format!("{seed}-{number}"), "timestamp": tributary_model::format_millis(at) });
        match dice.random_range(0..3) {
            0 => event["anonymousId"] = json!(format!("a{customer}")),
            1 => event["userId"] = json!(format!("u{customer}")),
            _ if customer % 3 == 0 => {
                event["userId"] = json!(format!("u{customer}"));
                event["anonymousId"] = json!(format!("a{}", (customer + 1) % CUSTOMERS));
            }
            _ => event["userId"] = json!(format!("u{customer}")),
        }
        if dice.random_bool(0.2) {
            event["type"] = json!("identify");
            let country = ["DE", "FR", "ab"][dice.random_range(0..3)];
            event["traits"] = json!({ "country": if dice.random_bool(0.2) { Value::Null } else { json!(country) } });
        } else {
            event["type"] = json!("track");
            event["event"] = json!(["A", "B", "C"][dice.random_range(0..3)]);
            let mut properties = json!({});
            if dice.random_bool(0.8) {
                properties["qty"] = if dice.random_bool(0.1) { Value::Null } else { json!(dice.random_range(0..8)) };
            }
            if dice.random_bool(0.8) {
                let quarters = f64::from(dice.random_range(0..40)) / 4.0;
                properties["total"] = if dice.random_bool(0.15) { json!("free") } else { json!(quarters) };
            }
            if dice.random_bool(0.7) {
                let name = ["a", "ab", "B", " a ", "12", ""][dice.random_range(0..6)];
                properties["name"] = if dice.random_bool(0.1) { Value::Null } else { json!(name) };
            }
            if dice.random_bool(0.5) {
                properties["flag"] = json!(dice.random_bool(0.5));
            }
            event["properties"] = properties;
        }
        events.push(event);
    }
    events
}

fn agree(seed: u64, conditions: usize) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let now_text = tributary_model::format_millis(now);
    let mut expressions = Expressions::new(seed, now_text.trim_end_matches('Z'));
    let conditions: Vec<_> = (0..conditions).map(|n| (format!("s{n}"), expressions.condition(2))).collect();
    let mut definitions = "segments:\n".to_owned();
    for (id, condition) in &conditions {
        definitions += &format!("  {id}: {{ where: {} }}\n", serde_json::to_string(&condition.ours).unwrap());
    }
    let site = Site::new(&definitions);
    let server = site.start();
    let client = &server.client;
    let events = events(seed, now, 500);
    let mut position = String::new();
    for batch in events.chunks(125) {
        position = client.batch(batch);
    }
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut told = events.clone();
    for event in &mut told {
        let identifier = match (event["userId"].as_str(), event["anonymousId"].as_str()) {
            (Some(user), _) => format!("user_id:{user}"),
            (None, device) => format!("anonymous_id:{}", device.unwrap()),
        };
        let owner = owners
            .entry(identifier.clone())
            .or_insert_with(|| client.profile_at(&identifier, &position)["id"].as_str().unwrap().to_owned());
        event["profile"] = json!(owner);
    }
    // A device that only came along with a user may be a customer of its own by the rules.
    for device in 0..CUSTOMERS {
        let answer = client.get(&format!("/v1/profiles/anonymous_id:a{device}"));
        if answer.status == 200 {
            owners.insert(format!("a{device}"), answer.json()["id"].as_str().unwrap().to_owned());
        }
    }
    let profiles: BTreeSet<&String> = owners.values().collect();
    let work = json!({ "events": told, "profiles": profiles,
        "conditions": conditions.iter().map(|(id, condition)| (id.clone(), json!(condition.duck))).collect::<serde_json::Map<_, _>>() });
    std::fs::write(site.path("work.json"), work.to_string()).unwrap();
    let mut judge = Command::new(python());
    judge.arg(format!("{FOLDER}/judge.py")).arg(site.path("work.json"));
    let answers: BTreeMap<String, Vec<String>> = serde_json::from_str(&tool::run(&mut judge)).unwrap();
    let (mut empty, mut full) = (0, 0);
    for (id, condition) in &conditions {
        let members = client.members(id, 1_000);
        empty += usize::from(members.is_empty());
        full += usize::from(members.len() == profiles.len());
        assert_eq!(members, answers[id], "seed {seed}\n{}\n{}", condition.ours, condition.duck);
        let previewed = client.read_post("/v1/segments/preview", &json!({ "where": condition.ours })).ok();
        assert_eq!(previewed["count"], json!(members.len()), "seed {seed}, previewed\n{}", condition.ours);
    }
    let telling = conditions.len() - empty - full;
    assert!(telling * 3 > conditions.len(), "only {telling} conditions of seed {seed} tell customers apart");
}

#[test]
fn duckdb_finds_the_same_members() {
    let first: u64 = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let rounds: u64 = std::env::var("ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    for seed in first..first + rounds {
        agree(seed, 80);
    }
}
