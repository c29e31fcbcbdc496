//! Server-sent events: answers that stay open. They end when the server stops, and there is room for so many.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use utoipa::IntoParams;
use warehouse::Warehouse;

use super::error::{ApiError, Envelope};

/// Most answers that are open at once.
const MOST: usize = 500;
/// A quiet answer says that it lives, this often, so that nobody in between closes it.
const QUIET: Duration = Duration::from_secs(15);

/// The open answers of a server.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

/// Room for one answer.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    stopping: watch::Receiver<bool>,
}

impl Streams {
    pub(super) fn new(stopping: watch::Receiver<bool>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            stopping,
        }
    }

    /// Takes room for one.
    pub(super) fn place(&self) -> Result<Place, ApiError> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = "too many clients listen to events; try again later";
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "TOO_MANY_LISTENERS",
                message,
            )
        })?;
        Ok(Place {
            _permit: permit,
            stopping: self.stopping.clone(),
        })
    }
}

/// An answer of lines, until they or the server end.
pub(super) fn stream(
    place: Place,
    lines: impl Stream<Item = Result<Line, Infallible>> + Send + 'static,
) -> Response {
    let mut stopping = place.stopping.clone();
    let stopped = async move {
        // The sender ends with the server.
        drop(stopping.wait_for(|stopping| *stopping).await);
    };
    let lines = lines.take_until(Box::pin(stopped)).map(move |line| {
        let _held = &place;
        line
    });
    let alive = KeepAlive::new().interval(QUIET);
    Sse::new(lines).keep_alive(alive).into_response()
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Names of events, separated by commas; all without it.
    #[param(required = false, nullable = false)]
    kinds: Option<String>,
}

/// What happens from now on (server-sent events): `release.published`, `run.started`, `run.finished`,
/// `run.failed`, `issue.changed`.
///
/// The data of each is a JSON object with `at` and what it is about. Events may be lost; `lagged` tells how
/// many were. Who shows a release asks for it again after `release.published`, and when the connection was
/// interrupted.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "pipelines", params(Wanted),
    responses(
        (status = 200, content((String = "text/event-stream"))),
        (status = 422, body = Envelope),
        (status = 503, description = "Too many listeners", body = Envelope),
    )
)]
pub(super) async fn events(
    State(warehouse): State<Warehouse>,
    Extension(streams): Extension<Streams>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::invalid("query", error.body_text()))?;
    let place = streams.place()?;
    let kinds: Vec<String> = wanted
        .kinds
        .iter()
        .flat_map(|kinds| kinds.split(','))
        .map(|kind| kind.trim().to_string())
        .filter(|kind| !kind.is_empty())
        .collect();
    let listener = warehouse.events().subscribe();
    let lines = futures::stream::unfold((listener, kinds), |(mut listener, kinds)| async move {
        loop {
            let line = match listener.recv().await {
                Ok(event) if kinds.is_empty() || kinds.contains(&event.kind) => {
                    let mut data = event.data;
                    if let Some(fields) = data.as_object_mut() {
                        fields.insert("at".to_string(), json!(event.at));
                    }
                    Line::default().event(event.kind).json_data(data)
                }
                Ok(_) => continue,
                Err(broadcast::error::RecvError::Lagged(count)) => Line::default()
                    .event("lagged")
                    .json_data(json!({"events": count})),
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            let line = line.unwrap_or_default();
            return Some((Ok::<_, Infallible>(line), (listener, kinds)));
        }
    });
    Ok(stream(place, lines))
}
