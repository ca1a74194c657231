//! How often somebody may ask: the generic cell rate algorithm (ITU-T I.371), which needs one number and no clean-up.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Lets so many through in a second, and as many at once as may have been saved up.
#[derive(Debug)]
pub struct Rate {
    /// For each, the time until the next.
    each: Duration,
    /// How far ahead of time one may be.
    ahead: Duration,
    /// When the next is due.
    due: Mutex<Option<Instant>>,
}

impl Rate {
    /// `per_second` of them, of which `at_once` may come together.
    pub fn new(per_second: u32, at_once: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self { each, ahead: each * at_once.max(1), due: Mutex::new(None) }
    }

    /// Lets `count` through, all or none.
    ///
    /// # Errors
    /// How long to wait before as many can come.
    pub fn admit(&self, count: u32, now: Instant) -> Result<(), Duration> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due.unwrap_or(now).max(now) + self.each * count;
        let early = next.saturating_duration_since(now).saturating_sub(self.ahead);
        if !early.is_zero() {
            return Err(early);
        }
        *due = Some(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_up_may_come_at_once_and_then_only_the_rate() {
        let rate = Rate::new(10, 20);
        let start = Instant::now();
        assert_eq!(rate.admit(15, start), Ok(()));
        assert_eq!(rate.admit(5, start), Ok(()));
        assert_eq!(rate.admit(1, start), Err(Duration::from_millis(100)));
        assert_eq!(rate.admit(3, start), Err(Duration::from_millis(300)), "all or none");
        let later = start + Duration::from_millis(300);
        assert_eq!(rate.admit(3, later), Ok(()));
        assert_eq!(rate.admit(1, later), Err(Duration::from_millis(100)));
        // However long nobody comes, no more is saved up.
        let much_later = later + Duration::from_secs(3_600);
        assert_eq!(rate.admit(20, much_later), Ok(()));
        assert!(rate.admit(1, much_later).is_err());
    }
}
