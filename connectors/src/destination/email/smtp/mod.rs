//! A mail server, spoken to over SMTP (RFC 5321, 3207, 4954, 6531).
//!
//! A message keeps its `Message-ID` over retries. A server that takes a mail but does not say so in time gets it again;
//! by its `Message-ID` many servers and mail programs then show it once.
//!
//! Connections are kept for a while and used again. One whose attempt was cut off is never: the answers that are still
//! under way would be taken for those of the next message.

use super::{Email, Sender, is_dead_address};
use crate::destination::address::is_private;
use crate::destination::delivery::Target;
use crate::destination::http::SetupError;
use crate::destination::{Blame, Message, Outcome};
use crate::log::BoxFuture;
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use std::error::Error as _;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tributary_model::{DeliveryPolicy, Secret, SmtpDestination, SmtpSecurity};

/// How long a connection to one of the server's addresses may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nothing is sent over. Servers keep theirs for five minutes (RFC 5321, 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(60);
/// How much of an answer is kept as the reason of a failure.
const REASON_CHARS: usize = 300;

/// A mail server.
pub struct Smtp {
    /// Its name, or its address without brackets.
    host: String,
    port: u16,
    security: SmtpSecurity,
    tls: TlsParameters,
    credentials: Option<Credentials>,
    allow_private: bool,
    /// By which name we greet it.
    hello: ClientId,
    sender: Sender,
    timeout: Duration,
    /// Connections that nothing is sent over, each with the time of its last message; at most `concurrency`.
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    concurrency: usize,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smtp at {}:{}", self.host, self.port)
    }
}

impl Smtp {
    /// Sets up a mail server; nothing is called yet.
    ///
    /// # Errors
    /// If its address is private and that is not allowed, if a mailbox is none, or if the certificates cannot be read.
    pub fn new(destination: &SmtpDestination, policy: &DeliveryPolicy) -> Result<Self, SetupError> {
        let SmtpDestination { reach, credentials, .. } = destination;
        let host = destination.host.trim_start_matches('[').trim_end_matches(']');
        if !reach.allow_private && host.parse::<IpAddr>().is_ok_and(is_private) {
            return Err(SetupError::Private(host.to_owned()));
        }
        let login =
            |(user, password): &(String, Secret)| Credentials::new(user.clone(), password.expose_text().to_owned());
        Ok(Self {
            host: host.to_owned(),
            port: destination.port,
            security: destination.security,
            tls: tls(host, reach.ca.as_deref())?,
            credentials: credentials.as_ref().map(login),
            allow_private: reach.allow_private,
            hello: ClientId::default(),
            sender: Sender::new(&destination.from, destination.reply_to.as_deref())?,
            timeout: Duration::from_millis(policy.timeout_ms),
            idle: Mutex::default(),
            concurrency: policy.concurrency,
        })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let composed = Email::of(message).and_then(|email| Ok((self.compose(&message.id, &email)?, email.to)));
        let (mail, to) = match composed {
            Ok(composed) => composed,
            Err(outcome) => return outcome,
        };
        match tokio::time::timeout(self.timeout, self.deliver(&to, &mail)).await {
            Ok(Ok(())) => Outcome::Delivered,
            Ok(Err(outcome)) => outcome,
            Err(_) => trouble("no answer in time".to_owned()),
        }
    }

    /// The mail as it is sent.
    fn compose(&self, id: &str, email: &Email) -> Result<Vec<u8>, Outcome> {
        let mut mail = lettre::Message::builder()
            .from(self.sender.from.clone())
            .to(Mailbox::new(None, email.to.clone()))
            .subject(email.subject.clone())
            .message_id(Some(format!("<{id}@{}>", self.sender.from.email.domain())))
            .raw_header(header("X-Tributary-Message", id));
        if let Some(reply_to) = &self.sender.reply_to {
            mail = mail.reply_to(reply_to.clone());
        }
        for &(name, ref value) in &email.headers {
            mail = mail.raw_header(header(name, value));
        }
        let made = match (&email.text, &email.html) {
            (Some(text), Some(html)) => mail.multipart(MultiPart::alternative_plain_html(crlf(text), crlf(html))),
            (Some(text), None) => mail.singlepart(SinglePart::plain(crlf(text))),
            (None, html) => mail.singlepart(SinglePart::html(crlf(html.as_deref().unwrap_or_default()))),
        };
        match made {
            Ok(mail) => Ok(mail.formatted()),
            Err(error) => Err(Outcome::Dead { reason: format!("the message can be no e-mail: {error}") }),
        }
    }

