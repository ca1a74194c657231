//! Programs from outside that tests need: found, or the test fails with one line that says what to install.

use super::cache_folder;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

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

/// A Python that has the packages of a requirements file, in an environment of its own, which is kept under a name.
#[track_caller]
pub(crate) fn python(name: &str, requirements: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let install = "apt-get install python3 python3-venv";
    require(&["python3"], install);
    let folder = cache_folder().join(name);
    let python = folder.join("bin/python");
    once(&folder, &std::fs::read_to_string(requirements).unwrap(), || {
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output().unwrap();
        assert!(made.status.success(), "python3 cannot make a virtual environment: {install}");
        let flags = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&python).args(flags).arg(requirements));
    });
    python
}
