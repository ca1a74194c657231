//! The broker: one that the tests' script starts, in a folder of its own, so that what it writes can be counted.

use crate::process;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka/broker.sh");

/// A broker that serves as long as this lives.
#[derive(Debug)]
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) bootstrap_servers: String,
    script: Child,
    folder: TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tributary-peers-kafka.").tempdir().unwrap();
        let mut command = Command::new("bash");
        command.arg(SCRIPT).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().unwrap();
        let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
        // The script has time-outs of its own, so this line comes or the output ends.
        let found = lines.find_map(|line| line.ok()?.strip_prefix("bootstrap.servers=").map(str::to_owned));
        Self { bootstrap_servers: found.expect("the broker starts; its words are above"), script, folder }
    }

    /// Bytes that it has caused to be written so far.
    pub(crate) fn written(&self) -> u64 {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        process::written(pid.trim().parse().unwrap())
    }
}

/// The script ends the broker when its standard input closes.
impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        self.script.wait().ok();
    }
}