    async fn deliver(&self, to: &Address, mail: &[u8]) -> Result<(), Outcome> {
        let mut connection = self.connection().await?;
        let delivered = self.transact(&mut connection, to, mail).await;
        // A refusal of one message leaves the connection as good as it was; trouble of the server may not.
        if !matches!(delivered, Err(Outcome::Retry { blame: Blame::Destination, .. })) {
            self.park(connection);
        }
        delivered
    }

    async fn transact(&self, connection: &mut AsyncSmtpConnection, to: &Address, mail: &[u8]) -> Result<(), Outcome> {
        let mut parameters = Vec::new();
        // Text is encoded. What is left of other letters is in the names of mailboxes, before the `@`.
        if !mail.is_ascii() {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let reason = "the address has letters that the mail server does not take (no SMTPUTF8)".to_owned();
                return Err(Outcome::Dead { reason });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        // All messages have the same sender: who is refused as one is refused for all of them.
        let begin = Mail::new(Some(self.sender.from.email.clone()), parameters);
        connection.command(begin).await.map_err(|error| trouble(reason(&error)))?;
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|error| refusal(&error))?;
        connection.command(Data).await.map_err(|error| refusal(&error))?;
        connection.message(mail).await.map_err(|error| refusal(&error))?;
        Ok(())
    }

    /// A connection whose server is there: one that was kept, or else a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Outcome> {
        while let Some(mut kept) = self.unpark() {
            // Ends what a refusal has left half done, and shows whether the server still listens.
            if kept.command(Rset).await.is_ok() {
                return Ok(kept);
            }
        }
        let addresses = self.addresses().await.map_err(trouble)?;
        self.connect(&addresses).await.map_err(|error| trouble(reason(&error)))
    }

    fn unpark(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn park(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.concurrency {
            idle.push((connection, Instant::now()));
        }
    }

    /// The server's addresses that may be called. The connection is made to these, not to the name, so that the name
    /// cannot mean one thing when it is checked and another when it is called.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("no connection: {error}"))?;
        let allowed: Vec<_> = found.filter(|addr| self.allow_private || !is_private(addr.ip())).collect();
        if allowed.is_empty() {
            return Err("the name stands for private addresses only, which this destination may not call".to_owned());
        }
        Ok(allowed)
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<AsyncSmtpConnection, Error> {
        let at_once = (self.security == SmtpSecurity::Tls).then(|| self.tls.clone());
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(addresses, Some(CONNECT_TIMEOUT), &self.hello, at_once, None).await?;
        if self.security == SmtpSecurity::StartTls {
            connection.starttls(self.tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

impl Target for Smtp {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message))
    }
}

/// How the server proves who it is: by the system's certificates, and by these.
fn tls(host: &str, ca: Option<&[u8]>) -> Result<TlsParameters, SetupError> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(pem) = ca {
        for certificate in native_tls::Certificate::stack_from_pem(pem).map_err(unusable)? {
            let der = certificate.to_der().map_err(unusable)?;
            tls = tls.add_root_certificate(Certificate::from_der(der).map_err(unusable)?);
        }
    }
    tls.build_native().map_err(unusable)
}

fn unusable(error: impl Display) -> SetupError {
    SetupError::Setting(format!("ca: the certificates cannot be used: {error}"))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// Text with the line ends of SMTP: servers do not agree on what any other means.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

/// Any other message would fare the same.
fn trouble(reason: String) -> Outcome {
    Outcome::Retry { reason, after: None, blame: Blame::Destination }
}

/// What it means that a message was not taken.
fn refusal(error: &Error) -> Outcome {
    let reason = reason(error);
    match error.status().map(u16::from) {
        // The server closes (421), or wants to know who we are (530, 534, 535). No code: it is gone.
        None | Some(421 | 530 | 534 | 535) => trouble(reason),
        Some(400..=499) => Outcome::Retry { reason, after: None, blame: Blame::Message },
        Some(_) if text(error).split(' ').next().is_some_and(is_dead_address) => Outcome::Unreachable { reason },
        Some(_) => Outcome::Dead { reason },
    }
}

/// Why, in words.
fn reason(error: &Error) -> String {
    let whole = match error.status() {
        Some(code) => format!("answered {code} {}", text(error)),
        None => format!("no connection: {}", text(error)),
    };
    whole.chars().take(REASON_CHARS).collect()
}

/// The server's words, which begin with an enhanced status code (RFC 2034) if it has them; else the innermost cause.
fn text(error: &Error) -> String {
    let Some(mut cause) = error.source() else { return error.to_string() };
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
