//! Errors as the contract's envelope: `{"error":{"code","message","details","request_id"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::ReportError;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl From<warehouse::Error> for ApiError {
    fn from(error: warehouse::Error) -> Self {
        use warehouse::Error as E;
        match error {
            E::NoRelease => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "NO_RELEASE",
                error.to_string(),
            ),
            E::UnknownRelease(_) => Self::new(
                StatusCode::NOT_FOUND,
                "RESOURCE_NOT_FOUND",
                error.to_string(),
            ),
            E::Deadline(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE", error.to_string()),
            error => {
                tracing::error!(%error, "request failed");
                let message = "the request failed on our side; the log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
            }
        }
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::NotFound(_) => Self::new(
                StatusCode::NOT_FOUND,
                "RESOURCE_NOT_FOUND",
                error.to_string(),
            ),
            ReportError::Ambiguous(..) => {
                Self::new(StatusCode::CONFLICT, "AMBIGUOUS_ID", error.to_string())
            }
            ReportError::Warehouse(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let request_id = uuid::Uuid::now_v7().to_string();
        let body = json!({"error": {
            "code": self.code,
            "message": self.message,
            "details": {},
            "request_id": request_id,
        }});
        let mut response = (self.status, Json(body)).into_response();
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-correlation-id", value);
        }
        response
    }
}

/// Every path that no route takes.
pub(super) async fn not_found() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        "there is nothing at this path",
    )
}
