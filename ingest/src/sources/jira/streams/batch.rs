//! One batch of issues with their changelogs: land raw, append the changes, merge the issues with
//! the cursor. Killed anywhere, the next run repeats the batch to the same end.

use chrono::{DateTime, Utc};
use schemas::TableName;
use serde_json::json;
use warehouse::events::ISSUE_CHANGED;
use warehouse::{Commit, Warehouse, fault};

use super::super::context::Context;
use super::super::rows;
use super::children::ALL_COMMENTS;
use super::{CHANGELOGS, ISSUES};
use crate::land::{Landing, Received, split_key};
use crate::{Result, StreamReport};

/// Most issues that an event names.
const MOST_NAMED: usize = 100;

/// Issues and their history entries, as received.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Keyed by issue, and `issue/comments` for all comments of an issue that carries only some.
    pub(crate) issues: Vec<Received>,
    /// Keyed `issue/history`.
    pub(crate) histories: Vec<Received>,
    /// All remote links of issues where some have changed, keyed by issue.
    pub(crate) remote_links: Vec<Received>,
}

/// The latest creation among the issues of a batch, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach(pub(crate) Option<i64>);

/// Lands a batch in the raw zone; returns when its issues were received.
pub(crate) async fn land(landing: &Landing<'_>, batch: &Batch) -> Result<DateTime<Utc>> {
    let received_at = landing.land(ISSUES, &batch.issues).await?;
    landing.land(CHANGELOGS, &batch.histories).await?;
    fault::point("ingest.batch.landed")?;
    Ok(received_at)
}

/// Appends the history entries of a batch.
pub(crate) async fn append_histories(
    warehouse: &Warehouse,
    context: &Context,
    landing: &mut Landing<'_>,
    histories: &[Received],
    commit: &Commit,
    report: &mut StreamReport,
) -> Result<()> {
    let mut items = Vec::new();
    for history in histories {
        let (issue_id, _) = split_key(CHANGELOGS, &history.key).unwrap_or_default();
        match rows::changelog_rows(&context.connection, issue_id, &history.payload) {
            Ok(rows) => {
                items.extend(rows);
                landing.release(CHANGELOGS, &history.key).await?;
            }
            Err(refusal) => {
                report.quarantined += 1;
                landing.quarantine(CHANGELOGS, history, &refusal).await?;
            }
        }
    }
    report.read += histories.len() as u64;
    let table = TableName::new("jira", "changelog_items");
    report.add(warehouse.tables().append_new(&table, items, commit).await?);
    Ok(fault::point("ingest.changelogs.appended")?)
}

/// Maps the issues of a batch; returns their rows and how far their creation reaches.
pub(crate) async fn map_issues(
    context: &Context,
    landing: &mut Landing<'_>,
    issues: &[Received],
    report: &mut StreamReport,
) -> Result<(Vec<schemas::Row>, Reach)> {
    let mut found = Vec::with_capacity(issues.len());
    let mut reach = Reach::default();
    let issues = issues
        .iter()
        .filter(|record| !record.key.ends_with(ALL_COMMENTS));
    for issue in issues {
        report.read += 1;
        match rows::issue_row(context, &issue.payload) {
            Ok(mapped) => {
                reach.0 = reach.0.max(rows::created_ms(&mapped));
                match mapped.remarks.as_slice() {
                    [] => landing.release(ISSUES, &issue.key).await?,
                    remarks => {
                        landing
                            .quarantine(ISSUES, issue, &remarks.join("; "))
                            .await?
                    }
                }
                found.push(mapped.row);
            }
            Err(refusal) => {
                report.quarantined += 1;
                landing.quarantine(ISSUES, issue, &refusal).await?;
            }
        }
    }
    Ok((found, reach))
}

/// Merges rows of issues, with the cursor.
pub(crate) async fn merge_issues(
    warehouse: &Warehouse,
    rows: Vec<schemas::Row>,
    commit: &Commit,
    report: &mut StreamReport,
) -> Result<()> {
    let table = TableName::new("jira", "issues");
    let mut ids: Vec<i64> = rows
        .iter()
        .filter_map(|row| rows::row_id(row, "issue_id"))
        .collect();
    let connection = rows.first().and_then(|row| row.get("connection")).cloned();
    let written = warehouse.tables().upsert(&table, rows, commit).await?;
    if written.changed() > 0 {
        ids.truncate(MOST_NAMED);
        let told =
            json!({"connection": connection, "changed": written.changed(), "issue_ids": ids});
        warehouse.events().publish(ISSUE_CHANGED, told);
    }
    report.add(written);
    Ok(fault::point("ingest.issues.merged")?)
}
