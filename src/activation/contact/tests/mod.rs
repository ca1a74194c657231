//! Whether a message may go: what each rule holds back and what it lets through, and which is asked before which.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod properties;

use super::*;
use serde_json::json;
use std::collections::BTreeMap;
use tributary_model::{Cap, Holdout, Purpose, QuietHours, Subscription};

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;
/// 2026-06-01T12:00:00Z.
const NOON: Millis = 1_780_315_200_000;

/// A message of the trigger `news`, the rules that it is judged by, and what is known of whom it is for.
#[derive(Clone, Debug)]
struct Case {
    contact: ContactPolicy,
    policy: TriggerPolicy,
    channel: Channel,
    is_suppressed: bool,
    consent: Consent,
    time_zone: Option<&'static str>,
    sent: Vec<Sent>,
    now: Millis,
}

impl Case {
    /// By no rules, at noon, to somebody of whom nothing is known.
    fn by(channel: Channel) -> Self {
        Self {
            contact: ContactPolicy::default(),
            policy: TriggerPolicy::default(),
            channel,
            is_suppressed: false,
            consent: Consent::default(),
            time_zone: None,
            sent: Vec::new(),
            now: NOON,
        }
    }

    /// An e-mail that every rule holds back.
    fn held_by_all() -> Self {
        let mut case = Self::by(Channel::Email);
        case.is_suppressed = true;
        case.consent.subscriptions.insert(Channel::Email, Subscription::Unsubscribed);
        case.sent = vec![was_sent("news", Channel::Email, NOON - 1)];
        case.policy.purpose = Some("marketing".to_owned());
        case.policy.cooldown_ms = Some(DAY);
        case.contact.purposes.insert("marketing".to_owned(), purpose(false));
        case.contact.holdout = Some(everybody());
        case.contact.caps = vec![cap(None, 1, DAY)];
        case.contact.quiet_hours = Some(quiet(11 * 60, 15 * 60, Channel::Email));
        case
    }

    fn judge(&self) -> Verdict {
        let Self { is_suppressed, consent, time_zone, sent, .. } = self;
        let wish = Wish { trigger: "news", policy: &self.policy, channel: self.channel, profile: ProfileId(1) };
        let person = Person { is_suppressed: *is_suppressed, consent, time_zone: *time_zone, sent };
        judge(&self.contact, &wish, &person, self.now)
    }
}

fn was_sent(trigger: &str, channel: Channel, at: Millis) -> Sent {
    Sent { at, trigger: trigger.to_owned(), channel, is_counted: true }
}

fn cap(channel: Option<Channel>, most: u32, within_ms: Millis) -> Cap {
    Cap { channel, most, within_ms }
}

fn everybody() -> Holdout {
    Holdout { basis_points: 10_000, name: "all".to_owned() }
}

fn purpose(is_granted_by_default: bool) -> Purpose {
    Purpose { name: "Offers and news".to_owned(), is_granted_by_default }
}

fn quiet(from: u16, to: u16, channel: Channel) -> QuietHours {
    let (time_zone, otherwise) = ("timezone".to_owned(), "UTC".to_owned());
    QuietHours { from, to, channels: [channel].into(), time_zone, otherwise }
}

/// Makes something of a case.
type Change = fn(&mut Case);

#[test]
fn the_first_rule_that_says_no_is_the_reason() {
    let mut case = Case::held_by_all();
    let steps: [(Verdict, Change); 7] = [
        (Verdict::Hold(Reason::Suppressed), |case| case.is_suppressed = false),
        (Verdict::Hold(Reason::NoConsent), |case| case.policy.purpose = None),
        (Verdict::Hold(Reason::Unsubscribed), |case| case.consent.subscriptions.clear()),
        (Verdict::Hold(Reason::Holdout), |case| case.contact.holdout = None),
        (Verdict::Hold(Reason::Cooldown), |case| case.policy.cooldown_ms = None),
        (Verdict::Hold(Reason::FrequencyCap), |case| case.contact.caps.clear()),
        (Verdict::Wait(NOON + 3 * HOUR), |case| case.contact.quiet_hours = None),
    ];
    for (verdict, lift) in steps {
        assert_eq!(case.judge(), verdict);
        lift(&mut case);
    }
    assert_eq!(case.judge(), Verdict::Send);
    let order = ["suppressed", "no_consent", "unsubscribed", "holdout", "cooldown", "frequency_cap"];
    assert_eq!(Reason::ALL.map(Reason::name), order);
}

