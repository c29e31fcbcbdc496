//! What issues carry beside their own fields: links and comments. Whoever shows all of them shows
//! which are gone.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use schemas::{Row, TableName};
use serde_json::Value;
use serde_json::value::RawValue;
use warehouse::{Commit, Warehouse, Written};

use super::super::rows::{self, Mapped, Refusal};
use super::super::{filter, time};
use super::{COMMENTS, ISSUE_LINKS, REMOTE_LINKS};
use crate::land::{Landing, Received};
use crate::{Result, StreamReport};

/// Suffix of the key under which all comments of an issue are landed that carries only some.
pub(crate) const ALL_COMMENTS: &str = "/comments";

/// How it went with what issues carry.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) links: StreamReport,
    pub(crate) comments: StreamReport,
    pub(crate) remote_links: StreamReport,
}

impl Family {
    pub(crate) fn new() -> Self {
        Self {
            links: StreamReport::of(ISSUE_LINKS),
            comments: StreamReport::of(COMMENTS),
            remote_links: StreamReport::of(REMOTE_LINKS),
        }
    }
}

/// The rows of one table that belong to some issues.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rows: Vec<Row>,
    /// Issues that showed all theirs.
    pub(super) complete: Vec<i64>,
}

/// The record of all comments of an issue.
pub(crate) fn all_comments(issue_id: i64, comments: &[Box<RawValue>]) -> Received {
    let texts: Vec<&str> = comments.iter().map(|comment| comment.get()).collect();
    Received::new(
        format!("{issue_id}{ALL_COMMENTS}"),
        format!("[{}]", texts.join(",")),
    )
}

/// Makes the links and comments of issues equal to what the issues show. `seen_at` is when they were
/// received: what is gone is gone since then.
pub(crate) async fn merge(
    warehouse: &Warehouse,
    connection: &str,
    landing: &mut Landing<'_>,
    records: &[Received],
    seen_at: DateTime<Utc>,
    commit: &Commit,
    family: &mut Family,
) -> Result<()> {
    let whole: BTreeMap<&str, &Received> = records
        .iter()
        .filter_map(|record| Some((record.key.strip_suffix(ALL_COMMENTS)?, record)))
        .collect();
    let (mut links, mut comments) = (Found::default(), Found::default());
    for record in records {
        // Neither the record of all comments, nor one that has no id.
        let Ok(issue_id) = record.key.parse::<i64>() else {
            continue;
        };
        let shown = rows::children(&record.payload);
        if let Some(list) = &shown.links {
            links.complete.push(issue_id);
            for (position, link) in list.iter().enumerate() {
                let key = format!("{}/{position}", record.key);
                let one = Received::new(key, link.to_string());
                let mapped = rows::link_row(connection, issue_id, link);
                take(landing, &one, mapped, &mut links, &mut family.links).await?;
            }
            landing
                .release_beyond(ISSUE_LINKS, &record.key, list.len())
                .await?;
        }
        let Some(inline) = &shown.comments else {
            continue;
        };
        let (payloads, is_complete) = match whole.get(record.key.as_str()) {
            Some(all) => (each(&all.payload), true),
            None => (
                inline.payloads().map(str::to_string).collect(),
                inline.is_complete(),
            ),
        };
        if is_complete {
            comments.complete.push(issue_id);
        }
        for (position, payload) in payloads.iter().enumerate() {
            let one = Received::new(format!("{}/{position}", record.key), payload);
            let mapped = rows::comment_row(connection, issue_id, payload);
            take(landing, &one, mapped, &mut comments, &mut family.comments).await?;
        }
        landing
            .release_beyond(COMMENTS, &record.key, payloads.len())
            .await?;
    }
    let owners = ["source_issue_id", "target_issue_id"];
    let written = replace(
        warehouse,
        connection,
        ISSUE_LINKS,
        &owners,
        links,
        seen_at,
        commit,
    );
    family.links.add(written.await?);
    let owners = ["issue_id"];
    let written = replace(
        warehouse, connection, COMMENTS, &owners, comments, seen_at, commit,
    );
    family.comments.add(written.await?);
    Ok(())
}

async fn take(
    landing: &mut Landing<'_>,
    record: &Received,
    mapped: Result<Mapped, Refusal>,
    found: &mut Found,
    report: &mut StreamReport,
) -> Result<()> {
    report.read += 1;
    match mapped {
        Ok(mapped) => {
            landing.release(report.stream, &record.key).await?;
            found.rows.push(mapped.row);
        }
        Err(refusal) => {
            report.quarantined += 1;
            landing.quarantine(report.stream, record, &refusal).await?;
        }
    }
    Ok(())
}

/// The records of a list; none of a text that is no list.
pub(super) fn each(payload: &str) -> Vec<String> {
    let list: Vec<&RawValue> = serde_json::from_str(payload).unwrap_or_default();
    list.iter().map(|one| one.get().to_string()).collect()
}

/// Writes rows, and marks those as deleted that the issues showed before and show no more.
pub(super) async fn replace(
    warehouse: &Warehouse,
    connection: &str,
    table: &str,
    owners: &[&str],
    found: Found,
    seen_at: DateTime<Utc>,
    commit: &Commit,
) -> Result<Written> {
    let table = TableName::new("jira", table);
    let Some(id) = schemas::contract(&table).and_then(|contract| contract.key().last()) else {
        return Ok(Written::default());
    };
    let mut rows = found.rows;
    // Two issues of a batch show the link between them twice.
    let mut present = HashSet::new();
    rows.retain(|row| rows::row_id(row, id).is_none_or(|id| present.insert(id)));
    let mut gone = 0;
    if let Some(filter) = filter::among(connection, owners, &found.complete) {
        let filter = format!("{filter} and deleted_at is null");
        for mut row in warehouse.tables().rows(&table, Some(&filter)).await? {
            if rows::row_id(&row, id).is_some_and(|id| !present.contains(&id)) {
                row.insert("deleted_at".to_string(), Value::from(time::text(seen_at)));
                rows.push(row);
                gone += 1;
            }
        }
    }
    let written = warehouse.tables().upsert(&table, rows, commit).await?;
    Ok(written.with_deleted(gone))
}
