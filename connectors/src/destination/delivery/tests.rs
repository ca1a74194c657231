//! Deliveries against an outbox in memory and a target that answers as it is told, without waits between attempts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::destination::NullObserver;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tributary_model::{IdentifierId, ProfileId};

/// An outbox in memory, which remembers what became of each message.
#[derive(Default)]
struct Memory {
    pending: Mutex<BTreeMap<u64, Message>>,
    dead: Mutex<Vec<(u64, String)>>,
    refuses: AtomicUsize,
    /// Which may not go.
    held: Vec<u64>,
    settled: tokio::sync::Notify,
}

impl Memory {
    fn put(&self, messages: Vec<Message>) {
        self.pending.lock().unwrap().extend(messages.into_iter().map(|message| (message.sequence, message)));
    }

    /// Waits until nothing is left to send.
    async fn empty(&self) {
        while !self.pending.lock().unwrap().is_empty() {
            self.settled.notified().await;
        }
    }
}

impl Outbox for Memory {
    fn pending(&self, _destination: &str, after: Option<u64>, limit: usize) -> Result<Vec<Message>, OutboxError> {
        let pending = self.pending.lock().unwrap();
        let from = after.map_or(0, |after| after + 1);
        Ok(pending.range(from..).take(limit).map(|(_, message)| message.clone()).collect())
    }
    fn admit(&self, messages: &[Message], _at: Millis) -> Result<Vec<Admission>, OutboxError> {
        let mut pending = self.pending.lock().unwrap();
        let admit = |message: &Message| match self.held.contains(&message.sequence) {
            true => {
                pending.remove(&message.sequence);
                self.settled.notify_one();
                Admission::Gone
            }
            false => Admission::Send,
        };
        Ok(messages.iter().map(admit).collect())
    }
    fn settle(&self, settled: &[(Message, Settled)], _at: Millis) -> Result<(), OutboxError> {
        if self.refuses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(OutboxError("disk full".to_owned()));
        }
        let mut pending = self.pending.lock().unwrap();
        for (message, settled) in settled {
            match settled {
                Settled::Postponed(_) => continue,
                Settled::Failed(_) => {
                    pending.get_mut(&message.sequence).unwrap().attempts += 1;
                    continue;
                }
                Settled::Delivered => {}
                Settled::Dead(reason) | Settled::MaybeSent(reason) | Settled::Unreachable(reason) => {
                    self.dead.lock().unwrap().push((message.sequence, reason.clone()));
                }
            }
            pending.remove(&message.sequence);
        }
        self.settled.notify_one();
        Ok(())
    }
    fn delivered_through(&self, _: &str, _: Option<u64>, _: u64, _: Millis) -> Result<(), OutboxError> {
        Ok(())
    }
}

/// Sequences and attempts, as they were sent.
type Sent = Vec<(u64, u32)>;

/// A target that answers as it is told, and remembers what it was sent.
struct Scripted {
    answer: Box<dyn Fn(&Message) -> Outcome + Send + Sync>,
    /// Which message is not answered yet, after what was sent.
    holds: fn(&Message, &Sent) -> bool,
    sent: Mutex<Sent>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Scripted {
    fn new(holds: fn(&Message, &Sent) -> bool, answer: impl Fn(&Message) -> Outcome + Send + Sync + 'static) -> Self {
        let (sent, under_way) = (Mutex::default(), AtomicUsize::new(0));
        Self { answer: Box::new(answer), holds, sent, under_way, most_under_way: AtomicUsize::new(0) }
    }
}

impl Target for Scripted {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.most_under_way.fetch_max(under_way, Ordering::Relaxed);
            self.sent.lock().unwrap().push((message.sequence, message.attempts));
            tokio::task::yield_now().await;
            while (self.holds)(message, &self.sent.lock().unwrap()) {
                tokio::task::yield_now().await;
            }
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            (self.answer)(message)
        })
    }
}

fn message(sequence: u64, profile: u128) -> Message {
    Message {
        sequence,
        id: format!("msg_{sequence}"),
        trigger: "t".to_owned(),
        destination: "d".to_owned(),
        profile: ProfileId(profile),
        about: IdentifierId(profile),
        body: Bytes::new(),
        created_at: 0,
        attempts: 0,
    }
}

/// The message that may not go.
const HELD: u64 = 999_999;

/// Delivers all of `messages` and gives what was sent (sequence, attempt) and what died.
async fn deliver(
    messages: Vec<Message>,
    refuses: usize,
    answer: impl Fn(&Message) -> Outcome + Send + Sync + 'static,
) -> (Arc<Scripted>, Vec<(u64, String)>) {
    deliver_held(messages, refuses, |_, _| false, answer).await
}

