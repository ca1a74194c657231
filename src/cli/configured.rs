//! What commands that need the settings have in common: every mistake is told, and an error in one line.

use super::ConfigArgs;
use super::check::report;
use crate::config::{Configuration, Variables, load};
use std::process::ExitCode;

/// Reads settings and definitions and does something with them; exit code 1 if they have mistakes, or that fails.
pub(super) fn with_configuration(
    files: &ConfigArgs,
    work: impl FnOnce(Configuration) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    match load(&files.paths(), &Variables::of_process()) {
        Ok(configuration) => work(configuration).unwrap_or_else(|error| {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }),
        Err(mistakes) => {
            report(&mistakes);
            ExitCode::FAILURE
        }
    }
}
