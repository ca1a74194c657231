//! E-mail: through a mail server, SendGrid or Amazon SES, and what they tell of it afterwards.
//!
//! An e-mail goes at least once. None of these ways knows a message again when it comes twice, and one whose answer is
//! lost is sent again: a mail that comes twice is better than none.

pub mod feedback;
mod sendgrid;
mod ses;
mod smtp;

pub use sendgrid::SendGrid;
pub use ses::Ses;
pub use smtp::Smtp;

use super::http::SetupError;
use super::{Message, Outcome};
use lettre::Address;
use lettre::message::Mailbox;
use reqwest::Url;
use serde::{Deserialize, Serialize};

/// What a trigger's templates make.
#[derive(Deserialize)]
struct EmailFields {
    /// To whom: `ann@example.com`.
    address: String,
    subject: String,
    text: Option<String>,
    html: Option<String>,
    /// Where a reader unsubscribes.
    unsubscribe: Option<String>,
}

/// An e-mail that can be sent: it has an address and something to read.
struct Email {
    to: Address,
    /// One line.
    subject: String,
    /// Not empty; this, `html`, or both are there.
    text: Option<String>,
    html: Option<String>,
    /// By which mail programs offer to unsubscribe.
    headers: Vec<(&'static str, String)>,
}

impl Email {
    /// The e-mail that a message asks for.
    ///
    /// # Errors
    /// What comes of a message that can be no e-mail.
    fn of(message: &Message) -> Result<Self, Outcome> {
        let EmailFields { address, subject, text, html, unsubscribe } = message.fields()?;
        let dead = |reason: &str| Outcome::Dead { reason: reason.to_owned() };
        let to = address.trim().parse().ok().and_then(in_ascii);
        let to = to.ok_or_else(|| Outcome::Unreachable { reason: "the address is no e-mail address".to_owned() })?;
        let (text, html) = (present(text), present(html));
        if text.is_none() && html.is_none() {
            return Err(dead("the message has neither a text nor html"));
        }
        let headers = match present(unsubscribe) {
            None => Vec::new(),
            Some(url) => unsubscribe_headers(&url).ok_or_else(|| dead("`unsubscribe` is no https URL"))?,
        };
        // A line break would begin another header.
        let subject = subject.trim().replace(char::is_control, " ");
        Ok(Self { to, subject, text, html, headers })
    }
}

/// A field that says something. Templates make blanks of what is not there.
fn present(field: Option<String>) -> Option<String> {
    field.filter(|text| !text.trim().is_empty())
}

/// `List-Unsubscribe` (RFC 2369); with https also that one click does it, without a question (RFC 8058).
fn unsubscribe_headers(url: &str) -> Option<Vec<(&'static str, String)>> {
    let url = Url::parse(url.trim()).ok()?;
    let place = ("List-Unsubscribe", format!("<{url}>"));
    match url.scheme() {
        "https" => Some(vec![place, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())]),
        "http" => Some(vec![place]),
        _ => None,
    }
}

/// The same address with its domain as DNS writes it, which every mail server reads.
fn in_ascii(address: Address) -> Option<Address> {
    if address.domain().is_ascii() {
        return Some(address);
    }
    let mut url = Url::parse("https://domain").ok()?;
    url.set_host(Some(address.domain())).ok()?;
    Address::new(address.user(), url.host_str()?).ok()
}

/// Who sends, and who gets the answers.
struct Sender {
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

impl Sender {
    /// As settings have them: `Shop <shop@example.com>`.
    fn new(from: &str, reply_to: Option<&str>) -> Result<Self, SetupError> {
        let reply_to = reply_to.map(|text| mailbox("reply_to", text)).transpose()?;
        Ok(Self { from: mailbox("from", from)?, reply_to })
    }
}

fn mailbox(setting: &str, text: &str) -> Result<Mailbox, SetupError> {
    let parsed = text.parse().ok().and_then(|Mailbox { name, email }| Some(Mailbox { name, email: in_ascii(email)? }));
    parsed.ok_or_else(|| {
        let example = "write shop@example.com or Shop <shop@example.com>";
        SetupError::Setting(format!("{setting}: `{text}` is no mailbox; {example}"))
    })
}

/// The body of a request to an API.
fn json(body: &impl Serialize) -> Result<Vec<u8>, Outcome> {
    serde_json::to_vec(body)
        .map_err(|error| Outcome::Dead { reason: format!("the message cannot be written as JSON: {error}") })
}

/// Whether an enhanced status code (RFC 3463, 7505) says that the address takes nothing: no such mailbox (5.1.1) or
/// domain (5.1.2), no address at all (5.1.3), moved without a new one (5.1.6), a domain without mail (5.1.10). Others
/// speak of the sender, the message or the moment; and by 5.2 servers mean a full mailbox as well as a closed one.
fn is_dead_address(status: &str) -> bool {
    matches!(status, "5.1.1" | "5.1.2" | "5.1.3" | "5.1.6" | "5.1.10")
}

#[cfg(test)]
mod tests;
