//! `make bench-deliveries`: how many webhooks a second, and how long from an event to its webhook or push notification.
//!
//! `BENCH_EVENTS` sets how many events fire a webhook at full speed (100,000 if not set). Clients, server and receiver
//! share this machine's processors. The figures belong to the section "Deliveries" of `benches/RESULTS.md`.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod keys;
mod latency;
mod receiver;

use keys::{BROWSER, Keys};
use latency::{Latencies, Wish};
use receiver::{MARK, Receiver};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::conditions::IDENTITY;
use support::events::{self, CUSTOMERS, Events, encode, user};
use support::server::{Server, Site};
use support::{load, percentile};

/// Deliveries under way at once: as where definitions say nothing, and more.
const AT_ONCE: [usize; 3] = [8, 64, 256];
/// Events a second where only some fire.
const MODERATE: f64 = 1_000.0;
/// Events that fire nothing, sent again and again under new ids.
const POOL: usize = 20_000;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let count = std::env::var("BENCH_EVENTS").map_or(100_000, |text| text.parse().expect("BENCH_EVENTS is a number"));
    let now = jiff::Timestamp::now().as_millisecond();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let receiver = Receiver::start().await;
    let keys = Keys::new(&receiver.base);
    let mut bench = Bench { client, receiver, pool: Events::generate(POOL, now), sent: 0, messages: 0 };

    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!(
        "webhooks as fast as they go: {count} events of {CUSTOMERS} customers fire one each, {processors} processors"
    );
    println!("  at once   webhooks/s   processor time of the server a webhook, µs");
    let (mut best, mut lost) = (0.0_f64, 0);
    for at_once in AT_ONCE {
        let (rate, processor, missing) = bench.full_speed(count, &definitions(&bench.receiver, &keys, at_once)).await;
        println!("  {at_once:>7} {rate:>12.0} {processor:>12.1}");
        best = best.max(rate);
        lost += missing;
    }

    println!(
        "\nms from when an event was due until its message had come    events/s  messages/s      p50      p99    p99.9"
    );
    let site = Site::new(&definitions(&bench.receiver, &keys, AT_ONCE[1]));
    let server = site.start();
    server.ready(&bench.client).await;
    let moderate = |event| Wish { event, rate: MODERATE, firing: 1 };
    let all_fire = Wish { event: "Webhook", rate: best / 2.0, firing: usize::MAX };
    for (name, wish) in [
        ("webhook", moderate("Webhook")),
        ("FCM", moderate("FCM")),
        ("Web Push", moderate("Web Push")),
        ("webhook, half of the most webhooks/s", all_fire),
    ] {
        let Latencies { messages, times, lost: missing } = latency::run(&mut bench, &server, wish).await;
        let ms = |share: f64| percentile(&times, share).as_secs_f64() * 1e3;
        let (p50, p99, p999) = (ms(0.5), ms(0.99), ms(0.999));
        println!("  {name:<56} {:>9.0} {messages:>11.0} {p50:>8.1} {p99:>8.1} {p999:>8.1}", wish.rate);
        lost += missing;
    }
    if lost > 0 {
        eprintln!("{lost} messages never came");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Destinations at the receiver, and events that fire them. Each message has its number where the receiver finds it.
fn definitions(receiver: &Receiver, keys: &Keys, at_once: usize) -> String {
    let (base, [p256dh, auth]) = (&receiver.base, BROWSER);
    let (account, vapid) = (keys.service_account().display().to_string(), keys.vapid().display().to_string());
    let number = format!("{MARK}{{{{ event.properties.message }}}}");
    format!(
        r#"{IDENTITY}
destinations:
  hook: {{ type: webhook, url: "{base}/hook", allow_private: true, concurrency: {at_once} }}
  fcm:
    type: fcm
    service_account: "file:{account}"
    endpoint: "{base}"
    allow_private: true
    concurrency: {at_once}
  browsers:
    type: web_push
    subject: "mailto:bench@example.com"
    private_key: "file:{vapid}"
    allow_private: true
    concurrency: {at_once}
triggers:
  hook:
    on: {{ event: Webhook }}
    send: {{ to: hook, body: '{{"profile": {{{{ profile.id | tojson }}}}, "message": "{number}"}}' }}
  fcm:
    on: {{ event: FCM }}
    send: {{ to: fcm, address: "{number}", title: "Hello", text: "It is on its way." }}
  browsers:
    on: {{ event: Web Push }}
    send:
      to: browsers
      address: '{{"endpoint": "{base}/{number}", "keys": {{"p256dh": "{p256dh}", "auth": "{auth}"}} }}'
      title: "Hello"
      text: "It is on its way."
"#
    )
}

/// What all runs share.
struct Bench {
    client: reqwest::Client,
    receiver: Receiver,
    pool: Events,
    /// Events so far: no message id comes twice.
    sent: usize,
    /// Messages so far.
    messages: usize,
}

impl Bench {
    /// An event that fires a message, the next one's number in it.
    fn firing(&mut self, event: &str) -> Vec<u8> {
        let body = json!({ "type": "track", "event": event, "userId": user(self.messages % CUSTOMERS),
            "properties": { "message": self.messages } });
        self.messages += 1;
        self.sent += 1;
        encode(self.sent, &body)
    }

    /// An event that fires nothing.
    fn quiet(&mut self) -> Vec<u8> {
        self.sent += 1;
        self.pool.renumbered(self.sent, self.sent)
    }

    /// Sends events as fast as it goes, which fire a webhook each. Gives webhooks a second, microseconds of the
    /// server's processor time a webhook, and how many were lost.
    async fn full_speed(&mut self, count: usize, definitions: &str) -> (f64, f64, usize) {
        let site = Site::new(definitions);
        let server: Server = site.start();
        server.ready(&self.client).await;
        let first = self.messages;
        let firing: Vec<_> = (0..count).map(|_| self.firing("Webhook")).collect();
        let batches = events::batches(firing.iter());
        let (used, started) = (server.processor_time(), self.receiver.at(Instant::now()));
        load::run(&self.client, &server, batches).await;
        let all = first..self.messages;
        let lost = self.receiver.await_all(all.clone()).await;
        let used = server.processor_time() - used;
        let last = all.map(|message| self.receiver.arrived(message)).max().unwrap_or_default();
        let took = Duration::from_nanos(last.saturating_sub(started));
        let came = (count - lost) as f64;
        (came / took.as_secs_f64(), used.as_secs_f64() * 1e6 / came, lost)
    }
}
