//! How fast a destination may be called: so many attempts a second, as its settings say; and not at all for as long as it
//! asks to be left alone.

use std::time::Duration;
use tokio::time::Instant;

/// What may be sent at once after a while without any: a tenth of a second's worth, so that a second never has much more
/// than its rate.
const BURST: Duration = Duration::from_millis(100);

/// A bucket of attempts that fills evenly.
#[derive(Debug)]
pub(super) struct Pace {
    /// Attempts a second.
    rate: Option<f64>,
    /// Attempts that may be made now, and as of when.
    tokens: (f64, Instant),
    /// Until when the receiver wants to be left alone.
    paused_until: Option<Instant>,
}

impl Pace {
    /// A full bucket.
    pub(super) fn new(rate: Option<f64>, now: Instant) -> Self {
        let full = rate.map_or(0.0, capacity);
        Self { rate, tokens: (full, now), paused_until: None }
    }

    /// When the next attempt may be made; now if that is now.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        let paused = self.paused_until.filter(|until| *until > now).unwrap_or(now);
        let Some(rate) = self.rate else { return paused };
        let (held, at) = self.tokens;
        let held = (held + now.saturating_duration_since(at).as_secs_f64() * rate).min(capacity(rate));
        self.tokens = (held, now);
        // A nanosecond more than what is missing, since division rounds.
        let missing = ((1.0 - held) / rate).max(0.0);
        let filled = if missing > 0.0 { now + Duration::from_secs_f64(missing) + Duration::from_nanos(1) } else { now };
        paused.max(filled)
    }

    /// An attempt is made.
    pub(super) fn take(&mut self) {
        self.tokens.0 -= 1.0;
    }

    /// Whether the receiver wants to be left alone.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }

    /// Nothing is sent until then.
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }
}

fn capacity(rate: f64) -> f64 {
    (rate * BURST.as_secs_f64()).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many attempts are made within a time, by whoever makes each as soon as it may.
    fn attempts(pace: &mut Pace, from: Instant, within: Duration) -> usize {
        let (mut now, mut made) = (from, 0);
        loop {
            now = pace.next(now);
            if now >= from + within {
                return made;
            }
            pace.take();
            made += 1;
        }
    }

    #[test]
    fn a_second_has_what_its_rate_says_and_a_small_burst() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(50.0), now);
        let first = attempts(&mut pace, now, Duration::from_secs(1));
        assert!((54..=56).contains(&first), "{first}");
        // After a long rest it is no more.
        let later = now + Duration::from_secs(1_000);
        let again = attempts(&mut pace, later, Duration::from_secs(1));
        assert!((54..=56).contains(&again), "{again}");
    }

    #[test]
    fn less_than_one_a_second_is_a_rate_too() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(0.5), now);
        assert_eq!(attempts(&mut pace, now, Duration::from_secs(10)), 5);
    }

    #[test]
    fn a_receiver_that_asks_for_it_is_left_alone_for_the_longest_it_asked_for() {
        let now = Instant::now();
        let mut pace = Pace::new(None, now);
        assert_eq!(pace.next(now), now);
        pace.pause(now + Duration::from_secs(7));
        pace.pause(now + Duration::from_secs(3));
        assert_eq!(pace.next(now), now + Duration::from_secs(7));
        let after = now + Duration::from_secs(8);
        assert_eq!(pace.next(after), after);
    }
}
