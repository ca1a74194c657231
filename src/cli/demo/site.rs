//! Where a demo lives: a temporary folder with the sample definitions, made anew for each run and removed at its end.

use super::receiver::Receiver;
use crate::config::{Configuration, Paths, Variables, load};
use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;

/// `config/definitions/*.yaml`, so that the program alone can run the demo.
const DEFINITIONS: [(&str, &str); 1] = [("shop.yaml", include_str!("../../../config/definitions/shop.yaml"))];
/// Where the sample definitions send, and the line that has it signed once it is no comment.
const SAMPLE_URL: &str = "http://127.0.0.1:9000/hook";
const SAMPLE_SECRET: &str = "# secret: env:CRM_SECRET";
/// Tried first: what the documentation's examples say.
const USUAL_ADDRESS: &str = "127.0.0.1:8080";

/// The folder; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Site {
    folder: TempDir,
}

impl Site {
    /// A new folder, with definitions that send to `receiver`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn new(receiver: &Receiver) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tributary-demo.").tempdir().context("no temporary folder")?;
        let definitions = folder.path().join("definitions");
        std::fs::create_dir(&definitions)?;
        for (name, text) in DEFINITIONS {
            std::fs::write(definitions.join(name), pointed_at(text, receiver.url())?)?;
        }
        // Empty: the defaults are built in, and a settings file that happens to lie around is none of the demo's.
        std::fs::write(folder.path().join("tributary.toml"), "")?;
        Ok(Self { folder })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The checked configuration: on the usual address if it is free, else on a free one; data in the folder; webhooks
    /// signed with `key`.
    ///
    /// # Errors
    /// If something in it is wrong; the message has a line a mistake.
    pub(super) fn configuration(&self, key: &[u8]) -> anyhow::Result<Configuration> {
        let is_free = TcpListener::bind(USUAL_ADDRESS).is_ok();
        let address = if is_free { USUAL_ADDRESS } else { "127.0.0.1:0" };
        let data = self.path().join("data").display().to_string();
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(key));
        let variables =
            [("TRIBUTARY_HTTP_ADDR", address), ("TRIBUTARY_DATA_DIR", data.as_str()), ("CRM_SECRET", secret.as_str())];
        let paths = Paths {
            config: Some(self.path().join("tributary.toml")),
            definitions: Some(self.path().join("definitions")),
        };
        load(&paths, &Variables::from(variables)).map_err(|mistakes| {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the sample configuration is wrong:\n{}", lines.join("\n"))
        })
    }
}

fn pointed_at(definitions: &str, url: &str) -> anyhow::Result<String> {
    ensure!(
        definitions.contains(SAMPLE_URL) && definitions.contains(SAMPLE_SECRET),
        "the sample definitions no longer have `{SAMPLE_URL}` and `{SAMPLE_SECRET}`"
    );
    Ok(definitions.replace(SAMPLE_URL, url).replace(SAMPLE_SECRET, "secret: env:CRM_SECRET"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tributary_model::DestinationKind;

    #[test]
    fn every_sample_definition_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/definitions");
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, DEFINITIONS.map(|(name, _)| name));
    }

    #[tokio::test]
    async fn the_samples_are_sound_signed_and_sent_to_the_receiver() {
        let receiver = Receiver::start(b"a key").await.unwrap();
        let site = Site::new(&receiver).unwrap();
        let configuration = site.configuration(b"a key").unwrap();
        assert!(configuration.server.data.dir.starts_with(site.path()));
        let definitions = configuration.loaded.definitions;
        let segments: std::collections::BTreeSet<&str> = definitions.segments.keys().map(String::as_str).collect();
        assert_eq!(segments, super::super::expected::SEGMENTS.into());
        let crm = definitions.destinations.get("crm").map(|crm| &crm.kind);
        let Some(DestinationKind::Webhook(crm)) = crm else { panic!("not a webhook") };
        assert_eq!(crm.url, receiver.url());
        assert_eq!(crm.secrets.len(), 1);
    }
}
