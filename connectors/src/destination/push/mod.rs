//! Notifications on phones and in browsers: what one says is the same for all services, and each has its own way to
//! know us and to name a device.
//!
//! None of them knows a message by its id when it comes again, so that it may come twice after a call that was not
//! answered. Apps find the id in the notification, and a `collapse_key` lets the second take the place of the first.

mod token;
mod fcm;
mod apns;
mod web_push;

pub use apns::Apns;
pub use fcm::Fcm;
pub use web_push::WebPush;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};

/// Under which name the data of a notification hold the message's id.
const MESSAGE_ID: &str = "tributary_message";
/// Services keep a notification for four weeks and no longer; some refuse one that wants more.
const LONGEST_TTL_SECONDS: u32 = 2_419_200;

/// What a trigger's templates say of a notification.
#[derive(Deserialize)]
struct PushFields {
    /// A device's or app's token; for browsers a subscription as JSON.
    address: String,
    /// Its first line. With neither title nor text the app gets the data and nobody sees anything.
    title: Option<String>,
    /// What it says.
    text: Option<String>,
    /// What the app gets besides.
    data: Option<Map<String, Value>>,
    /// How long it is kept for a device that is away.
    ttl_seconds: Option<u32>,
    /// It takes the place of an earlier one with the same key.
    collapse_key: Option<String>,
}

impl PushFields {
    /// Title and text, where there are some. An empty one is what a template makes of something that is missing.
    fn lines(&self) -> [Option<&str>; 2] {
        [&self.title, &self.text].map(|line| line.as_deref().filter(|line| !line.is_empty()))
    }

    /// What people see, in the form that Google and Apple share.
    fn alert(&self) -> Option<Value> {
        match self.lines() {
            [None, None] => None,
            [title, text] => Some(object([("title", title.map(Value::from)), ("body", text.map(Value::from))])),
        }
    }

    /// How long it is kept, as long as services do.
    fn ttl_seconds(&self) -> Option<u32> {
        self.ttl_seconds.map(|seconds| seconds.min(LONGEST_TTL_SECONDS))
    }

    /// What it has in common with those whose place it takes.
    fn collapse_key(&self) -> Option<&str> {
        self.collapse_key.as_deref().filter(|key| !key.is_empty())
    }
}

/// An object of those values that are there.
fn object<const N: usize>(values: [(&str, Option<Value>); N]) -> Value {
    values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A text of any length as 43 letters, digits, `-` and `_`; other texts get others.
fn digest(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// The time in seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
