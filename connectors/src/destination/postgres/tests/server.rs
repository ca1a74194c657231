//! A real server for tests, and who looks into its tables.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::destination::loopback;
use crate::destination::postgres::PostgresTarget;
use crate::destination::postgres::delivery::{DeliveryError, Steps, TableTopic};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;
use tributary_model::{DeliveryPolicy, PostgresDestination, Secret};

/// Runs a server until its standard input closes.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/support/postgres/server.sh");

pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// A server that ends with the test, or with the process.
pub(super) struct Server {
    pub(super) url: String,
    script: Option<Child>,
    folder: Option<tempfile::TempDir>,
}

fn run(folder: Option<&Path>) -> (Child, String) {
    let mut command = Command::new("bash");
    command.arg(SCRIPT).args(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = command.spawn().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let found = lines.find_map(|line| line.ok()?.strip_prefix("url=").map(str::to_owned));
    (script, found.expect("PostgreSQL did not start; its words are above"))
}

impl Server {
    /// The one that tests share, each in a schema of its own.
    fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let (script, url) = run(None);
            Self { url, script: Some(script), folder: None }
        })
    }

    /// One in a folder of its own, which may be prepared.
    pub(super) fn start(prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("tributary-postgres.").tempdir().unwrap();
        prepare(folder.path());
        let (script, url) = run(Some(folder.path()));
        Self { url, script: Some(script), folder: Some(folder) }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.as_ref().unwrap().path().join("data/postmaster.pid")).unwrap();
        let killed = Command::new("sh").args(["-c", "kill -9 \"$1\"", "sh", pid.lines().next().unwrap()]).status();
        assert!(killed.unwrap().success());
        self.end();
    }

    /// Starts it on what it has on the disk, at the same port.
    pub(super) fn start_again(&mut self) {
        self.script = Some(run(Some(self.folder.as_ref().unwrap().path())).0);
    }

    fn end(&mut self) {
        if let Some(mut script) = self.script.take() {
            drop(script.stdin.take());
            script.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A schema with a table to be kept in step, and a client of its own beside.
pub(super) struct Case {
    pub(super) target: PostgresTarget,
    pub(super) end: CancellationToken,
    client: Client,
}

fn connect(url: &str) -> Client {
    runtime().block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    })
}

impl Case {
    pub(super) fn new(schema: &str, columns: &[&str]) -> Self {
        Self::on(&Server::shared().url, schema, columns)
    }

    pub(super) fn on(url: &str, schema: &str, columns: &[&str]) -> Self {
        let postgres = PostgresDestination {
            url: Secret::new(url),
            table: format!("{schema}.people"),
            segment: "vip".to_owned(),
            columns: columns.iter().map(|name| ((*name).to_owned(), String::new())).collect(),
            ca: None,
        };
        let target = PostgresTarget {
            postgres,
            policy: DeliveryPolicy { timeout_ms: 30_000, ..loopback::policy() },
            destination: "crm".to_owned(),
            state_id: "state".to_owned(),
        };
        let case = Self { target, end: CancellationToken::new(), client: connect(&format!("{url}?sslmode=disable")) };
        case.run(&format!("CREATE SCHEMA {schema}"));
        case
    }

    pub(super) fn url(&self) -> String {
        self.target.postgres.url.expose_text().to_owned()
    }

    pub(super) fn open(&self) -> Result<TableTopic<'_>, DeliveryError> {
        let within = Duration::from_millis(self.target.policy.timeout_ms);
        TableTopic::open(&self.target, Steps { runtime: runtime().handle(), end: &self.end, within })
    }

    /// The same with a session of its own.
    pub(super) fn another(&self) -> Self {
        Self { target: self.target.clone(), end: self.end.clone(), client: connect(&self.url()) }
    }

    pub(super) fn run(&self, statements: &str) {
        runtime().block_on(self.client.batch_execute(statements)).unwrap();
    }

    /// The rows, each with `|` between its values.
    pub(super) fn ask(&self, query: &str) -> Vec<String> {
        let answer = runtime().block_on(self.client.simple_query(query)).unwrap();
        let line = |row: tokio_postgres::SimpleQueryRow| {
            (0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect::<Vec<_>>().join("|")
        };
        let rows = answer.into_iter().filter_map(|one| match one {
            SimpleQueryMessage::Row(row) => Some(line(row)),
            _ => None,
        });
        rows.collect()
    }

    /// Waits until a statement about this schema waits for a lock.
    pub(super) fn await_lock(&self, schema: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let waiting =
            format!("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%\"{schema}\".%'");
        while self.ask(&waiting).is_empty() {
            assert!(Instant::now() < deadline, "nothing waits for a lock");
        }
    }
}
