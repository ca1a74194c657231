//! A webhook endpoint that writes down what comes, checks its signature, and can be told to fail.

use super::runtime;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The secret's bytes; [`secret`] is how configurations write them.
const KEY: &[u8] = b"a secret of 24 bytes ...";

/// The secret as Standard Webhooks writes it.
pub(crate) fn secret() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY))
}

/// How the endpoint answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// 200.
    Accept,
    /// This status for the first attempts at each message, then 200.
    FailFirst(usize, u16),
    /// Always this status.
    Refuse(u16),
    /// 200, after this long.
    Slow(Duration),
}

/// One attempt at a delivery.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// `webhook-id`.
    pub(crate) id: String,
    /// The body.
    pub(crate) body: Value,
    /// What was answered.
    pub(crate) status: u16,
}

#[derive(Debug)]
struct Book {
    behaviour: Behaviour,
    attempts: HashMap<String, usize>,
    deliveries: Vec<Delivery>,
    faults: Vec<String>,
}

/// The endpoint; it serves until the test process ends.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    /// Where deliveries go.
    pub(crate) url: String,
    book: Arc<Mutex<Book>>,
}

impl Receiver {
    /// An endpoint that accepts.
    pub(crate) fn start() -> Self {
        let book =
            Book { behaviour: Behaviour::Accept, attempts: HashMap::new(), deliveries: Vec::new(), faults: Vec::new() };
        let book = Arc::new(Mutex::new(book));
        let routes = Router::new().fallback(receive).with_state(book.clone());
        let listener = runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        runtime().spawn(async move { axum::serve(listener, routes).await });
        Self { url, book }
    }

    /// Changes how it answers from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.book.lock().unwrap().behaviour = behaviour;
    }

    /// All attempts so far, in the order in which they came.
    pub(crate) fn attempts(&self) -> Vec<Delivery> {
        self.book.lock().unwrap().deliveries.clone()
    }

    /// What was accepted so far, in order.
    pub(crate) fn accepted(&self) -> Vec<Delivery> {
        self.attempts().into_iter().filter(|delivery| delivery.status == 200).collect()
    }

    /// Checks that every attempt was signed, recent, and JSON.
    #[track_caller]
    pub(crate) fn assert_faultless(&self) {
        let faults = self.book.lock().unwrap().faults.clone();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

async fn receive(State(book): State<Arc<Mutex<Book>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let (status, pause) = {
        let mut book = book.lock().unwrap();
        if let Some(fault) = fault(&id, &timestamp, &header("webhook-signature"), &body) {
            book.faults.push(fault);
        }
        let attempt = book.attempts.entry(id.clone()).or_default();
        *attempt += 1;
        let attempt = *attempt;
        let (status, pause) = match book.behaviour {
            Behaviour::Accept => (200, Duration::ZERO),
            Behaviour::FailFirst(times, status) => (if attempt <= times { status } else { 200 }, Duration::ZERO),
            Behaviour::Refuse(status) => (status, Duration::ZERO),
            Behaviour::Slow(pause) => (200, pause),
        };
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        book.deliveries.push(Delivery { id, body, status });
        (status, pause)
    };
    tokio::time::sleep(pause).await;
    StatusCode::from_u16(status).unwrap()
}

/// What is wrong with a delivery by the Standard Webhooks specification.
fn fault(id: &str, timestamp: &str, signatures: &str, body: &[u8]) -> Option<String> {
    if id.is_empty() {
        return Some("no webhook-id".to_owned());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    if !timestamp.parse::<u64>().is_ok_and(|at| at.abs_diff(now) < 300) {
        return Some(format!("{id}: webhook-timestamp is `{timestamp}`, now is {now}"));
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac_sha256(KEY, &signed)));
    if !signatures.split(' ').any(|signature| signature == expected) {
        return Some(format!("{id}: webhook-signature is `{signatures}`, not {expected}"));
    }
    let json = serde_json::from_slice::<Value>(body).err();
    json.map(|error| format!("{id}: the body is no JSON ({error}): {}", String::from_utf8_lossy(body)))
}

/// HMAC as RFC 2104 writes it, so that the product's is not checked by itself. For keys of at most a block.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).into()
}

/// RFC 4231, test case 2: this checker itself is right.
#[test]
fn the_independent_signature_check_knows_the_published_vector() {
    let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}
