//! What the stories share: a running server, whoever talks to it, and the naive answer to compare its answers with.

pub(crate) mod wait;
pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod state;
pub(crate) mod command;
pub(crate) mod disk;
pub(crate) mod sse;
pub(crate) mod receiver;
pub(crate) mod endpoint;
pub(crate) mod kafka;
pub(crate) mod postgres;
pub(crate) mod traffic;
pub(crate) mod load;
pub(crate) mod crash;
pub(crate) mod chaos;
pub(crate) mod oracle;
pub(crate) mod compare;
pub(crate) mod expressions;
pub(crate) mod tool;
pub(crate) mod vendors;

use std::path::PathBuf;
use std::sync::OnceLock;
use tokio::runtime::Runtime;

/// The runtime that clients and receivers of all tests share.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// Where the tests keep what they installed, from one run to the next.
pub(crate) fn cache_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    cache.expect("set HOME or XDG_CACHE_HOME: the tests keep what they install there").join("tributary")
}
