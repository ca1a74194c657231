//! A disk that fails as it is told: between the program and the system stands `faults.c`.

use super::server::Site;
use super::tool;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/disk/faults.c");

/// The disk under a site's data folder.
#[derive(Debug)]
pub(crate) struct Disk {
    control: PathBuf,
    library: PathBuf,
}

impl Disk {
    /// All is well with it.
    pub(crate) fn under(site: &Site) -> Self {
        let (control, library) = (site.path("faults"), site.path("faults.so"));
        fs::write(&control, "").unwrap();
        tool::run(Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(SOURCE));
        Self { control, library }
    }

    /// What a process needs in its environment to have this disk.
    pub(crate) fn variables(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", self.library.to_str().unwrap()), ("FAULTS", self.control.to_str().unwrap())]
    }

    /// From now on these rules hold, as `faults.c` has them; none mends it.
    pub(crate) fn set(&self, rules: &str) {
        // In place: the process has the file open.
        fs::write(&self.control, rules).unwrap();
    }
}
