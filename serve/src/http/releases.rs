//! Releases.

use axum::response::Response;
use warehouse::ReleaseSummary;

use super::error::{ApiError, Envelope};
use super::read::Read;

/// All releases, the newest first.
#[utoipa::path(
    get, path = "/api/v1/releases", tag = "releases",
    responses(
        (status = 200, description = "Summaries, as system.releases has them", body = Vec<Object>),
        (status = 304, description = "No release was published since the client's"),
        (status = 503, description = "No release yet", body = Envelope),
    )
)]
pub(super) async fn list(read: Read) -> Result<Response, ApiError> {
    let releases = read.warehouse.releases().list().await?;
    let summaries: Vec<_> = releases.iter().map(ReleaseSummary::from).collect();
    Ok(read.answer(summaries))
}
