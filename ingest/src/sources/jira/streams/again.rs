//! Records that an older mapping refused are mapped once more, from what was received then.
//!
//! Listings and issues need none of this: a listing is written by every run, and issues are mapped
//! anew when the version of the mapping is another one.

use std::collections::HashSet;

use schemas::{Row, TableName};
use serde_json::Value;
use warehouse::{Commit, Warehouse};

use super::super::context::Context;
use super::super::{filter, rows};
use super::{CHANGELOGS, COMMENTS, ISSUE_LINKS, ISSUES, REMOTE_LINKS, WORKLOGS, batch, worklogs};
use crate::land::{Landing, Received};
use crate::{Result, StreamReport};

/// Maps what an older version refused of the records that no later run reads by itself; says how many
/// were mapped, and how many of them are refused again.
pub(crate) async fn map(
    warehouse: &Warehouse,
    context: &Context,
    landing: &mut Landing<'_>,
    commit: &Commit,
) -> Result<(usize, u64)> {
    let name = &context.connection;
    let (mut mapped, mut refused) = (0, 0);
    let histories = landing.take_older(CHANGELOGS);
    let mut report = StreamReport::of(CHANGELOGS);
    if !histories.is_empty() {
        mapped += histories.len();
        let report = &mut report;
        batch::append_histories(warehouse, context, landing, &histories, commit, report).await?;
    }
    refused += report.quarantined;
    let logged = landing.take_older(WORKLOGS);
    if !logged.is_empty() {
        mapped += logged.len();
        let mut report = StreamReport::of(WORKLOGS);
        let rows = worklogs::mapped(name, landing, &logged, &mut report).await?;
        put(warehouse, name, WORKLOGS, rows, commit).await?;
        refused += report.quarantined;
    }
    for stream in [COMMENTS, ISSUE_LINKS, REMOTE_LINKS] {
        let parts = landing.take_older(stream);
        mapped += parts.len();
        let mut found = Vec::new();
        for record in &parts {
            match part(name, stream, record) {
                Ok(row) => {
                    landing.release(stream, &record.key).await?;
                    found.push(row);
                }
                Err(refusal) => {
                    refused += 1;
                    landing.quarantine(stream, record, &refusal).await?;
                }
            }
        }
        put(warehouse, name, stream, found, commit).await?;
    }
    Ok((mapped, refused))
}

/// The row of a comment or link, whose key is `issue/position`.
fn part(connection: &str, stream: &str, record: &Received) -> Result<Row, rows::Refusal> {
    let issue = record.key.split('/').next();
    let issue = issue.and_then(|issue| issue.parse().ok());
    let issue: i64 = issue.ok_or("its key names no issue")?;
    let mapped = if stream == COMMENTS {
        rows::comment_row(connection, issue, &record.payload)?
    } else if stream == REMOTE_LINKS {
        rows::remote_link_row(connection, issue, &record.payload)?
    } else {
        let link: Value =
            serde_json::from_str(&record.payload).map_err(|error| format!("not JSON: {error}"))?;
        rows::link_row(connection, issue, &link)?
    };
    Ok(mapped.row)
}

/// Writes rows of what belongs to issues, except to deleted ones: it went with them, and comes back
/// with them.
async fn put(
    warehouse: &Warehouse,
    connection: &str,
    stream: &str,
    mut rows: Vec<Row>,
    commit: &Commit,
) -> Result<()> {
    let owner = if stream == ISSUE_LINKS {
        "source_issue_id"
    } else {
        "issue_id"
    };
    let ids: Vec<i64> = rows
        .iter()
        .filter_map(|row| rows::row_id(row, owner))
        .collect();
    let Some(filter) = filter::among(connection, &["issue_id"], &ids) else {
        return Ok(());
    };
    let filter = format!("{filter} and deleted_at is not null");
    let issues = TableName::new("jira", ISSUES);
    let columns = ["issue_id", "deleted_at"];
    let deleted = warehouse.tables().columns(&issues, &columns, &filter);
    let deleted: HashSet<i64> = deleted
        .await?
        .iter()
        .filter_map(|row| rows::row_id(row, "issue_id"))
        .collect();
    rows.retain(|row| rows::row_id(row, owner).is_none_or(|id| !deleted.contains(&id)));
    let table = TableName::new("jira", stream);
    warehouse.tables().upsert(&table, rows, commit).await?;
    Ok(())
}
