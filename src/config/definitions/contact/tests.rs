//! What may stand below `contact` and in triggers, and what is said of a mistake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::config::definitions::tests::{check, good};
use tributary_model::{Cap, Channel, Holdout, Purpose, QuietHours, TriggerPolicy};

const DAY: i64 = 86_400_000;

#[test]
fn when_customers_may_be_contacted() {
    let definitions = good(
        r#"
contact:
  purposes:
    marketing: { name: Offers and news }
    Service Updates: { default: granted }
  holdout: { percent: 5, name: "2026" }
  caps:
    - { most: 3, per: 1 day, channel: email }
    - { most: 10, per: 7 days }
  quiet_hours: { from: "21:00", to: "08:00", channels: [push, sms], time_zone: traits.zone, otherwise: Europe/Berlin }
destinations:
  crm: { type: webhook, url: "https://example.com/" }
triggers:
  news:
    on: { event: X }
    send: { to: crm, body: x }
    purpose: marketing
    holdout: { percent: 10 }
    cooldown: 7 days
    caps: [{ most: 2, per: 30 days }]
  receipt: { on: { event: Y }, send: { to: crm, body: x }, transactional: true }
"#,
    );
    let contact = &definitions.contact;
    let purpose = |name: &str, granted| Purpose { name: name.to_owned(), is_granted_by_default: granted };
    assert_eq!(contact.purposes["marketing"], purpose("Offers and news", false), "denied by whoever says nothing");
    assert_eq!(contact.purposes["Service Updates"], purpose("Service Updates", true));
    assert_eq!(contact.holdout, Some(Holdout { basis_points: 500, name: "2026".to_owned() }));
    let cap = |channel, most, days| Cap { channel, most, within_ms: days * DAY };
    assert_eq!(contact.caps, [cap(Some(Channel::Email), 3, 1), cap(None, 10, 7)]);
    let quiet = QuietHours {
        from: 21 * 60,
        to: 8 * 60,
        channels: [Channel::Push, Channel::Sms].into(),
        time_zone: "zone".to_owned(),
        otherwise: "Europe/Berlin".to_owned(),
    };
    assert_eq!(contact.quiet_hours, Some(quiet));
    let news = TriggerPolicy {
        purpose: Some("marketing".to_owned()),
        is_transactional: false,
        holdout: Some(Holdout { basis_points: 1_000, name: "news".to_owned() }),
        cooldown_ms: Some(7 * DAY),
        caps: vec![cap(None, 2, 30)],
    };
    assert_eq!(definitions.triggers["news"].policy, news);
    let receipt = TriggerPolicy { is_transactional: true, ..TriggerPolicy::default() };
    assert_eq!(definitions.triggers["receipt"].policy, receipt);
}

#[test]
fn quiet_hours_are_those_of_channels_that_reach_people_in_utc_unless_said_otherwise() {
    let quiet = good("contact: { quiet_hours: { from: \"13:00\", to: \"14:30\" } }").contact.quiet_hours.unwrap();
    assert_eq!(quiet.channels, [Channel::Email, Channel::Sms, Channel::Push].into());
    assert_eq!((quiet.time_zone.as_str(), quiet.otherwise.as_str()), ("timezone", "UTC"));
}

#[test]
fn limits_that_make_no_sense() {
    check(
        "contact:\n  purposes:\n    \"a\\\"b\": {}\n  caps: [{ most: 0, per: 1 day }, { most: 1, per: 2 years, channel: mail }]\n  \
         holdout: { percent: 101 }\n  quiet_hours: { from: 9, to: \"25:00\", time_zone: zone, otherwise: Berlin }\n",
        &[
            "t.yaml:3:5: contact.purposes.a\"b: `a\"b` is no name for a purpose; a purpose is made of letters, digits, spaces \
             and `_-/.`, at most 100 of them",
            "t.yaml:4:18: contact.caps[0].most: 0 is out of range; write a whole number from 1 to 100000",
            "t.yaml:4:51: contact.caps[1].per: `2 years` is not understood: a time is a whole number and ms, s, min, h, days \
             or weeks, such as \"7 days\"",
            "t.yaml:4:69: contact.caps[1].channel: `mail` is unknown; did you mean `email`?",
            "t.yaml:5:23: contact.holdout.percent: 101 is out of range; write a whole number from 0 to 100",
            "t.yaml:6:24: contact.quiet_hours.from: this is a number; a text is needed: put it in quotes",
            "t.yaml:6:31: contact.quiet_hours.to: `25:00` is no time of day; write hours and minutes in quotes, such as \
             \"21:00\"",
            "t.yaml:6:51: contact.quiet_hours.time_zone: `zone` is no trait; write where the customer's time zone stands: \
             traits.timezone",
            "t.yaml:6:68: contact.quiet_hours.otherwise: `Berlin` is no time zone; write one such as Europe/Berlin",
        ],
    );
    let frame = "destinations:\n  crm: { type: webhook, url: \"https://example.com/\" }\ntriggers:\n  \
                 t: { on: { event: X }, send: { to: crm, body: x }, ";
    check(
        &format!("{frame}purpose: news }}\n"),
        &["t.yaml:4:63: triggers.t.purpose: there is no purpose `news` below contact.purposes"],
    );
    check(
        &format!("{frame}transactional: true, cooldown: 1 day }}\n"),
        &[
            "t.yaml:4:69: triggers.t.transactional: what a customer has asked for is not held back: leave out `purpose`, \
           `holdout`, `cooldown`, `caps`, or this",
        ],
    );
}
