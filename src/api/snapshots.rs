//! Snapshots of the data folder, for `tributary backup` and `tributary verify` beside a running server.

use super::auth::{Role, require};
use super::error::{ApiError, ErrorAnswer};
use super::extract::Path;
use super::state::ApiState;
use crate::backup::{SnapshotError, Snapshots};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// A snapshot of everything that the server keeps.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SnapshotAnswer {
    /// Its name.
    pub id: String,
    /// The folder, on the server's machine; the files in it may be read and copied.
    #[schema(value_type = String)]
    pub path: PathBuf,
}

/// Takes a snapshot of the last committed epoch and of the log after it. It keeps what is in it on the disk until it is
/// deleted, or the server starts again.
#[utoipa::path(post, path = "/v1/snapshots", tag = "operations", responses(
    (status = 201, body = SnapshotAnswer), (status = 409, description = "There is one already", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn take_snapshot(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<SnapshotAnswer>), ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    let taken = blocking(state.snapshots.clone(), Snapshots::take).await?;
    match taken {
        Ok(snapshot) => {
            tracing::info!(id = snapshot.id, "a snapshot was taken");
            Ok((StatusCode::CREATED, Json(SnapshotAnswer { id: snapshot.id, path: snapshot.path })))
        }
        Err(error @ SnapshotError::Taken(_)) => Err(ApiError::conflict("snapshot_taken", error.to_string())),
        Err(error) => Err(ApiError::internal(error.to_string())),
    }
}

/// Deletes a snapshot.
#[utoipa::path(delete, path = "/v1/snapshots/{id}", tag = "operations",
    params(("id" = String, Path, description = "Its name")), responses((status = 204, description = "It is gone"),
    (status = 404, description = "There is none of that name", body = ErrorAnswer),
    (status = 403, description = "Needs the admin token", body = ErrorAnswer)))]
pub async fn delete_snapshot(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require(&state.tokens, &headers, Role::Admin)?;
    match blocking(state.snapshots.clone(), move |snapshots| snapshots.remove(&id)).await? {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(ApiError::not_found("no_such_snapshot", "there is no snapshot of that name")),
        Err(error) => Err(ApiError::internal(format!("the snapshot cannot be removed: {error}"))),
    }
}

async fn blocking<T: Send + 'static>(
    snapshots: Arc<Snapshots>,
    work: impl FnOnce(&Snapshots) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&snapshots)).await;
    done.map_err(|error| ApiError::internal(format!("the snapshot ended early: {error}")))
}
