//! Asks a running server what only an admin may.

use anyhow::{Context, bail};
use reqwest::Method;
use std::time::Duration;

/// The variable with the server's admin token.
const TOKEN: &str = "TRIBUTARY_ADMIN_TOKEN";
/// How long the server may take: to check and keep a change, or to take a snapshot.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a request and gives the text of the answer.
///
/// # Errors
/// If nobody answers (see [`is_nobody_there`]) or the server refuses.
pub(super) fn ask(server: &str, method: Method, path: &str, body: Option<String>) -> anyhow::Result<String> {
    let server = server.trim_end_matches('/');
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut request = client.request(method, format!("{server}{path}"));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.with_context(|| format!("no answer from {server} (--server)"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            let error: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let message = error.get("message").and_then(serde_json::Value::as_str).unwrap_or(&text);
            let hint =
                if status.as_u16() == 401 { format!(" (the token is read from {TOKEN})") } else { String::new() };
            bail!("the server refuses: {message}{hint}");
        }
        Ok(text)
    })
}

/// Whether a request has failed because nothing listens there; nothing else is taken for that.
pub(super) fn is_nobody_there(error: &anyhow::Error) -> bool {
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    error.chain().any(refused)
}
