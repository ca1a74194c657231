//! `tributary backup` and `tributary restore`.

// What was done is what these commands are run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::check::{count, report};
use super::frozen::with_snapshot;
use super::replay::ANEW;
use super::{BackupArgs, ConfigArgs, RestoreArgs};
use crate::backup::{Archive, Backup, LOG, STATE};
use crate::config::{LogKind, ServerConfig, Variables, load};
use crate::engine::clock;
use crate::server::store_options;
use crate::store::Store;
use anyhow::Context;
use std::path::Path;
use std::process::ExitCode;

/// Makes a backup; exit code 1 if it cannot.
pub fn backup(args: &BackupArgs) -> ExitCode {
    done(&args.files, |config| {
        let archive = Archive::new(&args.folder);
        let added = with_snapshot(config, &args.server, |snapshot, _| {
            let about = about(config, snapshot)?;
            Ok(archive.add(snapshot, about, clock::now())?)
        })?;
        let backup = &added.backup;
        println!(
            "backup {} of epoch {}: {} in {}, of which {} in {} are new",
            backup.id,
            backup.epoch,
            size(backup.bytes()),
            count(backup.files.len(), "file"),
            size(added.bytes),
            count(added.contents, "file"),
        );
        if config.log.kind == LogKind::Kafka {
            println!(
                "the log is in Kafka, and not in the backup: a restored state reads on from {:?}",
                backup.positions
            );
        }
        if let Some(keep) = args.keep {
            let gone = archive.keep(keep.get())?;
            println!("{} deleted (--keep {keep})", count(gone, "older backup"));
        }
        Ok(())
    })
}

/// Puts a backup back; exit code 1 if it cannot.
pub fn restore(args: &RestoreArgs) -> ExitCode {
    done(&args.files, |config| {
        let archive = Archive::new(&args.folder);
        if args.list {
            for backup in archive.backups()? {
                println!("{}  epoch {}  {}", backup.id, backup.epoch, size(backup.bytes()));
            }
            return Ok(());
        }
        let backup = archive.backup(args.backup.as_deref())?;
        let dir = &config.data.dir;
        if config.log.kind == LogKind::Embedded
            && dir.join(LOG).exists()
            && !backup.files.keys().any(|file| file.starts_with(LOG))
        {
            anyhow::bail!(
                "{} is there already; move it away first: the state would be another log's",
                dir.join(LOG).display()
            );
        }
        if dir.join(ANEW).exists() {
            anyhow::bail!("{} was begun for another state; delete it first", dir.join(ANEW).display());
        }
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {} ([data] dir)", dir.display()))?;
        archive.restore(&backup, dir)?;
        println!(
            "backup {} of epoch {} is in {}; `tributary serve` goes on from there",
            backup.id,
            backup.epoch,
            dir.display()
        );
        Ok(())
    })
}

/// What a snapshot is of.
pub(super) fn about(config: &ServerConfig, snapshot: &Path) -> anyhow::Result<Backup> {
    let state = snapshot.join(STATE);
    let store = Store::open_read_only(&state, store_options(config))
        .with_context(|| format!("cannot read {}", state.display()))?;
    let meta = store.view().meta()?.unwrap_or_default();
    Ok(Backup {
        format: 0,
        id: String::new(),
        version: String::new(),
        state_id: meta.state_id,
        epoch: meta.epoch,
        positions: meta.positions.into_iter().map(|(stream, position)| (stream, position.to_string())).collect(),
        files: std::collections::BTreeMap::new(),
    })
}

/// Does something with the settings of a server; tells what stands in the way.
pub(super) fn done(files: &ConfigArgs, work: impl FnOnce(&ServerConfig) -> anyhow::Result<()>) -> ExitCode {
    let configuration = match load(&files.paths(), &Variables::of_process()) {
        Ok(configuration) => configuration,
        Err(mistakes) => {
            report(&mistakes);
            return ExitCode::FAILURE;
        }
    };
    match work(&configuration.server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
