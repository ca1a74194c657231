//! Whether a message may go to a customer now: a pure function of what is known of the customer and of what was sent before.
//!
//! Asked right before each attempt, in this order: addresses that get nothing; consent; control groups; cool-down; caps; quiet
//! hours. The first that says no is the reason. Only quiet hours end by themselves: a message waits for that, and is then
//! asked about again.

mod consent;
mod holdout;
mod caps;
mod quiet_hours;

pub use consent::Consent;

use tributary_model::{Channel, ContactPolicy, Millis, ProfileId, TriggerPolicy};

/// A message that wants to go.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Its trigger's id.
    pub trigger: &'a str,
    /// Who gets this trigger's messages.
    pub policy: &'a TriggerPolicy,
    /// By which way it goes.
    pub channel: Channel,
    /// To whom.
    pub profile: ProfileId,
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Millis,
    /// Its trigger's id.
    pub trigger: String,
    /// By which way.
    pub channel: Channel,
    /// Whether it counts to the caps of all triggers.
    pub is_counted: bool,
}

/// What is known of whom a message is for.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Whether the address is on the list of those that get nothing.
    pub is_suppressed: bool,
    /// What they have agreed to.
    pub consent: &'a Consent,
    /// Their time zone, where they have told one.
    pub time_zone: Option<&'a str>,
    /// What all of their identifiers were sent.
    pub sent: &'a [Sent],
}

/// Why a message is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing goes to this address any more.
    Suppressed,
    /// They have not agreed to what it is for.
    NoConsent,
    /// They want nothing by this channel.
    Unsubscribed,
    /// They are among those who get nothing, for comparison.
    Holdout,
    /// The trigger has told them something lately.
    Cooldown,
    /// They have got as many as they may.
    FrequencyCap,
}

impl Reason {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Self; 6] =
        [Self::Suppressed, Self::NoConsent, Self::Unsubscribed, Self::Holdout, Self::Cooldown, Self::FrequencyCap];

    /// Its name in notes and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suppressed => "suppressed",
            Self::NoConsent => "no_consent",
            Self::Unsubscribed => "unsubscribed",
            Self::Holdout => "holdout",
            Self::Cooldown => "cooldown",
            Self::FrequencyCap => "frequency_cap",
        }
    }
}

/// Whether a message may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Send,
    /// Not at all.
    Hold(Reason),
    /// Not before then, when it is asked about again.
    Wait(Millis),
}

/// What has to be known for the answer: nothing is read that nobody asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether the address is suppressed.
    pub suppression: bool,
    /// Who they are by now: whether they are among those who get nothing.
    pub profile: bool,
    /// Consent, and the time zone: the customer's traits.
    pub traits: bool,
    /// How far back messages count.
    pub sent_within_ms: Option<Millis>,
}

impl Needs {
    /// Of a message of a trigger to a channel.
    pub fn of(contact: &ContactPolicy, policy: &TriggerPolicy, channel: Channel) -> Self {
        let suppression = channel.reaches_people();
        if policy.is_transactional {
            return Self { suppression, ..Self::default() };
        }
        let has_quiet_hours = contact.quiet_hours.as_ref().is_some_and(|quiet| quiet.channels.contains(&channel));
        let of_all = contact.caps.iter().filter(|cap| caps::concerns(cap, channel));
        let spans = of_all.chain(&policy.caps).map(|cap| cap.within_ms).chain(policy.cooldown_ms);
        Self {
            suppression,
            profile: contact.holdout.is_some() || policy.holdout.is_some(),
            traits: policy.purpose.is_some() || suppression || has_quiet_hours,
            sent_within_ms: spans.max(),
        }
    }
}

/// Whether a message may go to someone now.
pub fn judge(contact: &ContactPolicy, wish: &Wish<'_>, person: &Person<'_>, now: Millis) -> Verdict {
    let Wish { trigger, policy, channel, profile } = *wish;
    if person.is_suppressed {
        return Verdict::Hold(Reason::Suppressed);
    }
    if policy.is_transactional {
        return Verdict::Send;
    }
    if let Some(reason) = consent::refuses(contact, policy, channel, person.consent) {
        return Verdict::Hold(reason);
    }
    let mut groups = contact.holdout.iter().chain(&policy.holdout);
    if groups.any(|group| holdout::holds(group, profile)) {
        return Verdict::Hold(Reason::Holdout);
    }
    if caps::is_cooling(policy, trigger, person.sent, now) {
        return Verdict::Hold(Reason::Cooldown);
    }
    if caps::is_capped(contact, wish, person.sent, now) {
        return Verdict::Hold(Reason::FrequencyCap);
    }
    let quiet = contact.quiet_hours.as_ref().filter(|quiet| quiet.channels.contains(&channel));
    match quiet.and_then(|quiet| quiet_hours::ends(quiet, person.time_zone, now)) {
        Some(end) => Verdict::Wait(end),
        None => Verdict::Send,
    }
}

#[cfg(test)]
mod tests;
