//! Figures about the process, for Prometheus.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
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
    describe_counter!(
        "sprint_reports_webhooks_total",
        "Webhooks by outcome: stored, duplicate, refused, full, off."
    );
    describe_gauge!(
        "sprint_reports_webhook_events",
        "Events that are pending or were refused, by connection."
    );
    describe_gauge!(
        "sprint_reports_webhook_oldest_seconds",
        Unit::Seconds,
        "Time since the oldest event of a state arrived, by connection."
    );
}

/// Figures about the process in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(warehouse): State<Warehouse>) -> impl IntoResponse {
    freshness(&warehouse).await;
    inbox(&warehouse).await;
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

/// Events that wait or were refused. What is empty is told as zero, once it was not.
async fn inbox(warehouse: &Warehouse) {
    static SHOWN: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
    let counts = match warehouse.meta().inbox_counts().await {
        Ok(counts) => counts,
        Err(error) => return tracing::warn!(%error, "the inbox can't be counted"),
    };
    let mut empty = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let show = |connection: &str, state: &str, events: f64, oldest: f64| {
        let labels = [
            ("connection", connection.to_string()),
            ("state", state.to_string()),
        ];
        gauge!("sprint_reports_webhook_events", &labels).set(events);
        gauge!("sprint_reports_webhook_oldest_seconds", &labels).set(oldest);
    };
    for count in counts {
        #[allow(clippy::cast_precision_loss, reason = "numbers of events and seconds")]
        let (events, oldest) = (
            count.events as f64,
            (Utc::now() - count.oldest).num_milliseconds() as f64 / 1_000.0,
        );
        show(&count.connection, &count.state, events, oldest);
        let of = (count.connection, count.state);
        if !empty.remove(&of) {
            let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
            shown.insert(of);
        }
    }
    for (connection, state) in empty {
        show(&connection, &state, 0.0, 0.0);
    }
}
