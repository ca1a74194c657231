//! Order per profile: each profile is a lane; one message of it is under way at a time, the others wait behind it.

use super::Message;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use tokio::time::Instant;
use tributary_model::ProfileId;

/// Messages that were read from the outbox and are not settled.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<ProfileId, VecDeque<Message>>,
    ready: VecDeque<ProfileId>,
    waiting: BinaryHeap<Reverse<(Instant, ProfileId)>>,
    held: usize,
}

impl Lanes {
    /// Adds a message behind those of the same profile.
    pub(super) fn push(&mut self, message: Message) {
        let lane = self.lanes.entry(message.profile).or_default();
        if lane.is_empty() {
            self.ready.push_back(message.profile);
        }
        lane.push_back(message);
        self.held += 1;
    }

    /// How many messages are held.
    pub(super) fn len(&self) -> usize {
        self.held
    }

    /// The next message that may be sent; its lane stands still until it is settled.
    pub(super) fn next(&mut self, now: Instant) -> Option<Message> {
        while let Some(Reverse((due, profile))) = self.waiting.peek().copied() {
            if due > now {
                break;
            }
            self.waiting.pop();
            self.ready.push_back(profile);
        }
        let profile = self.ready.pop_front()?;
        self.lanes.get(&profile)?.front().cloned()
    }

    /// When the next lane may go on: now if one is ready; `None` if none waits either.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(now);
        }
        self.waiting.peek().map(|Reverse((due, _))| *due)
    }

    /// The lane's first message is settled: the next one may go.
    pub(super) fn settle(&mut self, profile: ProfileId) {
        let Some(lane) = self.lanes.get_mut(&profile) else { return };
        if lane.pop_front().is_some() {
            self.held -= 1;
        }
        if lane.is_empty() {
            self.lanes.remove(&profile);
        } else {
            self.ready.push_back(profile);
        }
    }

    /// The lane's first message is to be sent again, not before `due`.
    pub(super) fn retry(&mut self, profile: ProfileId, due: Instant) {
        if let Some(message) = self.lanes.get_mut(&profile).and_then(VecDeque::front_mut) {
            message.attempts += 1;
            self.waiting.push(Reverse((due, profile)));
        }
    }

    /// The lane's first message is to be sent again, not before `due`, and no attempt is counted.
    pub(super) fn repeat(&mut self, profile: ProfileId, due: Instant) {
        self.waiting.push(Reverse((due, profile)));
    }
}
