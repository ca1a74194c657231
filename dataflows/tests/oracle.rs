//! The judge of the dataflow: a naive oracle that recomputes every answer from the full list of events, in plain loops,
//! and knows nothing of differences, buckets by identifier, or labels.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(unreachable_pub, missing_debug_implementations)] // the modules of a test are nobody's API

mod support;

use proptest::prelude::*;
use std::collections::BTreeSet;
use support::dataflow::Dataflow;
use support::definitions::{Choice, Ruleset};
use support::naive::{Happening, History};
use tributary_dataflows::identity::{Stated, ends};
use tributary_model::ProfileId;

/// What a test can do to the world.
#[derive(Clone, Debug)]
enum Step {
    /// A new event.
    Event(Happening),
    /// The n-th event is sent again.
    Again(usize),
    /// The n-th link is taken back, with all its evidence.
    TakeBack(usize),
    /// Somebody says of two identifiers what they are, or takes it back.
    State(usize, usize, Option<Stated>),
    /// An identifier is deleted.
    Delete(usize),
    /// Time passes.
    Wait(i64),
    /// Time passes, and an epoch is closed before those are woken of whom it changes something.
    Oversleep(i64),
    /// Other segments are defined, while all goes on.
    Redefine(Choice),
    /// A restart, by other rules.
    Restart(Ruleset),
    /// The epoch is closed, and everything is compared.
    Close,
}

fn happening() -> impl Strategy<Value = Happening> {
    let user = proptest::option::weighted(0.5, 0..4u8);
    let email = proptest::option::weighted(0.3, 0..3u8);
    let device = proptest::option::weighted(0.7, 0..6u8);
    let name = prop_oneof![Just("Order Completed"), Just("Checkout Started"), Just("Product Viewed")];
    let country = proptest::option::weighted(0.3, prop_oneof![Just("DE"), Just("FR")]);
    let plan = proptest::option::weighted(0.5, prop_oneof![Just("pro"), Just("free")]);
    let group = proptest::option::weighted(0.3, (0..3u8, plan));
    // Some events are dated back, up to three days: late ones must count where they belong.
    let back = prop_oneof![3 => Just(0i64), 1 => 0..(3 * 86_400_000i64)];
    (user, email, device, name, 0..40_000i64, country, group, back)
        .prop_filter("an event has an identifier", |(user, email, device, ..)| {
            user.is_some() || email.is_some() || device.is_some()
        })
        .prop_map(|(user, email, device, name, cents, country, group, back)| Happening {
            user,
            email,
            device,
            name,
            cents,
            country,
            group,
            back,
        })
}

fn stated() -> impl Strategy<Value = Option<Stated>> {
    proptest::option::weighted(0.8, prop_oneof![Just(Stated::Same), Just(Stated::Different)])
}

