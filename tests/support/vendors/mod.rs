//! Other people's libraries and servers, which say whether what is delivered is what they expect.

use super::tool;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/vendors");

/// A Python that has their libraries.
fn python() -> PathBuf {
    tool::python("vendors-python", &Path::new(FOLDER).join("requirements.txt"))
}

/// What a script of the folder says of something.
#[track_caller]
pub(crate) fn ask(script: &str, about: &Value) -> Value {
    let said = tool::run(Command::new(python()).arg(Path::new(FOLDER).join(script)).arg(about.to_string()));
    serde_json::from_str(&said).unwrap()
}

/// The user whom [`MailServer`] takes mail from, and the password.
pub(crate) const MAIL_USER: (&str, &str) = ("shop", "a mail user's password");

/// A mail server that takes mail over STARTTLS and from one user only.
#[derive(Debug)]
pub(crate) struct MailServer {
    /// On `localhost`.
    pub(crate) port: u16,
    folder: TempDir,
    process: Child,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    /// Starts one.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tributary-mail.").tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        let mut command = Command::new(python());
        command.arg(Path::new(FOLDER).join("mail.py")).args(["tls.crt", "tls.key", MAIL_USER.0, MAIL_USER.1]);
        command.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.next().expect("the mail server did not start; its words are above").parse().unwrap();
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let book = mails.clone();
        std::thread::spawn(move || {
            lines.for_each(|line| book.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
        });
        Self { port, folder, process, mails }
    }

    /// The certificate by which it is known.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    /// What has come so far, as programs that read mail see it.
    pub(crate) fn mails(&self) -> Vec<Value> {
        self.mails.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
