//! Segment's own libraries, as their registries have them, deliver to Tributary unchanged.

use crate::support::cache_folder;
use crate::support::client::WRITE_KEY;
use crate::support::server::{Server, Site};
use crate::support::tool;
use crate::support::wait::{SOON, equal, eventually};
use serde_json::json;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/sdk");

const DEFINITIONS: &str = r#"
identity:
  namespaces:
    email: { priority: 2, normalise: email, from: [traits.email] }
traits:
  ltv: sum(properties.total) FILTER (WHERE event = 'Order Completed')
  counted: count(*) FILTER (WHERE event = 'Counted')
segments:
  buyers: { where: ltv > 20 }
"#;

/// What each library has sent about one user must all be there.
#[track_caller]
fn is_complete(server: &Server, user: &str) {
    eventually("all that the library sent is there", SOON, || {
        let profile = server.client.get(&format!("/v1/profiles/user_id:{user}")).json();
        equal(&profile["computed"], &json!({ "ltv": 24.99, "counted": 100 })).map_err(|_| profile.to_string())
    });
    let profile = server.client.get(&format!("/v1/profiles/user_id:{user}")).ok();
    assert_eq!(profile["traits"]["plan"], "gold");
    assert_eq!(profile["segments"][0]["id"], "buyers");
    let by_email = server.client.get(&format!("/v1/profiles/email:{user}@example.com")).ok();
    assert_eq!(by_email["id"], profile["id"]);
    assert_eq!(server.client.rejected(), Vec::<serde_json::Value>::new());
}

#[test]
fn analytics_node_delivers() {
    tool::require(&["node", "npm"], "apt-get install nodejs npm (Node 18 or newer)");
    let version = tool::run(Command::new("node").arg("--version"));
    let major = version.trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    // The newest library, and the last one that runs on the Node of Debian 12.
    let library = if major.is_some_and(|major| major >= 20) { "3.1.0" } else { "2.2.1" };
    let folder = cache_folder().join("sdk-node");
    tool::once(&folder, library, || {
        std::fs::write(folder.join("package.json"), "{ \"private\": true }").unwrap();
        let flags = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"];
        let package = format!("@segment/analytics-node@{library}");
        tool::run(Command::new("npm").args(flags).arg(package).current_dir(&folder));
    });
    let server = Site::new(DEFINITIONS).start();
    let mut deliver = Command::new("node");
    deliver.arg(Path::new(FOLDER).join("deliver.cjs")).args([server.client.base(), WRITE_KEY]);
    deliver.env("NODE_PATH", folder.join("node_modules"));
    assert_eq!(tool::run(&mut deliver).trim(), "delivered");
    is_complete(&server, "node-user");
}

#[test]
fn analytics_python_delivers() {
    python_delivers("plain");
}

#[test]
fn analytics_python_delivers_gzipped() {
    python_delivers("gzip");
}

fn python_delivers(compression: &str) {
    let python = tool::python("sdk-python", &Path::new(FOLDER).join("requirements.txt"));
    let server = Site::new(DEFINITIONS).start();
    let mut deliver = Command::new(python);
    deliver.arg(Path::new(FOLDER).join("deliver.py")).args([server.client.base(), WRITE_KEY, compression]);
    assert_eq!(tool::run(&mut deliver).trim(), "delivered");
    is_complete(&server, &format!("python-{compression}"));
}