fn ruleset() -> impl Strategy<Value = Ruleset> {
    let most = |range| proptest::option::weighted(0.8, range);
    (most(1..3u32), most(1..4u32), 1..4u32, 4..12u32, any::<bool>(), proptest::bool::weighted(0.3)).prop_map(
        |(users, emails, shared_after, max_links, email_first, blocks)| Ruleset {
            users,
            emails,
            shared_after,
            max_links,
            email_first,
            blocks,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => happening().prop_map(Step::Event),
        1 => (0..40usize).prop_map(Step::Again),
        2 => (0..10usize).prop_map(Step::TakeBack),
        2 => (0..12usize, 0..12usize, stated()).prop_map(|(a, b, stated)| Step::State(a, b, stated)),
        1 => (0..12usize).prop_map(Step::Delete),
        1 => (0..86_400_000i64 * 2).prop_map(Step::Wait),
        1 => (0..120_000i64).prop_map(Step::Wait),
        1 => (0..86_400_000i64).prop_map(Step::Oversleep),
        1 => ruleset().prop_map(Step::Restart),
        2 => (any::<u32>(), any::<bool>()).prop_map(|(segments, swapped)| Step::Redefine(Choice { segments, swapped })),
        4 => Just(Step::Close),
    ]
}

fn compare(dataflow: &Dataflow, history: &History) {
    let all = history.answers();
    assert_eq!(dataflow.owners(), all.owners, "owners");
    assert_eq!(dataflow.conflicts(), all.conflicts, "conflicts");
    assert_eq!(dataflow.groups(), all.groups, "groups");
    let (defined, next) = dataflow.defined();
    let answers = all.of(defined);
    let Some(next) = next.map(|next| all.of(next)) else {
        assert_eq!(dataflow.members(), answers.members, "members");
        assert_eq!(dataflow.counts(), answers.counts, "counts");
        return;
    };
    // Other definitions are being taken over: each customer is told of by the old or by the new ones.
    let of = |members: &BTreeSet<(ProfileId, String)>, profile: ProfileId| -> BTreeSet<String> {
        members.iter().filter(|(of, _)| *of == profile).map(|(_, segment)| segment.clone()).collect()
    };
    for profile in dataflow.profiles() {
        let told = of(&dataflow.members(), profile);
        let (old, new) = (of(&answers.members, profile), of(&next.members, profile));
        assert!(told == old || told == new, "{profile}: {told:?} is neither {old:?} nor {new:?}");
    }
}

fn play(steps: &[Step], workers: usize) {
    let mut dataflow = Dataflow::start(workers);
    let mut history = History::default();
    for step in steps.iter().chain([&Step::Close]) {
        match step {
            Step::Event(happening) => {
                if let Some(event) = history.add(happening) {
                    dataflow.event(&event, history.now);
                }
            }
            Step::Again(n) => {
                if let Some(event) = history.events.get(*n).cloned() {
                    dataflow.event(&event, history.now);
                }
            }
            Step::TakeBack(n) => {
                if let Some(link) = history.links().into_iter().nth(*n) {
                    history.take_back(link);
                    dataflow.take_back(link);
                }
            }
            Step::State(a, b, stated) => {
                let ids = history.ids();
                if let (Some(a), Some(b), true) = (ids.get(*a), ids.get(*b), a != b) {
                    history.state(ends(*a, *b), *stated);
                    dataflow.state(ends(*a, *b), *stated);
                }
            }
            Step::Delete(n) => {
                if let Some(id) = history.ids().get(*n) {
                    history.delete(*id);
                    dataflow.delete(*id);
                }
            }
            Step::Wait(ms) => {
                history.now += ms;
                dataflow.wait_until(history.now);
            }
            Step::Oversleep(ms) => {
                history.now += ms;
                dataflow.oversleep_until(history.now);
                dataflow.wait_until(history.now);
            }
            Step::Redefine(choice) => dataflow.redefine(*choice),
            Step::Restart(rules) => {
                history.rules = *rules;
                dataflow.restart(rules);
            }
            Step::Close => {
                dataflow.close();
                compare(&dataflow, &history);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Events in any order, repeated, late; links taken back; time that passes; other rules: after every epoch all is as the
    /// oracle says.
    #[test]
    fn every_epoch_is_what_the_oracle_says(steps in proptest::collection::vec(step(), 1..60)) {
        play(&steps, 1);
    }

    /// The order in which events arrive changes nothing.
    #[test]
    fn order_does_not_matter(
        (happenings, shuffled) in proptest::collection::vec(happening(), 1..25)
            .prop_flat_map(|all| { let shuffled = Just(all.clone()).prop_shuffle(); (Just(all), shuffled) })
    ) {
        let answers = |all: &[Happening]| {
            let mut dataflow = Dataflow::start(1);
            let mut history = History::default();
            for happening in all {
                let event = history.add_with_own_name(happening).unwrap();
                dataflow.event(&event, history.now);
            }
            dataflow.close();
            (dataflow.owners(), dataflow.members(), dataflow.counts(), dataflow.groups())
        };
        prop_assert_eq!(answers(&happenings), answers(&shuffled));
    }
}

/// Three anonymous ids and a user end up in one profile; taking the bridge back splits it, and putting it back joins it.
#[test]
fn a_merge_can_be_undone() {
    let mut dataflow = Dataflow::start(1);
    let mut history = History::default();
    let seen = |user, device| Happening {
        user,
        email: None,
        device: Some(device),
        name: "Order Completed",
        cents: 10_000,
        country: None,
        group: None,
        back: 0,
    };
    for happening in [seen(Some(0), 0), seen(Some(0), 1), seen(None, 1)] {
        let event = history.add(&happening).unwrap();
        dataflow.event(&event, history.now);
    }
    dataflow.close();
    assert_eq!(dataflow.profiles().len(), 1);
    let bridge = history.links()[1];
    history.take_back(bridge);
    dataflow.take_back(bridge);
    dataflow.close();
    assert_eq!(dataflow.profiles().len(), 2);
    assert_eq!(dataflow.members(), history.answers().members);
}

/// A segment that time alone ends is left without an event.
#[test]
fn a_window_slides_with_the_clock() {
    let mut dataflow = Dataflow::start(1);
    let mut history = History::default();
    for _ in 0..2 {
        let happening = Happening {
            user: Some(1),
            email: None,
            device: None,
            name: "Checkout Started",
            cents: 0,
            country: None,
            group: None,
            back: 0,
        };
        let event = history.add(&happening).unwrap();
        dataflow.event(&event, history.now);
    }
    dataflow.close();
    assert!(dataflow.members().iter().any(|(_, segment)| segment == "hesitant"));
    history.now += 3 * 86_400_000;
    dataflow.wait_until(history.now);
    dataflow.close();
    assert!(!dataflow.members().iter().any(|(_, segment)| segment == "hesitant"));
}

/// More workers give the same answers.
#[test]
fn two_workers_agree_with_the_oracle() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    for _ in 0..10 {
        let steps = proptest::collection::vec(step(), 40..60).new_tree(&mut runner).unwrap().current();
        play(&steps, 2);
    }
}
