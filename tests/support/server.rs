//! The program itself: `tributary serve` in its own process, on a folder of its own, killed and started at will.

use super::client::{ADMIN_TOKEN, Client, READ_TOKEN, WRITE_KEY};
use super::wait::eventually;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take before a test gives up, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(60);

/// The program that is tested.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tributary");

/// A command of the program, free of `TRIBUTARY_…` variables that happen to be set around the tests.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRIBUTARY_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Where one server lives: its data, definitions and settings. Goes with the test.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    variables: Vec<(String, String)>,
    open_files: Option<u32>,
}

impl Site {
    /// A site with these definitions (YAML), on the embedded log.
    pub(crate) fn new(definitions: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tributary-e2e.").tempdir().unwrap();
        fs::create_dir(folder.path().join("definitions")).unwrap();
        let site = Self { folder, variables: Vec::new(), open_files: None };
        site.define(definitions);
        site.configure("");
        let data = site.path("data").display().to_string();
        site.with("TRIBUTARY_HTTP_ADDR", "127.0.0.1:0")
            .with("TRIBUTARY_DATA_DIR", &data)
            .with("TRIBUTARY_WRITE_KEYS", WRITE_KEY)
            .with("TRIBUTARY_READ_TOKEN", READ_TOKEN)
            .with("TRIBUTARY_ADMIN_TOKEN", ADMIN_TOKEN)
    }

    /// Sets a variable of the server's environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable out of the server's environment.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(set, _)| set != name);
        self
    }

    /// Lets the server have so many files open.
    pub(crate) fn with_open_files(mut self, files: u32) -> Self {
        self.open_files = Some(files);
        self
    }

    /// Has the log in Kafka, in this topic.
    pub(crate) fn on_kafka(self, bootstrap_servers: &str, topic: &str) -> Self {
        self.with("TRIBUTARY_LOG", "kafka")
            .with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers)
            .with("TRIBUTARY_KAFKA_TOPIC", topic)
    }

    /// Writes the definitions anew.
    pub(crate) fn define(&self, definitions: &str) {
        fs::write(self.path("definitions/test.yaml"), definitions).unwrap();
    }

    /// Writes the settings file anew; it is laid over the defaults.
    pub(crate) fn configure(&self, toml: &str) {
        fs::write(self.path("tributary.toml"), toml).unwrap();
    }

    pub(crate) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// A command of the program about this site, such as `check` or `identity plan`.
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut program = program(&command.split(' ').collect::<Vec<_>>());
        if let Some(files) = self.open_files {
            let mut limited = Command::new("sh");
            limited
                .args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"])
                .arg(PROGRAM)
                .args(program.get_args());
            for (name, value) in program.get_envs() {
                match value {
                    Some(value) => limited.env(name, value),
                    None => limited.env_remove(name),
                };
            }
            limited.stdin(Stdio::null());
            program = limited;
        }
        program.arg("--config").arg(self.path("tributary.toml"));
        program.arg("--definitions").arg(self.path("definitions"));
        program.envs(self.variables.iter().map(|(name, value)| (name, value))).current_dir(self.folder.path());
        program
    }

    /// Starts the process and waits for nothing.
    pub(crate) fn spawn(&self) -> Process {
        self.spawn_with(&[])
    }

    /// Starts the process with further variables and waits for nothing.
    pub(crate) fn spawn_with(&self, variables: &[(&str, &str)]) -> Process {
        let log = self.path("server.log");
        let errors = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = self.command("serve");
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let copy = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        // Reads to the end, so that the server never waits for its own output.
        std::thread::spawn(move || forward(stdout, &copy, &send));
        Process { child, lines, log }
    }

    /// Starts the server and waits until it accepts events; queries may still be behind.
    #[track_caller]
    pub(crate) fn start_listening(&self) -> Server {
        let process = self.spawn();
        let base = process.listening(START).unwrap_or_else(|why| panic!("{why}\n{}", process.last_words()));
        Server { process, client: Client::new(base) }
    }

    /// Starts the server and waits until it has caught up.
    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        let server = self.start_listening();
        server.ready();
        server
    }
}

fn forward(stdout: impl BufRead, mut copy: &File, lines: &std::sync::mpsc::Sender<String>) {
    use std::io::Write;
    for line in stdout.lines().map_while(Result::ok) {
        writeln!(copy, "{line}").ok();
        lines.send(line).ok();
    }
}

/// A running process of the server, which ends with the test.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Process {
    /// Waits for the line that says where the server listens; an `Err` if it ends first.
    pub(crate) fn listening(&self, within: Duration) -> Result<String, String> {
        self.listening_by("http://", within)
    }

    /// The same of one that has TLS.
    pub(crate) fn listening_securely(&self, within: Duration) -> Result<String, String> {
        self.listening_by("https://", within)
    }

    fn listening_by(&self, scheme: &str, within: Duration) -> Result<String, String> {
        let deadline = Instant::now() + within;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(address) = line.strip_prefix("listening on ") {
                        assert!(address.starts_with(scheme), "`listening on {scheme}ADDR`, not {line}");
                        return Ok(address.trim().to_owned());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err("the server ended before it listened".to_owned()),
                Err(RecvTimeoutError::Timeout) => return Err(format!("the server did not listen within {within:?}")),
            }
        }
    }

    /// What the server last said.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it still runs.
    #[track_caller]
    pub(crate) fn assert_alive(&mut self) {
        let status = self.child.try_wait().unwrap();
        assert!(status.is_none(), "the server ended: {status:?}\n{}", self.last_words());
    }

    /// Sends it a signal, such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is not on every machine.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Its number among the system's processes.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to end (`SIGTERM`) and waits for that.
    #[track_caller]
    pub(crate) fn terminate(mut self, within: Duration) -> ExitStatus {
        self.signal("TERM");
        eventually("the server ends after SIGTERM", within, || match self.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(self.last_words()),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("---- the server's last words ----\n{}", self.last_words());
        }
    }
}

/// A server that accepts events.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    pub(crate) client: Client,
}

impl Server {
    /// Waits until queries are as fresh as commits.
    #[track_caller]
    pub(crate) fn ready(&self) {
        eventually("/readyz is 200", START, || match self.client.get("/readyz") {
            answer if answer.status == 200 => Ok(()),
            answer => Err(answer.text()),
        });
    }

    /// Checks that it still runs.
    #[track_caller]
    pub(crate) fn assert_alive(&mut self) {
        self.process.assert_alive();
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        self.process.kill();
    }

    /// Sends it a signal, such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// What it last said.
    pub(crate) fn last_words(&self) -> String {
        self.process.last_words()
    }

    /// `SIGTERM`; the server must end by itself within ten seconds, with exit status 0.
    #[track_caller]
    pub(crate) fn stop(self) {
        let status = self.process.terminate(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "a clean end");
    }
}
