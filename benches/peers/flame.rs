//! Where a process spends its time, as a flame graph: `perf` samples it, and what it says is drawn by thread.

use inferno::collapse::Collapse;
use inferno::collapse::perf::Folder;
use inferno::flamegraph::{self, Options};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Samples a second of each thread that runs.
const FREQUENCY: &str = "199";
/// Of a stack; deep ones are cut off.
const STACK: &str = "dwarf,16384";
/// What takes less of all is left out.
const LEAST_PERCENT: f64 = 0.3;

/// `perf` as it samples.
#[derive(Debug)]
pub(crate) struct Recording {
    perf: Child,
    data: PathBuf,
    to: PathBuf,
}

impl Recording {
    /// Samples a process until this is drawn to the file.
    pub(crate) fn start(pid: u32, to: &Path) -> Self {
        let data = to.with_extension("perf");
        let mut command = Command::new("perf");
        command.args(["record", "-q", "-F", FREQUENCY, "--call-graph", STACK, "-p", &pid.to_string(), "-o"]).arg(&data);
        let perf = command.spawn().expect("perf is installed (linux-perf)");
        Self { perf, data, to: to.to_owned() }
    }

    /// Ends it, and draws what it has seen.
    pub(crate) fn draw(mut self) {
        // What ends a recording as one's Ctrl-C would.
        Command::new("kill").args(["-INT", &self.perf.id().to_string()]).status().unwrap();
        self.perf.wait().unwrap();
        let mut script = Command::new("perf");
        script.args(["script", "--no-inline", "-i"]).arg(&self.data);
        let mut script = script.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut folded = Vec::new();
        Folder::default().collapse(BufReader::new(script.stdout.take().unwrap()), &mut folded).unwrap();
        script.wait().unwrap();
        std::fs::remove_file(&self.data).unwrap();
        let lines: Vec<String> = String::from_utf8_lossy(&folded).lines().map(plain).collect();
        let mut options = Options::default();
        options.title = "Tributary at full rate, by thread".to_owned();
        options.min_width = LEAST_PERCENT;
        options.hash = true;
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), File::create(&self.to).unwrap())
            .unwrap();
    }
}

/// A line without what names are generic over, which is most of their length.
fn plain(line: &str) -> String {
    let mut depth = 0_u32;
    let mut before = ' ';
    let mut plain = String::new();
    for letter in line.chars() {
        match letter {
            // Not the arrow of a function's type.
            '>' if before != '-' => depth = depth.saturating_sub(1),
            '<' => depth += 1,
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
        if letter == ';' {
            depth = 0;
        }
        before = letter;
    }
    plain
}
