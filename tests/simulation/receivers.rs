//! Where messages go: a topic with transactions, and a webhook. Both fail in the ways in which such things fail.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use tributary::activation::outbox::StoreOutbox;
use tributary_connectors::destination::{Message, Outbox, OutboxError, Progress, Settled, Topic};

fn json(message: &Message) -> Value {
    serde_json::from_slice(&message.body).unwrap()
}

/// What of a topic outlives its clients.
#[derive(Debug)]
pub(super) struct SimTopic {
    inside: RefCell<(Vec<Value>, Option<Progress>, StdRng)>,
    pub(super) troubled: bool,
    /// Messages are committed, and how far they go is not.
    pub(super) forgets_progress: bool,
}

/// Why a topic does not do what it was asked to.
#[derive(Debug)]
pub(super) struct Trouble;

impl From<OutboxError> for Trouble {
    fn from(_: OutboxError) -> Self {
        Self
    }
}

impl SimTopic {
    pub(super) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { inside: RefCell::new((Vec::new(), None, rng)), troubled: true, forgets_progress: false }
    }

    pub(super) fn messages(&self) -> Vec<Value> {
        self.inside.borrow().0.clone()
    }
}

impl Topic for SimTopic {
    type Error = Trouble;

    fn progress(&self) -> Result<Option<Progress>, Trouble> {
        Ok(self.inside.borrow().1.clone())
    }

    fn publish(&self, messages: &[Message], progress: &Progress) -> Result<(), Trouble> {
        let (there, noted, rng) = &mut *self.inside.borrow_mut();
        // Aborted; or committed, with and without an answer that says so.
        let fate = if self.troubled { rng.random_range(0..10) } else { 9 };
        if fate < 2 {
            return Err(Trouble);
        }
        there.extend(messages.iter().map(json));
        if !self.forgets_progress {
            *noted = Some(progress.clone());
        }
        if fate < 4 { Err(Trouble) } else { Ok(()) }
    }

    fn is_too_large(_: &Trouble) -> bool {
        false
    }
}

/// A webhook, and whoever carries messages to it.
#[derive(Debug)]
pub(super) struct SimWebhook {
    bodies: BTreeMap<String, BTreeSet<String>>,
    pub(super) troubled: bool,
    /// Messages are noted as delivered before they are sent.
    pub(super) settles_first: bool,
}

impl SimWebhook {
    pub(super) fn new() -> Self {
        Self { bodies: BTreeMap::new(), troubled: true, settles_first: false }
    }

    /// Makes one attempt; false if there is nothing to send.
    pub(super) fn deliver(&mut self, outbox: &StoreOutbox, rng: &mut StdRng) -> bool {
        let Ok(waiting) = outbox.pending("hook", None, 3) else { return true };
        let Some(message) = waiting.first() else { return false };
        // Refused; or taken and the answer lost; or the process loses power before it notes it.
        let fate = if self.troubled { rng.random_range(0..10) } else { 9 };
        let settle = |settled| outbox.settle(&[(message.clone(), settled)], 0).ok();
        if self.settles_first {
            settle(Settled::Delivered);
        }
        if fate >= 2 {
            self.bodies.entry(message.id.clone()).or_default().insert(json(message).to_string());
        }
        match fate {
            0..4 => settle(Settled::Failed("503".to_owned())),
            _ => settle(Settled::Delivered),
        };
        true
    }

    /// What came, each id once; `Err` if one came with two bodies.
    pub(super) fn messages(&self) -> Result<Vec<Value>, String> {
        let one = |(id, bodies): (&String, &BTreeSet<String>)| match bodies.len() {
            1 => Ok(serde_json::from_str(bodies.first().unwrap()).unwrap()),
            _ => Err(format!("{id} came with different bodies: {bodies:?}")),
        };
        self.bodies.iter().map(one).collect()
    }
}
