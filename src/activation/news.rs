//! News of an address, as the log is told of them: an event of the customer, and whether anything goes there again.

use super::contact::Consent;
use super::gate::normalised;
use super::own_events::{Call, OwnEvent};
use serde_json::{Map, Value, json};
use tributary_connectors::destination::{Feedback, FeedbackKind};
use tributary_connectors::log::Record;
use tributary_connectors::process::{Statement, StatementKind};
use tributary_model::{Channel, Identifier, MessageId, Millis, Subscription, UNREACHABLE_PREFIX, limits};

/// Who says that nothing goes to an address any more, where a destination does.
const BY: &str = "destination";
/// The most characters of a vendor's words that are kept.
const REASON_CHARS: usize = 500;

/// What a destination tells of an address.
#[derive(Clone, Debug)]
pub struct News<'a> {
    /// The destination's id.
    pub destination: &'a str,
    /// Its channel.
    pub channel: Channel,
    /// What it tells.
    pub feedback: &'a Feedback,
}

/// What is known of an address when there is news of it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Whose it is.
    pub identifier: Option<Identifier>,
    /// Whether nothing goes there.
    pub is_suppressed: bool,
}

/// The records that tell the log.
pub fn records(news: &News<'_>, known: &Known, now: Millis) -> Vec<Record> {
    let statement = statement(news, known).map(|statement| statement.record(now));
    let events = known.identifier.as_ref().map(|identifier| events(news, identifier, now)).unwrap_or_default();
    statement.into_iter().chain(events).collect()
}

/// What is said of the address.
fn statement(news: &News<'_>, known: &Known) -> Option<Statement> {
    use FeedbackKind::{Bounced, Complained, Resubscribed, Unsubscribed};
    let News { destination, channel, feedback } = *news;
    // By e-mail people leave a sender, and may have several addresses; a text message is answered by the phone that
    // gets it.
    let is_of_address = channel != Channel::Email || known.identifier.is_none();
    let (kind, word) = match feedback.kind {
        // Said once is enough. Of what people want the latest word counts, and one may be under way.
        Bounced | Complained if known.is_suppressed => return None,
        Bounced => (StatementKind::Suppress, "bounced"),
        Complained => (StatementKind::Suppress, "complained"),
        Unsubscribed if is_of_address => (StatementKind::Suppress, "unsubscribed"),
        Resubscribed if is_of_address => (StatementKind::Unsuppress, "resubscribed"),
        _ => return None,
    };
    let reason = reason(feedback).map_or_else(|| word.to_owned(), |reason| format!("{word}: {reason}"));
    let address = normalised(channel, &feedback.address);
    let is_one = !address.is_empty() && address.len() <= limits::ADDRESS_BYTES;
    let by = Some(format!("{BY} {destination}"));
    is_one.then(|| Statement::of_address(kind, channel, &address, by, Some(reason)))
}

/// What happened to the customer.
fn events(news: &News<'_>, identifier: &Identifier, now: Millis) -> Vec<Record> {
    let News { destination, channel, feedback } = *news;
    let mut consent = Consent::default();
    consent.subscriptions.extend(wanted(feedback.kind).map(|wanted| (channel, wanted)));
    let mut properties = Map::new();
    let mut add = |name: &str, value: Value| drop(properties.insert(name.to_owned(), value));
    add("destination", destination.into());
    add("channel", channel.name().into());
    add("address", feedback.address.as_str().into());
    feedback.message.as_ref().into_iter().for_each(|message| add("message_id", message.as_str().into()));
    reason(feedback).into_iter().for_each(|reason| add("reason", reason.into()));
    if matches!(feedback.kind, FeedbackKind::Bounced | FeedbackKind::NotDelivered) {
        add("permanent", (feedback.kind == FeedbackKind::Bounced).into());
    }
    // A vendor's clock may be ahead of ours.
    let at = feedback.at.map_or(now, |at| at.max(limits::EARLIEST_MS).min(now));
    let id = |part: &str| format!("{part}-{}", MessageId::of(&format!("{destination}/{}", feedback.id)));
    let call = Call::Track { event: name(channel, feedback.kind), properties };
    let track = OwnEvent { identifier, message_id: id("feedback"), at, call, consent };
    let reached = unreachable(channel, feedback).map(|traits| {
        let call = Call::Identify { traits };
        OwnEvent { identifier, message_id: id("reached"), at, call, consent: Consent::default() }
    });
    [Some(track), reached].into_iter().flatten().map(|event| event.record(now)).collect()
}

