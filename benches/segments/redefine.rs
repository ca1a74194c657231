//! How long a segment that is defined while the server runs takes to be live, and what it does to events meanwhile.

use crate::prober::{Prober, told};
use crate::support::server::Server;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What single events take while nothing else goes on is measured for so long.
const QUIET: Duration = Duration::from_secs(3);

pub(crate) async fn run(client: &reqwest::Client, server: &Server, profiles: f64, kept: &str, history: &str) {
    println!(
        "  {profiles:>9} profiles, single events, nothing else: {}",
        told(&Prober::during(client, server, QUIET).await)
    );
    for (name, condition) in [("of what is kept", kept), ("of history", history)] {
        let prober = Prober::start(client, server);
        let started = Instant::now();
        let id = format!("d{}", name.len() + profiles as usize);
        let body = json!({ "id": id, "where": condition }).to_string();
        let request = client.post(format!("{}/v1/segments", server.base)).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        let count = loop {
            let answer = client.get(format!("{}/v1/segments/{id}", server.base)).send().await.unwrap();
            let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            if answer["state"] == "live" {
                break answer["count"].as_u64().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let took = started.elapsed();
        let probed = told(&prober.stop().await);
        println!(
            "  {profiles:>9} profiles, {name:<16} live after {:>6.2} s with {count} members; single events {probed}",
            took.as_secs_f64()
        );
    }
}
