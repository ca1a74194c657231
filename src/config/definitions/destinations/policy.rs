//! How any destination may be called.

use super::Type;
use crate::config::decode::{Field, Table};
use std::time::Duration;
use tributary_model::DeliveryPolicy;

/// An endpoint that needs longer does its work in the wrong place.
const TIMEOUT: Duration = Duration::from_secs(10);
/// With doubling pauses of up to five minutes, over an hour: long enough for a restart or a deployment at the other end.
const MAX_ATTEMPTS: u32 = 35;
/// Enough to hide a network's latency, not enough to hurt an endpoint.
const CONCURRENCY: usize = 8;
/// What is said later than this is hardly worth saying.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 86_400);

/// The fields that all kinds have. A topic and a table take messages in transactions, one after the other, for ever: only the
/// time-out is theirs.
pub(super) fn decode(table: &Table<'_>, kind: Type) -> Option<DeliveryPolicy> {
    let second = Duration::from_secs(1);
    let timeout = table.get("timeout").map_or(Some(TIMEOUT), |field| field.duration(second / 10..=300 * second));
    let timeout_ms = u64::try_from(timeout?.as_millis()).ok()?;
    let give_up_after_ms = |after: Duration| u64::try_from(after.as_millis()).ok();
    if matches!(kind, Type::Kafka | Type::Postgres) {
        let give_up_after_ms = u64::MAX;
        return Some(DeliveryPolicy { timeout_ms, max_attempts: 1, concurrency: 1, rate: None, give_up_after_ms });
    }
    let max_attempts = table.get("max_attempts").map_or(Some(MAX_ATTEMPTS), |field| field.integer(1..=100));
    let concurrency = table.get("concurrency").map_or(Some(CONCURRENCY), |field| field.integer(1..=1_000));
    let rate = table.get("rate").map_or(Some(None), |field| decode_rate(&field).map(Some));
    let longest = 30 * 86_400 * second;
    let give_up = table.get("give_up_after").map_or(Some(GIVE_UP_AFTER), |field| field.duration(second..=longest));
    Some(DeliveryPolicy {
        timeout_ms,
        max_attempts: max_attempts?,
        concurrency: concurrency?,
        rate: rate?,
        give_up_after_ms: give_up_after_ms(give_up?)?,
    })
}

/// Attempts a second, as `100/s`, `90/min` and `1000/h` write them.
fn decode_rate(field: &Field<'_>) -> Option<f64> {
    let text = field.text()?;
    let parts = text.split_once('/').map(|(count, unit)| (count.trim().parse::<u32>().ok(), unit.trim()));
    let rate = match parts {
        Some((Some(count @ 1..=100_000), unit)) => match unit {
            "s" => Some(f64::from(count)),
            "min" => Some(f64::from(count) / 60.0),
            "h" => Some(f64::from(count) / 3_600.0),
            _ => None,
        },
        _ => None,
    };
    if rate.is_none() {
        field.wrong(format!("`{text}` is no rate; write so many a second, minute or hour: 100/s, 90/min, 1000/h"));
    }
    rate
}