/// The trait that tells whether something reaches the address, where that is news.
fn unreachable(channel: Channel, feedback: &Feedback) -> Option<Map<String, Value>> {
    let value = match feedback.kind {
        FeedbackKind::Bounced => json!(normalised(channel, &feedback.address)),
        FeedbackKind::Resubscribed => Value::Null,
        _ => return None,
    };
    Some(reachability(channel, value))
}

/// The trait that tells whether something reaches a customer's address.
pub fn reachability(channel: Channel, value: Value) -> Map<String, Value> {
    Map::from_iter([(format!("{UNREACHABLE_PREFIX}{}", channel.name()), value)])
}

/// What they want, where it is that they tell.
const fn wanted(kind: FeedbackKind) -> Option<Subscription> {
    match kind {
        FeedbackKind::Unsubscribed => Some(Subscription::Unsubscribed),
        FeedbackKind::Resubscribed => Some(Subscription::Subscribed),
        _ => None,
    }
}

/// The vendor's words, as long as they may be.
fn reason(feedback: &Feedback) -> Option<String> {
    feedback.reason.as_ref().map(|reason| reason.chars().take(REASON_CHARS).collect())
}

/// The event's name, by Segment's spec of e-mail; of other channels alike.
fn name(channel: Channel, kind: FeedbackKind) -> String {
    let channel = match channel {
        Channel::Email => "Email",
        Channel::Sms => "SMS",
        Channel::Push => "Push",
        other => other.name(),
    };
    let what = match kind {
        FeedbackKind::Delivered => "Delivered",
        FeedbackKind::Opened => "Opened",
        FeedbackKind::Clicked => "Link Clicked",
        FeedbackKind::NotDelivered | FeedbackKind::Bounced => "Bounced",
        FeedbackKind::Complained => "Marked as Spam",
        FeedbackKind::Unsubscribed => return "Unsubscribed".to_owned(),
        FeedbackKind::Resubscribed => return "Resubscribed".to_owned(),
    };
    format!("{channel} {what}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const NOW: Millis = 1_780_000_000_000;

    fn told(kind: FeedbackKind) -> Feedback {
        Feedback {
            id: "event-1".to_owned(),
            address: "Ada@Example.com".to_owned(),
            message: Some("msg_1".to_owned()),
            kind,
            reason: Some("550 5.1.1".to_owned()),
            at: Some(NOW - 1_000),
        }
    }

    fn ada() -> Known {
        Known { identifier: Some(Identifier::new("user_id", "ada")), is_suppressed: false }
    }

    /// What is said of the address, and the events, in short.
    fn of(channel: Channel, feedback: &Feedback, known: &Known) -> (Option<Statement>, Vec<Value>) {
        let records = records(&News { destination: "mail", channel, feedback }, known, NOW);
        let statements = records.iter().filter_map(|record| Statement::of(record).map(Result::unwrap));
        let events = records.iter().filter(|record| Statement::of(record).is_none());
        let events = events.map(|record| serde_json::from_slice(&record.body).unwrap());
        (statements.collect::<Vec<_>>().pop(), events.collect())
    }

    #[test]
    fn a_dead_address_gets_nothing_any_more_and_the_customer_knows() {
        let (statement, events) = of(Channel::Email, &told(FeedbackKind::Bounced), &ada());
        let statement = statement.unwrap();
        assert_eq!(
            (statement.kind, statement.a),
            (StatementKind::Suppress, Identifier::new("email", "ada@example.com"))
        );
        assert_eq!(
            (statement.by.as_deref(), statement.reason.as_deref()),
            (Some("destination mail"), Some("bounced: 550 5.1.1"))
        );
        assert_eq!(
            (&events[0]["event"], &events[0]["timestamp"]),
            (&json!("Email Bounced"), &json!("2026-05-28T20:26:39.000Z"))
        );
        let properties = json!({ "destination": "mail", "channel": "email", "address": "Ada@Example.com",
            "message_id": "msg_1", "reason": "550 5.1.1", "permanent": true });
        assert_eq!(events[0]["properties"], properties);
        assert_eq!(events[1]["traits"], json!({ "unreachable.email": "ada@example.com" }));

        let known = Known { is_suppressed: true, ..ada() };
        assert_eq!(of(Channel::Email, &told(FeedbackKind::Bounced), &known).0, None, "that is known");
        let (statement, events) = of(Channel::Email, &told(FeedbackKind::Bounced), &Known::default());
        assert!(statement.is_some() && events.is_empty(), "of nobody there are no events");
    }

    #[test]
    fn what_passes_changes_nothing() {
        for (kind, event) in [
            (FeedbackKind::Delivered, "Email Delivered"),
            (FeedbackKind::Opened, "Email Opened"),
            (FeedbackKind::Clicked, "Email Link Clicked"),
            (FeedbackKind::NotDelivered, "Email Bounced"),
        ] {
            let (statement, events) = of(Channel::Email, &told(kind), &ada());
            assert_eq!((statement, events.len(), &events[0]["event"]), (None, 1, &json!(event)));
        }
    }

    #[test]
    fn who_complains_gets_nothing_any_more() {
        let (statement, events) = of(Channel::Email, &told(FeedbackKind::Complained), &ada());
        assert_eq!(statement.unwrap().reason.as_deref(), Some("complained: 550 5.1.1"));
        assert_eq!(events[0]["event"], "Email Marked as Spam");
    }

    #[test]
    fn who_leaves_by_mail_leaves_the_channel_and_who_leaves_by_phone_also_the_number() {
        let (statement, events) = of(Channel::Email, &told(FeedbackKind::Unsubscribed), &ada());
        assert_eq!((statement, &events[0]["event"]), (None, &json!("Unsubscribed")));
        let wanted = |events: &[Value]| events[0]["context"]["messaging_subscriptions"][0]["status"].clone();
        assert_eq!(wanted(&events), "UNSUBSCRIBED");
        let (statement, _) = of(Channel::Email, &told(FeedbackKind::Unsubscribed), &Known::default());
        assert_eq!(statement.unwrap().kind, StatementKind::Suppress, "nobody is known who could have left");

        let phone = |kind| Feedback { address: "+1 650-253-0000".to_owned(), ..told(kind) };
        let known = Known { is_suppressed: true, ..ada() };
        let (statement, events) = of(Channel::Sms, &phone(FeedbackKind::Unsubscribed), &known);
        let statement = statement.unwrap();
        assert_eq!((statement.kind, statement.a.value.as_str()), (StatementKind::Suppress, "+16502530000"));
        assert_eq!(wanted(&events), "UNSUBSCRIBED");
        let (statement, events) = of(Channel::Sms, &phone(FeedbackKind::Resubscribed), &known);
        assert_eq!(statement.unwrap().kind, StatementKind::Unsuppress);
        assert_eq!((wanted(&events), &events[1]["traits"]), (json!("SUBSCRIBED"), &json!({ "unreachable.sms": null })));
    }

    #[test]
    fn what_is_told_twice_is_one_event() {
        let id = |feedback: &Feedback, event: usize| of(Channel::Email, feedback, &ada()).1[event]["messageId"].clone();
        let once = told(FeedbackKind::Bounced);
        assert_eq!(id(&once, 0), id(&once, 0));
        assert_ne!(id(&once, 0), id(&once, 1));
        assert_ne!(id(&once, 0), id(&Feedback { id: "event-2".to_owned(), ..once.clone() }, 0));
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_date_events_into_the_future() {
        let feedback = Feedback { at: Some(NOW + 99_000), ..told(FeedbackKind::Opened) };
        assert_eq!(of(Channel::Email, &feedback, &ada()).1[0]["timestamp"], "2026-05-28T20:26:40.000Z");
    }
}
