//! What this process was asked: the newest queries, for `system.queries`, the log and the metrics.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::Error;

/// Most queries that are remembered.
const NEWEST: usize = 1_000;
/// Most characters of a query text that are remembered.
const TEXT: usize = 4_096;

/// Where a query came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `command`, `http` or `postgres`.
    pub protocol: &'static str,
    /// Request or connection it belongs to; the same in the log.
    pub request_id: Option<String>,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            protocol: "command",
            request_id: None,
        }
    }
}

/// A query, as `system.queries` shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct QueryRow {
    query_id: String,
    request_id: Option<String>,
    protocol: &'static str,
    release_id: Option<String>,
    status: &'static str,
    rows: u64,
    milliseconds: i64,
    sqlstate: Option<&'static str>,
    error: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    query: String,
}

/// The newest queries of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryLog {
    rows: Arc<Mutex<VecDeque<QueryRow>>>,
}

impl QueryLog {
    /// The queries, the oldest first.
    pub(crate) fn rows(&self) -> Vec<QueryRow> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().cloned().collect()
    }

    /// Notes that a query began.
    pub(super) fn begin(&self, sql: &str, origin: &Origin) -> Entry {
        let query_id = uuid::Uuid::now_v7().to_string();
        let row = QueryRow {
            query_id: query_id.clone(),
            request_id: origin.request_id.clone(),
            protocol: origin.protocol,
            release_id: None,
            status: "running",
            rows: 0,
            milliseconds: 0,
            sqlstate: None,
            error: None,
            started_at: Utc::now(),
            finished_at: None,
            query: sql.chars().take(TEXT).collect(),
        };
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() == NEWEST {
            rows.pop_front();
        }
        rows.push_back(row);
        Entry {
            log: self.clone(),
            query_id,
            rows: 0,
            ended: false,
        }
    }
}

/// A query under way. Dropped before its end, it was cancelled.
#[derive(Debug)]
pub(super) struct Entry {
    log: QueryLog,
    query_id: String,
    rows: u64,
    ended: bool,
}

impl Entry {
    pub(super) fn release(&self, release_id: &str) {
        self.change(|row| row.release_id = Some(release_id.to_string()));
    }

    pub(super) fn add_rows(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Notes how it ended.
    pub(super) fn end(&mut self, error: Option<&Error>) {
        self.finish(
            if error.is_some() {
                "failed"
            } else {
                "succeeded"
            },
            error,
        );
    }

    fn finish(&mut self, status: &'static str, error: Option<&Error>) {
        if self.ended {
            return;
        }
        self.ended = true;
        let rows = self.rows;
        let done = self.change(|row| {
            let now = Utc::now();
            row.status = status;
            row.rows = rows;
            row.milliseconds = (now - row.started_at).num_milliseconds();
            row.sqlstate = error.map(Error::sqlstate);
            row.error = error.map(ToString::to_string);
            row.finished_at = Some(now);
        });
        let Some(row) = done else { return };
        let labels = [("protocol", row.protocol), ("status", status)];
        metrics::counter!("sprint_reports_queries_total", &labels).increment(1);
        metrics::counter!("sprint_reports_query_rows_total", "protocol" => row.protocol)
            .increment(rows);
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of a query")]
        let seconds = row.milliseconds as f64 / 1_000.0;
        metrics::histogram!("sprint_reports_query_seconds", "protocol" => row.protocol)
            .record(seconds);
        tracing::info!(
            query_id = row.query_id,
            request_id = row.request_id,
            protocol = row.protocol,
            release_id = row.release_id,
            status,
            rows,
            milliseconds = row.milliseconds,
            error = row.error,
            "query"
        );
    }

    fn change(&self, change: impl FnOnce(&mut QueryRow)) -> Option<QueryRow> {
        let mut rows = self.log.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows
            .iter_mut()
            .rev()
            .find(|row| row.query_id == self.query_id)?;
        change(row);
        Some(row.clone())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.finish("cancelled", None);
    }
}
