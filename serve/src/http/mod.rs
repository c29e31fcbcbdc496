//! REST.

mod error;
mod health;
mod sprints;

use axum::Router;
use axum::routing::get;
use warehouse::Warehouse;

/// All routes.
pub(crate) fn router(warehouse: Warehouse) -> Router {
    Router::new()
        .route("/health", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/api/v1/releases", get(sprints::releases))
        .route("/api/v1/sprints", get(sprints::list))
        .route("/api/v1/sprints/", get(sprints::list))
        .route("/api/v1/sprints/{id}/report", get(sprints::report))
        .fallback(error::not_found)
        .with_state(warehouse)
}
