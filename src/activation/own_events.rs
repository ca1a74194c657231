//! Events that the server itself makes of a customer: what they have said of consent other than by a client, and what
//! became of messages. They are records of the log like those of clients.

use super::contact::Consent;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tributary_connectors::log::Record;
use tributary_model::{Channel, Identifier, Millis, format_millis};

/// The source of such events. No write key can have it.
const SOURCE: &str = "tributary/contact";

/// An event about an identifier, of whatever namespace.
#[derive(Clone, Debug)]
pub struct OwnEvent<'a> {
    /// Of whom.
    pub identifier: &'a Identifier,
    /// The same when the same is told again: then it counts once.
    pub message_id: String,
    /// When it happened.
    pub at: Millis,
    /// Which call it is.
    pub call: Call,
    /// What it says of consent.
    pub consent: Consent,
}

/// A call of the Segment spec.
#[derive(Clone, Debug)]
pub enum Call {
    /// Something happened.
    Track {
        /// Its name.
        event: String,
        /// Its properties.
        properties: Map<String, Value>,
    },
    /// Something is known.
    Identify {
        /// Traits.
        traits: Map<String, Value>,
    },
}

impl OwnEvent<'_> {
    /// The record that tells it.
    pub fn record(self, received_at: Millis) -> Record {
        let Self { identifier, message_id, at, call, consent } = self;
        let Identifier { namespace, value } = identifier;
        let mut context = Map::new();
        let external = json!([{ "id": value, "type": namespace, "collection": "users", "encoding": "none" }]);
        context.insert("externalIds".to_owned(), external);
        if !consent.purposes.is_empty() {
            context.insert("consent".to_owned(), json!({ "categoryPreferences": consent.purposes }));
        }
        let wanted = consent.subscriptions.iter().filter_map(|(channel, wanted)| {
            let status = wanted.name().to_ascii_uppercase();
            Some(json!({ "key": value, "type": kind(*channel)?, "status": status }))
        });
        let wanted: Vec<Value> = wanted.collect();
        if !wanted.is_empty() {
            context.insert("messaging_subscriptions".to_owned(), wanted.into());
        }
        let body = match call {
            Call::Track { event, properties } => json!({ "type": "track", "event": event, "properties": properties,
                "messageId": message_id, "timestamp": format_millis(at), "context": context }),
            Call::Identify { traits } => json!({ "type": "identify", "traits": traits,
                "messageId": message_id, "timestamp": format_millis(at), "context": context }),
        };
        let body = Bytes::from(body.to_string());
        Record { source: SOURCE.to_owned(), received_at, sent_at: None, body, key: Some(identifier.to_string()) }
    }
}

/// How Segment's Engage calls a channel's addresses.
const fn kind(channel: Channel) -> Option<&'static str> {
    match channel {
        Channel::Email => Some("EMAIL"),
        Channel::Sms => Some("SMS"),
        Channel::Push => Some("PUSH"),
        Channel::Webhook | Channel::Kafka | Channel::Slack | Channel::Sql => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::collections::BTreeMap;
    use tributary_connectors::process::Processor;
    use tributary_model::{Event, EventKind, IdentityRules, Namespace, Normalise, Subscription};

    const NOW: Millis = 1_780_000_000_000;

    /// What the engine makes of an event about an identifier.
    fn read(identifier: &Identifier, call: Call, consent: Consent) -> Event {
        let mut rules = IdentityRules::default();
        let phone = Namespace { normalise: Normalise::Phone { region: None }, ..Namespace::default() };
        rules.namespaces.extend([("phone".to_owned(), phone), ("ios.id".to_owned(), Namespace::default())]);
        let event = OwnEvent { identifier, message_id: "m".to_owned(), at: NOW - 5, call, consent };
        let record = event.record(NOW);
        assert!(record.source.starts_with("tributary/"));
        Processor::new(&rules).unwrap().process(&record.body, record.received_at, record.sent_at, "").unwrap()
    }

    #[test]
    fn it_is_of_the_identifier_whatever_its_namespace() {
        for text in ["user_id:ada", "anonymous_id:a\"1\\", "phone:+16502530000", "ios.id:7:8"] {
            let identifier = Identifier::parse(text).unwrap();
            let traits = Map::from_iter([("city".to_owned(), json!("Bonn"))]);
            let event = read(&identifier, Call::Identify { traits }, Consent::default());
            assert_eq!((event.identifiers, event.kind), (vec![identifier], EventKind::Identify));
            assert_eq!((event.timestamp, &event.traits["city"]), (NOW - 5, &json!("Bonn")));
        }
    }

    #[test]
    fn it_says_what_they_want() {
        let consent = Consent {
            purposes: BTreeMap::from([("marketing".to_owned(), true), ("Advertising".to_owned(), false)]),
            subscriptions: BTreeMap::from([
                (Channel::Email, Subscription::Unsubscribed),
                (Channel::Sms, Subscription::Subscribed),
                (Channel::Push, Subscription::DidNotSubscribe),
            ]),
        };
        let properties = Map::from_iter([("by".to_owned(), json!("support"))]);
        let call = Call::Track { event: "Consent Preference Updated".to_owned(), properties };
        let event = read(&Identifier::new("user_id", "ada"), call, consent.clone());
        assert_eq!(event.event.as_deref(), Some("Consent Preference Updated"));
        assert_eq!(event.properties["by"], "support");
        assert_eq!(Consent::of(&event.consent), consent);
    }
}
