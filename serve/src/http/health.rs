//! Whether the process lives and can answer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use warehouse::Warehouse;

/// The process runs.
pub(super) async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The process can answer from a release; otherwise 503 with the cause.
pub(super) async fn ready(State(warehouse): State<Warehouse>) -> (StatusCode, Json<Value>) {
    match warehouse.releases().latest().await {
        Ok(Some(release)) => (
            StatusCode::OK,
            Json(json!({"status": "ok", "release_id": release.release_id})),
        ),
        Ok(None) => {
            let cause = "no release was published yet";
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({"status": "waiting", "cause": cause})),
            )
        }
        Err(error) => {
            tracing::error!(%error, "the store can't be read");
            let cause = "the store can't be read; the log says why";
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({"status": "failing", "cause": cause})),
            )
        }
    }
}
