//! What is skipped, what is sent again, and what is too large.
#![allow(clippy::unwrap_used)]

use super::super::NullObserver;
use super::*;
use std::cell::RefCell;
use std::sync::Mutex;
use tributary_model::{IdentifierId, ProfileId};

fn message(sequence: u64, history: &str, bytes: usize) -> Message {
    Message {
        sequence,
        id: format!("{history}-{sequence}"),
        trigger: "t".to_owned(),
        destination: "out".to_owned(),
        profile: ProfileId(1),
        about: IdentifierId(1),
        body: vec![b'x'; bytes].into(),
        created_at: 0,
        attempts: 0,
    }
}

/// An outbox in memory.
#[derive(Default)]
struct Waiting {
    messages: Mutex<Vec<Message>>,
    dead: Mutex<Vec<u64>>,
    /// Which may not go.
    held: Mutex<Vec<u64>>,
    /// From where it was read, each time.
    after: Mutex<Vec<Option<u64>>>,
}

impl Outbox for Waiting {
    fn pending(&self, _: &str, after: Option<u64>, limit: usize) -> Result<Vec<Message>, OutboxError> {
        self.after.lock().unwrap().push(after);
        let messages = self.messages.lock().unwrap();
        let later = messages.iter().filter(|message| after.is_none_or(|after| message.sequence > after));
        Ok(later.take(limit).cloned().collect())
    }
    fn admit(&self, messages: &[Message], _: Millis) -> Result<Vec<Admission>, OutboxError> {
        let held = self.held.lock().unwrap();
        let gone = |message: &Message| held.contains(&message.sequence);
        self.messages.lock().unwrap().retain(|waiting| !gone(waiting));
        Ok(messages.iter().map(|one| if gone(one) { Admission::Gone } else { Admission::Send }).collect())
    }
    fn settle(&self, settled: &[(Message, Settled)], _: Millis) -> Result<(), OutboxError> {
        for (message, settled) in settled {
            assert!(matches!(settled, Settled::Dead(_)), "{settled:?}");
            self.dead.lock().unwrap().push(message.sequence);
            self.messages.lock().unwrap().retain(|waiting| waiting.sequence != message.sequence);
        }
        Ok(())
    }
    fn delivered_through(&self, _: &str, _: Option<u64>, sequence: u64, _: Millis) -> Result<(), OutboxError> {
        self.messages.lock().unwrap().retain(|waiting| waiting.sequence > sequence);
        Ok(())
    }
}

/// A topic that takes so many bytes in one transaction.
struct Bounded {
    bytes: usize,
    sent: RefCell<Vec<String>>,
    progress: RefCell<Option<Progress>>,
}

#[derive(Debug)]
struct TooLarge;

impl From<OutboxError> for TooLarge {
    fn from(_: OutboxError) -> Self {
        Self
    }
}

impl Topic for Bounded {
    type Error = TooLarge;
    fn progress(&self) -> Result<Option<Progress>, TooLarge> {
        Ok(self.progress.borrow().clone())
    }
    fn publish(&self, messages: &[Message], progress: &Progress) -> Result<(), TooLarge> {
        if messages.iter().map(|message| message.body.len()).sum::<usize>() > self.bytes {
            return Err(TooLarge);
        }
        self.sent.borrow_mut().extend(messages.iter().map(|message| message.id.clone()));
        *self.progress.borrow_mut() = Some(progress.clone());
        Ok(())
    }
    fn is_too_large(_: &TooLarge) -> bool {
        true
    }
}

