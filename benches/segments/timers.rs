//! What customers cost of whom time alone will change something: while they wait, and when many are due at once.

use crate::number;
use crate::prober::{Prober, told};
use crate::support::conditions::IDENTITY;
use crate::support::events::{Batch, Events};
use crate::support::load;
use crate::support::server::{Server, Site};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long before they are due.
const AHEAD: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(3);

pub(crate) async fn run(client: &reqwest::Client, profiles: usize, events: &Events, now: i64) {
    let condition = |sql: &str| format!("{IDENTITY}segments:\n  due: {{ where: \"{sql}\" }}\n");
    println!(
        "seconds for {} events beside {profiles} customers, each with a day written in a trait",
        events.all().len()
    );
    let mut took = Vec::new();
    for (name, sql) in [
        ("of whom nobody waits", "traits.renews_at IS NULL"),
        ("of whom all wait", "traits.renews_at::timestamp <= now()"),
    ] {
        let site = Site::new(&condition(sql));
        let server = site.start();
        server.ready(client).await;
        renewing(client, &server, profiles, now + 365 * 86_400_000).await;
        let seconds = load::run(client, &server, events.batches()).await.as_secs_f64();
        took.push(seconds);
        println!("  {name:<22} {seconds:>8.2} {:>8.2}", seconds / took[0]);
    }
    let burst = number("BENCH_BURST", 100_000);
    let site = Site::new(&condition("traits.renews_at::timestamp <= now()"));
    let server = site.start();
    server.ready(client).await;
    let due = jiff::Timestamp::now().as_millisecond() + AHEAD.as_millis() as i64;
    renewing(client, &server, burst, due).await;
    let quiet = told(&Prober::during(client, &server, QUIET).await);
    let until = |at: i64| Duration::from_millis((at - jiff::Timestamp::now().as_millisecond()).max(0) as u64);
    assert!(!until(due).is_zero(), "they are due before they are all sent; give more time");
    tokio::time::sleep(until(due)).await;
    let (started, prober) = (Instant::now(), Prober::start(client, &server));
    loop {
        let answer = client.get(format!("{}/v1/segments/due", server.base)).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if answer["count"] == burst as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = started.elapsed().as_secs_f64();
    let busy = told(&prober.stop().await);
    println!("{burst} due at once: all told after {took:.2} s; single events {busy}, before {quiet}");
}

/// Customers who each have a day written in a trait.
async fn renewing(client: &reqwest::Client, server: &Server, customers: usize, at: i64) {
    let at = jiff::Timestamp::from_millisecond(at).unwrap();
    let mut batches = Vec::new();
    for some in (0..customers).collect::<Vec<_>>().chunks(1_000) {
        let mut batch = Batch::new();
        for user in some {
            let event = format!(
                r#"{{"type":"identify","messageId":"renews-{user}","userId":"r{user}","traits":{{"renews_at":"{at}"}}}}"#
            );
            batch.push(event.as_bytes());
        }
        batches.push(batch.close());
    }
    load::run(client, server, batches).await;
}
