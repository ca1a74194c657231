//! For tests: a mail server on this machine that speaks SMTP, in its order, and keeps what it is told.
#![allow(clippy::unwrap_used)]

use crate::destination::loopback::Certified;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tributary_model::SmtpSecurity;

/// The reply of a server that says nothing more.
pub(super) const SILENCE: &str = "";

const BAD_SEQUENCE: &str = "503 5.5.1 Bad sequence of commands";
const OK: &str = "250 2.0.0 OK";

/// A mail that was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Mail {
    /// `<shop@example.com>`, and parameters.
    pub(super) from: String,
    pub(super) to: Vec<String>,
    /// Header and body.
    pub(super) text: String,
    pub(super) is_encrypted: bool,
    pub(super) login: Option<String>,
}

impl Mail {
    /// A field of the header in one line, empty if it is not there.
    pub(super) fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let field = head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        field.unwrap_or_default().to_owned()
    }

    /// What follows the header.
    pub(super) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }
}

/// A mail server, which ends with the test. It knows the user `shop` with the password `secret`.
pub(super) struct Server {
    pub(super) port: u16,
    /// Whom to trust, where it has TLS.
    pub(super) ca: Option<Vec<u8>>,
    shared: Arc<Shared>,
}

/// What is said to a line, where it is not what is usually said.
type Script = dyn Fn(&str) -> Option<&'static str> + Send + Sync;

struct Shared {
    security: SmtpSecurity,
    acceptor: Option<TlsAcceptor>,
    answer: Box<Script>,
    connections: AtomicUsize,
    commands: Mutex<Vec<String>>,
    mails: Mutex<Vec<Mail>>,
}

impl Server {
    /// A server that takes all that is well said.
    pub(super) async fn start(security: SmtpSecurity) -> Self {
        Self::start_with(security, |_| None).await
    }

    /// The same, but where `answer` has a reply to a line (`.` ends a mail), this is said instead, and nothing is done.
    pub(super) async fn start_with(
        security: SmtpSecurity,
        answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ca, acceptor) = match security {
            SmtpSecurity::None => (None, None),
            SmtpSecurity::Tls | SmtpSecurity::StartTls => {
                let Certified { pem, acceptor } = Certified::new();
                (Some(pem), Some(acceptor))
            }
        };
        let shared = Arc::new(Shared {
            security,
            acceptor,
            answer: Box::new(answer),
            connections: AtomicUsize::new(0),
            commands: Mutex::default(),
            mails: Mutex::default(),
        });
        let accepting = shared.clone();
        tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { return };
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                // Clients hang up as they like.
                let shared = accepting.clone();
                tokio::spawn(async move { Session::begin(shared, Box::new(socket)).await.ok() });
            }
        });
        Self { port, ca, shared }
    }

    /// How often it was called.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// All commands, over all connections.
    pub(super) fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().unwrap().clone()
    }

    /// All mails that were taken.
    pub(super) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

struct Session {
    shared: Arc<Shared>,
    socket: BufReader<Box<dyn Socket>>,
    is_encrypted: bool,
    is_greeted: bool,
    login: Option<String>,
    /// Begun by MAIL.
    mail: Option<Mail>,
}

impl Session {
    async fn begin(shared: Arc<Shared>, socket: Box<dyn Socket>) -> io::Result<()> {
        let is_encrypted = shared.security == SmtpSecurity::Tls;
        let socket: Box<dyn Socket> = match &shared.acceptor {
            Some(acceptor) if is_encrypted => Box::new(acceptor.accept(socket).await?),
            _ => socket,
        };
        let socket = BufReader::new(socket);
        Self { shared, socket, is_encrypted, is_greeted: false, login: None, mail: None }.talk().await
    }

    async fn talk(mut self) -> io::Result<()> {
        self.say("220 mail.example.com ESMTP").await?;
        while let Some(line) = self.line().await? {
            self.shared.commands.lock().unwrap().push(line.clone());
            self.is_greeted |= line.starts_with("EHLO ");
            if let Some(reply) = (self.shared.answer)(&line) {
                self.say(reply).await?;
                if reply.starts_with("421") {
                    return Ok(());
                }
                continue;
            }
            let (verb, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
            let reply = match verb {
                "EHLO" if self.shared.security == SmtpSecurity::StartTls && !self.is_encrypted => {
                    "250-mail.example.com\r\n250-8BITMIME\r\n250 STARTTLS"
                }
                "EHLO" => "250-mail.example.com\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
                "STARTTLS" if self.shared.security == SmtpSecurity::StartTls && !self.is_encrypted => {
                    self.say("220 2.0.0 Go ahead").await?;
                    let acceptor = self.shared.acceptor.clone().unwrap();
                    let encrypted: Box<dyn Socket> = Box::new(acceptor.accept(self.socket.into_inner()).await?);
                    self.socket = BufReader::new(encrypted);
                    // What was said before counts no more (RFC 3207, 4.2).
                    (self.is_encrypted, self.is_greeted) = (true, false);
                    continue;
                }
                "AUTH" => self.log_in(rest),
                "MAIL" if !self.is_greeted || self.mail.is_some() => BAD_SEQUENCE,
                "MAIL" => {
                    let from = rest.strip_prefix("FROM:").unwrap().to_owned();
                    let (is_encrypted, login) = (self.is_encrypted, self.login.clone());
                    self.mail = Some(Mail { from, is_encrypted, login, ..Mail::default() });
                    "250 2.1.0 OK"
                }
                "RCPT" => match &mut self.mail {
                    None => BAD_SEQUENCE,
                    Some(mail) => {
                        mail.to.push(rest.strip_prefix("TO:").unwrap().to_owned());
                        "250 2.1.5 OK"
                    }
                },
                "DATA" => match self.mail.take() {
                    Some(mail) if !mail.to.is_empty() => self.take(mail).await?,
                    other => {
                        self.mail = other;
                        BAD_SEQUENCE
                    }
                },
                "RSET" => {
                    self.mail = None;
                    OK
                }
                "NOOP" => OK,
                "QUIT" => return self.say("221 2.0.0 Bye").await,
                _ => "502 5.5.2 Command not recognised",
            };
            self.say(reply).await?;
        }
        Ok(())
    }

    /// SASL PLAIN (RFC 4616).
    fn log_in(&mut self, said: &str) -> &'static str {
        let login = said.strip_prefix("PLAIN ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        if login.as_deref() == Some(b"\0shop\0secret") {
            self.login = Some("shop".to_owned());
            return "235 2.7.0 Authentication successful";
        }
        "535 5.7.8 Authentication credentials invalid"
    }

    /// Reads a mail up to the line that is only a dot, without the dots that were put before others.
    async fn take(&mut self, mut mail: Mail) -> io::Result<&'static str> {
        self.say("354 End data with <CR><LF>.<CR><LF>").await?;
        while let Some(line) = self.line().await? {
            if line == "." {
                let reply = (self.shared.answer)(".").unwrap_or("250 2.0.0 Queued");
                if !reply.starts_with(['4', '5']) {
                    self.shared.mails.lock().unwrap().push(mail);
                }
                return Ok(reply);
            }
            mail.text.push_str(line.strip_prefix('.').unwrap_or(&line));
            mail.text.push_str("\r\n");
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.socket.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        // Lines end in CR and LF, and in nothing else.
        Ok(Some(String::from_utf8(line).unwrap().strip_suffix("\r\n").unwrap().to_owned()))
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        if reply == SILENCE {
            std::future::pending::<()>().await;
        }
        self.socket.write_all(format!("{reply}\r\n").as_bytes()).await?;
        self.socket.flush().await
    }
}
