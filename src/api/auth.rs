//! Who asks, and what that allows. Write keys only write; tokens only read, or read and administer.

use super::error::ApiError;
use crate::config::Auth;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use subtle::{Choice, ConstantTimeEq};
use tributary_model::Secret;

/// The source of events that came without a key, where none is needed.
const OPEN_SOURCE: &str = "default";

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Send events: a write key.
    Write,
    /// Read profiles, segments, decisions: the read or the admin token.
    Read,
    /// Administer: the admin token.
    Admin,
}

/// The keys and tokens that are known.
#[derive(Debug)]
pub struct Tokens {
    write_keys: Vec<(Secret, String)>,
    read: Option<Secret>,
    admin: Option<Secret>,
    /// Events are taken without a key.
    writes_open: bool,
    /// Reading and administering need no token.
    reads_open: bool,
}

impl Tokens {
    /// The keys and tokens of the configuration.
    pub fn new(auth: &Auth) -> Self {
        Self {
            write_keys: auth.write_keys.iter().map(|write| (write.key.clone(), write.source.clone())).collect(),
            read: auth.read_token.clone(),
            admin: auth.admin_token.clone(),
            writes_open: auth.writes_are_open(),
            reads_open: auth.reads_are_open(),
        }
    }

    /// The source that a write key stands for; where no key is needed, any or none will do.
    pub fn source(&self, key: Option<&[u8]>) -> Option<&str> {
        if self.writes_open {
            return Some(OPEN_SOURCE);
        }
        let key = key?;
        // Every key is compared, so that the time tells nothing of which was nearly right.
        let mut found = None;
        for (known, source) in &self.write_keys {
            if bool::from(same(known, key)) {
                found = Some(source.as_str());
            }
        }
        found
    }

    /// What a token allows; `None` for an unknown one.
    fn role(&self, token: &[u8]) -> Option<Role> {
        let is = |known: &Option<Secret>| known.as_ref().map_or(Choice::from(0), |known| same(known, token));
        let (read, admin) = (is(&self.read), is(&self.admin));
        match (bool::from(admin), bool::from(read)) {
            (true, _) => Some(Role::Admin),
            (false, true) => Some(Role::Read),
            (false, false) => None,
        }
    }
}

fn same(known: &Secret, given: &[u8]) -> Choice {
    known.expose().ct_eq(given)
}

/// Lets a request pass whose headers carry what `role` needs.
///
/// # Errors
/// 401 if nobody known asks, 403 if who asks may not.
pub fn require(tokens: &Tokens, headers: &HeaderMap, role: Role) -> Result<(), ApiError> {
    if role == Role::Write {
        return tokens.source(credential(headers).as_deref()).map(drop).ok_or_else(unknown_write_key);
    }
    if tokens.reads_open {
        return Ok(());
    }
    let token = bearer(headers).ok_or_else(|| {
        ApiError::unauthorized("missing_token", "send the read or the admin token as `Authorization: Bearer`")
    })?;
    match tokens.role(token) {
        Some(has) if has >= role => Ok(()),
        Some(_) => Err(ApiError::forbidden("not_allowed", "this needs the admin token")),
        None if tokens.source(Some(token)).is_some() => {
            Err(ApiError::forbidden("not_allowed", "a write key only sends events; this needs a token"))
        }
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::WriteKey;
    use axum::http::StatusCode;

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text))
    }

    fn tokens(read: Option<Secret>, admin: Option<Secret>, open: bool) -> Tokens {
        let write = |key: &str, source: &str| WriteKey { key: Secret::new(key), source: source.to_owned() };
        let write_keys = if open { Vec::new() } else { vec![write("web-key", "web"), write("app-key", "app")] };
        Tokens::new(&Auth { write_keys, read_token: read, admin_token: admin, open })
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
        let tokens = tokens(secret("reader"), secret("root"), false);
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
        assert_eq!(tokens.source(Some(b"web-key")), Some("web"));
        assert_eq!(tokens.source(Some(b"app-key")), Some("app"));
        assert_eq!(tokens.source(Some(b"")), None);
        assert_eq!(tokens.source(None), None);
    }

    #[test]
    fn what_is_not_set_is_shut_but_on_loopback() {
        check(&tokens(None, None, false), "Bearer anything", Role::Read, 401);
        let open = tokens(None, None, true);
        for role in [Role::Write, Role::Read, Role::Admin] {
            check(&open, "", role, 200);
        }
        // One token that is set shuts both.
        let half = tokens(secret("reader"), None, true);
        check(&half, "", Role::Read, 401);
        check(&half, "", Role::Admin, 401);
        check(&half, "", Role::Write, 200);
    }
}
