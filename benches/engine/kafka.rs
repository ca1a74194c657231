//! The broker: the one that `KAFKA_BOOTSTRAP_SERVERS` names, else one that the tests' script starts.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka/broker.sh");

/// A broker that serves as long as this lives.
#[derive(Debug)]
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) bootstrap_servers: String,
    process: Option<Child>,
}

impl Broker {
    /// Finds or starts it; `None` if that cannot be done here.
    pub(crate) fn start() -> Option<Self> {
        if let Ok(bootstrap_servers) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            return Some(Self { bootstrap_servers, process: None });
        }
        let mut script = Command::new("bash").arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut lines = BufReader::new(script.stdout.take()?).lines();
        // The script has time-outs of its own, so this line comes or the output ends.
        let found = lines.find_map(|line| line.ok()?.strip_prefix("bootstrap.servers=").map(str::to_owned));
        let process = Some(script);
        found.map(|bootstrap_servers| Self { bootstrap_servers, process })
    }
}

/// The script ends the broker, and removes its data, when its standard input closes.
impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            process.wait().ok();
        }
    }
}
