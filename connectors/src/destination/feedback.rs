//! What vendors tell afterwards: that a message has reached its address, or never will, or that its reader wants no more.

use tributary_model::Millis;

/// One thing that a vendor tells of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The vendor's id of this piece of news, the same when it is told again.
    pub id: String,
    /// Of which address: an e-mail address, a phone number.
    pub address: String,
    /// The [message](super::Message::id) that it is about, where the vendor tells.
    pub message: Option<String>,
    /// What.
    pub kind: FeedbackKind,
    /// The vendor's words for why.
    pub reason: Option<String>,
    /// When it happened, where the vendor tells.
    pub at: Option<Millis>,
}

/// What became of a message, or what its reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedbackKind {
    /// It has arrived.
    Delivered,
    /// It was opened.
    Opened,
    /// A link in it was followed.
    Clicked,
    /// It did not arrive this time: a full mailbox, a phone that is off.
    NotDelivered,
    /// The address takes nothing, and never will.
    Bounced,
    /// Its reader calls it spam.
    Complained,
    /// Its reader wants no more by this channel.
    Unsubscribed,
    /// Its reader wants messages by this channel again.
    Resubscribed,
}

/// Why feedback is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedbackError {
    /// It is not signed by who it says it is from.
    #[error("the signature does not match: {0}")]
    Signature(&'static str),
    /// It is of another form than the vendor documents.
    #[error("not understood: {0}")]
    Form(String),
}
