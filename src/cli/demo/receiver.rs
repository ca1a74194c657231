//! The CRM of the sample shop: takes webhooks on the loopback interface, checks their signatures as Standard Webhooks
//! says, and keeps what came.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;

/// How far a delivery's own time may be from ours, in seconds.
const TOLERANCE: u64 = 300;

/// One trigger that fired.
#[derive(Clone, Debug)]
pub(super) struct Fired {
    /// The trigger's id, as its body tells.
    pub(super) trigger: String,
    /// The id of the profile that it is about.
    pub(super) profile: String,
    /// The body.
    pub(super) body: Value,
}

#[derive(Debug, Default)]
struct Book {
    seen: HashSet<String>,
    fired: Vec<Fired>,
    faults: Vec<String>,
}

/// The endpoint.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    url: String,
    book: Arc<Mutex<Book>>,
}

#[derive(Clone)]
struct Desk {
    key: Arc<[u8]>,
    book: Arc<Mutex<Book>>,
}

impl Receiver {
    /// Listens on a free port, for deliveries signed with `key`; serves as long as the runtime lives.
    ///
    /// # Errors
    /// If no port can be had.
    pub(super) async fn start(key: &[u8]) -> std::io::Result<Self> {
        let book = Arc::new(Mutex::new(Book::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let desk = Desk { key: key.into(), book: book.clone() };
        let routes = Router::new().route("/hook", post(take)).with_state(desk);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, book })
    }

    /// Where deliveries go.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What came from the `from`-th on, in the order of its coming.
    pub(super) fn fired(&self, from: usize) -> Vec<Fired> {
        lock(&self.book).fired.iter().skip(from).cloned().collect()
    }

    /// What was wrong with deliveries.
    pub(super) fn faults(&self) -> Vec<String> {
        lock(&self.book).faults.clone()
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let checked = if timestamp.parse::<u64>().is_ok_and(|at| at.abs_diff(now) <= TOLERANCE) {
        verify(&desk.key, id, timestamp, header("webhook-signature"), &body)
    } else {
        Err("its time is not now")
    };
    let read = checked.and_then(|()| serde_json::from_slice::<Value>(&body).map_err(|_| "its body is no JSON"));
    let mut book = lock(&desk.book);
    match read {
        Ok(body) => {
            // A delivery whose answer got lost comes again under the same id.
            if book.seen.insert(id.to_owned()) {
                let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                book.fired.push(Fired { trigger: text("template"), profile: text("profile"), body });
            }
            StatusCode::NO_CONTENT
        }
        Err(why) => {
            book.faults.push(format!("delivery {id}: {why}"));
            StatusCode::BAD_REQUEST
        }
    }
}

/// Whether one of the signatures is that of the delivery.
fn verify(key: &[u8], id: &str, timestamp: &str, signatures: &str, body: &[u8]) -> Result<(), &'static str> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| "there is no key")?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let versions = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
    let mut given = versions.filter_map(|signature| BASE64_STANDARD.decode(signature).ok());
    match given.any(|signature| mac.clone().verify_slice(&signature).is_ok()) {
        true => Ok(()),
        false => Err("its signature is wrong"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_published_example_is_accepted_and_a_changed_one_is_not() {
        // From the Standard Webhooks specification's own libraries.
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(verify(&key, id, at, signature, body), Ok(()));
        assert_eq!(verify(&key, id, at, &format!("v1,AAAA {signature}"), body), Ok(()));
        assert!(verify(&key, id, "1614265331", signature, body).is_err());
        assert!(verify(&key, id, at, "", body).is_err());
    }
}
