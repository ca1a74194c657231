//! `tributary identity`: what identity rules would change, before they do.

// What this command finds is what it is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::check::count;
use super::configured::with_configuration;
use super::{IdentityCommand, evaluate};
use crate::config::Configuration;
use crate::engine::identity_plan::IdentityPlan;
use crate::server::store_options;
use crate::store::Store;
use anyhow::Context;
use std::process::ExitCode;
use std::sync::Arc;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;

/// Does what is asked; exit code 1 if it cannot.
pub fn run(command: &IdentityCommand) -> ExitCode {
    match command {
        IdentityCommand::Plan(files) => with_configuration(files, |configuration| plan(&configuration)),
        IdentityCommand::Evaluate(args) => {
            with_configuration(&args.files, |configuration| evaluate::run(args, configuration))
        }
    }
}

fn plan(configuration: &Configuration) -> anyhow::Result<ExitCode> {
    let identity = &configuration.loaded.definitions.identity;
    let state = configuration.server.data.dir.join("state");
    if !state.is_dir() {
        anyhow::bail!(
            "there is no state at {}; start `tributary serve` first, or name another data folder",
            state.display()
        );
    }
    let store = Store::open_read_only(&state, store_options(&configuration.server))
        .with_context(|| format!("cannot read {}", state.display()))?;
    let plan = IdentityPlan::new(&store, &Processor::new(identity)?, &Arc::new(Rules::new(identity)))?;
    print!("{}", told(&plan));
    Ok(ExitCode::SUCCESS)
}

fn told(plan: &IdentityPlan) -> String {
    let mut text = format!(
        "{}, {} now, {} by these rules\n",
        count(plan.identifiers, "identifier"),
        count(plan.profiles_before, "profile"),
        plan.profiles_after
    );
    let merged = count(plan.merged, "profile");
    text += &format!("{merged} would come of several, {} would become several; ", plan.split);
    text += &format!("{} would move\n", count(plan.moved, "identifier"));
    for (kind, (before, after)) in plan.conflicts.iter().filter(|(_, (before, after))| before != after) {
        text += &format!("{kind}: {before} now, {after} by these rules\n");
    }
    for merge in &plan.merges {
        text += &format!("would be one: {}\n", merge.join(", "));
    }
    for split in &plan.splits {
        text += &format!("would be apart: {}\n", split.join(", "));
    }
    if plan.moved == 0 {
        text += "nothing changes for the profiles that there are\n";
    } else {
        text += "a restart with these rules applies this, and fires no trigger\n";
    }
    text += "`from` and `normalise` hold for events to come; what is known keeps the form that it was taken in with\n";
    text
}
