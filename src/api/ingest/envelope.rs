//! What the front door reads of a body: whose it is and where its events begin and end, no more.

use super::splice::{Edits, Shared};
use crate::api::error::ApiError;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tributary_connectors::log::Record;
use tributary_connectors::process::{Reason, Scalar, instant, object};
use tributary_model::{EventKind, Millis, limits};

/// What the events of a batch may come to, once what the batch says for all stands in each: else a small body could
/// become a thousand times as large in the log.
const MERGED_BYTES: usize = 4 * limits::BATCH_BYTES;

/// Reads a member that is there as `Some`, even where it is `null`.
pub(super) fn even_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// The beginning of what an event says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Head<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "even_null")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Scalar<'a>,
    #[serde(borrow)]
    anonymous_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) write_key: Scalar<'a>,
    #[serde(borrow, deserialize_with = "even_null")]
    context: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "even_null")]
    integrations: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    pub(super) fn read(event: &'a [u8]) -> Result<Self, Reason> {
        object(event)
    }

    /// What keeps a customer's events together in a partitioned log.
    pub(super) fn key(&self) -> Option<String> {
        self.user_id.id().or_else(|| self.anonymous_id.id()).map(String::from)
    }

    /// The event with the type that its address says, if it does not say it itself.
    pub(super) fn with_type(&self, event: &'a Bytes, kind: EventKind) -> Result<Bytes, ApiError> {
        let says = self.kind.map_or(Ok(Scalar::Missing), |kind| serde_json::from_str(kind.get()));
        match says {
            Ok(Scalar::Missing) => {
                let mut edits = Edits::of(std::str::from_utf8(event).unwrap_or_default());
                edits.put("type", self.kind, &format!("\"{kind}\""));
                Ok(edits.finish().map_or_else(|| event.clone(), Bytes::from))
            }
            Ok(Scalar::Text(name)) if name != kind.name() && EventKind::from_name(&name).is_some() => {
                let message = format!("`type` is {name}, but this address is for {kind} calls");
                Err(ApiError::bad_request("wrong_address", message))
            }
            // What is no type at all is told as such when the event is validated.
            _ => Ok(event.clone()),
        }
    }
}

/// A batch whose events are found, but not yet looked into.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Batch<'a> {
    #[serde(borrow)]
    batch: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) write_key: Scalar<'a>,
    #[serde(borrow)]
    sent_at: Scalar<'a>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    integrations: Option<&'a RawValue>,
}

impl<'a> Batch<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Reason> {
        object(body)
    }

    /// A record for each event. Whether an event is valid is seen when the log is read: one bad one spoils nothing.
    pub(super) fn records(&self, body: &Bytes, source: &str, received_at: Millis) -> Result<Vec<Record>, ApiError> {
        let sent_at = instant("sentAt", &self.sent_at)?;
        let items = items(self.batch)?;
        let shared = [shared("context", self.context)?, shared("integrations", self.integrations)?];
        let merged: usize = shared.iter().flatten().map(|shared| shared.bytes().saturating_mul(items.len())).sum();
        if merged > MERGED_BYTES {
            let message = "what the batch says for all its events is too long to stand in each; send a smaller batch";
            return Err(ApiError::too_large("too_large", message));
        }
        let record = |item: &&RawValue| {
            let text = item.get();
            // An event that has no head will be rejected for its own reason.
            let head = Head::read(text.as_bytes()).ok();
            let mut edits = Edits::of(text);
            if let Some(head) = &head {
                for (shared, held) in shared.iter().zip([head.context, head.integrations]) {
                    if let Some(shared) = shared {
                        shared.put_into(&mut edits, held);
                    }
                }
            }
            let body = edits.finish().map_or_else(|| body.slice_ref(text.as_bytes()), Bytes::from);
            let key = head.and_then(|head| head.key());
            Record { source: source.to_owned(), received_at, sent_at, body, key }
        };
        Ok(items.iter().map(record).collect())
    }
}

fn shared<'a>(name: &'static str, whole: Option<&'a RawValue>) -> Result<Option<Shared<'a>>, ApiError> {
    let Some(whole) = whole else { return Ok(None) };
    match Shared::new(name, whole) {
        Some(shared) => Ok(Some(shared)),
        None => Err(ApiError::bad_request("wrong_type", format!("`{name}` must be an object"))),
    }
}

/// The events of a batch, each as its text.
fn items(batch: Option<&RawValue>) -> Result<Vec<&RawValue>, ApiError> {
    let missing = || ApiError::bad_request("missing_batch", "`batch` is missing: an array of events");
    let items: Vec<&RawValue> = serde_json::from_str(batch.ok_or_else(missing)?.get())
        .map_err(|_| ApiError::bad_request("wrong_type", "`batch` must be an array of events"))?;
    if items.is_empty() {
        return Err(ApiError::bad_request("empty_batch", "`batch` has no events"));
    }
    if items.len() > limits::BATCH_EVENTS {
        let message = format!("`batch` has {} events; at most {} are taken", items.len(), limits::BATCH_EVENTS);
        return Err(ApiError::bad_request("too_many_events", message));
    }
    Ok(items)
}
