//! A record as a Kafka message: the body is the value, the rest stands in headers.

use crate::log::{Entry, Record};
use bytes::Bytes;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use std::sync::Arc;

const SOURCE: &str = "source";
/// Milliseconds since 1970 as decimal text; so is the next.
const RECEIVED_AT: &str = "received_at";
const SENT_AT: &str = "sent_at";

/// The message that is produced for a record.
pub(super) fn from_record<'a>(topic: &'a str, record: &'a Record) -> FutureRecord<'a, str, [u8]> {
    let (received_at, sent_at) = (record.received_at.to_string(), record.sent_at.map(|at| at.to_string()));
    let mut headers = OwnedHeaders::new_with_capacity(3)
        .insert(Header { key: SOURCE, value: Some(&record.source) })
        .insert(Header { key: RECEIVED_AT, value: Some(&received_at) });
    if let Some(sent_at) = &sent_at {
        headers = headers.insert(Header { key: SENT_AT, value: Some(sent_at) });
    }
    let message = FutureRecord::to(topic).payload(&record.body[..]).headers(headers);
    match &record.key {
        Some(key) => message.key(key),
        None => message,
    }
}

/// The entry that a message is. One that others wrote has no headers of ours: it is from the source that is named here, and was
/// received when Kafka got it.
pub(super) fn to_entry(stream: &Arc<str>, of_others: &str, message: &impl Message) -> Entry {
    let (mut source, mut received_at, mut sent_at) = (None, None, None);
    for header in message.headers().into_iter().flat_map(Headers::iter) {
        let text = header.value.and_then(|value| std::str::from_utf8(value).ok());
        match header.key {
            SOURCE => source = text.map(str::to_owned),
            RECEIVED_AT => received_at = text.and_then(|text| text.parse().ok()),
            SENT_AT => sent_at = text.and_then(|text| text.parse().ok()),
            _ => {}
        }
    }
    Entry {
        stream: stream.clone(),
        partition: message.partition(),
        offset: message.offset(),
        record: Record {
            source: source.unwrap_or_else(|| of_others.to_owned()),
            received_at: received_at.or_else(|| message.timestamp().to_millis()).unwrap_or(0),
            sent_at,
            body: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
            key: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    fn message(payload: Option<&[u8]>, headers: Option<OwnedHeaders>) -> OwnedMessage {
        let (payload, key) = (payload.map(<[u8]>::to_vec), Some(b"key".to_vec()));
        OwnedMessage::new(payload, key, "orders".to_owned(), Timestamp::CreateTime(1_000), 2, 17, headers)
    }

    fn record() -> Record {
        let body = Bytes::from_static(b"{\"type\":\"track\"}");
        Record {
            source: "shop".to_owned(),
            received_at: 2_000,
            sent_at: Some(1_990),
            body,
            key: Some("user:1".to_owned()),
        }
    }

    #[test]
    fn what_we_write_reads_back() {
        for record in [record(), Record { sent_at: None, key: None, ..record() }] {
            let produced = from_record("orders", &record);
            assert_eq!(produced.key, record.key.as_deref());
            let stored = message(produced.payload, produced.headers);
            let entry = to_entry(&Arc::from("orders"), "kafka:orders", &stored);
            assert_eq!((entry.partition, entry.offset), (2, 17));
            assert_eq!(entry.record, Record { key: None, ..record });
        }
    }

    #[test]
    fn what_others_write_is_dated_by_kafka_and_named_by_its_topic() {
        let entry = to_entry(&Arc::from("orders"), "kafka:orders", &message(Some(b"\xff\x00"), None));
        assert_eq!(entry.record.source, "kafka:orders");
        assert_eq!((entry.record.received_at, entry.record.sent_at), (1_000, None));
        assert_eq!(&entry.record.body[..], b"\xff\x00");
        let tombstone = to_entry(&Arc::from("orders"), "kafka:orders", &message(None, None));
        assert!(tombstone.record.body.is_empty());
    }

    #[test]
    fn headers_that_only_look_like_ours_do_no_harm() {
        let headers = OwnedHeaders::new()
            .insert(Header { key: RECEIVED_AT, value: Some("yesterday") })
            .insert(Header { key: SENT_AT, value: None::<&str> })
            .insert(Header { key: SOURCE, value: Some(&b"\xff"[..]) });
        let entry = to_entry(&Arc::from("orders"), "kafka:orders", &message(Some(b"{}"), Some(headers)));
        assert_eq!(entry.record.source, "kafka:orders");
        assert_eq!((entry.record.received_at, entry.record.sent_at), (1_000, None));
    }
}
