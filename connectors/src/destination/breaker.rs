//! A destination where all fails is left alone for a while, and then asked with one message before the others follow: so
//! that its trouble costs the messages few of their attempts, and their coming does not add to its trouble.

use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row after which the destination is left alone. With three calls in ten failing, that many in a row come once
/// in a hundred million calls.
const FAILURES: u32 = 15;
/// For how long at first, and then twice as long after each further failure, up to the longest.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Whether a destination may be called.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    rest: Duration,
    /// Until when it is left alone; after that one message may try.
    open_until: Option<Instant>,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { failures: 0, rest: FIRST_REST, open_until: None }
    }

    /// Whether the destination is left alone, or tried with one message only.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// When the next attempt may be made, with so many under way; `None` if one of those has to end first.
    pub(super) fn next(&self, now: Instant, under_way: usize) -> Option<Instant> {
        match self.open_until {
            None => Some(now),
            Some(_) if under_way > 0 => None,
            Some(until) => Some(until.max(now)),
        }
    }

    /// The destination has answered, whatever it thinks of the message.
    pub(super) fn answered(&mut self) {
        *self = Self::new();
    }

    /// The destination has failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        match self.open_until {
            // What was under way when it opened says nothing new.
            Some(until) if now < until => {}
            Some(_) => {
                self.rest = (self.rest * 2).min(LONGEST_REST);
                self.open_until = Some(now + self.rest);
            }
            None if self.failures >= FAILURES => self.open_until = Some(now + self.rest),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_many_failures_in_a_row_one_message_tries_at_growing_intervals_until_one_is_answered() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        (1..FAILURES).for_each(|_| breaker.failed(now));
        assert_eq!(breaker.next(now, 3), Some(now), "still closed");
        breaker.failed(now);
        assert!(breaker.is_open());
        assert_eq!(breaker.next(now, 3), None, "others are under way");
        breaker.failed(now);
        let mut rests = Vec::new();
        for _ in 0..8 {
            let Some(next) = breaker.next(now, 0) else { break };
            rests.push((next - now).as_secs());
            now = next;
            breaker.failed(now);
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        breaker.answered();
        assert_eq!(breaker.next(now, 7), Some(now));
        (1..FAILURES).for_each(|_| breaker.failed(now));
        assert!(!breaker.is_open(), "it counts anew");
    }

    #[test]
    fn failures_among_answers_do_not_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..100 {
            (1..FAILURES).for_each(|_| breaker.failed(now));
            breaker.answered();
        }
        assert!(!breaker.is_open());
    }
}
