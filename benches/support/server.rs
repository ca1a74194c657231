//! The real server in its own process, on a folder of its own.

use super::process;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tributary");
/// For a start; past it something is broken.
const START: Duration = Duration::from_secs(120);

/// Where a server lives.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Site {
    /// A new folder with these definitions.
    pub(crate) fn new(definitions: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tributary-bench.").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("definitions")).unwrap();
        std::fs::write(folder.path().join("definitions/bench.yaml"), definitions).unwrap();
        std::fs::write(folder.path().join("tributary.toml"), "[telemetry]\nlevel = \"warn\"\n").unwrap();
        let data = folder.path().join("data").display().to_string();
        let variables = vec![("TRIBUTARY_HTTP_ADDR", "127.0.0.1:0".to_owned()), ("TRIBUTARY_DATA_DIR", data)];
        Self { folder, variables }
    }

    /// Has other settings beside those.
    pub(crate) fn with_settings(self, toml: &str) -> Self {
        let path = self.folder.path().join("tributary.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{settings}{toml}\n")).unwrap();
        self
    }

    /// Has the log in a Kafka topic.
    pub(crate) fn on_kafka(mut self, bootstrap_servers: &str, topic: &str) -> Self {
        self.variables.extend([
            ("TRIBUTARY_LOG", "kafka".to_owned()),
            ("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers.to_owned()),
            ("TRIBUTARY_KAFKA_TOPIC", topic.to_owned()),
        ]);
        self
    }

    /// Bytes of everything that is kept.
    pub(crate) fn disk_bytes(&self) -> u64 {
        process::size_of(&self.folder.path().join("data"))
    }

    /// Starts the program and waits until it listens.
    pub(crate) fn start(&self) -> Server {
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRIBUTARY_")) {
            command.env_remove(name);
        }
        command.arg("serve").arg("--config").arg(self.folder.path().join("tributary.toml"));
        command.arg("--definitions").arg(self.folder.path().join("definitions"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.find_map(|line| line.ok()?.strip_prefix("listening on ").map(str::to_owned));
        let Some(base) = listening else { panic!("the server did not start: {:?}", child.wait()) };
        // Reads on, so that the server never waits for its own output.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, base }
    }
}

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `http://ADDR`.
    pub(crate) base: String,
}

impl Server {
    /// Waits until the dataflow has caught up.
    pub(crate) async fn ready(&self, client: &reqwest::Client) {
        let deadline = Instant::now() + START;
        while !client.get(format!("{}/readyz", self.base)).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "the server is not ready after {START:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The memory that the process holds, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        process::memory(self.child.id())
    }

    /// Processor time that the process has used, of all its threads.
    pub(crate) fn processor_time(&self) -> Duration {
        process::processor_time(self.child.id())
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, client: &reqwest::Client, name: &str) -> f64 {
        let text = client.get(format!("{}/metrics", self.base)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or("0");
        line.trim().parse().unwrap()
    }
}

/// `kill -9`.
impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
