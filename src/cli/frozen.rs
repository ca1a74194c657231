//! A data folder as it was at one instant, whether or not a server works on it.

use super::ask::{ask, is_nobody_there};
use crate::api::snapshots::SnapshotAnswer;
use crate::backup::{STATE, Snapshots};
use crate::config::{LogKind, ServerConfig};
use crate::server::{open_log, open_state};
use anyhow::{Context, bail};
use reqwest::Method;
use std::path::Path;
use std::sync::Arc;
use tributary_connectors::log::Log;

/// Whose the data folder is meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A server's, which goes on.
    Servers,
    /// Nobody else's until `work` is done.
    Ours,
}

/// Takes a snapshot of the data folder, has `work` done with it, and removes it again: through the server that works on the
/// folder or, where nobody answers, by itself.
///
/// # Errors
/// If there is no state, no snapshot can be taken, or `work` fails.
pub(super) fn with_snapshot<T>(
    config: &ServerConfig,
    server: &str,
    work: impl FnOnce(&Path, Whose) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    match ask(server, Method::POST, "/v1/snapshots", None) {
        Ok(text) => {
            let taken: SnapshotAnswer =
                serde_json::from_str(&text).context("this is no answer of a tributary server")?;
            let done = match taken.path.join(STATE).is_dir() {
                true => work(&taken.path, Whose::Servers),
                false => Err(anyhow::anyhow!(
                    "the server has put a snapshot at {}, which is not on this machine; run this where the server runs",
                    taken.path.display()
                )),
            };
            if let Err(error) = ask(server, Method::DELETE, &format!("/v1/snapshots/{}", taken.id), None) {
                // A server that was started again in between has removed it.
                eprintln!("the snapshot {} may still be there: {error:#}", taken.path.display());
            }
            done
        }
        Err(error) if is_nobody_there(&error) => {
            eprintln!("no server answers at {server} (--server): {} itself is read", config.data.dir.display());
            alone(config, work)
        }
        Err(error) => Err(error),
    }
}

fn alone<T>(config: &ServerConfig, work: impl FnOnce(&Path, Whose) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let dir = &config.data.dir;
    if !dir.join(STATE).is_dir() {
        bail!("there is no state at {}; name the data folder in [data] dir or TRIBUTARY_DATA_DIR", dir.display());
    }
    let store = Arc::new(open_state(config)?);
    let log: Option<Arc<dyn Log>> = match config.log.kind {
        LogKind::Embedded => Some(open_log(config)?),
        LogKind::Kafka => None,
    };
    let snapshots = Snapshots::new(dir, store, log.clone())?;
    let snapshot = snapshots.take()?;
    let done = work(&snapshot.path, Whose::Ours);
    snapshots.remove(&snapshot.id)?;
    if let Some(log) = log {
        log.close();
    }
    done
}
