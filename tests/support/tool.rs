//! Programs from outside that tests need: found, or the test fails with one line that says what to install.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether a program is on the PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    let shell = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).stdout(Stdio::null()).status();
    shell.is_ok_and(|status| status.success())
}

/// Fails the test if one of the programs is missing.
///
/// # Panics
/// With what to install.
#[track_caller]
pub(crate) fn require(programs: &[&str], install: &str) {
    for program in programs {
        assert!(is_installed(program), "{program} is missing: {install}");
    }
}

/// Runs a command to its end; it must succeed. Gives what it printed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed ({}):\n{out}\n{errors}", output.status);
    out.into_owned()
}

/// Does `install` once for each `wanted`: a file in the folder says what was installed last.
pub(crate) fn once(folder: &Path, wanted: &str, install: impl FnOnce()) {
    let mark = folder.join("installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return;
    }
    std::fs::create_dir_all(folder).unwrap();
    install();
    std::fs::write(mark, wanted).unwrap();
}
