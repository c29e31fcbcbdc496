//! Runs: how they went, how they go just now, and stopping one.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event as Line;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use warehouse::Warehouse;
use warehouse::meta::{Job, RunRow, StepRow};

use super::error::{ApiError, Envelope};
use super::local::Local;
use super::streams::{Streams, stream};

/// Most runs of a page.
const MOST: u32 = 1000;
/// How often a run that is followed is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those of a pipeline or command.
    #[param(required = false, nullable = false)]
    pipeline: Option<String>,
    /// Only those of a status: running, succeeded, failed, skipped or cancelled.
    #[param(required = false, nullable = false)]
    status: Option<String>,
    /// Most runs of the answer, 1 to 1000; 100 if not given.
    #[param(required = false, nullable = false, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where the page before ended: its `next`.
    #[param(required = false, nullable = false)]
    next: Option<String>,
}

/// A page of runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Runs {
    /// Rows of system.runs, the newest first.
    #[schema(value_type = Vec<Object>)]
    runs: Vec<RunRow>,
    /// To be given as `next` for the page after this one; null: this is the last.
    next: Option<String>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Run {
    /// The row of system.runs; null while it waits for a worker.
    #[schema(value_type = Option<Object>)]
    run: Option<RunRow>,
    /// Its place in the queue and what it does just now; null for a run of a command.
    #[schema(value_type = Option<Object>)]
    job: Option<Job>,
    /// Its finished steps.
    #[schema(value_type = Vec<Object>)]
    steps: Vec<StepRow>,
}

impl Run {
    fn has_ended(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.status != "running")
    }
}

/// Runs of pipelines and commands, the newest first.
#[utoipa::path(
    get, path = "/api/v1/runs", tag = "pipelines", params(Wanted),
    responses((status = 200, body = Runs), (status = 422, body = Envelope))
)]
pub(super) async fn list(
    State(warehouse): State<Warehouse>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::invalid("query", error.body_text()))?;
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(ApiError::invalid(
            "query -> limit",
            format!("limit is 1 to {MOST}"),
        ));
    }
    let statuses = ["running", "succeeded", "failed", "skipped", "cancelled"];
    if let Some(status) = &wanted.status
        && !statuses.contains(&status.as_str())
    {
        let message = format!("status is one of {}", statuses.join(", "));
        return Err(ApiError::invalid("query -> status", message));
    }
    let (pipeline, status) = (wanted.pipeline.as_deref(), wanted.status.as_deref());
    let runs = warehouse
        .meta()
        .runs_page(pipeline, status, wanted.next.as_deref(), limit)
        .await?;
    let is_full = runs.len() == limit as usize;
    let next = runs
        .last()
        .filter(|_| is_full)
        .map(|run| run.run_id.clone());
    Ok(Json(Runs { runs, next }).into_response())
}

/// One run with its steps.
#[utoipa::path(
    get, path = "/api/v1/runs/{id}", tag = "pipelines",
    params(("id" = String, Path, description = "Id of the run")),
    responses((status = 200, body = Run), (status = 404, body = Envelope))
)]
pub(super) async fn one(
    State(warehouse): State<Warehouse>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(Json(found(&warehouse, &id).await?).into_response())
}

/// Stops a run: one that waits at once, one that works at its next sign of life, within seconds.
///
/// The body is an empty JSON object.
#[utoipa::path(
    post, path = "/api/v1/runs/{id}/cancel", tag = "pipelines", request_body = Object,
    params(("id" = String, Path, description = "Id of the run")),
    responses(
        (status = 202, description = "It will stop", body = Run),
        (status = 403, description = "The server is open to other machines", body = Envelope),
        (status = 404, body = Envelope),
        (status = 409, description = "It has ended, or is a run of a command", body = Envelope),
        (status = 415, description = "The body is not JSON", body = Envelope),
        (status = 422, description = "The body has fields", body = Envelope),
    )
)]
pub(super) async fn cancel(
    State(warehouse): State<Warehouse>,
    Extension(local): Extension<Local>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, ApiError> {
    local.only("stopping runs")?;
    local.json(&headers, &body)?;
    found(&warehouse, &id).await?;
    let reason = "it was stopped over REST";
    if !warehouse.meta().cancel_run(&id, reason).await? {
        let message = "the run has ended, or belongs to a command; that is stopped where it runs";
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "NOT_UNDER_WAY",
            message,
        ));
    }
    let run = found(&warehouse, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(run)).into_response())
}

/// Follows a run (server-sent events): `progress` whenever something changed, `ended` at its end.
#[utoipa::path(
    get, path = "/api/v1/runs/{id}/events", tag = "pipelines",
    params(("id" = String, Path, description = "Id of the run")),
    responses(
        (status = 200, description = "The data of each event is the run as `/runs/{id}` answers it", content((String = "text/event-stream"))),
        (status = 404, body = Envelope),
        (status = 503, description = "Too many listeners", body = Envelope),
    )
)]
pub(super) async fn follow(
    State(warehouse): State<Warehouse>,
    Extension(streams): Extension<Streams>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let first = found(&warehouse, &id).await?;
    let place = streams.place()?;
    let begin = (None, Some(first), false);
    let lines = futures::stream::unfold(begin, move |(told, at_hand, ended)| {
        let (warehouse, id) = (warehouse.clone(), id.clone());
        async move { next(&warehouse, &id, told, at_hand, ended).await }
    });
    Ok(stream(place, lines.map(Ok::<_, Infallible>)))
}

type Following = (Option<Run>, Option<Run>, bool);

/// The next line of who follows a run: when it differs from what was told.
async fn next(
    warehouse: &Warehouse,
    id: &str,
    told: Option<Run>,
    mut at_hand: Option<Run>,
    ended: bool,
) -> Option<(Line, Following)> {
    if ended {
        return None;
    }
    loop {
        let now = match at_hand.take() {
            Some(run) => run,
            None => {
                tokio::time::sleep(LOOK).await;
                match found(warehouse, id).await {
                    Ok(run) => run,
                    // The database is away, perhaps; it is asked again.
                    Err(_) => continue,
                }
            }
        };
        if told.as_ref() == Some(&now) {
            continue;
        }
        let ended = now.has_ended();
        let line = Line::default().event(if ended { "ended" } else { "progress" });
        let line = line.json_data(&now).unwrap_or_default();
        return Some((line, (Some(now), None, ended)));
    }
}

async fn found(warehouse: &Warehouse, id: &str) -> Result<Run, ApiError> {
    let meta = warehouse.meta();
    let (run, job) = (meta.run(id).await?, meta.job(id).await?);
    if run.is_none() && job.is_none() {
        return Err(ApiError::not_found("there is no run of this id"));
    }
    let steps = meta.steps_of_run(id).await?;
    Ok(Run { run, job, steps })
}
