//! `tributary apply` and `tributary diff`: a folder of definitions, kept in git, and what a running server has.

// What differs is what these commands are run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::ApplyArgs;
use super::check::{count, report};
use crate::api::definition_changes::{AppliedAnswer, ManyBody, OneOfMany};
use crate::config::load_customers;
use anyhow::{Context, bail};
use std::process::ExitCode;
use std::time::Duration;
use tributary_model::Definitions;

/// The variable with the server's admin token.
const TOKEN: &str = "TRIBUTARY_ADMIN_TOKEN";
/// How long the server may take to check and keep a change.
const PATIENCE: Duration = Duration::from_secs(60);
/// What [`ExitCode`] tells when two folders differ, and when they could not be compared, as `diff` has it.
const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

/// Applies the folder, or only tells what that would change.
pub fn run(args: &ApplyArgs, is_trial: bool) -> ExitCode {
    let failure = if is_trial { ExitCode::from(TROUBLE) } else { ExitCode::FAILURE };
    let definitions = match load_customers(&args.folder) {
        Ok(definitions) => definitions,
        Err(mistakes) => {
            report(&mistakes);
            return failure;
        }
    };
    match put(args, definitions, is_trial) {
        Ok(applied) => {
            print(&applied, is_trial);
            if is_trial && !applied.changed.is_empty() { ExitCode::from(DIFFERENT) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("{error:#}");
            failure
        }
    }
}

fn put(args: &ApplyArgs, definitions: Definitions, is_trial: bool) -> anyhow::Result<AppliedAnswer> {
    let traits = definitions.traits.into_iter().map(|(name, says)| (name, says.expression));
    let segments = definitions.segments.into_iter();
    let segments = segments.map(|(id, says)| (id, OneOfMany { name: Some(says.name), r#where: says.condition }));
    let body = ManyBody { traits: traits.collect(), segments: segments.collect() };
    let server = args.server.trim_end_matches('/');
    let body = serde_json::to_string(&body)?;
    let address = format!("{server}/v1/definitions?dry_run={is_trial}&prune={}", args.prune);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut request = client.put(&address).header("content-type", "application/json").body(body);
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.with_context(|| format!("no answer from {server} (--server)"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            let error: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let message = error.get("message").and_then(serde_json::Value::as_str).unwrap_or(&text);
            let hint =
                if status.as_u16() == 401 { format!(" (the token is read from {TOKEN})") } else { String::new() };
            bail!("the server refuses: {message}{hint}");
        }
        serde_json::from_str(&text).context("this is no answer of a tributary server")
    })
}

fn print(applied: &AppliedAnswer, is_trial: bool) {
    for changed in &applied.changed {
        let sign = match (&changed.before, &changed.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        println!("{sign} {} {}", changed.kind, changed.id);
        changed.before.iter().for_each(|sql| println!("    - {}", sql.trim().replace('\n', "\n      ")));
        changed.after.iter().for_each(|sql| println!("    + {}", sql.trim().replace('\n', "\n      ")));
    }
    let differences = count(applied.changed.len(), "difference");
    match (applied.changed.is_empty(), is_trial) {
        (true, _) => println!("no difference"),
        (false, true) => println!("{differences}"),
        (false, false) => println!("{differences} applied as change {}", applied.change),
    }
}
