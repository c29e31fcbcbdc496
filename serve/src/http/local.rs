//! What only programs of this machine may do while the server knows no users.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::error::ApiError;

/// Whether only this machine reaches the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local(pub(super) bool);

impl Local {
    /// Refuses what others might do.
    pub(super) fn only(self, what: &str) -> Result<(), ApiError> {
        if self.0 {
            return Ok(());
        }
        let message = format!(
            "this version takes {what} on loopback addresses only, for it knows no users; use `sprint-reports` on \
             the server"
        );
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "LOOPBACK_ONLY",
            message,
        ))
    }

    /// Takes an empty JSON object only. A page of a foreign site can't send that type without asking first.
    pub(super) fn json(self, headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
        let given = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let kind = given.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "VALIDATION_ERROR",
                "send Content-Type: application/json and the body {}",
            ));
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(fields)) if fields.is_empty() => Ok(()),
            _ => Err(ApiError::invalid(
                "body",
                "the body is an empty JSON object, {}",
            )),
        }
    }
}
