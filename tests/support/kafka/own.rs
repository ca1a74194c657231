//! A broker of a test's own, behind a proxy: it may be killed and started again, and be out of reach.

use super::{Broker, INSTALL, SCRIPT};
use crate::support::tool;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use tempfile::TempDir;

/// A broker that is reached through a proxy alone.
#[derive(Debug)]
pub(crate) struct OwnBroker {
    /// As clients reach it.
    pub(crate) broker: Broker,
    proxy: Proxy,
    folder: TempDir,
    script: Option<Child>,
}

impl OwnBroker {
    /// Starts one.
    #[track_caller]
    pub(crate) fn start() -> Self {
        tool::require(&["java", "mvn", "bash"], INSTALL);
        let folder = tempfile::Builder::new().prefix("tributary-broker.").tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (script, target) = run(folder.path(), port);
        let broker = Broker { bootstrap_servers: format!("127.0.0.1:{port}"), _process: None };
        Self { broker, proxy: Proxy::new(listener, target), folder, script: Some(script) }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        assert!(Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().unwrap().success());
        self.end();
    }

    /// Starts it again on what it has on the disk.
    pub(crate) fn start_again(&mut self) {
        self.end();
        let port = self.broker.bootstrap_servers.rsplit(':').next().unwrap().parse().unwrap();
        self.script = Some(run(self.folder.path(), port).0);
    }

    /// Nothing passes from now on, in either direction, and nobody is told, as when a network is parted.
    pub(crate) fn part(&self) {
        self.proxy.set(Mode::Parted);
    }

    /// Connections are closed, and new ones refused.
    pub(crate) fn refuse(&self) {
        self.proxy.set(Mode::Refuses);
    }

    /// All passes again; what was on its way comes late.
    pub(crate) fn join(&self) {
        self.proxy.set(Mode::Passes);
    }

    fn end(&mut self) {
        if let Some(mut script) = self.script.take() {
            drop(script.stdin.take());
            script.wait().unwrap();
        }
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.proxy.set(Mode::Refuses);
        self.end();
    }
}

/// Runs the broker; gives its address.
#[track_caller]
fn run(folder: &Path, advertised: u16) -> (Child, String) {
    let mut command = Command::new("bash");
    command.arg(SCRIPT).arg(folder).arg(advertised.to_string());
    let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let found = lines.find_map(|line| line.ok()?.strip_prefix("bootstrap.servers=").map(str::to_owned));
    (script, found.expect("the Kafka broker did not start; its words are above"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Passes,
    Parted,
    Refuses,
}

/// What stands between clients and the broker.
#[derive(Clone, Debug)]
struct Proxy(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
struct State {
    mode: Mode,
    open: Vec<TcpStream>,
}

impl Proxy {
    fn new(listener: TcpListener, target: String) -> Self {
        let state = State { mode: Mode::Passes, open: Vec::new() };
        let proxy = Self(Arc::new((Mutex::new(state), Condvar::new())));
        let accepting = proxy.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (proxy, target) = (accepting.clone(), target.clone());
                std::thread::spawn(move || proxy.serve(&client, &target));
            }
        });
        proxy
    }

    fn set(&self, mode: Mode) {
        let mut state = self.0.0.lock().unwrap();
        state.mode = mode;
        if mode == Mode::Refuses {
            state.open.drain(..).for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
        }
        self.0.1.notify_all();
    }

    /// Waits while nothing passes; false if connections are to be closed.
    fn passes(&self) -> bool {
        let state = self.0.1.wait_while(self.0.0.lock().unwrap(), |state| state.mode == Mode::Parted).unwrap();
        state.mode == Mode::Passes
    }

    fn serve(&self, client: &TcpStream, target: &str) {
        if !self.passes() {
            return;
        }
        let Ok(server) = TcpStream::connect(target) else { return };
        let both = [client, &server];
        self.0.0.lock().unwrap().open.extend(both.iter().filter_map(|socket| socket.try_clone().ok()));
        std::thread::scope(|scope| {
            scope.spawn(|| self.pump(client, &server));
            self.pump(&server, client);
        });
    }

    /// Hands on what comes until one side ends.
    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read) = from.read(&mut bytes) {
            if read == 0 || !self.passes() || to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }
}
