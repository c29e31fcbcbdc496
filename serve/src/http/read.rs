//! Reading from one release: which one, whether the client has its answer already, and the headers
//! of the answer.

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::Row;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use warehouse::{Param, QueryOptions, Release, Warehouse};

use super::error::ApiError;
use super::request;

/// What a reading request may ask for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Reading {
    /// Connection, where an id alone leaves several candidates.
    #[param(required = false, nullable = false)]
    pub(super) connection: Option<String>,
    /// Release (`r12`), RFC 3339 instant or day to read instead of the current release.
    #[param(required = false, nullable = false)]
    pub(super) as_of: Option<String>,
}

/// A request that reads one release. It never sees another one, whatever is published meanwhile.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) warehouse: Warehouse,
    pub(super) release: Release,
    pub(super) reading: Reading,
    etag: HeaderValue,
}

impl FromRequestParts<Warehouse> for Read {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        warehouse: &Warehouse,
    ) -> Result<Self, Response> {
        let Query(reading) = Query::<Reading>::try_from_uri(&parts.uri)
            .map_err(|error| ApiError::invalid("query", error.body_text()).into_response())?;
        let releases = warehouse.releases();
        let found = match &reading.as_of {
            Some(name) => releases.find(name).await,
            None => releases
                .latest()
                .await
                .and_then(|release| release.ok_or(warehouse::Error::NoRelease)),
        };
        let release = found.map_err(|error| ApiError::from(error).into_response())?;
        let etag = etag(&release);
        if has_it(&parts.headers, &etag) {
            return Err(tagged(StatusCode::NOT_MODIFIED.into_response(), &etag));
        }
        Ok(Self {
            warehouse: warehouse.clone(),
            release,
            reading,
            etag,
        })
    }
}

/// Tag of everything that is read from a release by this version of the program.
fn etag(release: &Release) -> HeaderValue {
    let tag = format!(
        "\"{}.{}.{}\"",
        release.release_id,
        release.published_at.timestamp_millis(),
        env!("CARGO_PKG_VERSION")
    );
    HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether the client says that it has this state (`If-None-Match`, weak comparison).
fn has_it(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}

fn tagged(mut response: Response, etag: &HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag.clone());
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=0, must-revalidate"),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static("authorization, accept"),
    );
    response
}

impl Read {
    /// Rows of a named query on the release.
    pub(super) async fn rows(
        &self,
        sql: &str,
        params: Vec<(&str, Param)>,
    ) -> Result<Vec<Row>, ApiError> {
        let params = params
            .into_iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        let options = QueryOptions {
            as_of: Some(self.release.release_id.clone()),
            params,
            origin: request::origin(),
            ..QueryOptions::default()
        };
        let found = self.warehouse.query().run(sql, &options).await?;
        Ok(found.into_rows().await?)
    }

    /// An answer that is no JSON, with the release's tag.
    pub(super) fn tagged(&self, response: Response) -> Response {
        tagged(response, &self.etag)
    }

    /// The answer, with the release's tag.
    pub(super) fn answer(&self, body: impl Serialize) -> Response {
        tagged(Json(body).into_response(), &self.etag)
    }
}
