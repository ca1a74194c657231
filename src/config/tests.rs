//! Both files and the environment together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;

/// The mistakes in a settings file and one file of definitions, with the folder's name cut off.
fn check(settings: &str, definitions: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("definitions");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(dir.path().join("t.toml"), settings).unwrap();
    std::fs::write(folder.join("t.yaml"), definitions).unwrap();
    let paths = Paths { config: Some(dir.path().join("t.toml")), definitions: Some(folder) };
    let prefix = format!("{}/", dir.path().display());
    let told = load(&paths, &Variables::default()).err().unwrap_or_default();
    told.iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect()
}

#[test]
fn the_mistakes_of_both_files_are_told_in_one_pass() {
    assert_eq!(
        check("[http]\nport = 80\n", "segments:\n  vip: { were: ltv > 5 }\n"),
        [
            "definitions/t.yaml:2:8: segments.vip: `where` is missing; write for example `where: ltv > 500`",
            "definitions/t.yaml:2:10: segments.vip.were: there is no such field; did you mean `where`?",
            "t.toml:2:1: http.port: there is no such field; known are addr, max_connections, idle_timeout, \
             request_timeout, max_requests, max_streams, max_wait, public_url, tls",
        ]
    );
}

#[test]
fn a_topic_is_sent_to_on_the_cluster_of_the_settings() {
    let definitions = "destinations:\n  out: { type: kafka, topic: triggers }\n";
    assert_eq!(check("[log.kafka]\nbootstrap_servers = \"k:9092\"\n", definitions), [""; 0]);
    assert_eq!(check("", definitions).len(), 1);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths { config: Some(dir.path().join("no.toml")), definitions: Some(dir.path().join("none")) };
    let told = load(&paths, &Variables::default()).unwrap_err();
    assert_eq!(told.len(), 2);
    assert!(told[0].to_string().contains("no.toml: this cannot be read: "), "{told:?}");
    assert!(told[1].message.ends_with("name the folder with --definitions"), "{told:?}");
}
