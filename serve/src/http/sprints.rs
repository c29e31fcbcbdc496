//! Sprints and their reports.

use axum::extract::{Path, Query};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use schemas::Row;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use warehouse::Param;

use super::error::{ApiError, Envelope};
use super::read::{Read, Reading};
use super::request;
use crate::SprintReport;
use crate::report::{one_sprint, sprint_report_of};

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Rows to pass over.
    #[serde(default)]
    #[param(minimum = 0, required = false)]
    skip: u32,
    /// Most rows, 1 to 1000; 100 without it.
    #[serde(default = "hundred")]
    #[param(minimum = 1, maximum = 1000, required = false)]
    limit: u32,
    /// Only sprints in this state: `future`, `active` or `closed`.
    #[param(required = false, nullable = false)]
    state: Option<String>,
}

fn hundred() -> u32 {
    100
}

/// Sprints, the most recently started first; future ones last.
///
/// A full page names the next one in its `Link` header.
#[utoipa::path(
    get, path = "/api/v1/sprints/", tag = "sprints", params(Reading, Page),
    responses(
        (status = 200, description = "Rows of marts.sprints", body = Vec<Object>),
        (status = 304, description = "The release is the one that the client has"),
        (status = 422, body = Envelope), (status = 503, description = "No release yet", body = Envelope),
    )
)]
pub(super) async fn list(
    read: Read,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(page) = page.map_err(|error| ApiError::invalid("query", error.body_text()))?;
    if !(1..=1000).contains(&page.limit) {
        return Err(ApiError::invalid("query -> limit", "limit is 1 to 1000"));
    }
    let known = ["future", "active", "closed"];
    if let Some(state) = page.state.as_deref().filter(|state| !known.contains(state)) {
        let message = format!("state '{state}' is none of future, active, closed");
        return Err(ApiError::invalid("query -> state", message));
    }
    let params = vec![
        ("connection", Param::Text(read.reading.connection.clone())),
        ("state", Param::Text(page.state.clone())),
        ("skip", Param::Number(page.skip.into())),
        ("limit", Param::Number(page.limit.into())),
    ];
    let sql = include_str!("../../../sql/queries/sprints_recent.sql");
    let rows = read.rows(sql, params).await?;
    let full = rows.len() == page.limit as usize;
    let mut response = read.answer(rows);
    if full {
        let mut next = format!(
            "/api/v1/sprints/?as_of={}&skip={}&limit={}",
            read.release.release_id,
            u64::from(page.skip) + u64::from(page.limit),
            page.limit
        );
        for (name, value) in [
            ("state", &page.state),
            ("connection", &read.reading.connection),
        ] {
            if let Some(value) = value {
                let pair: String = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair(name, value)
                    .finish();
                next = format!("{next}&{pair}");
            }
        }
        if let Ok(link) = HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// One sprint with its metrics; metrics are null before it has started.
#[utoipa::path(
    get, path = "/api/v1/sprints/{id}", tag = "sprints", params(("id" = i64, Path, description = "Id of the sprint at its source"), Reading),
    responses(
        (status = 200, description = "Columns of marts.sprints and marts.sprint_metrics", body = Object),
        (status = 304, description = "The release is the one that the client has"),
        (status = 404, body = Envelope), (status = 409, description = "Several connections have this id", body = Envelope),
        (status = 422, body = Envelope),
    )
)]
pub(super) async fn one(read: Read, Path(id): Path<String>) -> Result<Response, ApiError> {
    let sprint = sprint(&read, &id).await?;
    Ok(read.answer(sprint))
}

/// The report of one sprint: its figures and the issues behind them.
#[utoipa::path(
    get, path = "/api/v1/sprints/{id}/report", tag = "sprints", params(("id" = i64, Path, description = "Id of the sprint at its source"), Reading),
    responses(
        (status = 200, body = SprintReport),
        (status = 304, description = "The release is the one that the client has"),
        (status = 404, body = Envelope), (status = 409, description = "Several connections have this id", body = Envelope),
        (status = 422, body = Envelope),
    )
)]
pub(super) async fn report(read: Read, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = number("sprint", &id)?;
    let connection = read.reading.connection.as_deref();
    let release = &read.release.release_id;
    let report =
        sprint_report_of(&read.warehouse, id, connection, release, request::origin()).await?;
    Ok(read.answer(report))
}

/// The burndown of a sprint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Burndown {
    /// Release it comes from.
    release_id: String,
    /// The sprint.
    #[schema(value_type = Object)]
    sprint: Row,
    /// Rows of marts.sprint_burndown, in order.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Row>,
    /// Rows of marts.sprint_burndown_daily, in order.
    #[schema(value_type = Vec<Object>)]
    days: Vec<Row>,
}

/// The burndown of one sprint, event by event and day by day; both empty before it has started.
#[utoipa::path(
    get, path = "/api/v1/sprints/{id}/burndown", tag = "sprints", params(("id" = i64, Path, description = "Id of the sprint at its source"), Reading),
    responses(
        (status = 200, body = Burndown),
        (status = 304, description = "The release is the one that the client has"),
        (status = 404, body = Envelope), (status = 409, description = "Several connections have this id", body = Envelope),
        (status = 422, body = Envelope),
    )
)]
pub(super) async fn burndown(read: Read, Path(id): Path<String>) -> Result<Response, ApiError> {
    let sprint = sprint(&read, &id).await?;
    let of_sprint = || {
        let connection = sprint.get("connection").and_then(|name| name.as_str());
        vec![
            ("connection", Param::Text(connection.map(str::to_string))),
            ("sprint_id", Param::Number(id.parse().unwrap_or_default())),
        ]
    };
    let events = include_str!("../../../sql/queries/sprint_burndown_by_id.sql");
    let events = read.rows(events, of_sprint()).await?;
    let days = include_str!("../../../sql/queries/sprint_burndown_daily_by_id.sql");
    let days = read.rows(days, of_sprint()).await?;
    Ok(read.answer(Burndown {
        release_id: read.release.release_id.clone(),
        sprint,
        events,
        days,
    }))
}

async fn sprint(read: &Read, id: &str) -> Result<Row, ApiError> {
    let id = number("sprint", id)?;
    let connection = read.reading.connection.as_deref();
    let release = &read.release.release_id;
    Ok(one_sprint(&read.warehouse, id, connection, release, request::origin()).await?)
}

/// An id of the source, which is a number.
pub(super) fn number(what: &str, id: &str) -> Result<i64, ApiError> {
    id.parse()
        .map_err(|_| ApiError::invalid("path -> id", format!("the {what} id is a number")))
}
