//! Figures about the process, for Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use warehouse::Warehouse;

/// Bounds of the histograms, in seconds.
const SECONDS: [f64; 13] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0,
];
/// How often what was recorded is put into the histograms.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts recording, once for the process.
pub(crate) fn install() {
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)
            .and_then(PrometheusBuilder::install_recorder);
        let handle = match recorder {
            Ok(handle) => handle,
            Err(error) => {
                tracing::warn!(%error, "metrics are not recorded");
                return None;
            }
        };
        describe();
        let kept = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                kept.run_upkeep();
            }
        });
        Some(handle)
    });
}

fn describe() {
    describe_counter!("sprint_reports_http_requests_total", "Requests answered.");
    describe_histogram!(
        "sprint_reports_http_request_seconds",
        Unit::Seconds,
        "Time to the first byte of an answer."
    );
    describe_counter!(
        "sprint_reports_queries_total",
        "Queries that ended, by protocol and how."
    );
    describe_counter!(
        "sprint_reports_query_rows_total",
        "Rows that queries returned."
    );
    describe_histogram!(
        "sprint_reports_query_seconds",
        Unit::Seconds,
        "Time from a query's arrival to its last row."
    );
    describe_gauge!(
        "sprint_reports_postgres_connections",
        "Open connections of the PostgreSQL protocol."
    );
    describe_gauge!(
        "sprint_reports_release_number",
        "Number of the current release."
    );
    describe_gauge!(
        "sprint_reports_release_age_seconds",
        Unit::Seconds,
        "Time since the current release was published."
    );
    describe_gauge!(
        "sprint_reports_data_age_seconds",
        Unit::Seconds,
        "Time since the source's clock at the last complete sync of a connection."
    );
}

/// Figures about the process in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(warehouse): State<Warehouse>) -> impl IntoResponse {
    freshness(&warehouse).await;
    let text = RECORDER
        .get()
        .and_then(Option::as_ref)
        .map(PrometheusHandle::render)
        .unwrap_or_default();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
}

/// Ages are computed when they are asked for.
async fn freshness(warehouse: &Warehouse) {
    #[allow(clippy::cast_precision_loss, reason = "a number of seconds")]
    let age = |instant: DateTime<Utc>| (Utc::now() - instant).num_milliseconds() as f64 / 1_000.0;
    match warehouse.releases().latest().await {
        Ok(Some(release)) => {
            #[allow(clippy::cast_precision_loss, reason = "a number of releases")]
            let number = release.number as f64;
            gauge!("sprint_reports_release_number").set(number);
            gauge!("sprint_reports_release_age_seconds").set(age(release.published_at));
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the current release can't be read"),
    }
    match warehouse.meta().sources().await {
        Ok(sources) => {
            for source in sources {
                gauge!("sprint_reports_data_age_seconds", "connection" => source.connection)
                    .set(age(source.source_time));
            }
        }
        Err(error) => tracing::warn!(%error, "the sources can't be read"),
    }
}