/// Has these messages carried to a topic that has got so far; gives what was sent and what is dead.
fn carry(
    messages: Vec<Message>,
    next_at_start: u64,
    progress: Option<Progress>,
    bytes: usize,
) -> (Vec<String>, Vec<u64>) {
    let outbox = Waiting { messages: Mutex::new(messages), ..Waiting::default() };
    let topic = Bounded { bytes, sent: RefCell::default(), progress: RefCell::new(progress) };
    let mut carrier = Carrier::new("out", &outbox, next_at_start, &NullObserver, || 0);
    carrier.settle(&topic).unwrap();
    for _ in 0..1_000 {
        if matches!(carrier.carry(&topic), Ok(0)) {
            break;
        }
    }
    assert!(outbox.messages.lock().unwrap().is_empty(), "all comes to an end");
    (topic.sent.into_inner(), outbox.dead.into_inner().unwrap())
}

fn progress(last: u64, history: &str) -> Option<Progress> {
    Some(Progress { last, id: format!("{history}-{last}") })
}

#[test]
fn what_a_crash_left_unsettled_is_not_sent_again() {
    let messages: Vec<_> = (3..6).map(|number| message(number, "a", 1)).collect();
    assert_eq!(carry(messages.clone(), 6, progress(4, "a"), 99).0, ["a-5"]);
    assert_eq!(carry(messages.clone(), 6, progress(2, "a"), 99).0, ["a-3", "a-4", "a-5"]);
    assert_eq!(carry(messages, 6, None, 99).0.len(), 3);
}

#[test]
fn the_progress_of_another_history_is_not_believed() {
    let messages: Vec<_> = (3..6).map(|number| message(number, "restored", 1)).collect();
    // The number was given to another message since; or had not been given at all.
    assert_eq!(carry(messages.clone(), 6, progress(4, "lost"), 99).0.len(), 3);
    assert_eq!(carry(messages, 6, progress(40, "lost"), 99).0.len(), 3);
}

#[test]
fn what_is_too_large_alone_is_given_up_and_holds_up_nobody() {
    let messages: Vec<_> = (0..40).map(|number| message(number, "a", if number == 17 { 50 } else { 10 })).collect();
    let (sent, dead) = carry(messages, 40, None, 45);
    let others: Vec<_> = (0..40).filter(|number| *number != 17).map(|number| format!("a-{number}")).collect();
    assert_eq!((sent, dead), (others, vec![17]));
}

#[test]
fn what_is_settled_is_not_passed_over_again() {
    let outbox = Waiting { messages: Mutex::new(vec![message(3, "a", 1)]), ..Waiting::default() };
    let topic = Bounded { bytes: 99, sent: RefCell::default(), progress: RefCell::new(progress(2, "a")) };
    let mut carrier = Carrier::new("out", &outbox, 3, &NullObserver, || 0);
    carrier.settle(&topic).unwrap();
    assert_eq!(carrier.carry(&topic).unwrap(), 1);
    outbox.messages.lock().unwrap().push(message(4, "a", 1));
    assert_eq!(carrier.carry(&topic).unwrap(), 1);
    assert_eq!(*outbox.after.lock().unwrap(), [Some(1), Some(2), Some(3)]);
    // After trouble the topic is asked again, and all is looked for that it does not know of.
    *topic.progress.borrow_mut() = None;
    carrier.settle(&topic).unwrap();
    assert_eq!(carrier.carry(&topic).unwrap(), 0);
    assert_eq!(outbox.after.lock().unwrap().last(), Some(&None));
}

#[test]
fn what_may_not_go_is_left_out_and_holds_up_nobody() {
    let messages = (3..6).map(|number| message(number, "a", 1)).collect();
    let outbox = Waiting { messages: Mutex::new(messages), held: Mutex::new(vec![3, 5]), ..Waiting::default() };
    let topic = Bounded { bytes: 99, sent: RefCell::default(), progress: RefCell::default() };
    let mut carrier = Carrier::new("out", &outbox, 6, &NullObserver, || 0);
    carrier.settle(&topic).unwrap();
    while carrier.carry(&topic).unwrap() > 0 {}
    assert_eq!(*topic.sent.borrow(), ["a-4"]);
    assert!(outbox.messages.lock().unwrap().is_empty());
}
