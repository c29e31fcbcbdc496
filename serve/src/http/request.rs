//! What every request gets: an id, a line in the log, a place in the metrics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::Response;
use warehouse::Origin;

/// Header that carries the id, in requests (if the client has one) and in answers.
const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
/// Longest id that is taken from a client.
const LONGEST: usize = 64;

tokio::task_local! {
    static ID: String;
}

/// Id of the request that is being answered.
pub(super) fn id() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// Where a query of this request comes from.
pub(super) fn origin() -> Origin {
    Origin {
        protocol: "http",
        request_id: id(),
    }
}

/// Gives the request its id, and notes how it was answered.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let id = given(&request).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let method = request.method().to_string();
    let path = request.uri().path().to_string();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_string(), |route| route.as_str().to_string());
    let started = Instant::now();
    let mut response = ID.scope(id.clone(), next.run(request)).await;
    let seconds = started.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    let labels = [
        ("method", method.clone()),
        ("route", route),
        ("status", status.to_string()),
    ];
    metrics::counter!("sprint_reports_http_requests_total", &labels).increment(1);
    metrics::histogram!("sprint_reports_http_request_seconds", &labels[..2]).record(seconds);
    tracing::info!(request_id = id, method, path, status, seconds, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// The client's own id, if it is one that may stand in a log.
fn given(request: &Request) -> Option<String> {
    let id = request.headers().get(HEADER)?.to_str().ok()?;
    let fine = !id.is_empty()
        && id.len() <= LONGEST
        && id
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    fine.then(|| id.to_string())
}

/// Takes the last slash off the paths of the API: both forms mean the same.
pub(super) fn without_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    if path.starts_with("/api/") && path.ends_with('/') {
        let path = path.trim_end_matches('/');
        let shorter = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_string(),
        };
        if let Ok(uri) = shorter.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}
