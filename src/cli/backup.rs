//! `tributary backup` and `tributary restore`.

// What was done is what these commands are run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::check::count;
use super::configured::with_configuration;
use super::frozen::with_snapshot;
use super::replay::ANEW;
use super::{BackupArgs, RestoreArgs};
use crate::backup::{About, Archive, LOG, STATE};
use crate::config::{Configuration, LogKind, ServerConfig};
use crate::engine::clock;
use crate::server::store_options;
use crate::store::Store;
use anyhow::Context;
use std::path::Path;
use std::process::ExitCode;

/// Makes a backup; exit code 1 if it cannot.
pub fn backup(args: &BackupArgs) -> ExitCode {
    with_configuration(&args.files, |Configuration { server: config, .. }| {
        let archive = Archive::new(&args.folder);
        let added = with_snapshot(&config, &args.server, |snapshot, _| {
            let about = about(&config, snapshot)?;
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
        Ok(ExitCode::SUCCESS)
    })
}

/// Puts a backup back; exit code 1 if it cannot.
pub fn restore(args: &RestoreArgs) -> ExitCode {
    with_configuration(&args.files, |Configuration { server: config, .. }| {
        let archive = Archive::new(&args.folder);
        if args.list {
            for backup in archive.backups()? {
                println!("{}  epoch {}  {}", backup.id, backup.epoch, size(backup.bytes()));
            }
            return Ok(ExitCode::SUCCESS);
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
        Ok(ExitCode::SUCCESS)
    })
}

/// What a snapshot is of.
fn about(config: &ServerConfig, snapshot: &Path) -> anyhow::Result<About> {
    let state = snapshot.join(STATE);
    let store = Store::open_read_only(&state, store_options(config))
        .with_context(|| format!("cannot read {}", state.display()))?;
    let meta = store.view().meta()?.unwrap_or_default();
    let positions = meta.positions.into_iter().map(|(stream, position)| (stream, position.to_string()));
    Ok(About { state_id: meta.state_id, epoch: meta.epoch, positions: positions.collect() })
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
