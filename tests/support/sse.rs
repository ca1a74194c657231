//! Reads server-sent events.

use super::client::READ_TOKEN;
use super::runtime;
use serde_json::Value;
use std::time::Duration;

/// An open stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    /// Opens a stream with the read token.
    #[track_caller]
    pub(crate) fn open(base: &str, path: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{base}{path}")).bearer_auth(READ_TOKEN);
        let response = runtime().block_on(request.send()).unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(content_type.starts_with("text/event-stream"), "{content_type}");
        Self { response, text: String::new() }
    }

    /// The next event's name and data; comments and keep-alives are passed over. `None` where the stream ends.
    #[track_caller]
    pub(crate) fn next(&mut self, within: Duration) -> Option<(String, Value)> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (event, data) = (field(block, "event"), field(block, "data"));
                self.text = rest.to_owned();
                if !data.is_empty() {
                    return Some((event, serde_json::from_str(&data).unwrap()));
                }
            }
            let chunk = runtime().block_on(async { tokio::time::timeout(within, self.response.chunk()).await });
            let chunk = chunk.unwrap_or_else(|_| panic!("no event within {within:?}")).unwrap();
            self.text.push_str(std::str::from_utf8(&chunk?).unwrap());
        }
    }
}

fn field(block: &str, name: &str) -> String {
    let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.map(str::trim_start).collect::<Vec<_>>().join("\n")
}
