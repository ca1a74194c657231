//! Commands of the program about a site, and what they say.

use super::server::Site;
use std::path::Path;
use std::process::Command;

/// Where no server is.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";

/// What a command says on both streams, and its exit code.
pub(crate) fn said(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

/// What a command says that must succeed.
#[track_caller]
pub(crate) fn done(command: Command) -> String {
    let (code, text) = said(command);
    assert_eq!(code, 0, "{text}");
    text
}

/// A command about a server.
pub(crate) fn at(site: &Site, words: &str, server: &str) -> Command {
    let mut command = site.command(words);
    command.args(["--server", server]);
    command
}

/// A command about a server and a folder.
pub(crate) fn on(site: &Site, words: &str, folder: &Path, server: &str) -> Command {
    let mut command = at(site, words, server);
    command.arg(folder);
    command
}

/// Puts the latest backup of a folder into the site's data folder.
pub(crate) fn restore(site: &Site, folder: &Path) -> Command {
    let mut command = site.command("restore");
    command.arg(folder);
    command
}
