//! As fast as it goes: batches over a few connections, until all of it is committed.

use super::server::Server;
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tributary_model::Position;

/// Connections at once.
pub(crate) const CONNECTIONS: usize = 4;
/// Before a request is tried again that the server had no room for.
const PAUSE: Duration = Duration::from_millis(5);
/// Past this something is broken.
const LONGEST: Duration = Duration::from_secs(240);

/// Sends all batches and waits until they are committed; gives the time from the first send on.
pub(crate) async fn run(client: &reqwest::Client, server: &Server, batches: Vec<(Vec<u8>, usize)>) -> Duration {
    let bodies: Arc<Vec<Bytes>> = Arc::new(batches.into_iter().map(|(body, _)| Bytes::from(body)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let last = Arc::new(Mutex::new(Position::default()));
    let started = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (client, url) = (client.clone(), format!("{}/v1/batch", server.base));
        let (bodies, next, last) = (bodies.clone(), next.clone(), last.clone());
        lanes.spawn(async move {
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let position = send(&client, &url, body.clone()).await;
                let mut last = last.lock().unwrap();
                position.0.into_iter().for_each(|(partition, offset)| last.advance(partition, offset));
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    let last = last.lock().unwrap().clone();
    committed(client, &server.base, &last).await;
    started.elapsed()
}

/// Sends a batch until the server has room for it.
pub(crate) async fn send(client: &reqwest::Client, url: &str, body: Bytes) -> Position {
    let deadline = Instant::now() + LONGEST;
    loop {
        let request = client.post(url).header("content-type", "application/json").body(body.clone());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        if status == 200 {
            let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
            return answer["position"].as_str().expect("the answer has a position").parse().unwrap();
        }
        assert!(status == 429 || status == 503, "{status}: {text}");
        assert!(Instant::now() < deadline, "there is no room after {LONGEST:?}: {text}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until everything up to `position` is committed.
pub(crate) async fn committed(client: &reqwest::Client, base: &str, position: &Position) {
    let deadline = Instant::now() + LONGEST;
    let url = format!("{base}/v1/segments?min_position={position}&timeout_ms=5000");
    loop {
        // The server itself waits a while before it answers 503: not yet.
        let status = client.get(&url).send().await.unwrap().status().as_u16();
        if status == 200 {
            return;
        }
        assert_eq!(status, 503, "GET {url}");
        assert!(Instant::now() < deadline, "{position} is not committed after {LONGEST:?}");
    }
}
