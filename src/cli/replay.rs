//! `tributary replay`: the state made anew from the beginning of the logs, and put in the place of the one that there is.

// What was done is what this command is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::check::report;
use super::frozen::{Whose, with_snapshot};
use super::{ReplayArgs, verify};
use crate::backup::STATE;
use crate::config::{Configuration, Variables, load};
use crate::server::store_options;
use crate::store::Store;
use anyhow::Context;
use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// In a data folder: the state that is being made, and the one that it takes the place of.
const ANEW: &str = "replayed";
const BEFORE: &str = "state-before-replay";

/// Replays; exit code 1 if it cannot.
pub fn run(args: &ReplayArgs) -> ExitCode {
    let configuration = match load(&args.files.paths(), &Variables::of_process()) {
        Ok(configuration) => configuration,
        Err(mistakes) => {
            report(&mistakes);
            return ExitCode::FAILURE;
        }
    };
    match replay(args, configuration) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn replay(args: &ReplayArgs, configuration: Configuration) -> anyhow::Result<()> {
    let server = configuration.server.clone();
    let data = server.data.dir.clone();
    let anew = data.join(ANEW);
    let whose = with_snapshot(&server, &args.server, |snapshot, whose| {
        let verify::Opened { store, meta, definer, definitions, processor, rules, server } =
            verify::open(snapshot, configuration)?;
        fs::create_dir_all(&anew).with_context(|| format!("cannot make {}", anew.display()))?;
        let context = || format!("cannot open {}", anew.display());
        let replayed = Arc::new(Store::open(&anew, store_options(&server)).with_context(context)?);
        let begun = replayed.view().meta()?;
        if let Some(other) = begun.as_ref().filter(|begun| begun.state_id != meta.state_id) {
            anyhow::bail!("{} was made for another state ({}); delete it", anew.display(), other.state_id);
        }
        if begun.is_none() {
            replayed.write_meta(&crate::store::Meta { state_id: meta.state_id.clone(), ..Default::default() })?;
        }
        let parts = verify::parts(&server, &definitions, &definer, processor, rules)?;
        crate::replay::replay(parts, &meta, replayed.clone())?;
        let differences = crate::replay::differences(&store, &replayed, &definer.at_start(), meta.clock)?;
        differences.iter().for_each(|difference| println!("{difference}"));
        if differences.is_empty() {
            println!("the state made anew says what the one before says");
        }
        if whose == Whose::Ours {
            crate::replay::carry_over(&store, &replayed, &meta)?;
        }
        Ok(whose)
    })?;
    if whose == Whose::Servers {
        println!(
            "a new state is at {}, up to now; stop the server and run this again: it goes on from there, and puts it in \
             its place",
            anew.display()
        );
        return Ok(());
    }
    put_in_place(&data)?;
    println!("the new state is in its place; `tributary serve` goes on from there");
    Ok(())
}

/// The state made anew takes the place of the other one, or, wherever this ends, either of them is there.
fn put_in_place(data: &Path) -> anyhow::Result<()> {
    let (state, anew, before) = (data.join(STATE), data.join(ANEW), data.join(BEFORE));
    let swapped = fs::rename(&state, &before)
        .and_then(|()| fs::rename(&anew, &state))
        .and_then(|()| File::open(data)?.sync_all());
    swapped.with_context(|| {
        format!(
            "cannot put {} in the place of {}; the one before may be at {}",
            anew.display(),
            state.display(),
            before.display()
        )
    })?;
    fs::remove_dir_all(&before)
        .with_context(|| format!("cannot delete {}; it is not needed any more", before.display()))
}
