//! Snapshots of a data folder, in it: whoever copies them elsewhere takes as long as that takes, and holds up nobody.

use super::{LOG, STATE};
use crate::store::{Store, StoreError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tributary_connectors::log::{Log, LogError};

/// The folder of snapshots in a data folder.
const FOLDER: &str = "snapshots";

/// A snapshot that was taken.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its name.
    pub id: String,
    /// Where it is: a folder with the state, and the log if that is the embedded one.
    pub path: PathBuf,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// One at a time: each keeps files on the disk that would else be deleted.
    #[error(
        "there is a snapshot already; if whoever took it is through, DELETE /v1/snapshots/{0}, or restart the server"
    )]
    Taken(String),
    /// The folder cannot be made or removed.
    #[error("snapshot: {0}")]
    Io(#[from] io::Error),
    /// The state cannot be copied.
    #[error("snapshot of the state: {0}")]
    Store(#[from] StoreError),
    /// The log cannot be copied.
    #[error("snapshot of the log: {0}")]
    Log(#[from] LogError),
}

/// Takes snapshots of one data folder.
pub struct Snapshots {
    folder: PathBuf,
    store: Arc<Store>,
    /// None where it is not in the data folder.
    log: Option<Arc<dyn Log>>,
    taken: Mutex<Option<Snapshot>>,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshots in {}", self.folder.display())
    }
}

impl Snapshots {
    /// For a data folder whose state and log these are. Removes what an earlier process has left, if it can.
    ///
    /// # Errors
    /// If there is no current folder to begin from.
    pub fn new(data: &Path, store: Arc<Store>, log: Option<Arc<dyn Log>>) -> io::Result<Self> {
        let folder = std::path::absolute(data)?.join(FOLDER);
        if let Err(error) = remove(&folder) {
            tracing::warn!(%error, folder = %folder.display(), "old snapshots cannot be removed, and keep their room");
        }
        Ok(Self { folder, store, log, taken: Mutex::new(None) })
    }

    /// Takes a snapshot of the last committed epoch and of the log after it. Blocks.
    ///
    /// # Errors
    /// If there is one already, or the disk does not take it.
    pub fn take(&self) -> Result<Snapshot, SnapshotError> {
        let mut taken = self.taken();
        if let Some(taken) = &*taken {
            return Err(SnapshotError::Taken(taken.id.clone()));
        }
        let id = format!("{:016x}", rand::random::<u64>());
        let path = self.folder.join(&id);
        std::fs::create_dir_all(&path)?;
        let copied = self.copy(&path);
        if copied.is_err() {
            remove(&path)?;
        }
        copied?;
        Ok(taken.insert(Snapshot { id, path }).clone())
    }

    fn copy(&self, to: &Path) -> Result<(), SnapshotError> {
        // What the state has not read yet must still be there when the log's turn has come.
        let _kept = self.log.as_ref().and_then(|log| log.keep());
        self.store.copy(&to.join(STATE))?;
        Ok(self.log.as_ref().map_or(Ok(()), |log| log.copy(&to.join(LOG)))?)
    }

    /// Removes a snapshot; false if there is none of that name.
    ///
    /// # Errors
    /// If the disk does not let it go; then it is still there.
    pub fn remove(&self, id: &str) -> io::Result<bool> {
        let mut taken = self.taken();
        let Some(snapshot) = taken.take_if(|taken| taken.id == id) else { return Ok(false) };
        if let Err(error) = remove(&snapshot.path) {
            *taken = Some(snapshot);
            return Err(error);
        }
        Ok(true)
    }

    fn taken(&self) -> MutexGuard<'_, Option<Snapshot>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
