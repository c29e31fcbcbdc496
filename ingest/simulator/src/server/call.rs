//! One API call: its parameters, and how handlers answer.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Query, RawPathParams, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde_json::{Value, json};

use crate::render::View;
use crate::server::Shared;

pub(super) type Reply = Result<Value, Refusal>;
pub(super) type Handler = fn(&Call) -> Reply;

/// An error answer in Jira's shape.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"errorMessages": [self.message], "errors": {}});
        (self.status, Json(body)).into_response()
    }
}

/// The parameters of a call, from path, query and body.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) view: View,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    pub(super) body: Value,
    uri: String,
}

impl Call {
    pub(super) fn path(&self, name: &str) -> &str {
        self.path
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    pub(super) fn path_id(&self, name: &str) -> u64 {
        self.path(name).parse().unwrap_or_default()
    }

    /// A parameter of the query or of the body, as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let query = self
            .query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone());
        query.or_else(|| match self.body.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        })
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }

    /// A list: repeated or comma-separated in the query, a list or a comma-separated text in the body.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let mut parts: Vec<String> = self
            .query
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .collect();
        match self.body.get(name) {
            Some(Value::Array(values)) => {
                parts.extend(values.iter().map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                }));
            }
            Some(Value::String(text)) => parts.push(text.clone()),
            _ => {}
        }
        let split = parts.iter().flat_map(|part| part.split(','));
        split
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// The page that a `startAt` call asks for, within a cap.
    pub(super) fn page(&self, default: usize, cap: usize) -> (usize, usize) {
        let start = self.number("startAt").unwrap_or(0);
        (
            start,
            self.number("maxResults")
                .unwrap_or(default)
                .clamp(1, cap.max(1)),
        )
    }

    /// Path and query as they came.
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }
}

/// An object of large values: unlike `json!`, it takes them over without copying.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// A `startAt` page of values, in the platform API's shape.
pub(super) fn paged(call: &Call, values: Vec<Value>, default: usize, cap: usize) -> Value {
    let total = values.len();
    let (start, size) = call.page(default, cap);
    let shown: Vec<Value> = values.into_iter().skip(start).take(size).collect();
    let last = start + shown.len() >= total;
    let path = call.uri().split('?').next().unwrap_or_default();
    let link = |start: usize| {
        format!(
            "{}{path}?startAt={start}&maxResults={size}",
            call.shared.base
        )
    };
    let mut page = json!({
        "self": format!("{}{}", call.shared.base, call.uri()),
        "maxResults": size,
        "startAt": start,
        "total": total,
        "isLast": last,
        "values": shown,
    });
    if !last {
        page["nextPage"] = json!(link(start + size));
    }
    page
}

pub(super) fn reading(handler: Handler) -> MethodRouter<Arc<Shared>> {
    get(move |state, uri, path, query, body| answer(handler, state, uri, path, query, body))
}

pub(super) fn writing(handler: Handler) -> MethodRouter<Arc<Shared>> {
    post(move |state, uri, path, query, body| answer(handler, state, uri, path, query, body))
}

async fn answer(
    handler: Handler,
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    path: RawPathParams,
    Query(query): Query<Vec<(String, String)>>,
    body: Bytes,
) -> Response {
    let body = if body.is_empty() {
        Ok(Value::Null)
    } else {
        serde_json::from_slice(&body)
    };
    let Ok(body) = body else {
        return Refusal::bad_request(
            "Invalid request payload. Refer to the REST API documentation and try again.",
        )
        .into_response();
    };
    let call = Call {
        view: shared.view(uri.path()),
        path: path
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        query,
        body,
        uri: uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        shared,
    };
    match handler(&call) {
        Ok(value) => Json(value).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
