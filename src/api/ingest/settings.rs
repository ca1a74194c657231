//! What Segment's browser library asks before it sends: which integrations there are, and where to send to.

use super::IngestState;
use crate::api::error::ApiError;
use crate::api::extract::Path;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::Arc;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The browser library's settings: everything goes here, and nowhere else.
#[utoipa::path(get, path = "/v1/projects/{write_key}/settings", tag = "ingestion",
    params(("write_key" = String, Path, description = "A write key")),
    responses((status = 200, description = "Settings of analytics.js"), (status = 404, description = "Unknown key")))]
pub async fn settings(
    State(state): State<Arc<IngestState>>,
    Path(write_key): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    if state.tokens.source(Some(write_key.as_bytes())).is_none() {
        return Err(ApiError::not_found("unknown_write_key", "there is no such write key"));
    }
    let mut to_here = json!({
        "apiKey": write_key,
        "versionSettings": { "version": "4.4.7", "componentTypes": ["browser"] },
    });
    if let (Some((host, protocol)), Some(fields)) = (address(&headers), to_here.as_object_mut()) {
        fields.insert("apiHost".to_owned(), format!("{host}/v1").into());
        fields.insert("protocol".to_owned(), protocol.into());
    }
    let enabled = json!({ "__default": { "enabled": true, "integrations": {} } });
    let settings: Json<Value> = Json(json!({
        "integrations": { "Segment.io": to_here },
        "plan": { "track": enabled, "identify": enabled, "group": enabled },
        // Numbers about the library itself would go to its vendor.
        "metrics": { "sampleRate": 0 },
        "analyticsNextEnabled": true,
    }));
    let caching = [(header::CACHE_CONTROL, "public, max-age=86400"), (header::VARY, "host, x-forwarded-proto")];
    Ok((caching, settings))
}

/// Under which address the browser has reached this server, where it is one that a browser can have.
fn address(headers: &HeaderMap) -> Option<(&str, &'static str)> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let is_https = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    (!host.is_empty() && host.bytes().all(is_host)).then_some((host, if is_https { "https" } else { "http" }))
}
