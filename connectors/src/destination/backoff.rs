//! How long to wait before the next attempt: exponential, with full jitter, so that many who failed together do not
//! come back together.

use std::time::Duration;

/// The first wait is at most this.
const BASE: Duration = Duration::from_millis(500);
/// No wait is longer: a receiver that is back is noticed within this time.
const LONGEST: Duration = Duration::from_secs(300);

/// The wait before attempt number `attempts + 1`, where `jitter` is in 0..1. What the receiver asks for (up to the
/// longest wait) is the least.
pub(super) fn wait(attempts: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let doubled = BASE.saturating_mul(2u32.saturating_pow(attempts.saturating_sub(1)));
    let drawn = doubled.min(LONGEST).mul_f64(jitter.clamp(0.0, 1.0));
    drawn.max(asked.unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits = [1, 2, 3, 30].map(|attempts| wait(attempts, None, 1.0));
        assert_eq!(waits, [BASE, BASE * 2, BASE * 4, LONGEST]);
    }

    #[test]
    fn the_receiver_may_ask_for_more_but_not_for_ever() {
        assert_eq!(wait(1, Some(Duration::from_secs(7)), 0.0), Duration::from_secs(7));
        assert_eq!(wait(1, Some(Duration::from_secs(86_400)), 0.0), LONGEST);
    }

    #[test]
    fn as_many_attempts_as_are_usual_take_over_an_hour() {
        // Between 35 attempts there are 34 waits, each half as long as it may be on average.
        let all: Duration = (1..35).map(|attempts| wait(attempts, None, 0.5)).sum();
        assert!((3_600..4_500).contains(&all.as_secs()), "{all:?}");
    }
}
