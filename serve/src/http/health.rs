//! Whether the process lives and can answer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use warehouse::Warehouse;

/// State of the process.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, `waiting` (for a first release) or `failing`.
    #[schema(examples("ok"))]
    status: &'static str,
    /// Version of the program.
    version: &'static str,
    /// Current release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    release_id: Option<String>,
    /// Why it can't answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cause: Option<&'static str>,
}

fn health(status: &'static str) -> Health {
    Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        ..Health::default()
    }
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health/live", tag = "operation", responses((status = 200, body = Health)))]
pub(super) async fn live() -> Json<Health> {
    Json(health("ok"))
}

/// Whether the process can answer from a release.
#[utoipa::path(
    get, path = "/health/ready", tag = "operation",
    responses((status = 200, body = Health), (status = 503, description = "Not yet, or not at all; `cause` says why", body = Health))
)]
pub(super) async fn ready(State(warehouse): State<Warehouse>) -> (StatusCode, Json<Health>) {
    judge(&warehouse).await
}

/// The same as `/health/ready`.
#[utoipa::path(
    get, path = "/health", tag = "operation",
    responses((status = 200, body = Health), (status = 503, description = "Not yet, or not at all; `cause` says why", body = Health))
)]
pub(super) async fn overall(State(warehouse): State<Warehouse>) -> (StatusCode, Json<Health>) {
    judge(&warehouse).await
}

async fn judge(warehouse: &Warehouse) -> (StatusCode, Json<Health>) {
    let unable = |status, cause| {
        let health = Health {
            cause: Some(cause),
            ..health(status)
        };
        (StatusCode::SERVICE_UNAVAILABLE, Json(health))
    };
    match warehouse.releases().latest().await {
        Ok(Some(release)) => {
            let health = Health {
                release_id: Some(release.release_id),
                ..health("ok")
            };
            (StatusCode::OK, Json(health))
        }
        Ok(None) => unable("waiting", "no release was published yet"),
        Err(error) => {
            tracing::error!(%error, "the store can't be read");
            unable("failing", "the store can't be read; the log says why")
        }
    }
}
