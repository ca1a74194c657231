//! `tributary replay`: the state made anew from the beginning of the logs, and put in the place of the one that there is.

// What was done is what this command is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::configured::with_configuration;
use super::frozen::{Whose, with_snapshot};
use super::{ReplayArgs, verify};
use crate::backup::STATE;
use crate::config::{Configuration, ServerConfig};
use crate::server::store_options;
use crate::store::{Meta, Store};
use anyhow::Context;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tributary_model::Position;

/// In a data folder: the state that is being made, and the one that it takes the place of.
pub(super) const ANEW: &str = "replayed";
const BEFORE: &str = "state-before-replay";
/// In a state that is being made, and in no other.
const MARK: &str = "REPLAY";

/// Replays; exit code 1 if it cannot.
pub fn run(args: &ReplayArgs) -> ExitCode {
    with_configuration(&args.files, |configuration| replay(args, configuration).map(|()| ExitCode::SUCCESS))
}

fn replay(args: &ReplayArgs, configuration: Configuration) -> anyhow::Result<()> {
    let server = configuration.server.clone();
    let data = server.data.dir.clone();
    let (whose, is_same) = with_snapshot(&server, &args.server, |snapshot, whose| {
        let opened = verify::open(snapshot, configuration)?;
        let replayed = open_anew(&data.join(ANEW), &server, &opened.meta)?;
        let is_same = opened.replay(&replayed)?;
        if is_same {
            println!("the state made anew says what the one before says");
        }
        if whose == Whose::Ours {
            crate::replay::carry_over(&opened.store, &replayed, &opened.meta)?;
        }
        Ok((whose, is_same))
    })?;
    if whose == Whose::Servers {
        println!(
            "a new state is at {}, up to now; stop the server and run this again: it goes on from there, and puts it in \
             its place",
            data.join(ANEW).display()
        );
        return Ok(());
    }
    put_in_place(&data, is_same)
}

/// The state that is being made: begun now, or taken up where it was last, if it is one of the same history.
fn open_anew(anew: &Path, server: &ServerConfig, meta: &Meta) -> anyhow::Result<Arc<Store>> {
    let mark = anew.join(MARK);
    if anew.exists() && !mark.exists() {
        anyhow::bail!("{} is no state that a replay has begun; move it away", anew.display());
    }
    fs::create_dir_all(anew)
        .and_then(|()| fs::write(&mark, ""))
        .with_context(|| format!("cannot make {}", anew.display()))?;
    let context = || format!("cannot open {}", anew.display());
    let replayed = Arc::new(Store::open(anew, store_options(server)).with_context(context)?);
    let Some(begun) = replayed.view().meta()? else {
        replayed.write_meta(&Meta { state_id: meta.state_id.clone(), ..Meta::default() })?;
        return Ok(replayed);
    };
    let has_read_more = |(stream, position): (&String, &Position)| {
        meta.positions.get(stream).is_none_or(|stands| !stands.covers(position))
    };
    if begun.state_id != meta.state_id || begun.positions.iter().any(has_read_more) {
        anyhow::bail!("{} was begun for a state of another history; delete it", anew.display());
    }
    Ok(replayed)
}

/// The state made anew takes the place of the other one, at once. The other one stays if it says something else.
fn put_in_place(data: &Path, is_same: bool) -> anyhow::Result<()> {
    let (state, anew, before) = (data.join(STATE), data.join(ANEW), data.join(BEFORE));
    fs::remove_file(anew.join(MARK)).with_context(|| format!("cannot change {}", anew.display()))?;
    let swapped = renameat_with(CWD, &anew, CWD, &state, RenameFlags::EXCHANGE).map_err(std::io::Error::from);
    swapped
        .and_then(|()| File::open(data)?.sync_all())
        .with_context(|| format!("cannot put {} in the place of {}", anew.display(), state.display()))?;
    println!("the new state is in its place; `tributary serve` goes on from there");
    let done = if is_same { fs::remove_dir_all(&anew) } else { keep(&anew, &before) };
    done.with_context(|| format!("the state before is still at {}; move or delete it", anew.display()))?;
    if !is_same {
        println!("the one before, which says something else, is at {}", before.display());
    }
    Ok(())
}

fn keep(anew: &Path, before: &Path) -> std::io::Result<()> {
    if before.exists() {
        fs::remove_dir_all(before)?;
    }
    fs::rename(anew, before)
}