#[test]
fn a_transactional_message_is_held_back_by_lists_of_addresses_alone() {
    let mut case = Case::held_by_all();
    case.policy.is_transactional = true;
    assert_eq!(case.judge(), Verdict::Hold(Reason::Suppressed));
    case.is_suppressed = false;
    assert_eq!(case.judge(), Verdict::Send);
}

#[test]
fn a_trigger_may_have_a_control_group_of_its_own() {
    for channel in Channel::ALL {
        let mut case = Case::by(channel);
        case.policy.holdout = Some(everybody());
        assert_eq!(case.judge(), Verdict::Hold(Reason::Holdout), "{channel}");
        case.policy.holdout = Some(Holdout { basis_points: 0, ..everybody() });
        assert_eq!(case.judge(), Verdict::Send, "{channel}");
    }
}

#[test]
fn a_purpose_is_agreed_to_by_word_and_else_by_default() {
    // The purpose as it is defined, what they have said, and whether the message goes.
    for (defined, said, goes) in [
        (Some(purpose(true)), None, true),
        (Some(purpose(true)), Some(true), true),
        (Some(purpose(true)), Some(false), false),
        (Some(purpose(false)), None, false),
        (Some(purpose(false)), Some(true), true),
        (Some(purpose(false)), Some(false), false),
        (None, None, false),
        (None, Some(true), true),
    ] {
        let mut case = Case::by(Channel::Webhook);
        case.policy.purpose = Some("marketing".to_owned());
        case.contact.purposes.extend(defined.clone().map(|purpose| ("marketing".to_owned(), purpose)));
        case.consent.purposes.insert("profiling".to_owned(), !goes);
        case.consent.purposes.extend(said.map(|said| ("marketing".to_owned(), said)));
        let expected = if goes { Verdict::Send } else { Verdict::Hold(Reason::NoConsent) };
        assert_eq!(case.judge(), expected, "{defined:?}, {said:?}");
    }
}

#[test]
fn a_channel_is_unsubscribed_from_by_word_alone_and_only_one_that_reaches_people() {
    for channel in Channel::ALL {
        for subscription in [Subscription::Subscribed, Subscription::DidNotSubscribe, Subscription::Unsubscribed] {
            let mut case = Case::by(channel);
            // Consent is read, whether or not this channel asks for it.
            case.contact.purposes.insert("marketing".to_owned(), purpose(true));
            case.policy.purpose = Some("marketing".to_owned());
            case.consent.subscriptions = Channel::ALL.map(|other| (other, Subscription::Unsubscribed)).into();
            case.consent.subscriptions.insert(channel, subscription);
            let is_held = channel.reaches_people() && subscription == Subscription::Unsubscribed;
            let expected = if is_held { Verdict::Hold(Reason::Unsubscribed) } else { Verdict::Send };
            assert_eq!(case.judge(), expected, "{subscription:?} to {channel}");
        }
    }
}

#[test]
fn consent_is_said_by_traits() {
    let traits = json!({
        "consent.marketing": true, "consent.Service Updates": false, "consent.profiling": "yes", "consent": true,
        "subscription.email": "UNSUBSCRIBED", "subscription.sms": "did_not_subscribe", "subscription.push": "rarely",
        "subscription.fax": "subscribed", "plan": "pro",
    });
    let consent = Consent::of(traits.as_object().unwrap());
    let purposes = [("marketing", true), ("Service Updates", false)].map(|(name, said)| (name.to_owned(), said));
    assert_eq!(consent.purposes, BTreeMap::from(purposes));
    let subscriptions = [(Channel::Email, Subscription::Unsubscribed), (Channel::Sms, Subscription::DidNotSubscribe)];
    assert_eq!(consent.subscriptions, BTreeMap::from(subscriptions));
}

#[test]
fn a_cap_counts_by_channel_or_all_that_reaches_people() {
    use Channel::{Email, Kafka, Push, Sms, Webhook};
    // What is capped, what other triggers sent before, by which way the message goes, and whether it does.
    for (capped, sent, channel, goes) in [
        (Some(Email), &[Email][..], Email, true),
        (Some(Email), &[Email, Email], Email, false),
        (Some(Email), &[Email, Email], Sms, true),
        (Some(Email), &[Sms, Sms, Email], Email, true),
        (Some(Webhook), &[Webhook, Webhook], Webhook, false),
        (None, &[Email, Sms], Push, false),
        (None, &[Email, Webhook, Kafka], Push, true),
        (None, &[Email, Sms], Webhook, true),
    ] {
        let mut case = Case::by(channel);
        case.contact.caps = vec![cap(capped, 2, DAY)];
        case.sent = sent.iter().map(|by| was_sent("other", *by, NOON - 1)).collect();
        let expected = if goes { Verdict::Send } else { Verdict::Hold(Reason::FrequencyCap) };
        assert_eq!(case.judge(), expected, "{capped:?} after {sent:?} by {channel}");
        // Messages that customers have asked for do not count.
        case.sent.iter_mut().for_each(|sent| sent.is_counted = false);
        assert_eq!(case.judge(), Verdict::Send, "{capped:?} after {sent:?} by {channel}");
    }
}

