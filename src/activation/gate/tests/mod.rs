//! The gate before a state with people in it: what tests do to it, and what is told of each message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod examples;
mod model;

use super::*;
use crate::activation::outbox::StoreOutbox;
use crate::store::StoreOptions;
use crate::store::facts::StoredFacts;
use crate::store::outbox::{DEAD, Note};
use crate::store::suppressions::Suppression;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tributary_connectors::destination::{Outbox, Settled};
use tributary_dataflows::profile::{IdentifierFacts, TraitFact};
use tributary_model::{Cap, Holdout, Identifier, MessageId, ProfileId, Purpose, QuietHours};

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;
/// 2026-06-01T12:00:00Z.
const NOON: Millis = 1_780_315_200_000;

const DESTINATIONS: [(&str, Channel); 4] =
    [("mail", Channel::Email), ("post", Channel::Email), ("text", Channel::Sms), ("hook", Channel::Webhook)];

/// A gate before [`DESTINATIONS`].
fn gate(contact: ContactPolicy, triggers: &[(&str, TriggerPolicy)]) -> Gate {
    let policies = triggers.iter().map(|(id, policy)| ((*id).to_owned(), policy.clone()));
    let channels = DESTINATIONS.map(|(id, channel)| (id.to_owned(), channel));
    let usual = Gate::new(&Definitions { contact, ..Definitions::default() });
    Gate { policies: policies.collect(), channels: channels.into(), ..usual }
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

fn why() -> String {
    "because".to_owned()
}

fn identifier(number: u8) -> Identifier {
    Identifier::new("user_id", number.to_string())
}

fn id(number: u8) -> IdentifierId {
    identifier(number).id()
}

fn profile(number: u8) -> ProfileId {
    ProfileId(number.into())
}

/// Where an identifier's messages go, as lists of addresses have it.
fn listed(channel: Channel, number: u8) -> String {
    match channel {
        Channel::Email => format!("p{number}@example.com"),
        _ => format!("+49301234{number:03}"),
    }
}

/// The same as traits have it.
fn written(channel: Channel, number: u8) -> String {
    match channel {
        Channel::Email => format!("P{number}@Example.com "),
        _ => listed(channel, number),
    }
}

/// A state with people in it, who are numbers: at first each identifier belongs to the profile of its number.
struct World {
    store: Arc<Store>,
    gate: Arc<Gate>,
    outbox: StoreOutbox,
    is_full: Arc<AtomicBool>,
    /// What time it is. It may be set back.
    now: Millis,
    /// The clock of epochs, which never goes back.
    clock: Millis,
    next_message: u64,
    said: u128,
}

impl World {
    fn new(gate: Gate, people: u8) -> Self {
        let options = StoreOptions {
            block_cache_bytes: 1 << 20,
            history_retention_ms: Millis::MAX,
            dedupe_horizon_ms: Millis::MAX,
            rejected_retention_ms: Millis::MAX,
        };
        let is_full = Arc::new(AtomicBool::new(false));
        let disk = is_full.clone();
        let tap = move |_: &[u8], _: bool| match disk.load(Ordering::Relaxed) {
            true => Err(std::io::Error::from(std::io::ErrorKind::StorageFull)),
            false => Ok(()),
        };
        let store = Arc::new(Store::simulated(&[], options, Arc::new(tap)).unwrap());
        let gate = Arc::new(gate);
        let outbox = StoreOutbox::new(store.clone(), gate.clone());
        let world = Self { store, gate, outbox, is_full, now: NOON, clock: NOON, next_message: 0, said: 0 };
        (0..people).for_each(|number| world.move_to(number, number));
        world
    }

    /// Writes as a commit does.
    fn write(&self, make: impl FnOnce(&View<'_>, &mut Batch<'_>) -> Result<(), StoreError>) {
        let _held = self.store.hold_outbox();
        let (view, mut batch) = (self.store.view(), self.store.batch());
        make(&view, &mut batch).unwrap();
        self.store.write(batch, true).unwrap();
        self.store.look_who_waits().unwrap();
    }

    /// An epoch is committed, in which some are deleted; what has waited until then is in the outbox again.
    fn commit(&mut self, deleted: &[u8]) {
        self.clock = self.clock.max(self.now);
        let (mut next, clock) = (self.next_message, self.clock);
        let releases = self.store.next_waiting().is_some_and(|due| due <= clock);
        self.write(|view, batch| {
            for number in deleted {
                batch.delete_messages_of(view, id(*number))?;
                batch.delete_facts(id(*number))?;
            }
            if releases {
                next = release(view, batch, next, clock)?;
            }
            Ok(())
        });
        self.next_message = next;
    }

    /// A trigger fires because of an identifier.
    fn make(&mut self, destination: &str, trigger: &str, about: u8) -> Message {
        self.put(destination, trigger, about, false)
    }

    /// A trigger fires, or takes back that it has.
    fn put(&mut self, destination: &str, trigger: &str, about: u8, retracts: bool) -> Message {
        self.clock = self.clock.max(self.now);
        let number = self.next_message;
        self.next_message += 1;
        let body = json!({ "address": written(self.gate.channels[destination], about) });
        let stored = StoredMessage {
            id: format!("msg_{number:03}"),
            trigger: trigger.to_owned(),
            // Who that was: it may be somebody else by now.
            profile: profile(about),
            about: id(about),
            body: body.to_string().into_bytes(),
            created_at: self.clock,
            attempts: 0,
            sent_at: None,
            retracts,
        };
        self.write(|_, batch| batch.put_message(destination, number, &stored));
        Message {
            sequence: number,
            id: stored.id,
            trigger: stored.trigger,
            destination: destination.to_owned(),
            profile: stored.profile,
            about: stored.about,
            body: stored.body.into(),
            created_at: stored.created_at,
            attempts: stored.attempts,
        }
    }

    /// An identifier belongs to another profile from now on.
    fn move_to(&self, number: u8, owner: u8) {
        self.write(|view, batch| {
            let old = view.owner(id(number))?;
            batch.move_identifier(id(number), old, Some(profile(owner)))
        });
    }

    /// A customer says something by one of their identifiers.
    fn say(&mut self, number: u8, name: &str, value: impl Into<Value>) {
        self.said += 1;
        let value = value.into();
        let json = (!value.is_null()).then(|| value.to_string());
        let mut facts = IdentifierFacts::new(identifier(number), self.now);
        facts.traits.insert(name.to_owned(), TraitFact { at: self.now, tie: MessageId(self.said), json });
        let facts = StoredFacts::of(&facts).unwrap();
        self.write(|_, batch| batch.merge_facts(id(number), &facts));
    }

    /// An address gets nothing from now on; or it may again.
    fn suppress(&self, channel: Channel, number: u8, is_suppressed: bool) {
        let address = (channel.name().to_owned(), listed(channel, number));
        let made = (self.now, MessageId(0));
        let suppression = Suppression { made, is_suppressed, by: None, reason: None };
        self.write(|_, batch| batch.put_suppression(&address, &suppression));
    }

    fn admit(&self, messages: &[Message]) -> Vec<Admission> {
        self.gate.admit(&self.store, messages, self.now).unwrap()
    }

    fn goes(&self, message: &Message) -> bool {
        self.admit(std::slice::from_ref(message)) == [Admission::Send]
    }

    fn settle(&self, message: &Message, settled: Settled) {
        self.outbox.settle(&[(message.clone(), settled)], self.now).unwrap();
    }

    /// What stands in the outbox.
    fn standing(&self, destination: &str) -> Vec<Message> {
        self.outbox.pending(destination, None, usize::MAX).unwrap()
    }

    fn notes(&self, number: u8) -> Vec<Note> {
        let notes = self.store.view().notes(id(number), None, usize::MAX).unwrap();
        notes.into_iter().map(|(_, note)| note).collect()
    }

    /// What is told of a message: `held: cooldown`.
    fn told(&self, message: &Message) -> String {
        let notes = self.store.view().notes(message.about, None, usize::MAX).unwrap();
        let notes: Vec<_> = notes.into_iter().filter(|(_, note)| note.id == message.id).collect();
        let [(_, note)] = notes.as_slice() else { panic!("a message has one note: {notes:?}") };
        let reason = note.reason.iter().map(|reason| format!(": {reason}"));
        note.status.clone() + &reason.collect::<String>()
    }

    /// What an identifier was sent, as far as it counts.
    fn sends(&self, number: u8) -> Vec<(Millis, SentMessage)> {
        self.store.view().sends(id(number), Millis::MIN).unwrap()
    }

    fn is_dead(&self, message: &Message) -> bool {
        let letter = self.store.view().message(DEAD, &message.destination, message.sequence).unwrap();
        letter.is_some_and(|letter| letter.sent_at.is_none())
    }
}
