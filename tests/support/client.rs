//! A small blocking HTTP client that knows the server's keys.

use super::runtime;
use super::wait::{SOON, eventually};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use std::time::Duration;

/// The write key that [`super::server::Site`] configures.
pub(crate) const WRITE_KEY: &str = "test-write-key";
/// Its read token.
pub(crate) const READ_TOKEN: &str = "test-read-token";
/// Its admin token.
pub(crate) const ADMIN_TOKEN: &str = "test-admin-token";

/// Who a request says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum As<'a> {
    Nobody,
    /// `Authorization: Basic`, the key as the user name.
    Basic(&'a str),
    /// `Authorization: Bearer`.
    Bearer(&'a str),
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The body of an answer that has to be 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The log position of an accepted event.
    #[track_caller]
    pub(crate) fn position(&self) -> String {
        let answer = self.ok();
        assert_eq!(answer["success"], true, "{answer}");
        answer["position"].as_str().unwrap_or_else(|| panic!("no position in {answer}")).to_owned()
    }

    /// Checks that it is an error of that status, told as `{"code", "message"}`; gives the code.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let answer = self.json();
        let word = |field: &str| answer[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        assert!(word("message").is_some(), "an error has a message: {answer}");
        word("code").unwrap_or_else(|| panic!("an error has a code: {answer}"))
    }
}

/// Talks to one server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(base: impl Into<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Self { base: base.into(), http }
    }

    /// `http://ADDR` of the server.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Any request; an `Err` if no whole answer came.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        who: As<'_>,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).body(body);
        request = match who {
            As::Nobody => request,
            As::Basic(key) => request.basic_auth(key, Some("")),
            As::Bearer(token) => request.bearer_auth(token),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        runtime().block_on(async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
        })
    }

    /// Posts bytes as JSON with the write key.
    #[track_caller]
    pub(crate) fn post_bytes(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let headers = [("content-type", "application/json")];
        self.request(Method::POST, path, As::Basic(WRITE_KEY), &headers, body.into()).unwrap()
    }

    /// Posts JSON with the write key.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, body.to_string())
    }

    /// Posts JSON with the read token.
    #[track_caller]
    pub(crate) fn read_post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        let body = body.to_string().into_bytes();
        self.request(Method::POST, path, As::Bearer(READ_TOKEN), &headers, body).unwrap()
    }

    /// Posts JSON with the admin token.
    #[track_caller]
    pub(crate) fn admin(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        let body = body.to_string().into_bytes();
        self.request(Method::POST, path, As::Bearer(ADMIN_TOKEN), &headers, body).unwrap()
    }

    /// States something of two identifiers; gives the log position.
    #[track_caller]
    pub(crate) fn state(&self, what: &str, a: &str, b: &str) -> String {
        self.admin(&format!("/v1/identity/{what}"), &json!({ "a": a, "b": b, "by": "support", "reason": "a test" }))
            .position()
    }

    /// Deletes with the admin token.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, As::Bearer(ADMIN_TOKEN), &[], Vec::new()).unwrap()
    }

    /// Sends events in one `/v1/batch`, which must be accepted; gives the log position.
    #[track_caller]
    pub(crate) fn batch(&self, events: &[Value]) -> String {
        self.post("/v1/batch", &json!({ "batch": events })).position()
    }

    /// Sends any number of events; gives the last batch's position. One log partition only: with several, no single
    /// batch's position covers the others.
    #[track_caller]
    pub(crate) fn batches(&self, events: &[Value]) -> String {
        let mut position = None;
        for batch in events.chunks(200) {
            position = Some(self.batch(batch));
        }
        position.expect("some events")
    }

    /// Gets with the read token.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, As::Bearer(READ_TOKEN), &[], Vec::new()).unwrap()
    }

    /// Gets as of a position, however long that takes.
    #[track_caller]
    pub(crate) fn get_at(&self, path: &str, position: &str) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}min_position={position}&timeout_ms=2000");
        eventually("the position is committed", SOON, || {
            let answer = self.get(&path);
            if answer.status == 503 { Err(answer.text()) } else { Ok(answer) }
        })
    }

    /// A profile by any of its identifiers, as of a position; it must be there.
    #[track_caller]
    pub(crate) fn profile_at(&self, identifier: &str, position: &str) -> Value {
        self.get_at(&format!("/v1/profiles/{}", path_segment(identifier)), position).ok()
    }

    /// A segment's count.
    #[track_caller]
    pub(crate) fn count_at(&self, segment: &str, position: &str) -> i64 {
        let answer = self.get_at(&format!("/v1/segments/{segment}"), position).ok();
        answer["count"].as_i64().unwrap_or_else(|| panic!("no count in {answer}"))
    }

    /// All members of a segment, page by page.
    #[track_caller]
    pub(crate) fn members(&self, segment: &str, limit: usize) -> Vec<String> {
        let mut members = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/v1/segments/{segment}/members?limit={limit}{cursor}")).ok();
            let ids = page["members"].as_array().unwrap();
            assert!(ids.len() <= limit, "a page has at most {limit} members");
            members.extend(ids.iter().map(|id| id.as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={}", path_segment(next)),
                None => return members,
            }
        }
    }

    /// Everything in `GET /v1/rejected`, latest first.
    #[track_caller]
    pub(crate) fn rejected(&self) -> Vec<Value> {
        let mut rejected = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/v1/rejected?limit=500{cursor}")).ok();
            rejected.extend(page["rejected"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rejected,
            }
        }
    }

    /// The sum of a metric's samples whose line holds all of the given texts.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let answer = self.request(Method::GET, "/metrics", As::Bearer(ADMIN_TOKEN), &[], Vec::new()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// Percent-encodes what does not stand for itself in a path or a query.
pub(crate) fn path_segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
