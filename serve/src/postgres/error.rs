//! Errors as PostgreSQL clients expect them.

use pgwire::error::{ErrorInfo, PgWireError};

/// An error with its SQLSTATE.
pub(super) fn error(sqlstate: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new(
        "ERROR".to_string(),
        sqlstate.to_string(),
        message.into(),
    )))
}

/// An error that ends the connection.
pub(super) fn fatal(sqlstate: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new(
        "FATAL".to_string(),
        sqlstate.to_string(),
        message.into(),
    )))
}

/// An error of the warehouse. What is our fault is said in the log only.
pub(super) fn of(failure: &warehouse::Error) -> PgWireError {
    match failure.blame() {
        schemas::Blame::User => error(failure.sqlstate(), failure.to_string()),
        _ => ours(failure.sqlstate(), failure),
    }
}

/// An error that is our fault, which the log explains.
pub(super) fn ours(sqlstate: &str, failure: &dyn std::error::Error) -> PgWireError {
    tracing::error!(error = %failure, "a query failed on our side");
    error(sqlstate, "the query failed on our side; the log says why")
}

pub(super) fn cancelled() -> PgWireError {
    error("57014", "canceling statement due to user request")
}
