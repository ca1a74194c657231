//! `tributary check`: every mistake in one pass, each with its place and its mend.

use crate::support::receiver::secret;
use crate::support::server::{Site, program};
use crate::support::traffic::SHOP;
use std::process::{Command, Output};

fn run(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn what_is_right_passes() {
    let (code, said) = run(Site::new(SHOP).command("check"));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_sample_configuration_passes_as_it_ships() {
    let mut command = program(&["check"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Every secret that the sample names, as its comments say.
    for (name, value) in sample_secrets() {
        command.env(name, value);
    }
    let (code, said) = run(command);
    assert_eq!(code, Some(0), "{said}");
}

/// The variables that the sample definitions refer to.
fn sample_secrets() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/definitions");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for found in
            text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(|line| line.split("env:").skip(1))
        {
            let name: String = found.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            names.push((name, secret()));
        }
    }
    names
}

#[test]
fn every_mistake_is_told_in_one_pass_with_its_place() {
    let site = Site::new(
        "segments:\n  vip: { wher: ltv > 500 }\n  old: { where: \"traits.age >\" }\n  odd: { where: nothing_known > 1 }\n\
         triggers:\n  hello:\n    on: { enter: vipp }\n    send: { to: nowhere, body: '{{ profile.id' }\n",
    );
    std::fs::write(
        site.path("definitions/more.yaml"),
        "destinations:\n  crm: { type: webhook, url: \"http://127.0.0.1:9/hook\" }\nsegments:\n  vip: { where: traits.a = 1 }\n",
    )
    .unwrap();
    site.configure("[http]\nadr = \"127.0.0.1:1\"\n");
    let (code, said) = run(site.command("check"));
    assert_eq!(code, Some(1), "{said}");
    for (place, field, mend) in [
        ("test.yaml:2:", "segments.vip", "where"),
        ("test.yaml:3:", "segments.old", ""),
        ("test.yaml:4:", "segments.odd", "nothing_known"),
        ("test.yaml:7:", "triggers.hello.on", "vip"),
        ("test.yaml:8:", "triggers.hello.send", "nowhere"),
        ("more.yaml:2:", "destinations.crm.url", "allow_private"),
        ("more.yaml:4:", "vip", ""),
        ("tributary.toml:2:", "http", "addr"),
    ] {
        let told = said.lines().any(|line| line.contains(place) && line.contains(field) && line.contains(mend));
        assert!(told, "a line with {place}, {field} and {mend} in\n{said}");
    }
}

#[test]
fn a_server_does_not_start_on_mistakes() {
    let site = Site::new("segments:\n  vip: { wher: 1 }\n");
    let (code, said) = run(site.command("serve"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("test.yaml:2:"), "{said}");
}

#[test]
fn a_secret_is_never_shown() {
    let definitions =
        "destinations:\n  crm: { type: webhook, url: \"https://example.com/\", secret: \"env:CRM_SECRET\" }\n";
    let site = Site::new(definitions).with("CRM_SECRET", "not-a-webhook-secret").with("RUST_LOG", "trace");
    let (code, said) = run(site.command("check"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("whsec_"), "it says how a secret looks: {said}");
    assert!(!said.contains("not-a-webhook-secret"), "{said}");
}

#[test]
fn help_names_the_commands() {
    let (code, said) = run(program(&["--help"]));
    assert_eq!(code, Some(0));
    for command in ["serve", "check", "demo"] {
        assert!(said.contains(command), "{said}");
    }
    let (code, said) = run(program(&["serve", "--help"]));
    assert_eq!(code, Some(0));
    assert!(said.contains("--config") && said.contains("--definitions"), "{said}");
    let (code, _) = run(program(&["surve"]));
    assert_ne!(code, Some(0));
}
