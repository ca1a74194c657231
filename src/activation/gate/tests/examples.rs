//! What the gate promises, one promise after the other.

use super::*;
use std::sync::Barrier;

/// No more than so many e-mails a day.
fn mails_a_day(most: u32) -> ContactPolicy {
    ContactPolicy { caps: vec![cap(Some(Channel::Email), most, DAY)], ..ContactPolicy::default() }
}

/// From nine in the evening to eight in the morning in Berlin.
fn nights(channel: Channel) -> QuietHours {
    QuietHours {
        from: 21 * 60,
        to: 8 * 60,
        channels: [channel].into(),
        time_zone: "timezone".to_owned(),
        otherwise: "Europe/Berlin".to_owned(),
    }
}

/// The first of June 2026 at ten in the evening in Berlin.
const EVENING: Millis = NOON + 8 * HOUR;
/// When that night ends.
const MORNING: Millis = NOON + 18 * HOUR;

#[test]
fn two_destinations_at_once_let_out_no_more_than_there_may_be() {
    const PEOPLE: u8 = 200;
    let contact = ContactPolicy { caps: vec![cap(None, 1, DAY)], ..ContactPolicy::default() };
    let mut world = World::new(gate(contact, &[]), PEOPLE);
    let mut make = |destination| (0..PEOPLE).map(|about| world.make(destination, "news", about)).collect::<Vec<_>>();
    let (mails, texts) = (make("mail"), make("text"));
    let begin = Barrier::new(2);
    let let_out = |messages: &[Message]| -> Vec<bool> {
        begin.wait();
        messages.iter().map(|message| world.goes(message)).collect()
    };
    let (by_mail, by_text) = std::thread::scope(|scope| {
        let by_mail = scope.spawn(|| let_out(&mails));
        let by_text = let_out(&texts);
        (by_mail.join().unwrap(), by_text)
    });
    for (about, (mail, text)) in by_mail.into_iter().zip(by_text).enumerate() {
        assert!(mail != text, "{about} may get one message: {mail}, {text}");
    }
}

#[test]
fn caps_follow_the_person_through_merges_and_their_undoing() {
    let mut world = World::new(gate(mails_a_day(2), &[]), 2);
    let [first, second, third, fourth, fifth, sixth] =
        [0, 1, 0, 0, 1, 1].map(|about| world.make("mail", "news", about));
    assert!(world.goes(&first) && world.goes(&second));
    world.move_to(1, 0);
    assert!(!world.goes(&third), "one person has got two");
    assert_eq!(world.told(&third), "held: frequency_cap");
    world.move_to(1, 1);
    assert!(world.goes(&fourth) && world.goes(&fifth), "two persons have got one each");
    assert!(!world.goes(&sixth));
    world.now += DAY;
    let seventh = world.make("mail", "news", 1);
    assert!(world.goes(&seventh));
}

#[test]
fn what_quiet_hours_hold_comes_back_when_they_end_and_is_asked_about_again() {
    let mut contact = ContactPolicy { quiet_hours: Some(nights(Channel::Email)), ..ContactPolicy::default() };
    contact.purposes.insert("marketing".to_owned(), purpose(true));
    let offer = TriggerPolicy { purpose: Some("marketing".to_owned()), ..TriggerPolicy::default() };
    let mut world = World::new(gate(contact, &[("offer", offer)]), 3);
    world.say(2, "timezone", "America/New_York");
    world.now = EVENING;
    let mails = [0, 1, 2].map(|about| world.make("mail", "offer", about));
    assert_eq!(world.admit(&mails), [Admission::Gone, Admission::Gone, Admission::Send], "it is day in New York");
    assert_eq!(
        (world.told(&mails[0]), world.told(&mails[2])),
        ("waiting: quiet_hours".to_owned(), "pending".to_owned())
    );
    assert_eq!(world.notes(0)[0].until, Some(MORNING));
    assert_eq!(world.store.next_waiting(), Some(MORNING));
    world.settle(&mails[2], Settled::Delivered);

    world.say(1, "consent.marketing", false);
    world.now = MORNING - 1;
    world.commit(&[]);
    assert!(world.standing("mail").is_empty());
    world.now = MORNING;
    world.commit(&[]);
    let back = world.standing("mail");
    assert_eq!(back.iter().map(|message| &message.id).collect::<Vec<_>>(), [&mails[0].id, &mails[1].id]);
    assert_eq!((world.told(&back[0]), world.store.next_waiting()), ("pending".to_owned(), None));
    assert_eq!(world.admit(&back), [Admission::Send, Admission::Gone]);
    assert_eq!(world.told(&back[1]), "held: no_consent");
    world.now += DAY;
    world.commit(&[]);
    assert_eq!(world.standing("mail").len(), 1, "what has come back once does not come back again");
}