#[test]
fn a_trigger_counts_its_own_messages_by_any_channel() {
    let mut case = Case::by(Channel::Webhook);
    case.sent = vec![
        was_sent("news", Channel::Email, NOON - 1),
        was_sent("other", Channel::Webhook, NOON - 1),
        was_sent("other", Channel::Webhook, NOON - 2),
    ];
    case.policy.caps = vec![cap(None, 2, DAY)];
    assert_eq!(case.judge(), Verdict::Send);
    case.policy.caps.push(cap(None, 1, HOUR));
    assert_eq!(case.judge(), Verdict::Hold(Reason::FrequencyCap), "the tightest of its caps counts");
    case.policy.cooldown_ms = Some(HOUR);
    assert_eq!(case.judge(), Verdict::Hold(Reason::Cooldown));
    case.sent.remove(0);
    assert_eq!(case.judge(), Verdict::Send, "others have no part in it");
}

#[test]
fn windows_slide_to_the_millisecond_and_what_lies_ahead_is_in_them() {
    let of_all = |case: &mut Case| case.contact.caps = vec![cap(None, 1, DAY)];
    let of_trigger = |case: &mut Case| case.policy.caps = vec![cap(None, 1, DAY)];
    let cooldown = |case: &mut Case| case.policy.cooldown_ms = Some(DAY);
    let rules: [(Reason, Change); 3] =
        [(Reason::FrequencyCap, of_all), (Reason::FrequencyCap, of_trigger), (Reason::Cooldown, cooldown)];
    for (reason, rule) in rules {
        let mut case = Case::by(Channel::Email);
        rule(&mut case);
        case.sent = vec![was_sent("news", Channel::Email, NOON)];
        case.now = NOON + DAY;
        assert_eq!(case.judge(), Verdict::Send, "{reason:?}");
        // The clock may have been set back, by more than the window is long.
        for now in [NOON + DAY - 1, NOON, NOON - 1, NOON - 10 * DAY] {
            case.now = now;
            assert_eq!(case.judge(), Verdict::Hold(reason), "{}", now - NOON);
        }
    }
}

#[test]
fn quiet_hours_are_those_of_the_channels_they_name_where_the_customer_is() {
    let mut case = Case::by(Channel::Sms);
    case.contact.quiet_hours = Some(quiet(21 * 60, 8 * 60, Channel::Sms));
    assert_eq!(case.judge(), Verdict::Send);
    // Noon in London is nine in the evening in Tokyo.
    case.time_zone = Some("Asia/Tokyo");
    assert_eq!(case.judge(), Verdict::Wait(NOON + 11 * HOUR));
    case.channel = Channel::Email;
    assert_eq!(case.judge(), Verdict::Send);
}

#[test]
fn nothing_has_to_be_known_that_no_rule_asks_for() {
    let check = |case: &Case, suppression: bool, traits: bool, sent_within_ms: Option<Millis>| {
        let needs = Needs::of(&case.contact, &case.policy, case.channel);
        assert_eq!((needs.suppression, needs.traits, needs.sent_within_ms), (suppression, traits, sent_within_ms));
    };
    let (mut hook, mut mail) = (Case::by(Channel::Webhook), Case::by(Channel::Email));
    check(&hook, false, false, None);
    check(&mail, true, true, None);
    for case in [&mut hook, &mut mail] {
        case.contact.caps =
            vec![cap(Some(Channel::Email), 1, DAY), cap(None, 1, 2 * DAY), cap(Some(Channel::Sms), 1, HOUR)];
        case.contact.quiet_hours = Some(quiet(0, 60, Channel::Email));
    }
    check(&hook, false, false, None);
    check(&mail, true, true, Some(2 * DAY));
    hook.policy.cooldown_ms = Some(HOUR);
    hook.policy.caps = vec![cap(None, 1, 3 * HOUR), cap(None, 1, 2 * HOUR)];
    check(&hook, false, false, Some(3 * HOUR));
    hook.policy.purpose = Some("marketing".to_owned());
    check(&hook, false, true, Some(3 * HOUR));
    for case in [&mut hook, &mut mail] {
        case.policy.is_transactional = true;
    }
    check(&hook, false, false, None);
    check(&mail, true, false, None);
}
