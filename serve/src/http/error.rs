//! Errors as the contract's envelope: `{"error":{"code","message","details","request_id"}}`.

use std::any::Any;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::request;
use crate::ReportError;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Value,
}

/// Every error, of whatever kind.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Envelope {
    error: Body,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct Body {
    /// Stable name of the kind of error.
    #[schema(examples("RESOURCE_NOT_FOUND"))]
    code: &'static str,
    /// What is wrong and what to do, for people.
    message: String,
    /// More, by kind: `field_errors` of a refused request, `sqlstate` of a refused query.
    #[schema(value_type = Object)]
    details: Value,
    /// The same id as in the log and in `X-Correlation-ID`.
    request_id: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Value::Object(Map::new()),
        }
    }

    /// A part of the request that is not as it must be.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let details =
            json!({"field_errors": [{"field": field, "message": message, "type": "value_error"}]});
        Self {
            details,
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "VALIDATION_ERROR",
                message,
            )
        }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "RESOURCE_NOT_FOUND", message)
    }
}

impl From<warehouse::Error> for ApiError {
    fn from(error: warehouse::Error) -> Self {
        use warehouse::Error as E;
        let (status, code) = match &error {
            E::NoRelease => (StatusCode::SERVICE_UNAVAILABLE, "NO_RELEASE"),
            E::UnknownRelease(_) | E::ReleaseRemoved { .. } => {
                (StatusCode::NOT_FOUND, "RESOURCE_NOT_FOUND")
            }
            E::Query { .. } => (StatusCode::BAD_REQUEST, "QUERY_ERROR"),
            E::NotReadOnly(_) => (StatusCode::FORBIDDEN, "READ_ONLY"),
            E::TooLarge(_) | E::TooComplex(_) => (StatusCode::PAYLOAD_TOO_LARGE, "QUERY_TOO_LARGE"),
            E::TooManyRows(_) => (StatusCode::UNPROCESSABLE_ENTITY, "TOO_MANY_ROWS"),
            E::Memory(_) => (StatusCode::UNPROCESSABLE_ENTITY, "OUT_OF_MEMORY"),
            E::Deadline(_) => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE"),
            E::MetaGone { .. } => {
                tracing::error!(%error, request_id = request::id(), "request failed");
                let message = "the metadata database does not answer; try again in a moment";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "DATABASE_AWAY", message);
            }
            error => {
                tracing::error!(%error, request_id = request::id(), "request failed");
                let message = "the request failed on our side; the log says why";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message);
            }
        };
        Self {
            details: json!({"sqlstate": error.sqlstate()}),
            ..Self::new(status, code, error.to_string())
        }
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::NotFound(_) => Self::not_found(error.to_string()),
            ReportError::Ambiguous(..) => {
                Self::new(StatusCode::CONFLICT, "AMBIGUOUS_ID", error.to_string())
            }
            ReportError::Warehouse(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = Body {
            code: self.code,
            message: self.message,
            details: self.details,
            request_id: request::id(),
        };
        (self.status, Json(Envelope { error })).into_response()
    }
}

/// Every path that no route takes.
pub(super) async fn not_found() -> ApiError {
    ApiError::not_found("there is nothing at this path; /docs lists the paths")
}

/// A path that is there, for other methods.
pub(super) async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "this path does not take this method; /docs lists those it takes",
    )
}

/// A handler that failed in a way it should not have.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!(request_id = request::id(), "a handler panicked");
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "INTERNAL_ERROR",
        "the request failed on our side; the log says why",
    )
    .into_response()
}
