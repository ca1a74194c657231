//! The only clock. Everything else is told the time.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tributary_model::Millis;

/// Something that tells the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The machine's wall clock. The driver never lets an epoch's clock go back, whatever this one does.
pub fn wall_clock() -> Clock {
    Arc::new(now)
}

/// What time it is.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX))
}
