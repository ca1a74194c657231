//! Copies of everything that a server keeps, made while it works, and put back.
//!
//! ```text
//! server: state, log ─► snapshot (links, of one instant) ─► archive (contents by their hash) ─► data folder, elsewhere or later
//! ```
//! A snapshot is of the state after a whole epoch, and of the log, which has at least what that state has read. So a server
//! that starts on one reads on from there, and loses nothing that the log had when the snapshot was taken.

mod archive;
mod snapshot;

pub use archive::{About, Added, Archive, ArchiveError, Backup, Stored};
pub use snapshot::{Snapshot, SnapshotError, Snapshots};

/// The state's folder in a data folder, in a snapshot and in a backup.
pub const STATE: &str = "state";
/// The embedded log's folder there.
pub const LOG: &str = "log";