#[test]
fn whoever_is_deleted_leaves_neither_waiting_messages_nor_sends() {
    let contact = ContactPolicy { quiet_hours: Some(nights(Channel::Sms)), ..mails_a_day(2) };
    let mut world = World::new(gate(contact, &[]), 2);
    world.now = EVENING;
    let mut of_each = Vec::new();
    for about in [0, 1] {
        let sent = world.make("mail", "news", about);
        let dead = world.make("post", "news", about);
        let waits = world.make("text", "news", about);
        assert_eq!(
            world.admit(&[sent.clone(), dead.clone(), waits]),
            [Admission::Send, Admission::Send, Admission::Gone]
        );
        world.settle(&dead, Settled::Dead(why()));
        assert!(world.is_dead(&dead));
        of_each.push((sent, dead));
    }
    world.commit(&[0]);
    let (sent, dead) = &of_each[0];
    // An attempt was under way.
    world.settle(sent, Settled::Delivered);
    assert!(!world.goes(sent) && !world.is_dead(dead));
    assert!(world.notes(0).is_empty() && world.sends(0).is_empty());
    assert_eq!((world.notes(1).len(), world.sends(1).len()), (3, 1), "others keep what they have");
    world.now = MORNING;
    world.commit(&[]);
    let left = DESTINATIONS.map(|(destination, _)| world.standing(destination));
    assert!(left.iter().flatten().all(|message| message.about == id(1)), "{left:?}");
    assert_eq!(left.map(|left| left.len()), [1, 0, 1, 0]);
}

#[test]
fn whoever_is_deleted_when_quiet_hours_end_gets_nothing_of_what_has_waited() {
    let contact = ContactPolicy { quiet_hours: Some(nights(Channel::Email)), ..ContactPolicy::default() };
    let mut world = World::new(gate(contact, &[]), 2);
    world.now = EVENING;
    let mails = [0, 1].map(|about| world.make("mail", "news", about));
    assert_eq!(world.admit(&mails), [Admission::Gone, Admission::Gone]);
    world.now = MORNING;
    world.commit(&[0]);
    let back = world.standing("mail");
    assert_eq!(back.iter().map(|message| &message.id).collect::<Vec<_>>(), [&mails[1].id]);
    assert!(world.notes(0).is_empty());
}

#[test]
fn a_message_that_is_held_says_why() {
    let mut contact = mails_a_day(1);
    contact.purposes.insert("marketing".to_owned(), purpose(false));
    let usual = TriggerPolicy::default;
    let triggers = [
        ("offer", TriggerPolicy { purpose: Some("marketing".to_owned()), ..usual() }),
        ("trial", TriggerPolicy { holdout: Some(everybody()), ..usual() }),
        ("daily", TriggerPolicy { cooldown_ms: Some(DAY), ..usual() }),
    ];
    let mut world = World::new(gate(contact, &triggers), 6);
    world.suppress(Channel::Email, 0, true);
    world.say(2, "subscription.email", "unsubscribed");
    // A message that goes before, if there is one, and one that is held.
    let cases: [(Option<&str>, &str); 6] = [
        (None, "news"),
        (None, "offer"),
        (None, "news"),
        (None, "trial"),
        (Some("daily"), "daily"),
        (Some("news"), "news"),
    ];
    for (about, ((before, trigger), reason)) in (0..).zip(cases.into_iter().zip(contact::Reason::ALL)) {
        if let Some(before) = before {
            let before = world.make("mail", before, about);
            assert!(world.goes(&before));
        }
        world.now += 1;
        let held = world.make("post", trigger, about);
        assert!(!world.goes(&held));
        assert_eq!(world.told(&held), format!("held: {}", reason.name()));
        let notes = world.notes(about);
        let note = notes.iter().find(|note| note.id == held.id).unwrap();
        assert_eq!((note.trigger.as_str(), note.destination.as_str(), note.at), (trigger, "post", world.now));
        assert!(world.standing("post").is_empty(), "it has left the outbox");
    }
}

#[test]
fn a_message_that_is_given_up_gives_its_place_back() {
    let mut world = World::new(gate(mails_a_day(1), &[]), 6);
    for (about, (settled, is_free)) in (0..).zip([
        (Settled::Delivered, false),
        (Settled::MaybeSent(why()), false),
        (Settled::Failed(why()), false),
        (Settled::Postponed(why()), false),
        (Settled::Dead(why()), true),
        (Settled::Unreachable(why()), true),
    ]) {
        let [first, second] = ["mail", "post"].map(|destination| world.make(destination, "news", about));
        assert!(world.goes(&first));
        world.settle(&first, settled.clone());
        assert_eq!(world.goes(&second), is_free, "{settled:?}");
    }
}

