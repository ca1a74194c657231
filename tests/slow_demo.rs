//! The demo: the sample traffic through the public API, with every expected profile, count and trigger.

use crate::support::server::program;
use crate::support::wait::eventually;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn demo_once_ends_by_itself_and_runs_again() {
    for run in 1..=2 {
        let folder = tempfile::tempdir().unwrap();
        let (out, errors) = (folder.path().join("out"), folder.path().join("errors"));
        let mut demo = program(&["demo", "--once"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::from(std::fs::File::create(&out).unwrap()))
            .stderr(Stdio::from(std::fs::File::create(&errors).unwrap()))
            .spawn()
            .unwrap();
        let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let said = || format!("{}\n{}", read(&out), read(&errors));
        let status =
            eventually("the demo ends", Duration::from_secs(180), || demo.try_wait().unwrap().ok_or_else(said));
        assert_eq!(status.code(), Some(0), "run {run}:\n{}", said());
        for shown in ["events", "profiles"] {
            assert!(read(&out).contains(shown), "{shown} is in what it shows:\n{}", said());
        }
    }
}
