//! Who asks, and what that allows. Write keys only write; tokens only read, or read and administer.

use super::error::ApiError;
use super::rate::Rate;
use crate::config::{Auth, KeyHash};
use crate::telemetry;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use subtle::ConstantTimeEq;
use tributary_model::limits;

/// The source of events that came without a key, and the name of who reads without a token, where none is needed.
const OPEN: &str = "default";

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Send events: a write key.
    Write,
    /// Read profiles, segments, decisions: a token.
    Read,
    /// Administer: a token that may.
    Admin,
}

/// Somebody who has a key or a token.
#[derive(Debug)]
pub struct Client {
    hash: KeyHash,
    /// The source of a write key's events; the name of a token.
    pub name: String,
    role: Role,
    rate: Option<Rate>,
}

impl Client {
    /// Whether so many events, or requests, may come now.
    ///
    /// # Errors
    /// 429 with when to come again.
    pub fn admit(&self, count: usize) -> Result<(), ApiError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let Some(Err(wait)) = self.rate.as_ref().map(|rate| rate.admit(count, Instant::now())) else { return Ok(()) };
        telemetry::rate_limited(&self.name);
        let message = format!("`{}` may not send or ask for so much in a second; try again later", self.name);
        Err(ApiError::too_many("rate_limited", message).after(wait))
    }
}

/// The keys and tokens that are known; others may take their place while the server runs.
#[derive(Debug)]
pub struct Tokens(RwLock<Arc<Known>>);

#[derive(Debug)]
struct Known {
    clients: Vec<Arc<Client>>,
    /// Who writes where no key is needed, and who reads where no token is.
    writer: Option<Arc<Client>>,
    reader: Option<Arc<Client>>,
}

impl Known {
    fn new(auth: &Auth) -> Self {
        let writers = auth.write_keys.iter().map(|key| Client {
            hash: key.hash,
            name: key.source.clone(),
            role: Role::Write,
            // A whole batch must fit.
            rate: key.rate.map(|rate| Rate::new(rate, rate.max(limits::BATCH_EVENTS as u32))),
        });
        let readers = auth.tokens.iter().map(|token| Client {
            hash: token.hash,
            name: token.name.clone(),
            role: if token.administers { Role::Admin } else { Role::Read },
            rate: token.rate.map(|rate| Rate::new(rate, rate)),
        });
        let open = |role, is_open: bool| {
            let client = Client { hash: KeyHash::of(b""), name: OPEN.to_owned(), role, rate: None };
            is_open.then(|| Arc::new(client))
        };
        Self {
            clients: writers.chain(readers).map(Arc::new).collect(),
            writer: open(Role::Write, auth.writes_are_open()),
            reader: open(Role::Admin, auth.reads_are_open()),
        }
    }

    /// Whoever has this key or token.
    fn find(&self, given: &[u8]) -> Option<Arc<Client>> {
        let given = KeyHash::of(given);
        // Every one is compared, so that the time tells nothing of which was nearly right.
        let mut found = None;
        for client in &self.clients {
            if bool::from(client.hash.bytes().ct_eq(given.bytes())) {
                found = Some(client.clone());
            }
        }
        found
    }
}

impl Tokens {
    /// The keys and tokens of the configuration.
    pub fn new(auth: &Auth) -> Self {
        Self(RwLock::new(Arc::new(Known::new(auth))))
    }

    /// From now on these are known, and no others.
    pub fn replace(&self, auth: &Auth) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Known::new(auth));
    }

    fn known(&self) -> Arc<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever a write key stands for; where no key is needed, any or none will do.
    pub fn source(&self, key: Option<&[u8]>) -> Option<Arc<Client>> {
        let known = self.known();
        known.writer.clone().or_else(|| known.find(key?).filter(|client| client.role == Role::Write))
    }

    /// Whoever reads or administers with the token in these headers; `None` if nobody known does.
    pub fn reader(&self, headers: &HeaderMap) -> Option<Arc<Client>> {
        let known = self.known();
        known.reader.clone().or_else(|| known.find(bearer(headers)?).filter(|client| client.role > Role::Write))
    }
}

/// Lets a request pass whose headers carry what `role` needs.
///
/// # Errors
/// 401 if nobody known asks, 403 if who asks may not, 429 if too often.
pub fn require(tokens: &Tokens, headers: &HeaderMap, role: Role) -> Result<(), ApiError> {
    if role == Role::Write {
        return tokens.source(credential(headers).as_deref()).map(drop).ok_or_else(unknown_write_key);
    }
    if let Some(client) = tokens.reader(headers) {
        client.admit(1)?;
        return match client.role < role {
            true => Err(ApiError::forbidden("not_allowed", "this needs an admin token")),
            false => Ok(()),
        };
    }
    let token = bearer(headers).ok_or_else(|| {
        ApiError::unauthorized("missing_token", "send a read or an admin token as `Authorization: Bearer`")
    })?;
    match tokens.known().find(token) {
        Some(_) => Err(ApiError::forbidden("not_allowed", "a write key only sends events; this needs a token")),
        None => Err(ApiError::unauthorized("unknown_token", "this token is not known")),
    }
}

