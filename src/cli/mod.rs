//! The command line: `tributary serve`, `check`, `apply`, `diff`, `identity`, `destinations`, `render`, `backup`,
//! `restore`, `verify`, `replay`, `token`, `demo`.
//!
//! Secrets are never arguments: whoever lists processes can read those.

pub mod apply;
mod ask;
pub mod backup;
pub mod check;
mod configured;
pub mod demo;
pub mod destinations;
pub mod evaluate;
mod frozen;
pub mod identity;
pub mod render;
pub mod replay;
pub mod serve;
pub mod token;
pub mod verify;

use crate::config::Paths;
use clap::{Args, Parser, Subcommand};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

/// A real-time customer data platform: events in; profiles, segments and triggers out, as they happen.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, arg_required_else_help = true, after_help = ENVIRONMENT)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const ENVIRONMENT: &str = "\
Environment (overrides the file):
  TRIBUTARY_HTTP_ADDR                 address to listen on        [127.0.0.1:8080]
  TRIBUTARY_DATA_DIR                  where everything is kept    [./data]
  TRIBUTARY_WORKERS                   threads of the dataflow     [auto]
  TRIBUTARY_LOG                       embedded or kafka           [embedded]
  TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS   host:port, comma-separated
  TRIBUTARY_KAFKA_TOPIC               the log's topic             [tributary-events]
  TRIBUTARY_WRITE_KEYS                who may send events, comma-separated
  TRIBUTARY_READ_TOKEN                who may read
  TRIBUTARY_ADMIN_TOKEN               who may administer";

/// What `tributary` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take events, keep profiles and segments, fire triggers; until SIGTERM or Ctrl-C
    Serve(ServeArgs),
    /// Tell every mistake in the settings and the definitions; exit code 1 if there is one
    Check(CheckArgs),
    /// Have a running server take over the computed traits and segments of a folder, without a restart
    Apply(ApplyArgs),
    /// Tell how a folder's computed traits and segments differ from a running server's; exit code 1 if they do, 2 on trouble
    Diff(ApplyArgs),
    /// Tell what identity rules do
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Tell whether a destination takes messages, list what it did not take, and send that again
    #[command(subcommand)]
    Destinations(DestinationsCommand),
    /// Show what a trigger would send to a customer now, and whether it would be held back
    Render(RenderArgs),
    /// Copy the state and the embedded log to a folder of backups, also while the server runs; what is there is not copied again
    Backup(BackupArgs),
    /// Put a backup into the data folder, which must have none of it
    Restore(RestoreArgs),
    /// Tell whether what is stored is what follows from what came in, also while the server runs; exit code 1 if it is not
    Verify(VerifyArgs),
    /// Make the state anew from the beginning of the logs: beside a running server up to now, in its place once the server is stopped
    Replay(ReplayArgs),
    /// Make a new key or token, and print it with the hash by which the settings know it
    Token,
    /// Play a sample shop's traffic through a server of its own, and watch it live
    Demo(DemoArgs),
}

/// Which files to read.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The settings [default: config/tributary.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of the definitions: its *.yaml files are read together [default: config/definitions]
    #[arg(long, value_name = "DIR")]
    pub definitions: Option<PathBuf>,
}

impl ConfigArgs {
    /// As the configuration takes them.
    pub fn paths(&self) -> Paths {
        Paths { config: self.config.clone(), definitions: self.definitions.clone() }
    }
}

/// `tributary serve`
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Which files to read.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// `tributary check`
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Which files to read.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// `tributary apply` and `tributary diff`
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// The folder
    #[arg(value_name = "DIR", default_value = crate::config::DEFINITIONS_DIR)]
    pub folder: PathBuf,
    /// Where the server listens; its admin token is read from TRIBUTARY_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = SERVER)]
    pub server: String,
    /// Also delete what the server has and the folder has not
    #[arg(long)]
    pub prune: bool,
}

/// `tributary identity`
#[derive(Clone, Debug, Subcommand)]
pub enum IdentityCommand {
    /// Tell how many customers would merge and split by the rules in the definitions, before a restart applies them
    Plan(ConfigArgs),
    /// Tell how good the suggestions of `identity.suggestions` are on records of which it is known who is who
    Evaluate(EvaluateArgs),
}

/// `tributary destinations`
#[derive(Clone, Debug, Subcommand)]
pub enum DestinationsCommand {
    /// Send one message, made up and marked as a test, to a destination of the definitions, and tell what it answers
    Test(TestArgs),
    /// List the messages to a destination that were given up, one JSON a line
    Dead(DeadArgs),
    /// Send messages again that were given up
    Replay(ReplayDeadArgs),
}

