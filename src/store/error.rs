//! What can stand in the way of reading and writing the state, and what may be done about it.

use super::CodecError;
use rocksdb::ErrorKind;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// RocksDB says so: disk full, damage, a lock held by another process.
    #[error(transparent)]
    RocksDb(#[from] rocksdb::Error),
    /// The disk says so.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A stored value cannot be read.
    #[error("state, table {table}: {reason}")]
    Codec {
        /// The table.
        table: &'static str,
        /// What is wrong with the value.
        reason: CodecError,
    },
    /// A table or a key is not as this program writes it.
    #[error("state, table {0}: not as this program writes it; restore a backup or delete the state to replay the log")]
    Damaged(&'static str),
}

impl StoreError {
    /// Whether the same may succeed a little later: a disk may be full only for a while, and RocksDB goes on then. After any
    /// other error it writes nothing until it is opened anew.
    pub fn may_pass(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::RocksDb(error) => {
                let text = error.to_string();
                text.contains("No space left") || text.contains("quota exceeded")
            }
            Self::Io(error) => matches!(error.kind(), StorageFull | QuotaExceeded),
            _ => false,
        }
    }

    /// Whether a file was gone that had been named a moment ago: the server that works on the state has put another one in its
    /// place meanwhile.
    pub fn is_outrun(&self) -> bool {
        let is = |text: &str| text.contains("No such file") && text.contains(".sst");
        matches!(self, Self::RocksDb(error) if is(error.as_ref()))
    }

    /// Whether another process has the state open.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::RocksDb(error) if error.to_string().contains("/LOCK"))
    }

    /// Whether what is on the disk is damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::RocksDb(error) => error.kind() == ErrorKind::Corruption,
            Self::Damaged(_) => true,
            _ => false,
        }
    }
}
