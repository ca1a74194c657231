//! A real PostgreSQL of a test's own, which may be killed and started again, and a plain client of it.
//!
//! `server.sh` runs the server until its standard input closes, so it ends with the test, however that ends.

use super::tool;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/postgres/server.sh");
const INSTALL: &str = "apt-get install postgresql";

/// A server that serves, unless it was killed.
#[derive(Debug)]
pub(crate) struct Postgres {
    /// `postgres://user:password@host:port/database`, of a user who may do all.
    pub(crate) url: String,
    folder: TempDir,
    script: Option<Child>,
}

impl Postgres {
    /// Starts one.
    #[track_caller]
    pub(crate) fn start() -> Self {
        tool::require(&["bash", "psql"], INSTALL);
        let folder = tempfile::Builder::new().prefix("tributary-postgres.").tempdir().unwrap();
        let (script, url) = run(folder.path());
        Self { url, folder, script: Some(script) }
    }

    /// `kill -9`.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let file = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap();
        tool::run(Command::new("sh").args(["-c", "kill -9 \"$1\"", "sh", file.lines().next().unwrap()]));
        self.end();
    }

    /// Starts it again on what it has on the disk, at the same port.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.end();
        self.script = Some(run(self.folder.path()).0);
    }

    /// Runs statements, which must succeed.
    #[track_caller]
    pub(crate) fn run(&self, statements: &str) {
        tool::run(&mut self.psql(statements));
    }

    /// A query's rows, each as an object of its columns.
    #[track_caller]
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let printed = tool::run(&mut self.psql(&format!("SELECT coalesce(json_agg(t), '[]') FROM ({query}) t")));
        serde_json::from_str(&printed).unwrap()
    }

    /// A client without a terminal and without anybody's settings, which prints values alone.
    fn psql(&self, statements: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements, &self.url]);
        psql
    }

    fn end(&mut self) {
        if let Some(mut script) = self.script.take() {
            drop(script.stdin.take());
            script.wait().unwrap();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs the server on a folder; gives its address.
#[track_caller]
fn run(folder: &Path) -> (Child, String) {
    let mut command = Command::new("bash");
    command.arg(SCRIPT).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = command.spawn().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    // The script gives up after a number of attempts, so this line comes or the output ends.
    let found = lines.find_map(|line| line.ok()?.strip_prefix("url=").map(str::to_owned));
    (script, found.expect("PostgreSQL did not start; its words are above"))
}
