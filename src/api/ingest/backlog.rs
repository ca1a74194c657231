//! How far the engine may be behind what is accepted.
//!
//! What waits is on the disk, not in memory; but whoever is told that an event is accepted expects that it counts before long,
//! and the disk has an end. So past a bound clients are asked to come again.

use crate::api::error::ApiError;
use crate::engine::Committed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tributary_model::Position;

/// When to come again.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// What was appended, beside what is committed.
#[derive(Debug)]
pub struct Backlog {
    end: Mutex<Position>,
    committed: watch::Receiver<Committed>,
    stream: String,
    most: i64,
}

impl Backlog {
    /// At most so many records of `stream` may wait.
    pub fn new(committed: watch::Receiver<Committed>, stream: String, most: usize) -> Self {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        Self { end: Mutex::new(Position::default()), committed, stream, most }
    }

    /// The log has come to this position.
    pub(super) fn appended(&self, position: &Position) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        position.0.iter().for_each(|(partition, offset)| end.advance(*partition, *offset));
    }

    /// Whether there is room for more.
    ///
    /// # Errors
    /// 429 if not.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let waiting = {
            let committed = self.committed.borrow();
            let committed = committed.positions.get(&self.stream);
            let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            let of = |(partition, offset): (&i32, &i64)| {
                let committed = committed.and_then(|committed| committed.0.get(partition)).copied().unwrap_or(0);
                offset.saturating_sub(committed).max(0)
            };
            end.0.iter().map(of).fold(0, i64::saturating_add)
        };
        if waiting <= self.most {
            return Ok(());
        }
        let message = format!("{waiting} events are accepted and not yet processed; send again later ([log] max_lag)");
        Err(ApiError::too_many("lag", message).after(COME_AGAIN))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Meta;
    use axum::http::StatusCode;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use tributary_dataflows::profile::Plan;
    use tributary_dataflows::segments::Program;

    #[test]
    fn past_the_bound_nothing_is_taken_until_the_engine_has_come_nearer() {
        let committed = |offset| {
            let position = Position(BTreeMap::from([(0, offset), (1, 5)]));
            let meta = Meta { positions: BTreeMap::from([("log".to_owned(), position)]), ..Meta::default() };
            Committed::new(&meta, None, true, Arc::new(Plan::new(Program::default())))
        };
        let (engine, watching) = watch::channel(committed(0));
        let backlog = Backlog::new(watching, "log".to_owned(), 10);
        backlog.check().unwrap();
        backlog.appended(&Position(BTreeMap::from([(0, 8), (1, 7)])));
        backlog.check().unwrap();
        backlog.appended(&Position(BTreeMap::from([(1, 8)])));
        assert_eq!(backlog.check().unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
        engine.send_replace(committed(1));
        backlog.check().unwrap();
    }
}
