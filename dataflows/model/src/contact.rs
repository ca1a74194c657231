//! When customers may be contacted: purposes they agree to, control groups, caps, cool-downs, quiet hours.

use crate::{Channel, Millis, limits};
use std::collections::{BTreeMap, BTreeSet};

/// The trait that holds whether a purpose is agreed to is named so, and then as the purpose.
pub const PURPOSE_PREFIX: &str = "consent.";
/// The trait that holds whether a channel is subscribed to is named so, and then as the channel.
pub const SUBSCRIPTION_PREFIX: &str = "subscription.";
/// The trait that holds the last address that nothing reaches any more is named so, and then as the channel.
pub const UNREACHABLE_PREFIX: &str = "unreachable.";

/// Whether someone wants messages by a channel, as the Segment spec has it. Of two that are said at once, the later one
/// in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subscription {
    /// Yes.
    Subscribed,
    /// They have not said so.
    DidNotSubscribe,
    /// No.
    Unsubscribed,
}

impl Subscription {
    /// Its name in traits and in HTTP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::DidNotSubscribe => "did_not_subscribe",
            Self::Unsubscribed => "unsubscribed",
        }
    }

    /// The one of that name, in letters of either case.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Subscribed, Self::DidNotSubscribe, Self::Unsubscribed];
        all.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

/// What holds for all triggers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactPolicy {
    /// What messages may be for, by the name that consent is given to.
    pub purposes: BTreeMap<String, Purpose>,
    /// Who gets nothing that is not transactional, to see what messages do.
    pub holdout: Option<Holdout>,
    /// How many messages a customer may get, of all triggers together.
    pub caps: Vec<Cap>,
    /// When nobody is to be disturbed.
    pub quiet_hours: Option<QuietHours>,
}

/// What a message may be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// For people.
    pub name: String,
    /// Whether it is agreed to by whoever has said nothing.
    pub is_granted_by_default: bool,
}

impl Purpose {
    /// Whether a purpose may be called so: by letters, digits, spaces and `_-/.`. Consent tools write capitals and
    /// spaces.
    ///
    /// ```
    /// # use tributary_model::Purpose;
    /// assert!(Purpose::is_name("Advertising / third parties"));
    /// assert!(!Purpose::is_name("a\"b"));
    /// assert!(!Purpose::is_name(""));
    /// ```
    pub fn is_name(name: &str) -> bool {
        let may_stand = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ' | '/' | '.');
        (1..=limits::PURPOSE_NAME_BYTES).contains(&name.len()) && name.chars().all(may_stand)
    }
}

/// A share of all customers who are left out, the same ones for as long as its name stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdout {
    /// The share in hundredths of a percent.
    pub basis_points: u32,
    /// Whose share it is: another name draws other customers.
    pub name: String,
}

/// So many messages within any span of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Messages by this channel; by all that reach people where there is none.
    pub channel: Option<Channel>,
    /// At most so many.
    pub most: u32,
    /// The length of the span.
    pub within_ms: Millis,
}

/// From one time of day to another, where the customer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// When they begin, in minutes after midnight.
    pub from: u16,
    /// When they end, in minutes after midnight; earlier than the beginning where midnight is in between.
    pub to: u16,
    /// Channels that disturb.
    pub channels: BTreeSet<Channel>,
    /// The trait that names the customer's time zone, as `Europe/Berlin`.
    pub time_zone: String,
    /// The time zone of whoever has none.
    pub otherwise: String,
}

/// What holds for one trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerPolicy {
    /// What its messages are for: nobody gets them who has not agreed to it.
    pub purpose: Option<String>,
    /// Its messages are part of what the customer has asked for, as a receipt is: only lists of suppressed addresses hold them
    /// back, and they count to no cap of all triggers.
    pub is_transactional: bool,
    /// Its control group.
    pub holdout: Option<Holdout>,
    /// How long it is silent for a customer after each message.
    pub cooldown_ms: Option<Millis>,
    /// How many of its messages a customer may get.
    pub caps: Vec<Cap>,
}
