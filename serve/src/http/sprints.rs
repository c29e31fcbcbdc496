//! Sprints, their reports, and the releases they come from.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use schemas::Row;
use serde::Deserialize;
use warehouse::{QueryOptions, ReleaseSummary, Warehouse};

use super::error::ApiError;
use crate::{SprintReport, sprint_report};

/// What a reading request may ask for.
#[derive(Debug, Deserialize)]
pub(super) struct Reading {
    /// Connection, where an id alone leaves several candidates.
    connection: Option<String>,
    /// Release, instant or day to read instead of the current release.
    as_of: Option<String>,
}

/// All releases, the newest first.
pub(super) async fn releases(
    State(warehouse): State<Warehouse>,
) -> Result<Json<Vec<ReleaseSummary>>, ApiError> {
    let releases = warehouse.releases().list().await?;
    Ok(Json(releases.iter().map(ReleaseSummary::from).collect()))
}

/// Sprints, the most recently started first.
pub(super) async fn list(
    State(warehouse): State<Warehouse>,
    Query(reading): Query<Reading>,
) -> Result<Json<Vec<Row>>, ApiError> {
    let options = QueryOptions {
        as_of: reading.as_of,
        ..QueryOptions::default()
    };
    let sql = include_str!("../../../sql/queries/sprints_recent.sql");
    let rows = warehouse
        .query()
        .run(sql, &options)
        .await?
        .into_rows()
        .await?;
    Ok(Json(rows))
}

/// The report of one sprint.
pub(super) async fn report(
    State(warehouse): State<Warehouse>,
    Path(id): Path<String>,
    Query(reading): Query<Reading>,
) -> Result<Json<SprintReport>, ApiError> {
    let invalid = || {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "VALIDATION_ERROR",
            "the sprint id is a number",
        )
    };
    let id: i64 = id.parse().map_err(|_| invalid())?;
    let connection = reading.connection.as_deref();
    let report = sprint_report(&warehouse, id, connection, reading.as_of.as_deref()).await?;
    Ok(Json(report))
}