/// The same to a target that holds some of them.
async fn deliver_held(
    messages: Vec<Message>,
    refuses: usize,
    holds: fn(&Message, &Sent) -> bool,
    answer: impl Fn(&Message) -> Outcome + Send + Sync + 'static,
) -> (Arc<Scripted>, Vec<(u64, String)>) {
    let target = Arc::new(Scripted::new(holds, answer));
    let outbox = Arc::new(Memory { refuses: AtomicUsize::new(refuses), held: vec![HELD], ..Memory::default() });
    let (grow, wake) = watch::channel(0);
    let end = CancellationToken::new();
    let running = tokio::spawn(delivery(target.clone(), outbox.clone()).run(wake, end.clone()));
    // They come while it runs, as they do from commits.
    outbox.put(messages);
    grow.send_replace(1);
    outbox.empty().await;
    end.cancel();
    running.await.unwrap();
    let dead = outbox.dead.lock().unwrap().clone();
    (target, dead)
}

fn delivery(target: Arc<Scripted>, outbox: Arc<Memory>) -> Delivery {
    Delivery {
        destination: "d".to_owned(),
        target,
        policy: DeliveryPolicy {
            timeout_ms: 1_000,
            max_attempts: 3,
            concurrency: 4,
            rate: None,
            give_up_after_ms: 1_000,
        },
        outbox,
        observer: Arc::new(NullObserver),
        last_deliveries: Duration::from_secs(1),
        clock: || 0,
        jitter: || 0.0,
    }
}

fn retry() -> Outcome {
    Outcome::Retry { reason: "answered 503".to_owned(), after: None, blame: Blame::Message }
}

#[tokio::test]
async fn a_profiles_messages_keep_their_order_through_retries_and_others_go_on() {
    let messages = (0..40).map(|sequence| message(sequence, u128::from(sequence % 4))).collect();
    // The second attempt at the first message of profile 1 ends when all of the others are through.
    let holds = |message: &Message, sent: &Sent| {
        let of_others = sent.iter().filter(|(sequence, _)| sequence % 4 != 1).count();
        (message.sequence, message.attempts) == (1, 1) && of_others < 30
    };
    // Everything of profile 1 fails twice.
    let deliveries = deliver_held(messages, 0, holds, |message| {
        if message.profile == ProfileId(1) && message.attempts < 2 { retry() } else { Outcome::Delivered }
    });
    let done = tokio::time::timeout(Duration::from_secs(30), deliveries).await;
    let (target, dead) = done.expect("the others do not wait for the failing profile");
    assert_eq!(dead, []);
    let sent = target.sent.lock().unwrap().clone();
    let of_one: Vec<_> = sent.iter().filter(|(sequence, _)| sequence % 4 == 1).copied().collect();
    let expected: Vec<_> = (0..10).flat_map(|n| (0..3).map(move |attempt| (n * 4 + 1, attempt))).collect();
    assert_eq!(of_one, expected);
    assert!(target.most_under_way.load(Ordering::Relaxed) <= 4);
}

#[tokio::test]
async fn after_the_last_attempt_a_message_is_dead_and_the_next_of_its_profile_goes() {
    let (target, dead) = deliver(vec![message(0, 1), message(1, 1)], 0, |message| {
        if message.sequence == 0 { retry() } else { Outcome::Delivered }
    })
    .await;
    assert_eq!(*target.sent.lock().unwrap(), [(0, 0), (0, 1), (0, 2), (1, 0)]);
    assert_eq!(dead, [(0, "answered 503; given up after 3 attempts".to_owned())]);
}

#[tokio::test]
async fn what_will_never_be_taken_is_not_tried_again() {
    let (target, dead) =
        deliver(vec![message(0, 1)], 0, |_| Outcome::Dead { reason: "answered 410 Gone".to_owned() }).await;
    assert_eq!(target.sent.lock().unwrap().len(), 1);
    assert_eq!(dead, [(0, "answered 410 Gone".to_owned())]);
}

