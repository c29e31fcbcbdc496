//! Pipelines: what runs by itself, and asking for a run.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use warehouse::Warehouse;
use warehouse::meta::{Job, PipelineRow, RunRow};

use super::error::{ApiError, Envelope};
use super::local::Local;

/// A pipeline.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pipeline {
    /// Its name.
    name: String,
    /// Whether it runs when it is due.
    enabled: bool,
    /// What it does and when, as it was defined.
    #[schema(value_type = Object)]
    definition: Value,
    /// When a process read the definition last (RFC 3339, UTC).
    #[schema(value_type = String, format = DateTime)]
    seen_at: chrono::DateTime<chrono::Utc>,
    /// Runs that wait or work.
    #[schema(value_type = Vec<Object>)]
    under_way: Vec<Job>,
    /// Its newest run; null: it never ran.
    #[schema(value_type = Option<Object>)]
    last_run: Option<RunRow>,
}

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Requested {
    /// The run; it begins when a worker claims it.
    run_id: String,
    /// Where its state is.
    href: String,
}

/// All pipelines, by name.
///
/// A pipeline is known once `work`, `all` or `pipeline` has read its definition.
#[utoipa::path(
    get, path = "/api/v1/pipelines", tag = "pipelines",
    responses((status = 200, body = Vec<Pipeline>))
)]
pub(super) async fn list(State(warehouse): State<Warehouse>) -> Result<Response, ApiError> {
    let mut all = Vec::new();
    for row in warehouse.meta().pipelines().await? {
        all.push(pipeline(&warehouse, row).await?);
    }
    Ok(Json(all).into_response())
}

/// One pipeline.
#[utoipa::path(
    get, path = "/api/v1/pipelines/{name}", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline")),
    responses((status = 200, body = Pipeline), (status = 404, body = Envelope))
)]
pub(super) async fn one(
    State(warehouse): State<Warehouse>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let row = known(&warehouse, &name).await?;
    Ok(Json(pipeline(&warehouse, row).await?).into_response())
}

/// Asks for a run now. A worker (`work` or `all`) claims it; `Location` says where its state is.
///
/// The body is an empty JSON object. A pipeline that is switched off runs as well when it is asked to.
#[utoipa::path(
    post, path = "/api/v1/pipelines/{name}/runs", tag = "pipelines", request_body = Object,
    params(("name" = String, Path, description = "Name of the pipeline")),
    responses(
        (status = 202, description = "It waits for a worker", body = Requested),
        (status = 403, description = "The server is open to other machines", body = Envelope),
        (status = 404, body = Envelope),
        (status = 415, description = "The body is not JSON", body = Envelope),
        (status = 422, description = "The body has fields", body = Envelope),
    )
)]
pub(super) async fn run(
    State(warehouse): State<Warehouse>,
    Extension(local): Extension<Local>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, ApiError> {
    local.only("asking for runs")?;
    local.json(&headers, &body)?;
    known(&warehouse, &name).await?;
    let run_id = warehouse.meta().request_run(&name, "request").await?;
    let href = format!("/api/v1/runs/{run_id}");
    let location = [(header::LOCATION, href.clone())];
    Ok((
        StatusCode::ACCEPTED,
        location,
        Json(Requested { run_id, href }),
    )
        .into_response())
}

async fn known(warehouse: &Warehouse, name: &str) -> Result<PipelineRow, ApiError> {
    let rows = warehouse.meta().pipelines().await?;
    let found = rows.into_iter().find(|row| row.name == name);
    found.ok_or_else(|| ApiError::not_found("there is no pipeline of this name"))
}

async fn pipeline(warehouse: &Warehouse, row: PipelineRow) -> Result<Pipeline, ApiError> {
    let meta = warehouse.meta();
    let definition: Value = serde_json::from_str(&row.definition).unwrap_or_default();
    let usual = definition.get("enabled").and_then(Value::as_bool);
    Ok(Pipeline {
        enabled: row.enabled.or(usual).unwrap_or_default(),
        under_way: meta.open_jobs(Some(&row.name)).await?,
        last_run: meta.runs_of(&row.name, 1).await?.into_iter().next(),
        name: row.name,
        definition,
        seen_at: row.seen_at,
    })
}
