//! `tributary verify`: is what is stored what follows from what came in?

// What was found is what this command is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::VerifyArgs;
use super::check::count;
use super::configured::with_configuration;
use super::frozen::with_snapshot;
use super::replay::ANEW;
use crate::backup::{Archive, LOG, STATE};
use crate::config::{Configuration, ServerConfig};
use crate::definitions::Definer;
use crate::engine::{clock, derived};
use crate::replay::{self, ReplayError};
use crate::server::{driver_options, intake_options, open_sources, store_options};
use crate::store::{Meta, Store};
use anyhow::Context;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tributary_connectors::log::OnTruncated;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;
use tributary_model::Definitions;

/// Verifies a state; exit code 1 if something differs, or it cannot be told.
pub fn run(args: &VerifyArgs) -> ExitCode {
    with_configuration(&args.files, |configuration| {
        Ok(if verify(args, configuration)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn verify(args: &VerifyArgs, configuration: Configuration) -> anyhow::Result<bool> {
    match &args.backup {
        Some(folder) => {
            let archive = Archive::new(folder);
            let backup = archive.backup(args.id.as_deref())?;
            let restored = tempfile::Builder::new().prefix("tributary-verify.").tempdir_in(folder)?;
            archive.restore(&backup, restored.path())?;
            println!("backup {}: {} as they were written", backup.id, count(backup.files.len(), "file"));
            compare(restored.path(), configuration)
        }
        None => {
            let server = configuration.server.clone();
            with_snapshot(&server, &args.server, |snapshot, _| compare(snapshot, configuration))
        }
    }
}

/// A folder's state, opened with all that it takes to compute it.
pub(super) struct Opened {
    pub(super) store: Arc<Store>,
    pub(super) meta: Meta,
    definer: Definer,
    definitions: Definitions,
    processor: Arc<Processor>,
    rules: Arc<Rules>,
    /// The settings, with this folder as the data folder.
    server: ServerConfig,
}

/// Opens a folder's state by the definitions that it was computed by. The folder is nobody else's.
pub(super) fn open(folder: &Path, Configuration { mut server, loaded }: Configuration) -> anyhow::Result<Opened> {
    server.data.dir = folder.to_owned();
    let state = folder.join(STATE);
    let context = || format!("cannot open {}", state.display());
    let store = Arc::new(Store::open(&state, store_options(&server)).with_context(context)?);
    let meta = store.view().meta()?.unwrap_or_default();
    let definitions = loaded.definitions.clone();
    let rules = Arc::new(Rules::new(&definitions.identity));
    let processor = Arc::new(Processor::new(&definitions.identity)?);
    let definer = Definer::start(store.clone(), loaded, clock::now())?;
    if definer.at_start().aggregate_ids() != meta.aggregates || !store.view().unsettled()?.is_empty() {
        anyhow::bail!("the definitions are others than the state was computed by; let the server take them over first");
    }
    Ok(Opened { store, meta, definer, definitions, processor, rules, server })
}

impl Opened {
    /// Makes the state anew in another store, and prints how the two differ; true if they do not.
    pub(super) fn replay(&self, replayed: &Arc<Store>) -> Result<bool, ReplayError> {
        let server = &self.server;
        let parts = replay::Parts {
            sources: open_sources(&whole(server)).map_err(ReplayError::Logs)?,
            definitions: &self.definitions,
            definer: &self.definer,
            processor: self.processor.clone(),
            rules: self.rules.clone(),
            driver: driver_options(server),
            intake: intake_options(server),
        };
        replay::replay(parts, &self.meta, replayed.clone())?;
        let plan = self.definer.at_start();
        let differences = replay::differences(&self.store, replayed, &plan, self.meta.clock)?;
        differences.iter().for_each(|difference| println!("{difference}"));
        Ok(differences.is_empty())
    }
}

/// The same settings, by which nothing that is gone from a topic is passed over.
fn whole(server: &ServerConfig) -> ServerConfig {
    let mut server = server.clone();
    server.log.kafka.on_truncated = OnTruncated::Stop;
    server.sources.iter_mut().for_each(|source| source.on_truncated = Some(OnTruncated::Stop));
    server
}

/// Compares what a folder's state says with its facts, and with its logs. The folder is nobody else's.
fn compare(folder: &Path, configuration: Configuration) -> anyhow::Result<bool> {
    let opened = open(folder, configuration)?;
    let Opened { store, meta, definer, processor, rules, server, .. } = &opened;
    let derived = derived::check(store, processor, &definer.at_start(), rules)?;
    if let Some(first) = derived.first {
        println!("{}; the first: {first}", count(derived.wrong, "difference"));
        return Ok(false);
    }
    println!(
        "epoch {}: {}, {}; owners, memberships and counts are what follows from the facts",
        meta.epoch,
        count(derived.identifiers, "identifier"),
        count(usize::try_from(meta.profiles).unwrap_or(0), "profile"),
    );

    let anew = folder.join(ANEW);
    let replayed =
        Store::open(&anew, store_options(server)).with_context(|| format!("cannot open {}", anew.display()))?;
    match opened.replay(&Arc::new(replayed)) {
        Ok(true) => {
            let records: i64 = meta.positions.values().flat_map(|position| position.0.values()).sum();
            let log = if folder.join(LOG).is_dir() { "the log" } else { "Kafka" };
            println!("{records} records of {log} give the same");
            Ok(true)
        }
        Ok(false) => Ok(false),
        Err(ReplayError::Incomplete(why)) => {
            println!("the facts cannot be compared with the logs, which no longer have all events: {why}");
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}
