//! What customers have agreed to. It is kept as traits, so that the latest word counts, whichever of a customer's identifiers
//! it was said by, through merges and their undoing.

use super::Reason;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tributary_model::{Channel, ContactPolicy, PURPOSE_PREFIX, SUBSCRIPTION_PREFIX, Subscription, TriggerPolicy};

/// What a customer has agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// Purposes of which they have said whether they agree.
    pub purposes: BTreeMap<String, bool>,
    /// Channels of which they have said whether they want them.
    pub subscriptions: BTreeMap<Channel, Subscription>,
}

impl Consent {
    /// What the traits of a customer say.
    pub fn of(traits: &Map<String, Value>) -> Self {
        let mut consent = Self::default();
        for (name, value) in traits {
            if let (Some(purpose), Some(agrees)) = (name.strip_prefix(PURPOSE_PREFIX), value.as_bool()) {
                consent.purposes.insert(purpose.to_owned(), agrees);
            }
            let channel = name.strip_prefix(SUBSCRIPTION_PREFIX).and_then(Channel::from_name);
            let state = value.as_str().and_then(Subscription::from_name);
            consent.subscriptions.extend(channel.zip(state));
        }
        consent
    }
}

/// Why a message may not go, if consent is what is missing.
pub(super) fn refuses(
    contact: &ContactPolicy,
    policy: &TriggerPolicy,
    channel: Channel,
    consent: &Consent,
) -> Option<Reason> {
    if let Some(purpose) = &policy.purpose {
        let by_default = contact.purposes.get(purpose).is_some_and(|purpose| purpose.is_granted_by_default);
        if !consent.purposes.get(purpose).copied().unwrap_or(by_default) {
            return Some(Reason::NoConsent);
        }
    }
    // Programs and colleagues are no channels that a customer could want or not.
    let is_unsubscribed = consent.subscriptions.get(&channel) == Some(&Subscription::Unsubscribed);
    (is_unsubscribed && channel.reaches_people()).then_some(Reason::Unsubscribed)
}
