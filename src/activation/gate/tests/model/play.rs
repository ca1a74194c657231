//! Random histories, in the world and in the model: both say the same of every message after every step.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};
use std::cell::RefCell;

/// What can happen. Messages are picked by numbers, each of which is one of those that there are.
#[derive(Clone, Debug)]
enum Step {
    /// A trigger fires, or takes back that it has.
    Make { destination: usize, trigger: usize, about: u8, retracts: bool },
    /// Some that stand in the outbox are asked about at once, through whichever destinations.
    Admit(Vec<usize>),
    /// A message is asked about, whatever has become of it.
    AdmitAny(usize),
    /// An attempt has ended.
    Settle(usize, Settled),
    /// Two customers become one.
    Merge(u8, u8),
    /// An identifier leaves for another profile.
    Part(u8, u8),
    /// A customer says something by one of their identifiers.
    Say(u8, (&'static str, Value)),
    /// An address gets nothing from now on, or may again.
    Suppress(u8, Channel, bool),
    /// The clock goes on, or is set back.
    Wait(Millis),
    /// An epoch is committed.
    Commit,
    /// An epoch is committed in which an identifier is deleted, and comes back as if it were new.
    Delete(u8),
}

fn caps(channels: Vec<Option<Channel>>) -> impl Strategy<Value = Vec<Cap>> {
    let one = (select(channels), 1..4u32, select(vec![HOUR / 4, 6 * HOUR, DAY, 7 * DAY]));
    prop::collection::vec(one.prop_map(|(channel, most, within)| cap(channel, most, within)), 0..3)
}

fn trigger() -> impl Strategy<Value = TriggerPolicy> {
    let purpose = prop::option::weighted(0.4, select(vec!["marketing", "service"]));
    let holdout = prop::option::weighted(0.05, Just(everybody()));
    let cooldown_ms = prop::option::weighted(0.4, select(vec![HOUR, DAY]));
    let limited =
        (purpose, holdout, cooldown_ms, caps(vec![None])).prop_map(|(purpose, holdout, cooldown_ms, caps)| {
            TriggerPolicy { purpose: purpose.map(str::to_owned), is_transactional: false, holdout, cooldown_ms, caps }
        });
    prop_oneof![5 => limited, 1 => Just(TriggerPolicy { is_transactional: true, ..TriggerPolicy::default() })]
}

fn rules() -> impl Strategy<Value = Rules> {
    let disturbing = prop::collection::btree_set(select(vec![Channel::Email, Channel::Sms, Channel::Webhook]), 1..3);
    let hours = select(vec![(22 * 60u16, 8 * 60u16), (9 * 60, 17 * 60 + 30)]);
    let quiet = (hours, disturbing, select(vec!["UTC", "Asia/Tokyo"]));
    let quiet = quiet.prop_map(|((from, to), channels, otherwise)| QuietHours {
        from,
        to,
        channels,
        time_zone: "zone".to_owned(),
        otherwise: otherwise.to_owned(),
    });
    let holdout = prop::option::weighted(0.05, Just(everybody()));
    let caps = caps(vec![None, Some(Channel::Email), Some(Channel::Sms), Some(Channel::Webhook)]);
    let triggers = prop::collection::vec(trigger(), TRIGGERS.len());
    (holdout, caps, prop::option::of(quiet), triggers).prop_map(|(holdout, caps, quiet_hours, triggers)| {
        let purposes = [("marketing", false), ("service", true)];
        let purposes = purposes.map(|(name, is_granted)| (name.to_owned(), purpose(is_granted)));
        Rules {
            contact: ContactPolicy { purposes: purposes.into(), holdout, caps, quiet_hours },
            triggers: TRIGGERS.into_iter().zip(triggers).collect(),
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let said = select(vec![
        ("consent.marketing", json!(true)),
        ("consent.marketing", json!(true)),
        ("consent.marketing", json!(false)),
        ("consent.service", json!(false)),
        ("consent.service", Value::Null),
        ("subscription.email", json!("unsubscribed")),
        ("subscription.email", json!("subscribed")),
        ("subscription.sms", json!("unsubscribed")),
        ("subscription.sms", Value::Null),
        ("subscription.webhook", json!("unsubscribed")),
        ("zone", json!("UTC")),
        ("zone", json!("Asia/Tokyo")),
        ("zone", json!("nowhere")),
        ("zone", Value::Null),
    ]);
    let settled = select(vec![
        Settled::Delivered,
        Settled::Delivered,
        Settled::MaybeSent(why()),
        Settled::Failed(why()),
        Settled::Failed(why()),
        Settled::Postponed(why()),
        Settled::Dead(why()),
        Settled::Unreachable(why()),
    ]);
    let wait = prop_oneof![
        4 => 0..2 * HOUR,
        // To the millisecond, where windows end.
        3 => select(vec![0, HOUR / 4, HOUR, 6 * HOUR, DAY, 7 * DAY, -HOUR, -DAY]),
        2 => HOUR..2 * DAY,
        1 => -DAY..0,
    ];
    let make = (0..DESTINATIONS.len(), 0..TRIGGERS.len(), 0..PEOPLE, prop::bool::weighted(0.1));
    let make =
        make.prop_map(|(destination, trigger, about, retracts)| Step::Make { destination, trigger, about, retracts });
    prop_oneof![
        8 => make,
        8 => prop::collection::vec(any::<usize>(), 1..5).prop_map(Step::Admit),
        1 => any::<usize>().prop_map(Step::AdmitAny),
        5 => (any::<usize>(), settled).prop_map(|(pick, settled)| Step::Settle(pick, settled)),
        1 => (0..PEOPLE, 0..PEOPLE).prop_map(|(from, to)| Step::Merge(from, to)),
        1 => (0..PEOPLE, 0..PEOPLE).prop_map(|(number, owner)| Step::Part(number, owner)),
        3 => (0..PEOPLE, said).prop_map(|(number, said)| Step::Say(number, said)),
        1 => (0..PEOPLE, select(vec![Channel::Email, Channel::Sms]), any::<bool>())
            .prop_map(|(number, channel, is_suppressed)| Step::Suppress(number, channel, is_suppressed)),
        4 => wait.prop_map(Step::Wait),
        2 => Just(Step::Commit),
        1 => (0..PEOPLE).prop_map(Step::Delete),
    ]
}

/// Asks both about messages at once.
fn admit(world: &World, model: &mut Model, mut asked: Vec<usize>) {
    let mut seen = BTreeSet::new();
    asked.retain(|index| seen.insert(*index));
    let messages: Vec<Message> = asked.iter().map(|index| model.all[*index].message.clone()).collect();
    let expected: Vec<Admission> = asked.iter().map(|index| model.admit(*index, world.now)).collect();
    assert_eq!(world.admit(&messages), expected, "{messages:?}");
}

/// Those of the messages that are so.
fn those(model: &Model, are: impl Fn(&Known) -> bool) -> Vec<usize> {
    (0..model.all.len()).filter(|index| are(&model.all[*index])).collect()
}

fn pick(of: &[usize], number: usize) -> Option<usize> {
    of.get(number % of.len().max(1)).copied()
}

fn take(step: &Step, world: &mut World, model: &mut Model) {
    match step {
        Step::Make { destination, trigger, about, retracts } => {
            let (destination, channel) = DESTINATIONS[*destination];
            let message = world.put(destination, TRIGGERS[*trigger], *about, *retracts);
            model.add(message, *about, channel, *retracts);
        }
        Step::Admit(picks) => {
            let standing = those(model, |known| known.stands);
            let asked = picks.iter().filter_map(|number| pick(&standing, *number)).collect();
            admit(world, model, asked);
        }
        Step::AdmitAny(number) => {
            let asked = pick(&those(model, |_| true), *number).into_iter().collect();
            admit(world, model, asked);
        }
        Step::Settle(number, settled) => {
            if let Some(index) = pick(&those(model, |known| known.is_sent), *number) {
                world.settle(&model.all[index].message, settled.clone());
                model.settle(index, settled);
            }
        }
        Step::Merge(from, to) => {
            for number in model.person(*from) {
                let owner = model.owners[usize::from(*to)];
                world.move_to(number, owner);
                model.owners[usize::from(number)] = owner;
            }
        }
        Step::Part(number, owner) => {
            world.move_to(*number, *owner);
            model.owners[usize::from(*number)] = *owner;
        }
        Step::Say(who, (name, value)) => {
            world.say(*who, name, value.clone());
            let order = (world.now, world.said);
            model.said.push(Said { who: *who, name, value: value.clone(), order });
        }
        Step::Suppress(number, channel, is_suppressed) => {
            world.suppress(*channel, *number, *is_suppressed);
            match *is_suppressed {
                true => model.suppressed.insert((*channel, *number)),
                false => model.suppressed.remove(&(*channel, *number)),
            };
        }
        Step::Wait(long) => world.now += long,
        Step::Commit => {
            world.commit(&[]);
            model.commit(world.clock);
        }
        Step::Delete(number) => {
            world.commit(&[*number]);
            model.delete(*number);
            model.commit(world.clock);
        }
    }
}

/// What the state holds is what the model says.
fn compare(world: &World, model: &Model) {
    let mut standing: Vec<_> = DESTINATIONS.iter().flat_map(|(destination, _)| world.standing(destination)).collect();
    standing.sort_unstable_by_key(|message| message.sequence);
    let standing: Vec<_> = standing.iter().map(|message| (message.sequence, message.id.as_str())).collect();
    let mut expected: Vec<_> = model.all.iter().filter(|known| known.stands).collect();
    expected.sort_unstable_by_key(|known| known.message.sequence);
    let expected: Vec<_> = expected.iter().map(|known| (known.message.sequence, known.message.id.as_str())).collect();
    assert_eq!(standing, expected, "what stands in the outbox");

    let until = |known: &Known| known.told.as_ref().and_then(|(_, _, until)| *until);
    let mut expected: Vec<_> = model
        .all
        .iter()
        .filter_map(|known| Some((until(known)?, known.message.sequence, known.message.id.clone())))
        .collect();
    expected.sort_unstable();
    let waiting = world.store.view().waiting(usize::MAX).unwrap().into_iter();
    let waiting: Vec<_> = waiting.map(|((until, number), waiting)| (until, number, waiting.message.id)).collect();
    assert_eq!(waiting, expected, "what waits");
    assert_eq!(world.store.next_waiting(), expected.first().map(|(until, ..)| *until), "when to look at what waits");

    for number in 0..PEOPLE {
        let of = || model.all.iter().filter(move |known| known.about == number);
        let mut notes: Vec<_> =
            world.notes(number).into_iter().map(|note| (note.id, note.status, note.reason, note.until)).collect();
        notes.sort_unstable();
        let mut expected: Vec<_> = of()
            .filter_map(|known| {
                let (status, reason, until) = known.told.clone()?;
                Some((known.message.id.clone(), status.to_owned(), reason, until))
            })
            .collect();
        expected.sort_unstable();
        assert_eq!(notes, expected, "what is told of messages");

        let sends = world.sends(number).into_iter();
        let mut sends: Vec<_> = sends.map(|(at, sent)| (at, sent.trigger, sent.channel)).collect();
        sends.sort_unstable();
        let counted = of().filter(|known| !model.limits(known).is_empty());
        let counted = counted.filter_map(|known| known.place.map(|place| (model.let_out[place].at, known)));
        let mut expected: Vec<_> =
            counted.map(|(at, known)| (at, known.message.trigger.clone(), known.channel.name().to_owned())).collect();
        expected.sort_unstable();
        assert_eq!(sends, expected, "what counts");
    }
    for Known { message, told, .. } in &model.all {
        let is_dead = told.as_ref().is_some_and(|(status, ..)| ["dead", "unreachable"].contains(status));
        assert_eq!(world.is_dead(message), is_dead, "{message:?}");
    }
}

#[test]
fn limits_and_consent_are_what_the_model_says_through_merges_and_with_any_clock() {
    let config = ProptestConfig {
        cases: 128,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let met: RefCell<BTreeMap<&'static str, usize>> = RefCell::default();
    let history = (rules(), prop::collection::vec(step(), 1..100));
    let played = TestRunner::new(config).run(&history, |(rules, steps)| {
        let mut world = World::new(gate(rules.contact.clone(), &rules.triggers), PEOPLE);
        let mut model = Model::new(rules);
        for step in &steps {
            take(step, &mut world, &mut model);
            compare(&world, &model);
        }
        model.look_back();
        for (what, times) in &model.met {
            *met.borrow_mut().entry(*what).or_insert(0) += times;
        }
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
    // What histories hardly ever come to is hardly tested.
    let met = met.into_inner();
    let of_interest = ["sent", "quiet_hours", "came back", "held after it was let out", "dead", "unreachable"];
    for what in Reason::ALL.map(Reason::name).into_iter().chain(of_interest) {
        assert!(met.get(what).is_some_and(|times| *times >= 5), "{what}: {met:?}");
    }
}
