//! The broker: the tests' script starts it in a folder of its own, so that what it writes can be counted.

use super::process;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka/broker.sh");

/// A broker that serves as long as this lives.
#[derive(Debug)]
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) bootstrap_servers: String,
    /// None if it was there before.
    own: Option<(Child, TempDir)>,
}

impl Broker {
    /// The one that `KAFKA_BOOTSTRAP_SERVERS` names, else one of our own; `None` if none can be started here.
    pub(crate) fn find() -> Option<Self> {
        match std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            Ok(bootstrap_servers) => Some(Self { bootstrap_servers, own: None }),
            Err(_) => Self::start(),
        }
    }

    /// One of our own; `None` if that cannot be started here.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("tributary-bench-kafka.").tempdir().unwrap();
        let mut command = Command::new("bash");
        command.arg(SCRIPT).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().ok()?;
        let mut lines = BufReader::new(script.stdout.take()?).lines();
        // The script has time-outs of its own, so this line comes or the output ends.
        let found = lines.find_map(|line| line.ok()?.strip_prefix("bootstrap.servers=").map(str::to_owned));
        let own = Some((script, folder));
        found.map(|bootstrap_servers| Self { bootstrap_servers, own })
    }

    /// Bytes that a broker of our own has caused to be written so far.
    pub(crate) fn written(&self) -> u64 {
        let (_, folder) = self.own.as_ref().expect("the broker was started here");
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        process::written(pid.trim().parse().unwrap())
    }
}

/// The script ends the broker when its standard input closes.
impl Drop for Broker {
    fn drop(&mut self) {
        if let Some((script, _)) = &mut self.own {
            drop(script.stdin.take());
            script.wait().ok();
        }
    }
}
