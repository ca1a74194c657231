//! `make bench-json`: how long libraries take to find the parts of an event, as `connectors/src/process/decode.rs` wants them:
//! texts borrowed, objects passed over, everything checked to be JSON in UTF-8.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

const EVENTS: usize = 20_000;
/// The quickest of so many walks counts.
const WALKS: usize = 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Parts<'a> {
    #[serde(rename = "type", borrow)]
    _kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(rename = "messageId", borrow)]
    _message_id: Option<Cow<'a, str>>,
    #[serde(rename = "userId", borrow)]
    _user_id: Option<Cow<'a, str>>,
    #[serde(rename = "anonymousId", borrow)]
    _anonymous_id: Option<Cow<'a, str>>,
    #[serde(rename = "timestamp", borrow)]
    _timestamp: Option<Cow<'a, str>>,
    #[serde(rename = "properties")]
    _properties: Option<IgnoredAny>,
    #[serde(rename = "traits")]
    _traits: Option<IgnoredAny>,
    #[serde(rename = "context")]
    _context: Option<IgnoredAny>,
}

fn event(number: usize) -> Vec<u8> {
    format!(
        r#"{{"messageId":"m-{number:012}","type":"track","event":"Product Viewed","userId":"user-{number:06}","anonymousId":"5f0c2a9e-77d1-4f6b-8a11-{number:012}","timestamp":"2026-11-02T10:11:12.345Z","properties":{{"product_id":"SKU-{number}","name":"Three-season tent, olive","category":"outdoor","price":123.45,"quantity":2}},"context":{{"library":{{"name":"analytics.js","version":"2.11.1"}},"locale":"de-DE","ip":"203.0.113.17","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","page":{{"path":"/outdoor/tents","url":"https://shop.example/outdoor/tents","title":"Tents"}}}}}}"#
    )
    .into_bytes()
}

/// The quickest walk over all events, for one of them.
fn quickest(events: &[Vec<u8>], reads: fn(&[u8]) -> bool) -> Duration {
    let walk = || {
        let started = Instant::now();
        assert!(events.iter().all(|body| black_box(reads(body))));
        started.elapsed()
    };
    (0..WALKS).map(|_| walk()).min().unwrap_or_default() / events.len() as u32
}

fn serde_json_str(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).ok();
    text.and_then(|text| serde_json::from_str::<Parts<'_>>(text).ok()).is_some_and(|parts| parts.event.is_some())
}

fn serde_json_slice(body: &[u8]) -> bool {
    serde_json::from_slice::<Parts<'_>>(body).is_ok_and(|parts| parts.event.is_some())
}

fn sonic_rs(body: &[u8]) -> bool {
    sonic_rs::from_slice::<Parts<'_>>(body).is_ok_and(|parts| parts.event.is_some())
}

/// It writes over what it reads, and events are kept as they came.
fn simd_json(body: &[u8]) -> bool {
    let mut copy = body.to_vec();
    simd_json::from_slice::<Parts<'_>>(&mut copy).is_ok_and(|parts| parts.event.is_some())
}

fn main() {
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let bytes: usize = events.iter().map(Vec::len).sum();
    println!("{} bytes an event", bytes / EVENTS);
    let today = quickest(&events, serde_json_str);
    let others: [(&str, fn(&[u8]) -> bool); 3] =
        [("serde_json, from bytes", serde_json_slice), ("sonic-rs", sonic_rs), ("simd-json", simd_json)];
    println!("serde_json, from text that is checked first: {} ns", today.as_nanos());
    for (name, reads) in others {
        let took = quickest(&events, reads);
        println!("{name}: {} ns, {:.2} x", took.as_nanos(), took.as_secs_f64() / today.as_secs_f64());
    }
}
