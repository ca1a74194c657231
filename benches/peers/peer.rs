//! A system under test as a process: started, asked for its memberships, killed.

use crate::kafka_alone;
use crate::ours;
use crate::support::process;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// The floor: what it takes to read all and to pass on what fires.
    KafkaAlone,
    Tributary,
    KafkaStreams,
    Flink,
    Dbsp,
    Pathway,
}

impl System {
    pub(crate) const ALL: [Self; 6] =
        [Self::KafkaAlone, Self::Tributary, Self::KafkaStreams, Self::Flink, Self::Dbsp, Self::Pathway];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KafkaAlone => "Kafka alone",
            Self::Tributary => "Tributary",
            Self::KafkaStreams => "Kafka Streams",
            Self::Flink => "Flink",
            Self::Dbsp => "dbsp",
            Self::Pathway => "Pathway",
        }
    }

    /// Whether it computes what is asked for.
    pub(crate) fn does_the_job(self) -> bool {
        self != Self::KafkaAlone
    }

    /// Whether each trigger comes once, also after a kill.
    pub(crate) fn is_exactly_once(self) -> bool {
        self != Self::Pathway
    }

    /// What starts it: `benches/peers/run` has installed and compiled what it needs.
    fn command(self, place: &Place) -> Command {
        let peer = match self {
            Self::KafkaAlone => return kafka_alone::command(place),
            Self::Tributary => return ours::command(place),
            Self::KafkaStreams => "kafka-streams",
            Self::Flink => "flink",
            Self::Dbsp => "dbsp",
            Self::Pathway => "pathway",
        };
        let mut command = Command::new("bash");
        command.arg(Path::new(HERE).join("run")).arg(peer);
        command.args(["--bootstrap-servers", &place.bootstrap_servers, "--input", &place.input]);
        command.args(["--output", &place.output, "--group", &format!("{}-group", place.input)]);
        command.arg("--state").arg(place.state());
        command
    }
}

/// Where a system has its topics and its state.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) bootstrap_servers: String,
    pub(crate) input: String,
    pub(crate) output: String,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(bootstrap_servers: &str, input: &str, output: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tributary-peers.").tempdir().unwrap();
        let [bootstrap_servers, input, output] = [bootstrap_servers, input, output].map(str::to_owned);
        Self { bootstrap_servers, input, output, folder }
    }

    /// All that it keeps, the broker's part aside.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A system that runs; it is killed with all its children when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    system: System,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it says of where it listens.
    base: String,
}

impl Running {
    /// Starts it, and waits until it says that it runs.
    pub(crate) fn start(system: System, place: &Place) -> Self {
        let mut command = system.command(place);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started = |line: &String| line == "started" || line.starts_with("listening on ");
        let base = lines.by_ref().map_while(Result::ok).find(started);
        let Some(base) = base else { panic!("{} did not start: {:?}", system.name(), child.wait()) };
        let base = base.trim_start_matches("listening on ").to_owned();
        Self { system, stdin: child.stdin.take(), child, lines, base }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Each customer's segments, one bit each in the order of the definitions.
    pub(crate) async fn memberships(&mut self, place: &Place) -> HashMap<String, u32> {
        if self.system == System::Tributary {
            return ours::memberships(&self.base).await;
        }
        let path = place.folder().join("members");
        let mut stdin = self.stdin.as_ref().unwrap();
        writeln!(stdin, "members {}", path.display()).unwrap();
        let told = self.lines.by_ref().map_while(Result::ok).any(|line| line == "members written");
        assert!(told, "{} ended without its members", self.system.name());
        let text = std::fs::read_to_string(path).unwrap();
        let pairs = text.lines().map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no pair: {line}")));
        pairs.map(|(user, mask)| (user.to_owned(), mask.parse().unwrap())).collect()
    }

    /// The most memory held, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        process::peak_memory(self.pid())
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
