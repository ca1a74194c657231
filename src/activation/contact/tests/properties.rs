//! Whatever the rules are: what need not be known changes no answer, and quiet hours end when the clock says so.

use super::*;
use crate::activation::contact::quiet_hours::ends;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const MINUTE: Millis = 60_000;

fn any_channel() -> impl Strategy<Value = Channel> {
    prop::sample::select(Channel::ALL.to_vec())
}

fn any_caps() -> impl Strategy<Value = Vec<Cap>> {
    let one = (prop::option::of(any_channel()), 1..3u32, prop::sample::select(vec![HOUR, DAY]));
    prop::collection::vec(one.prop_map(|(channel, most, within)| cap(channel, most, within)), 0..3)
}

fn any_contact() -> impl Strategy<Value = ContactPolicy> {
    let holdout = prop::option::weighted(0.2, Just(everybody()));
    let quiet_hours = prop::option::of((0..24 * 60u16, 0..24 * 60u16, any_channel()));
    (any::<bool>(), holdout, any_caps(), quiet_hours).prop_map(|(is_granted, holdout, caps, quiet_hours)| {
        ContactPolicy {
            purposes: BTreeMap::from([("marketing".to_owned(), purpose(is_granted))]),
            holdout,
            caps,
            quiet_hours: quiet_hours.map(|(from, to, channel)| quiet(from, to, channel)),
        }
    })
}

fn any_policy() -> impl Strategy<Value = TriggerPolicy> {
    let purpose = prop::option::of(Just("marketing".to_owned()));
    let holdout = prop::option::weighted(0.2, Just(everybody()));
    let cooldown_ms = prop::option::of(prop::sample::select(vec![HOUR, DAY]));
    (purpose, prop::bool::weighted(0.2), holdout, cooldown_ms, any_caps()).prop_map(
        |(purpose, is_transactional, holdout, cooldown_ms, caps)| TriggerPolicy {
            purpose,
            is_transactional,
            holdout,
            cooldown_ms,
            caps,
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let state = prop::sample::select(vec![Subscription::Subscribed, Subscription::Unsubscribed]);
    let consent = (prop::option::of(any::<bool>()), prop::collection::btree_map(any_channel(), state, 0..5));
    let consent = consent.prop_map(|(said, subscriptions)| Consent {
        purposes: said.map(|said| ("marketing".to_owned(), said)).into_iter().collect(),
        subscriptions,
    });
    let time_zone = prop::option::of(prop::sample::select(vec!["Asia/Tokyo", "America/New_York", "nowhere"]));
    let sent = (prop::sample::select(vec!["news", "other"]), any_channel(), -2 * DAY..HOUR, any::<bool>());
    let sent = sent.prop_map(|(trigger, channel, after, is_counted)| Sent {
        is_counted,
        ..was_sent(trigger, channel, NOON + after)
    });
    let known = (any::<bool>(), consent, time_zone, prop::collection::vec(sent, 0..6));
    (any_contact(), any_policy(), any_channel(), known, -DAY..DAY).prop_map(
        |(contact, policy, channel, (is_listed, consent, time_zone, sent), after)| {
            // Lists have addresses of people only.
            let is_suppressed = is_listed && channel.reaches_people();
            Case { contact, policy, channel, is_suppressed, consent, time_zone, sent, now: NOON + after }
        },
    )
}

/// When it is no longer quiet, for somebody who looks at the clock on the wall every minute.
fn watched(quiet: &QuietHours, zone: &TimeZone, now: Millis) -> Option<Millis> {
    let mut is_quiet = [false; 24 * 60];
    let mut minute = quiet.from;
    while minute != quiet.to {
        is_quiet[usize::from(minute)] = true;
        minute = (minute + 1) % (24 * 60);
    }
    let is_quiet_at = |at: Millis| {
        let wall = zone.to_datetime(Timestamp::from_millisecond(at).unwrap());
        is_quiet[usize::try_from(wall.hour()).unwrap() * 60 + usize::try_from(wall.minute()).unwrap()]
    };
    let next_minute = now - now.rem_euclid(MINUTE) + MINUTE;
    // Hours that are not quiet may be those that a day lacks: then they are the next day's.
    let mut minutes = (0..50 * 60).map(|minutes| next_minute + minutes * MINUTE);
    is_quiet_at(now).then(|| minutes.find(|at| !is_quiet_at(*at)).expect("an end"))
}

fn any_minute() -> impl Strategy<Value = u16> {
    // Where clocks change, and anywhere.
    prop_oneof![60..4 * 60u16, 0..24 * 60u16]
}

const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];

fn config() -> ProptestConfig {
    ProptestConfig { cases: 4_000, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever stands in the place of what need not be known, the answer is the same.
    #[test]
    fn what_no_rule_asks_for_changes_nothing(case in any_case(), other in any_case()) {
        let needs = Needs::of(&case.contact, &case.policy, case.channel);
        let is_read = |sent: &Sent| needs.sent_within_ms.is_some_and(|span| sent.at >= case.now - span);
        let mut mixed = case.clone();
        if !needs.traits {
            mixed.consent.clone_from(&other.consent);
            mixed.time_zone = other.time_zone;
        }
        mixed.sent.retain(is_read);
        mixed.sent.extend(other.sent.iter().filter(|sent| !is_read(sent)).cloned());
        prop_assert_eq!(case.judge(), mixed.judge());
        // Then nobody is asked.
        if needs == Needs::default() {
            prop_assert_eq!(case.judge(), Verdict::Send);
        }
    }

    /// Around the days of 23, 23½, 24½ and 25 hours too.
    #[test]
    fn quiet_hours_end_when_the_clock_on_the_wall_says_so(
        name in prop::sample::select(ZONES.to_vec()),
        nth in 0..2usize,
        after in -30 * HOUR..30 * HOUR,
        (from, to) in (any_minute(), any_minute()),
    ) {
        let zone = TimeZone::get(name).unwrap();
        let new_year = Timestamp::from_millisecond(NOON - 151 * DAY).unwrap();
        let change = zone.following(new_year).nth(nth).map_or(new_year, |change| change.timestamp());
        let now = change.as_millisecond() + after;
        let quiet = quiet(from, to, Channel::Email);
        prop_assert_eq!(ends(&quiet, Some(name), now), watched(&quiet, &zone, now));
    }
}