#[test]
fn a_message_that_is_tried_again_has_its_place() {
    let daily = TriggerPolicy { cooldown_ms: Some(DAY), ..TriggerPolicy::default() };
    let mut world = World::new(gate(mails_a_day(1), &[("daily", daily)]), 1);
    let message = world.make("mail", "daily", 0);
    for _ in 0..3 {
        assert!(world.goes(&message));
        world.settle(&message, Settled::Failed(why()));
        world.now += HOUR;
    }
    let sent = SentMessage { trigger: "daily".to_owned(), channel: "email".to_owned(), is_counted: true };
    assert_eq!(world.sends(0), [(NOON, sent)], "it counts once, from when it was first let out");
    world.suppress(Channel::Email, 0, true);
    assert!(!world.goes(&message) && world.sends(0).is_empty(), "who wants it no more has not got it");
}

#[test]
fn what_is_asked_at_once_is_answered_as_if_one_after_the_other() {
    let mut contact = mails_a_day(1);
    contact.purposes.insert("marketing".to_owned(), purpose(true));
    let offer = TriggerPolicy { purpose: Some("marketing".to_owned()), ..TriggerPolicy::default() };
    let mut world = World::new(gate(contact, &[("offer", offer)]), 2);
    world.move_to(1, 0);
    let messages = [0, 1, 0].map(|about| world.make("mail", "offer", about));
    assert_eq!(world.admit(&messages), [Admission::Send, Admission::Gone, Admission::Gone]);
    world.settle(&messages[0], Settled::Failed(why()));
    // The place that the first one gives back is free for the second.
    world.say(1, "consent.marketing", false);
    let second = world.make("mail", "news", 1);
    assert_eq!(world.admit(&[messages[0].clone(), second]), [Admission::Gone, Admission::Send]);
    assert_eq!((world.sends(0).len(), world.sends(1).len()), (0, 1));
}

#[test]
fn a_control_group_gets_nothing_by_any_channel() {
    let trial = TriggerPolicy { holdout: Some(everybody()), ..TriggerPolicy::default() };
    let of_all = ContactPolicy { holdout: Some(everybody()), ..ContactPolicy::default() };
    for gate in [gate(ContactPolicy::default(), &[("trial", trial)]), gate(of_all, &[])] {
        let mut world = World::new(gate, 1);
        for (destination, _) in DESTINATIONS {
            let message = world.make(destination, "trial", 0);
            assert!(!world.goes(&message), "{destination}");
            assert_eq!(world.told(&message), "held: holdout");
        }
    }
}

#[test]
fn messages_that_customers_have_asked_for_go_and_count_to_nothing() {
    let receipt = TriggerPolicy { is_transactional: true, ..TriggerPolicy::default() };
    let contact = ContactPolicy { quiet_hours: Some(nights(Channel::Sms)), ..mails_a_day(1) };
    let mut world = World::new(gate(contact, &[("receipt", receipt)]), 1);
    world.now = EVENING;
    for destination in ["mail", "mail", "text", "hook"] {
        let receipt = world.make(destination, "receipt", 0);
        assert!(world.goes(&receipt));
    }
    let [news, more] = ["mail", "mail"].map(|destination| world.make(destination, "news", 0));
    assert!(world.goes(&news) && !world.goes(&more));
    world.suppress(Channel::Email, 0, true);
    let receipt = world.make("mail", "receipt", 0);
    assert!(!world.goes(&receipt));
    world.suppress(Channel::Email, 0, false);
    let receipt = world.make("mail", "receipt", 0);
    assert!(world.goes(&receipt));
}

#[test]
fn what_takes_a_message_back_is_held_back_by_lists_of_addresses_alone() {
    let contact = ContactPolicy { holdout: Some(everybody()), ..mails_a_day(1) };
    let mut world = World::new(gate(contact, &[]), 1);
    for _ in 0..2 {
        let retraction = world.put("mail", "news", 0, true);
        assert!(world.goes(&retraction));
    }
    assert!(world.sends(0).is_empty());
    world.suppress(Channel::Email, 0, true);
    let retraction = world.put("mail", "news", 0, true);
    assert!(!world.goes(&retraction));
    assert_eq!(world.told(&retraction), "held: suppressed");
}

#[test]
fn what_cannot_be_noted_is_not_let_out() {
    let mut world = World::new(gate(mails_a_day(1), &[]), 1);
    let message = world.make("mail", "news", 0);
    world.is_full.store(true, Ordering::Relaxed);
    assert!(world.gate.admit(&world.store, std::slice::from_ref(&message), world.now).is_err());
    world.is_full.store(false, Ordering::Relaxed);
    assert!(world.sends(0).is_empty());
    assert!(world.goes(&message));
}

#[test]
fn nothing_is_noted_where_nothing_is_counted() {
    let mut world = World::new(gate(mails_a_day(1), &[]), 1);
    let message = world.make("hook", "news", 0);
    assert!(world.goes(&message));
    assert!(world.sends(0).is_empty());
    assert_eq!((world.told(&message), world.standing("hook").len()), ("pending".to_owned(), 1));
}
