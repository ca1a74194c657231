//! What a client is told when something is not done: a status, a code, and a message that says what to do about it.

use axum::Json;
use axum::http::header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;
use tributary_connectors::process::Reason;
use tributary_model::ProfileId;

/// The seconds after which a client may try again, where nobody knows better; the common clients read both headers that say so.
const RETRY_AFTER_SECONDS: u64 = 1;
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A refusal: `{"code","message"}` with the right status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    close: bool,
    moved: Option<Moved>,
    /// How long to wait, where it is known.
    after: Option<Duration>,
}

/// The profile that has what the asked one had: the router makes an address of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved(pub ProfileId);

/// The JSON of an error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorAnswer {
    /// A word for programs; it does not change.
    code: &'static str,
    /// What is wrong and what to do about it, for people.
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), close: false, moved: None, after: None }
    }

    /// 307: the profile is part of another one, as long as nothing parts them.
    pub fn moved(to: ProfileId) -> Self {
        let message = format!("this profile is now part of {to}");
        Self { moved: Some(Moved(to)), ..Self::new(StatusCode::TEMPORARY_REDIRECT, "profile_moved", message) }
    }

    /// 400: the request says something that cannot be.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 409: it does not go with what there is.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 401: nobody says who asks, or nobody known.
    pub fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403: who asks is known, and may not.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404: it is not there.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 405: the address is there, but not for this method.
    pub fn wrong_method() -> Self {
        let message = "this address does not take this method; GET /openapi.json lists the API";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
    }

    /// 408: the request did not arrive in time.
    pub fn too_slow(code: &'static str, message: impl Into<String>) -> Self {
        Self { close: true, ..Self::new(StatusCode::REQUEST_TIMEOUT, code, message) }
    }

    /// 413: more bytes than are taken.
    pub fn too_large(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    /// 415: an encoding that is not known.
    pub fn unsupported(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message)
    }

    /// 429: too much at once; the answer says when to try again.
    pub fn too_many(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
    }

    /// 503: not now; the answer says when to try again.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 500: the fault is the server's. The reason goes to the server's log, not to the client.
    pub fn internal(reason: impl AsRef<str>) -> Self {
        tracing::error!(reason = reason.as_ref(), "a request failed");
        let message = "the server could not do this; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Has the connection closed after the answer, since what is still to come on it cannot be used.
    #[must_use]
    pub fn and_close(self) -> Self {
        Self { close: true, ..self }
    }

    /// Says when to come again.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { after: Some(wait), ..self }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Reason> for ApiError {
    /// Why an event is none.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::TooLarge { .. } => Self::too_large(reason.code(), reason.to_string()),
            _ => Self::bad_request(reason.code(), reason.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, close, moved, after } = self;
        let mut response = (status, Json(ErrorAnswer { code, message })).into_response();
        if let Some(moved) = moved {
            response.extensions_mut().insert(moved);
        }
        let headers = response.headers_mut();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let after = after.map_or(RETRY_AFTER_SECONDS, |after| after.as_secs_f64().ceil() as u64).max(1);
            headers.insert(RETRY_AFTER, after.into());
            headers.insert(RATE_LIMIT_RESET, after.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_should_come_again_is_told_when() {
        let header = |error: ApiError, name: &str| {
            error.into_response().headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        for error in [ApiError::too_many("a", "b"), ApiError::unavailable("a", "b")] {
            assert_eq!(header(error.clone(), "retry-after").as_deref(), Some("1"));
            assert_eq!(header(error, "x-ratelimit-reset").as_deref(), Some("1"));
        }
        assert_eq!(header(ApiError::bad_request("a", "b"), "retry-after"), None);
        assert_eq!(header(ApiError::too_slow("a", "b"), "connection").as_deref(), Some("close"));
    }
}