/// The refusal of events from nobody known.
pub(super) fn unknown_write_key() -> ApiError {
    let message = "the write key is missing or not known; send it as the user name of Basic authentication, \
                   as `Authorization: Bearer`, or as `writeKey` in the body";
    ApiError::unauthorized("unknown_write_key", message)
}

/// The write key in the headers: Basic's user name, or a Bearer token.
pub(super) fn credential(headers: &HeaderMap) -> Option<Vec<u8>> {
    if let Some(token) = bearer(headers) {
        return Some(token.to_vec());
    }
    let encoded = after_scheme(headers, "basic")?;
    let decoded = BASE64_STANDARD.decode(encoded).or_else(|_| BASE64_STANDARD_NO_PAD.decode(encoded)).ok()?;
    // Some clients leave the colon out.
    decoded.split(|byte| *byte == b':').next().map(<[u8]>::to_vec)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    after_scheme(headers, "bearer").map(str::as_bytes)
}

fn after_scheme<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (is, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    is.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::config::{Token, WriteKey};
    use axum::http::StatusCode;

    fn auth(read: Option<&str>, admin: Option<&str>, open: bool) -> Auth {
        let hash = |key: &str| KeyHash::of(key.as_bytes());
        let write = |key: &str, source: &str| WriteKey { hash: hash(key), source: source.to_owned(), rate: None };
        let write_keys = if open { Vec::new() } else { vec![write("web-key", "web"), write("app-key", "app")] };
        let token =
            |token: &str, administers| Token { hash: hash(token), name: token.to_owned(), administers, rate: None };
        let tokens = read.map(|read| token(read, false)).into_iter().chain(admin.map(|admin| token(admin, true)));
        Auth { write_keys, tokens: tokens.collect(), open }
    }

    fn tokens(read: Option<&str>, admin: Option<&str>, open: bool) -> Tokens {
        Tokens::new(&auth(read, admin, open))
    }

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
    }

    #[track_caller]
    fn check(tokens: &Tokens, authorization: &str, role: Role, expected: u16) {
        let headers = if authorization.is_empty() { HeaderMap::new() } else { headers(authorization) };
        let status = require(tokens, &headers, role).map_or_else(|error| error.status(), |()| StatusCode::OK);
        assert_eq!(status.as_u16(), expected, "`{authorization}` as {role:?}");
    }

    #[test]
    fn each_token_allows_what_it_is_for() {
        let tokens = tokens(Some("reader"), Some("root"), false);
        for (authorization, write, read, admin) in [
            ("", 401, 401, 401),
            ("Bearer reader", 401, 200, 403),
            ("bearer  reader", 401, 200, 403),
            ("Bearer root", 401, 200, 200),
            ("Bearer web-key", 200, 403, 403),
            ("Bearer other", 401, 401, 401),
            ("Bearer", 401, 401, 401),
            // `web-key:`, `web-key:password` and `web-key`; tokens are not sent so.
            ("Basic d2ViLWtleTo=", 200, 401, 401),
            ("Basic d2ViLWtleTpwYXNzd29yZA==", 200, 401, 401),
            ("Basic d2ViLWtleQ", 200, 401, 401),
            ("Basic ???", 401, 401, 401),
            ("Digest reader", 401, 401, 401),
        ] {
            check(&tokens, authorization, Role::Write, write);
            check(&tokens, authorization, Role::Read, read);
            check(&tokens, authorization, Role::Admin, admin);
        }
    }

    #[test]
    fn a_write_key_tells_the_source() {
        let tokens = tokens(None, None, false);
        let source = |key: Option<&[u8]>| tokens.source(key).map(|client| client.name.clone());
        assert_eq!(source(Some(b"web-key")).as_deref(), Some("web"));
        assert_eq!(source(Some(b"app-key")).as_deref(), Some("app"));
        assert_eq!(source(Some(b"")), None);
        assert_eq!(source(None), None);
    }

    #[test]
    fn others_take_their_place_while_the_server_runs() {
        let tokens = tokens(Some("old"), None, false);
        tokens.replace(&auth(Some("new"), None, false));
        check(&tokens, "Bearer new", Role::Read, 200);
        check(&tokens, "Bearer old", Role::Read, 401);
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_come_again() {
        let mut auth = auth(Some("reader"), None, false);
        auth.tokens[0].rate = Some(2);
        auth.write_keys[0].rate = Some(1);
        let tokens = Tokens::new(&auth);
        check(&tokens, "Bearer reader", Role::Read, 200);
        check(&tokens, "Bearer reader", Role::Read, 200);
        check(&tokens, "Bearer reader", Role::Read, 429);
        let web = tokens.source(Some(b"web-key")).unwrap();
        assert!(web.admit(limits::BATCH_EVENTS).is_ok(), "a whole batch always fits once");
        assert_eq!(web.admit(1).unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn what_is_not_set_is_shut_but_on_loopback() {
        check(&tokens(None, None, false), "Bearer anything", Role::Read, 401);
        let open = tokens(None, None, true);
        for role in [Role::Write, Role::Read, Role::Admin] {
            check(&open, "", role, 200);
        }
        // One token that is set shuts both.
        let half = tokens(Some("reader"), None, true);
        check(&half, "", Role::Read, 401);
        check(&half, "", Role::Admin, 401);
        check(&half, "", Role::Write, 200);
    }
}
