//! What is told of an e-mail afterwards: by SendGrid's Event Webhook, by SES through SNS, and by the mail that a mail
//! server sends back.
//!
//! Each function makes out what a call or a mail says. Who called is checked where the call comes in, by a secret in
//! the address; SendGrid also signs.

mod dsn;
mod sendgrid;
mod ses;

pub use dsn::dsn;
pub use sendgrid::sendgrid;
pub use ses::{Sns, ses};

/// What is in the angle brackets of `Ann <ann@example.com>`; all of it, if there are none.
fn address_of(mailbox: &str) -> &str {
    let inner = mailbox.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(mailbox, |(address, _)| address).trim()
}
