//! `tributary check`: every mistake in the settings and the definitions, in one pass.

// The summary is what this command is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::CheckArgs;
use crate::config::{Configuration, Mistake, Variables, load};
use std::process::ExitCode;

/// Prints a line a mistake to standard error and ends with 1, or one line that sums up and ends with 0.
pub fn run(args: &CheckArgs) -> ExitCode {
    match load(&args.files.paths(), &Variables::of_process()) {
        Ok(configuration) => {
            println!("{}", summary(&configuration));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            report(&mistakes);
            ExitCode::FAILURE
        }
    }
}

/// Prints mistakes to standard error, a line each and one that counts them.
pub fn report(mistakes: &[Mistake]) {
    for mistake in mistakes {
        eprintln!("{mistake}");
    }
    eprintln!("{}", count(mistakes.len(), "mistake"));
}

fn summary(configuration: &Configuration) -> String {
    let definitions = &configuration.loaded.definitions;
    format!(
        "ok: {}, {}, {}, {}",
        count(definitions.segments.len(), "segment"),
        count(definitions.traits.len(), "computed trait"),
        count(definitions.triggers.len(), "trigger"),
        count(definitions.destinations.len(), "destination"),
    )
}

/// A number of things in words.
pub(super) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::config::Paths;

    #[test]
    fn the_sample_configuration_is_sound_and_sums_up() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths = Paths {
            config: Some(root.join("config/tributary.toml")),
            definitions: Some(root.join("config/definitions")),
        };
        let configuration = load(&paths, &Variables::default()).expect("the samples have no mistake");
        assert_eq!(summary(&configuration), "ok: 7 segments, 7 computed traits, 3 triggers, 1 destination");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(1, "trigger"), "1 trigger");
        assert_eq!(count(0, "trigger"), "0 triggers");
    }
}
