//! A load that sends until the server is gone, and goes on with the next one.

use super::client::{As, Client, WRITE_KEY};
use super::wait::eventually;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const LOADERS: usize = 2;
const LONG: Duration = Duration::from_secs(120);

/// Batches that wait to be sent. One whose answer did not come is sent again, as every client does: its messages carry
/// ids, so it does not matter whether it had been taken.
pub(crate) struct Load {
    waiting: Mutex<VecDeque<Vec<Value>>>,
    accepted: AtomicUsize,
    ended: AtomicBool,
}

impl Load {
    /// These events, in batches of at most so many.
    pub(crate) fn new(events: &[Value], most: usize, rng: &mut StdRng) -> Self {
        let mut waiting = VecDeque::new();
        let mut rest = events;
        while !rest.is_empty() {
            let (batch, further) = rest.split_at(rng.random_range(1..=most).min(rest.len()));
            waiting.push_back(batch.to_vec());
            rest = further;
        }
        Self { waiting: Mutex::new(waiting), accepted: AtomicUsize::new(0), ended: AtomicBool::new(false) }
    }

    /// Sends batch after batch until nothing is left, or the server is gone.
    fn send(&self, client: &Client) {
        while !self.ended.load(Ordering::Relaxed) {
            let Some(batch) = self.waiting.lock().unwrap().pop_front() else { return };
            let body = json!({ "batch": batch }).to_string().into_bytes();
            match client.request(Method::POST, "/v1/batch", As::Basic(WRITE_KEY), &[], body) {
                Ok(answer) if answer.status == 200 => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => {
                    assert!(matches!(answer.status, 429 | 503), "{}", answer.text());
                    self.waiting.lock().unwrap().push_front(batch);
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(_) => {
                    self.waiting.lock().unwrap().push_front(batch);
                    return;
                }
            }
        }
    }

    /// Has a server loaded until `enough` batches more were accepted, then does `and_then` while the load goes on.
    pub(crate) fn run_until(&self, client: &Client, enough: usize, and_then: impl FnOnce()) {
        let goal = self.accepted.load(Ordering::Relaxed).saturating_add(enough);
        self.run_while(client, LOADERS, || {
            eventually("the load gets on", LONG, || {
                let left = self.waiting.lock().unwrap().len();
                let accepted = self.accepted.load(Ordering::Relaxed);
                if accepted >= goal || left == 0 { Ok(()) } else { Err(format!("{accepted} of {goal}, {left} wait")) }
            });
            and_then();
        });
    }

    /// Has a server loaded by so many clients while something is done.
    pub(crate) fn run_while(&self, client: &Client, loaders: usize, meanwhile: impl FnOnce()) {
        /// Ends the load, also where a test fails.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        self.ended.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let _end = End(&self.ended);
            for _ in 0..loaders {
                scope.spawn(|| self.send(client));
            }
            meanwhile();
        });
    }

    /// Whether all is sent.
    pub(crate) fn is_through(&self) -> bool {
        self.waiting.lock().unwrap().is_empty()
    }
}
