//! What an event says of consent: `context.consent` as Segment's spec has it, and `context.messaging_subscriptions` as
//! Segment's Engage has it. Each is a trait of the customer, so that the latest word counts.
//!
//! What is of another form is left aside: it is an event all the same.

use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use tributary_model::{Channel, Object, PURPOSE_PREFIX, Purpose, SUBSCRIPTION_PREFIX, Subscription, limits};

/// The traits that a context sets.
pub(super) fn said(context: &Object) -> Map<String, Json> {
    let mut said = purposes(context);
    for (channel, subscription) in subscriptions(context) {
        said.insert(format!("{SUBSCRIPTION_PREFIX}{}", channel.name()), subscription.name().into());
    }
    said
}

/// Whether each purpose is agreed to.
fn purposes(context: &Object) -> Map<String, Json> {
    let said = context.field("consent").and_then(|consent| consent.get("categoryPreferences")?.as_object());
    let said = said.into_iter().flatten().filter(|(name, agrees)| agrees.is_boolean() && Purpose::is_name(name));
    let said = said.take(limits::CONSENT_ENTRIES);
    said.map(|(name, agrees)| (format!("{PURPOSE_PREFIX}{name}"), agrees.clone())).collect()
}

/// Whether each channel is wanted. Of two addresses of one channel, if one is to get nothing, neither gets anything.
fn subscriptions(context: &Object) -> BTreeMap<Channel, Subscription> {
    let entries = context.field("messaging_subscriptions").and_then(Json::as_array);
    let mut wanted = BTreeMap::new();
    for entry in entries.into_iter().flatten().take(limits::CONSENT_ENTRIES) {
        let text = |name: &str| entry.get(name).and_then(Json::as_str);
        let said = text("type").and_then(channel).zip(text("status").and_then(Subscription::from_name));
        if let Some((channel, subscription)) = said {
            let held = wanted.entry(channel).or_insert(subscription);
            *held = subscription.max(*held);
        }
    }
    wanted
}

/// The channel of a kind of address.
fn channel(kind: &str) -> Option<Channel> {
    match kind.to_ascii_uppercase().as_str() {
        "EMAIL" => Some(Channel::Email),
        "SMS" => Some(Channel::Sms),
        "IOS_PUSH" | "ANDROID_PUSH" | "WEB_PUSH" | "PUSH" => Some(Channel::Push),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use serde_json::json;

    /// The traits that a context of this JSON sets.
    fn told(context: Json) -> Json {
        said(&Object::unread(context.to_string().into())).into()
    }

    #[test]
    fn purposes_are_agreed_to_or_not() {
        let preferences = json!({ "Advertising": true, "Service Updates": false });
        let context = json!({ "ip": "127.0.0.1", "consent": { "categoryPreferences": preferences, "version": 2 } });
        assert_eq!(told(context), json!({ "consent.Advertising": true, "consent.Service Updates": false }));
        assert_eq!(told(json!({ "ip": "127.0.0.1" })), json!({}), "nearly every event says nothing");
    }

    #[test]
    fn channels_are_wanted_or_not() {
        let context = json!({ "messaging_subscriptions": [
            { "key": "ada@example.com", "type": "EMAIL", "status": "SUBSCRIBED" },
            { "key": "+16502530000", "type": "sms", "status": "did_not_subscribe" },
            { "key": "token", "type": "IOS_PUSH", "status": "SUBSCRIBED" },
            { "key": "other", "type": "ANDROID_PUSH", "status": "UNSUBSCRIBED" },
            { "key": "third", "type": "WEB_PUSH", "status": "SUBSCRIBED" },
        ] });
        let expected = json!({ "subscription.email": "subscribed", "subscription.sms": "did_not_subscribe",
            "subscription.push": "unsubscribed" });
        assert_eq!(told(context), expected);
    }

    #[test]
    fn what_is_of_another_form_is_left_aside() {
        for consent in [json!(true), json!([]), json!({ "categoryPreferences": ["Advertising"] })] {
            assert_eq!(told(json!({ "consent": consent })), json!({}));
        }
        let preferences = json!({ "A": "yes", "B": 1, "C": null, "a\u{7f}b": true, "": true, "D": true });
        assert_eq!(told(json!({ "consent": { "categoryPreferences": preferences } })), json!({ "consent.D": true }));
        for entry in [
            json!("EMAIL"),
            json!({ "type": "EMAIL" }),
            json!({ "type": "EMAIL", "status": "MAYBE" }),
            json!({ "type": "PIGEON", "status": "SUBSCRIBED" }),
            json!({ "type": 7, "status": "SUBSCRIBED" }),
        ] {
            assert_eq!(told(json!({ "messaging_subscriptions": [entry] })), json!({}));
        }
        assert_eq!(told(json!({ "messaging_subscriptions": { "type": "EMAIL" } })), json!({}));
    }

    #[test]
    fn an_event_speaks_of_so_many_purposes() {
        let preferences: Map<_, _> = (0..99).map(|n| (format!("p{n:02}"), json!(true))).collect();
        let said = told(json!({ "consent": { "categoryPreferences": preferences } }));
        let said = said.as_object().unwrap();
        assert_eq!(said.len(), limits::CONSENT_ENTRIES);
        assert!(said.contains_key("consent.p00") && !said.contains_key("consent.p50"));
        let entry = |status: &str| json!({ "type": "EMAIL", "status": status });
        let mut entries = vec![entry("SUBSCRIBED"); limits::CONSENT_ENTRIES];
        entries.push(entry("UNSUBSCRIBED"));
        let said = told(json!({ "messaging_subscriptions": entries }));
        assert_eq!(said["subscription.email"], "subscribed");
    }
}
