//! Ad hoc SQL.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::TryStreamExt;
use schemas::Row;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warehouse::{QueryOptions, Warehouse, batch_to_rows};

use super::error::{ApiError, Envelope};
use super::local::Local;
use super::request;

/// Media type of an Arrow IPC stream.
const ARROW: &str = "application/vnd.apache.arrow.stream";
/// Most rows of an answer.
const ROWS: u64 = 100_000;

/// A query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlRequest {
    /// One statement that reads.
    #[schema(examples("select sprint_name, say_do_ratio from marts.sprint_metrics limit 5"))]
    query: String,
    /// Release (`r12`), RFC 3339 instant or day to read instead of the current release.
    #[serde(default)]
    #[schema(nullable = false)]
    as_of: Option<String>,
    /// Most rows to return, 1 to 100000; a longer result is an error, never cut.
    #[serde(default)]
    #[schema(nullable = false, minimum = 1, maximum = 100000)]
    max_rows: Option<u64>,
    /// Longest time in seconds, if shorter than the server allows.
    #[serde(default)]
    #[schema(nullable = false, minimum = 1)]
    timeout_seconds: Option<u64>,
}

/// The result of a query.
#[derive(Debug, Serialize, ToSchema)]
struct SqlAnswer {
    /// Release that was read.
    release_id: String,
    /// Columns, in order.
    columns: Vec<Column>,
    /// Rows as objects by column name; instants are RFC 3339, null fields are present.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Row>,
}

/// A column of a result.
#[derive(Debug, Serialize, ToSchema)]
struct Column {
    name: String,
    /// Arrow type, such as `Int64`.
    #[serde(rename = "type")]
    kind: String,
}

/// Runs a query on a release.
///
/// With `Accept: application/vnd.apache.arrow.stream` the answer is an Arrow IPC stream.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "sql", request_body = SqlRequest,
    responses(
        (status = 200, content((SqlAnswer = "application/json"), (String = "application/vnd.apache.arrow.stream"))),
        (status = 400, description = "The query is wrong; details.sqlstate says how", body = Envelope),
        (status = 403, description = "The statement does more than read, or the server is open to other machines", body = Envelope),
        (status = 404, description = "No such release", body = Envelope),
        (status = 413, description = "The query is too large or too complex", body = Envelope),
        (status = 415, description = "The body is not JSON", body = Envelope),
        (status = 422, description = "A field is wrong, or the result is too large", body = Envelope),
        (status = 503, description = "No release yet", body = Envelope),
        (status = 504, description = "The query took too long", body = Envelope),
    )
)]
pub(super) async fn run(
    State(warehouse): State<Warehouse>,
    Extension(local): Extension<Local>,
    headers: HeaderMap,
    body: Result<Json<SqlRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    local.only("SQL")?;
    let Json(wanted) = body.map_err(|rejection| match rejection.status() {
        status @ (StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::PAYLOAD_TOO_LARGE) => {
            ApiError::new(status, "VALIDATION_ERROR", rejection.body_text())
        }
        _ => ApiError::invalid("body", rejection.body_text()),
    })?;
    let max_rows = wanted.max_rows.unwrap_or(ROWS);
    if !(1..=ROWS).contains(&max_rows) {
        let message = format!("max_rows is 1 to {ROWS}");
        return Err(ApiError::invalid("body -> max_rows", message));
    }
    if wanted.timeout_seconds == Some(0) {
        let message = "timeout_seconds is at least 1";
        return Err(ApiError::invalid("body -> timeout_seconds", message));
    }
    let options = QueryOptions {
        as_of: wanted.as_of,
        max_rows: Some(max_rows),
        deadline: wanted.timeout_seconds.map(Duration::from_secs),
        origin: request::origin(),
        ..QueryOptions::default()
    };
    let found = warehouse.query().run(&wanted.query, &options).await?;
    let release_id = found.release().to_string();
    let schema = found.schema();
    let as_arrow = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(ARROW)));
    let batches: Vec<RecordBatch> = found.try_collect().await?;
    if as_arrow {
        let failed = |error: arrow::error::ArrowError| {
            tracing::error!(%error, "a result can't be written as Arrow");
            let message = "the request failed on our side; the log says why";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
        };
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(failed)?;
        for batch in &batches {
            writer.write(batch).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(failed)?;
        return Ok(([(header::CONTENT_TYPE, ARROW)], bytes).into_response());
    }
    let columns: Vec<Column> = schema
        .fields()
        .iter()
        .map(|field| Column {
            name: field.name().clone(),
            kind: field.data_type().to_string(),
        })
        .collect();
    for (index, column) in columns.iter().enumerate() {
        if columns[..index]
            .iter()
            .any(|other| other.name == column.name)
        {
            let message = format!(
                "two columns are called '{}'; name one of them otherwise (AS)",
                column.name
            );
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "QUERY_ERROR",
                message,
            ));
        }
    }
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(batch_to_rows(batch)?);
    }
    Ok(Json(SqlAnswer {
        release_id,
        columns,
        rows,
    })
    .into_response())
}