/// `tributary destinations test`
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    /// The destination's id
    #[arg(value_name = "ID")]
    pub destination: String,
    /// Where the message goes, for e-mail, text messages and push: a mailbox, a phone number, a token
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Which files to read.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// `tributary destinations dead`
#[derive(Clone, Debug, Args)]
pub struct DeadArgs {
    /// The destination's id
    #[arg(value_name = "ID")]
    pub destination: String,
    /// Where the server listens; its admin token is read from TRIBUTARY_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = SERVER)]
    pub server: String,
}

/// `tributary destinations replay`
#[derive(Clone, Debug, Args)]
pub struct ReplayDeadArgs {
    /// The destination's id
    #[arg(value_name = "ID")]
    pub destination: String,
    /// Ids of messages [default: all that were given up]
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Where the server listens; its admin token is read from TRIBUTARY_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = SERVER)]
    pub server: String,
}

/// `tributary render`
#[derive(Clone, Debug, Args)]
pub struct RenderArgs {
    /// The trigger's id
    #[arg(value_name = "TRIGGER")]
    pub trigger: String,
    /// The customer: namespace:value of any identifier, or a profile id
    #[arg(long, value_name = "PROFILE")]
    pub profile: String,
    /// For a trigger on an event: the event, as it would be tracked [default: the customer's latest of that name]
    #[arg(long, value_name = "JSON")]
    pub event: Option<String>,
    /// Where the server listens; its admin token is read from TRIBUTARY_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = SERVER)]
    pub server: String,
}

/// `tributary identity evaluate`
#[derive(Clone, Debug, Args)]
pub struct EvaluateArgs {
    /// Records as CSV with a header; a column is named as a trait is, so `traits.name` is read from the column `name`
    #[arg(value_name = "FILE")]
    pub records: PathBuf,
    /// The column that is the same for the records of one person
    #[arg(long, value_name = "COLUMN")]
    pub truth: String,
    /// Which definitions.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// Where the server is, if one runs
const SERVER: &str = "http://127.0.0.1:8080";

/// `tributary backup`
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// The folder of backups; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Keep the latest N backups and delete those before
    #[arg(long, value_name = "N")]
    pub keep: Option<NonZeroUsize>,
    /// Where the server listens, if it runs; its admin token is read from TRIBUTARY_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = SERVER)]
    pub server: String,
    /// Which files to read.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// `tributary restore`
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The folder of backups
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Which backup [default: the latest]
    #[arg(long, value_name = "ID")]
    pub backup: Option<String>,
    /// Only list the backups that there are
    #[arg(long)]
    pub list: bool,
    /// Which files to read.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// `tributary verify`
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Verify the latest backup in this folder, with its checksums, instead of the data folder
    #[arg(long, value_name = "DIR")]
    pub backup: Option<PathBuf>,
    /// Verify this backup instead of the latest
    #[arg(long, value_name = "ID", requires = "backup")]
    pub id: Option<String>,
    /// Where the server listens, if it runs; its admin token is read from TRIBUTARY_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = SERVER)]
    pub server: String,
    /// Which files to read.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// `tributary replay`
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Where the server listens, if it runs; its admin token is read from TRIBUTARY_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = SERVER)]
    pub server: String,
    /// Which files to read.
    #[command(flatten)]
    pub files: ConfigArgs,
}

/// `tributary demo`
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// End by itself when the sample is through; exit code 0 only if everything expected came out
    #[arg(long)]
    pub once: bool,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Apply(args) => apply::run(&args, false),
        Command::Diff(args) => apply::run(&args, true),
        Command::Identity(command) => identity::run(&command),
        Command::Destinations(command) => destinations::run(&command),
        Command::Render(args) => render::run(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Token => token::run(),
        Command::Demo(args) => demo::run(&args),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn files_are_named_by_two_flags() {
        let cli = Cli::try_parse_from(["tributary", "check", "--config", "a.toml", "--definitions", "defs"]).unwrap();
        let Command::Check(CheckArgs { files }) = cli.command else { panic!("not check") };
        let paths = Paths { config: Some("a.toml".into()), definitions: Some("defs".into()) };
        assert_eq!(files.paths(), paths);
    }

    #[test]
    fn help_names_every_command_and_no_secret_is_a_flag() {
        let mut command = Cli::command();
        let help = command.render_long_help().to_string();
        for name in [
            "serve",
            "check",
            "apply",
            "diff",
            "identity",
            "destinations",
            "render",
            "backup",
            "restore",
            "verify",
            "replay",
            "token",
            "demo",
            "TRIBUTARY_HTTP_ADDR",
            "TRIBUTARY_WRITE_KEYS",
        ] {
            assert!(help.contains(name), "{name} is missing in:\n{help}");
        }
        for sub in command.get_subcommands() {
            let flags = sub.get_arguments().filter_map(|arg| arg.get_long());
            let secret = flags.into_iter().find(|flag| flag.contains("key") || flag.contains("token"));
            assert_eq!(secret, None);
        }
    }
}
