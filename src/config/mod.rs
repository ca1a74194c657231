//! Configuration: read raw, then checked, all mistakes at once, each with its place and its mend.
//!
//! ```text
//! tributary.toml + environment ─► nodes ─► ServerConfig ┐
//! definitions/*.yaml ───────────► nodes ─► Definitions ─┴─► Configuration
//! ```

mod source;
mod mistake;
mod node;
mod origin;
mod toml;
mod yaml;
mod units;
mod decode;
mod secret;
mod server;
mod definitions;

pub use definitions::Loaded;
pub(crate) use definitions::mistaken_name;
pub(crate) use definitions::template::computed_in_template;
pub use mistake::{Mistake, did_you_mean};
pub use secret::Variables;
pub use server::{
    Auth, Data, Engine, Http, Kafka, KafkaSource, KeyHash, Log, LogFormat, LogKind, Properties, ServerConfig,
    Telemetry, TlsFiles, Token, WriteKey,
};
pub use units::{parse_duration, parse_size};

use definitions::Surroundings;
use mistake::Mistakes;
use source::Source;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The settings' file where none is named.
pub const CONFIG_FILE: &str = "config/tributary.toml";
/// The definitions' folder where none is named.
pub const DEFINITIONS_DIR: &str = "config/definitions";

/// Where the configuration stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// The settings' file; [`CONFIG_FILE`] where `None`, which may be missing: its defaults are built in.
    pub config: Option<PathBuf>,
    /// The definitions' folder; [`DEFINITIONS_DIR`] where `None`.
    pub definitions: Option<PathBuf>,
}

/// Everything that is configured, without a mistake.
#[derive(Debug)]
pub struct Configuration {
    /// The server's settings.
    pub server: ServerConfig,
    /// What users define.
    pub loaded: Loaded,
}

/// Reads and checks the computed traits and segments of a folder; what else stands there is left aside.
///
/// # Errors
/// Every mistake in them, sorted by file and line.
pub fn load_customers(folder: &Path) -> Result<tributary_model::Definitions, Vec<Mistake>> {
    let mistakes = Mistakes::default();
    let files = definitions::sources(folder, &mistakes);
    let read = definitions::read_customers(&files, &mistakes);
    let mistakes = mistakes.into_sorted();
    read.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

/// Reads and checks everything.
///
/// # Errors
/// Every mistake in the settings, the environment and the definitions, sorted by file and line.
pub fn load(paths: &Paths, variables: &Variables) -> Result<Configuration, Vec<Mistake>> {
    let mistakes = Mistakes::default();
    let file = read_settings(paths.config.as_deref(), &mistakes);
    let server = server::read(file.as_ref(), variables, &mistakes);
    let folder = paths.definitions.as_deref().unwrap_or(Path::new(DEFINITIONS_DIR));
    let files = definitions::sources(folder, &mistakes);
    // While the settings are wrong, a missing cluster may be their mistake: it is told once they are right.
    let has_cluster = server.as_ref().is_none_or(|server| server.log.kafka.bootstrap_servers.is_some());
    let has_public_url = server.as_ref().is_none_or(|server| server.http.public_url.is_some());
    let loaded = definitions::read(&files, Surroundings { variables, has_cluster, has_public_url }, &mistakes);
    match (server, loaded) {
        (Some(server), Some(loaded)) if mistakes.count() == 0 => Ok(Configuration { server, loaded }),
        _ => Err(mistakes.into_sorted()),
    }
}

/// The user's file; `None` where there is none, which is a mistake only if one was named.
fn read_settings(path: Option<&Path>, mistakes: &Mistakes) -> Option<Arc<Source>> {
    let file = path.unwrap_or(Path::new(CONFIG_FILE));
    match std::fs::read_to_string(file) {
        Ok(text) => Some(Source::file(file.display().to_string(), text)),
        Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("this cannot be read: {error}; name the file with --config");
            mistakes.push(Mistake::of_file(file.display().to_string(), message));
            None
        }
    }
}

#[cfg(test)]
mod tests;
