//! Style as a test: what the pages promise of the tree is so.

use std::path::{Path, PathBuf};
use std::{fs, str};

/// A file has one idea; one that is longer than this has two.
const LONGEST_FILE: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|is| is == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} below {folder}");
    found
}

fn sources() -> Vec<PathBuf> {
    ["src", "dataflows", "connectors", "tests", "benches"].iter().flat_map(|folder| files(folder, "rs")).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_file_has_one_idea() {
    let long = sources().into_iter().filter(|path| text(path).lines().count() > LONGEST_FILE);
    let long: Vec<_> = long.map(|path| path.display().to_string()).collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:#?}");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = sources().into_iter().filter(|path| !text(path).starts_with("//!")).collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:#?}");
}

#[test]
fn the_dataflows_do_no_io_and_read_no_clock() {
    let banned = ["std::fs", "std::net", "std::env", "SystemTime", "Instant::now", "rand::", "tokio", "rocksdb"];
    for path in files("dataflows/src", "rs").iter().chain(&files("dataflows/model/src", "rs")) {
        let code = text(path);
        for word in banned {
            assert!(!code.contains(word), "{} speaks of {word}", path.display());
        }
    }
}

#[test]
fn the_connectors_know_no_graph() {
    let manifest = text(&root().join("connectors/Cargo.toml"));
    for word in ["tributary-dataflows", "timely", "differential"] {
        assert!(!manifest.contains(word), "connectors/Cargo.toml depends on {word}");
    }
}

#[test]
fn every_path_in_the_architecture_is_there() {
    let page = text(&root().join("ARCHITECTURE.md"));
    let quoted = page.split('`').skip(1).step_by(2);
    let paths: Vec<_> = quoted.filter(|word| word.contains('/') && !word.contains(' ')).collect();
    assert!(paths.len() > 5, "the page names hardly any path");
    for path in paths {
        assert!(root().join(path.trim_end_matches('/')).exists(), "ARCHITECTURE.md names `{path}`, which is not there");
    }
}

#[test]
fn every_promise_names_a_test_that_is_there() {
    let page = text(&root().join("tests/FAULTS.md"));
    let tests: Vec<_> = page.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect();
    assert!(tests.len() > 20, "the page names hardly any test");
    for (file, test) in tests {
        let path = root().join(file);
        assert!(path.exists(), "tests/FAULTS.md names `{file}`, which is not there");
        assert!(text(&path).contains(&format!("fn {test}()")), "{file} has no test {test}");
    }
}
