//! Speaks to the demo's server over HTTP, as any program would.

use anyhow::{Context, bail};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;
use std::time::{Duration, Instant};
use tributary_model::Position;

/// For one request.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a request is tried again while the server says that it has too much to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between such tries, where the server does not say how long.
const PAUSE: Duration = Duration::from_millis(50);

/// A client of one server; clones share connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// If TLS, which is not used, cannot be set up.
    pub(super) fn new(base: String) -> anyhow::Result<Self> {
        // The server is on this machine: a proxy for the world outside must not be asked.
        let http = reqwest::Client::builder().timeout(REQUEST).no_proxy().build()?;
        Ok(Self { http, base })
    }

    /// Sends events; gives up to where they cover the log. Waits and tries again while the server has too much to do.
    ///
    /// # Errors
    /// If they are not taken.
    pub(super) async fn send(&self, path: &str, body: &Value) -> anyhow::Result<Position> {
        let body = serde_json::to_vec(body)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.http.post(format!("{}{path}", self.base)).header(CONTENT_TYPE, "application/json");
            let response = request.body(body.clone()).send().await.with_context(|| format!("POST {path}"))?;
            let status = response.status();
            let pause = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            let text = response.text().await?;
            if is_passing(status) && Instant::now() < deadline {
                tokio::time::sleep(pause.map_or(PAUSE, Duration::from_secs)).await;
                continue;
            }
            if status != StatusCode::OK {
                bail!("POST {path} was answered {status}: {text}");
            }
            let answer: Value = serde_json::from_str(&text)?;
            let position = answer.get("position").and_then(Value::as_str);
            return Ok(position.context("the answer has no position")?.parse()?);
        }
    }

    /// Reads; `None` if there is no such thing.
    ///
    /// # Errors
    /// If the answer is neither 200 nor 404.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Option<String>> {
        let response =
            self.http.get(format!("{}{path}", self.base)).send().await.with_context(|| format!("GET {path}"))?;
        let status = response.status();
        let text = response.text().await?;
        match status {
            StatusCode::OK => Ok(Some(text)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => bail!("GET {path} was answered {status}: {text}"),
        }
    }

    /// As [`Client::get`], for JSON.
    ///
    /// # Errors
    /// As [`Client::get`]; or if the answer is no JSON.
    pub(super) async fn get_json(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let text = self.get(path).await?;
        text.map(|text| serde_json::from_str(&text).with_context(|| format!("GET {path}"))).transpose()
    }

    /// Waits until everything up to `position` is committed.
    ///
    /// # Errors
    /// If that takes longer than [`PATIENCE`].
    pub(super) async fn committed(&self, position: &Position) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.get(&format!("/v1/segments?min_position={position}&timeout_ms=5000")).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE
}
