//! `tributary apply` and `tributary diff`: a folder of definitions, kept in git, and what a running server has.

// What differs is what these commands are run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::ApplyArgs;
use super::ask::ask;
use super::check::{count, report};
use crate::api::definition_changes::{AppliedAnswer, ManyBody, OneOfMany};
use crate::config::load_customers;
use anyhow::Context;
use reqwest::Method;
use std::process::ExitCode;
use tributary_model::Definitions;

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
    let path = format!("/v1/definitions?dry_run={is_trial}&prune={}", args.prune);
    let text = ask(&args.server, Method::PUT, &path, Some(serde_json::to_string(&body)?))?;
    serde_json::from_str(&text).context("this is no answer of a tributary server")
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