#[tokio::test]
async fn a_delivery_that_cannot_be_noted_is_made_again_under_the_same_id() {
    let (target, _) = deliver(vec![message(0, 1)], 1, |_| Outcome::Delivered).await;
    assert_eq!(*target.sent.lock().unwrap(), [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn more_than_the_look_ahead_arrives_all_the_same() {
    let count = 3 * LOOK_AHEAD as u64;
    let messages = (0..count).map(|sequence| message(sequence, u128::from(sequence))).collect();
    let (target, _) = deliver(messages, 0, |_| Outcome::Delivered).await;
    let mut sent: Vec<_> = target.sent.lock().unwrap().iter().map(|(sequence, _)| *sequence).collect();
    sent.sort_unstable();
    assert_eq!(sent, (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_may_not_go_is_passed_over_and_the_next_of_its_profile_goes() {
    let (target, dead) = deliver(vec![message(HELD, 1), message(HELD + 1, 1)], 0, |_| Outcome::Delivered).await;
    assert_eq!(*target.sent.lock().unwrap(), [(HELD + 1, 0)]);
    assert_eq!(dead, []);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_finds_us_too_quick_is_left_alone_as_long_as_it_asks_and_costs_no_attempts() {
    let begun = Instant::now();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let times = answered.clone();
    let messages = (0..20).map(|sequence| message(sequence, u128::from(sequence))).collect();
    let (_, dead) = deliver(messages, 0, move |_| {
        let mut times = times.lock().unwrap();
        times.push(begun.elapsed().as_secs());
        let reason = "answered 429".to_owned();
        match times.len() {
            ..=40 => Outcome::Retry { reason, after: Some(Duration::from_secs(7)), blame: Blame::Pace },
            _ => Outcome::Delivered,
        }
    })
    .await;
    assert_eq!(dead, [], "more than the three attempts that a message has");
    // Four at once are refused, and all wait: never more than those in seven seconds.
    let answered = answered.lock().unwrap();
    assert_eq!(answered[..8], [0, 0, 0, 0, 7, 7, 7, 7]);
    assert_eq!(answered[36..44], [63, 63, 63, 63, 70, 70, 70, 70]);
}

#[tokio::test(start_paused = true)]
async fn many_who_are_too_quick_together_wait_as_one_would() {
    let begun = Instant::now();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let times = answered.clone();
    let answer = move |_: &Message| {
        let mut times = times.lock().unwrap();
        times.push(begun.elapsed().as_millis());
        match times.len() {
            ..=8 => Outcome::Retry { reason: "answered 429".to_owned(), after: None, blame: Blame::Pace },
            _ => Outcome::Delivered,
        }
    };
    let outbox = Arc::new(Memory::default());
    outbox.put((0..4).map(|sequence| message(sequence, u128::from(sequence))).collect());
    let (_grow, wake) = watch::channel(0);
    let end = CancellationToken::new();
    let mut delivery = delivery(Arc::new(Scripted::new(|_, _| false, answer)), outbox.clone());
    delivery.jitter = || 1.0;
    let running = tokio::spawn(delivery.run(wake, end.clone()));
    outbox.empty().await;
    end.cancel();
    running.await.unwrap();
    // Doubled each time that they come together, not for each of them.
    let answered: Vec<_> = answered.lock().unwrap().iter().map(|at| at / 100).collect();
    assert_eq!(answered, [0, 0, 0, 0, 5, 5, 5, 5, 15, 15, 15, 15]);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_is_asked_with_one_message_at_growing_intervals() {
    let begun = Instant::now();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let times = asked.clone();
    let messages = (0..100).map(|sequence| message(sequence, u128::from(sequence))).collect();
    let (_, dead) = deliver(messages, 0, move |_| {
        let at = begun.elapsed();
        times.lock().unwrap().push(at.as_secs());
        let reason = "no connection".to_owned();
        match at.as_secs() {
            ..10 => Outcome::Retry { reason, after: None, blame: Blame::Destination },
            _ => Outcome::Delivered,
        }
    })
    .await;
    assert_eq!(dead, [], "few attempts are lost to the trouble");
    let asked = asked.lock().unwrap();
    let after_opening: Vec<u64> = asked.iter().copied().filter(|at| (1..=10).contains(at)).collect();
    assert_eq!(after_opening[..3], [1, 3, 7], "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_rate_is_sent() {
    let begun = Instant::now();
    let messages = (0..30).map(|sequence| message(sequence, u128::from(sequence))).collect();
    let outbox = Arc::new(Memory::default());
    let (grow, wake) = watch::channel(0);
    let end = CancellationToken::new();
    let target = Arc::new(Scripted::new(|_, _| false, |_| Outcome::Delivered));
    let mut delivery = delivery(target.clone(), outbox.clone());
    delivery.policy.rate = Some(10.0);
    let running = tokio::spawn(delivery.run(wake, end.clone()));
    outbox.put(messages);
    grow.send_replace(1);
    outbox.empty().await;
    let took = begun.elapsed();
    assert!((2_800..=3_000).contains(&took.as_millis()), "30 at 10 a second: {took:?}");
    end.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_is_too_old_is_given_up_instead_of_being_tried_again() {
    let old = Message { created_at: -1_000, ..message(0, 1) };
    let pace = Outcome::Retry { reason: "answered 429".to_owned(), after: None, blame: Blame::Pace };
    let (_, dead) = deliver(vec![old], 0, move |_| pace.clone()).await;
    assert_eq!(dead, [(0, "answered 429; given up after 1 s".to_owned())]);
}
