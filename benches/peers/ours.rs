//! Tributary among its peers: it reads the same topic, and its triggers go to the same output topic.

use crate::peer::Place;
use crate::support::DEFINITIONS;
use crate::support::yardstick::SEGMENTS;
use std::collections::HashMap;
use std::process::Command;
use tributary_model::IdentifierId;

/// The most that a page may have.
const PAGE: usize = 1_000;

/// Writes settings and definitions into the place; gives the command that serves them.
pub(crate) fn command(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    let Place { bootstrap_servers, input, output, .. } = place;
    let folder = place.folder();
    let (shared, _) = DEFINITIONS.split_once("destinations:").unwrap();
    let definitions = format!(
        r#"{shared}destinations:
  triggers: {{ type: kafka, topic: "{output}" }}
triggers:
  probe:
    on: {{ event: Probe }}
    send: {{ to: triggers, body: '{{"probe": {{{{ event.properties.probe | tojson }}}}, "orders": {{{{ computed.orders | tojson }}}} }}' }}
"#
    );
    let settings = format!(
        "[telemetry]\nlevel = \"warn\"\n[log.kafka]\nbootstrap_servers = \"{bootstrap_servers}\"\n[[sources.kafka]]\ntopic = \"{input}\"\n"
    );
    std::fs::create_dir_all(folder.join("definitions")).unwrap();
    std::fs::write(folder.join("definitions/bench.yaml"), definitions).unwrap();
    std::fs::write(folder.join("tributary.toml"), settings).unwrap();
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRIBUTARY_")) {
        command.env_remove(name);
    }
    command.arg("serve").arg("--config").arg(folder.join("tributary.toml"));
    command.arg("--definitions").arg(folder.join("definitions"));
    command.env("TRIBUTARY_HTTP_ADDR", "127.0.0.1:0").env("TRIBUTARY_DATA_DIR", place.state());
    command
}

/// Each customer's segments, asked of the API page by page.
pub(crate) async fn memberships(base: &str) -> HashMap<String, u32> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let users = (0..crate::support::events::CUSTOMERS).map(crate::support::events::user);
    // A customer goes by the best of its identifiers.
    let users: HashMap<String, String> =
        users.map(|user| (IdentifierId::of("user_id", &user).to_string(), user)).collect();
    let mut masks: HashMap<String, u32> = HashMap::new();
    for (bit, segment) in SEGMENTS.iter().enumerate() {
        let mut cursor = String::new();
        loop {
            let url = format!("{base}/v1/segments/{segment}/members?limit={PAGE}{cursor}");
            let text = client.get(&url).send().await.unwrap().text().await.unwrap();
            let page: serde_json::Value = serde_json::from_str(&text).unwrap();
            for member in page["members"].as_array().unwrap_or_else(|| panic!("{url}: {page}")) {
                let user = &users[member.as_str().unwrap()];
                *masks.entry(user.clone()).or_default() |= 1 << bit;
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    masks
}
