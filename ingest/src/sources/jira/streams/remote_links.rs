//! Links to things outside the site.
//!
//! They are asked for issue by issue, so only where something has happened: Jira writes every link that is
//! made, edited or taken away into the history of the issue. An issue is asked when its history
//! holds such an entry that is not stored yet. `--stream remote_links` asks all issues.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use schemas::TableName;
use serde::Deserialize;
use serde_json::value::RawValue;
use warehouse::{Commit, Warehouse, fault};

use super::super::api::{Api, Offered};
use super::super::replay::received as of_raw;
use super::super::{filter, rows};
use super::children::{Found, each, replace};
use super::{ISSUES, REMOTE_LINKS};
use crate::land::{Landing, Received};
use crate::{Event, Note, Progress, Result, StreamReport};

/// How histories name a change of a remote link.
const ITEMS: [&str; 2] = ["RemoteIssueLink", "RemoteWorkItemLink"];

/// Issues that are asked between two commits, when all are.
const PART: usize = 200;

#[derive(Deserialize)]
struct Entry {
    id: serde_json::Value,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    field: String,
}

/// The history entries among those of some issues that tell of remote links, by issue.
fn telling(histories: &[Received]) -> BTreeMap<i64, Vec<i64>> {
    let mut found: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let candidates = histories
        .iter()
        .filter(|history| ITEMS.iter().any(|item| history.payload.contains(item)));
    for history in candidates {
        let issue = history.key.split('/').next().map(str::parse::<i64>);
        let entry: Result<Entry, _> = serde_json::from_str(&history.payload);
        let (Some(Ok(issue)), Ok(entry)) = (issue, entry) else {
            continue;
        };
        let tells = |item: &Item| ITEMS.contains(&item.field.as_str());
        if entry.items.iter().any(tells) {
            found.entry(issue).or_default().extend(rows::id(&entry.id));
        }
    }
    found
}

/// The remote links of the issues whose histories tell something new of them.
pub(crate) async fn of_changed(
    warehouse: &Warehouse,
    api: &Api<'_>,
    connection: &str,
    histories: &[Received],
) -> Result<Vec<Received>> {
    let mut told = telling(histories);
    let issues: Vec<i64> = told.keys().copied().collect();
    if let Some(filter) = filter::among(connection, &["issue_id"], &issues) {
        let filter = format!(
            "{filter} and field in ('{}') and deleted_at is null",
            ITEMS.join("', '")
        );
        let table = TableName::new("jira", "changelog_items");
        let columns = ["issue_id", "history_id"];
        let known = warehouse.tables().columns(&table, &columns, &filter);
        for row in known.await? {
            let issue = rows::row_id(&row, "issue_id").and_then(|issue| told.get_mut(&issue));
            let history = rows::row_id(&row, "history_id");
            if let (Some(entries), Some(history)) = (issue, history) {
                entries.retain(|entry| *entry != history);
            }
        }
    }
    told.retain(|_, entries| !entries.is_empty());
    let issues: Vec<i64> = told.into_keys().collect();
    Ok(asked(api, &issues).await?.records)
}

/// What some issues said of their remote links.
struct Asked {
    /// All links of an issue, keyed by it.
    records: Vec<Received>,
    /// Why others said nothing, once.
    refused: Option<String>,
}

async fn asked(api: &Api<'_>, issues: &[i64]) -> Result<Asked> {
    type Answer<'a> = BoxFuture<'a, Result<(i64, Offered<Vec<Box<RawValue>>>)>>;
    let in_flight = api.client().limits().in_flight.max(1);
    let asks: Vec<Answer<'_>> = issues
        .iter()
        .map(|issue| {
            let issue = *issue;
            Box::pin(async move { Ok((issue, api.remote_links(issue).await?)) }) as Answer<'_>
        })
        .collect();
    let answers: Vec<_> = futures::stream::iter(asks)
        .buffered(in_flight)
        .try_collect()
        .await?;
    let mut asked = Asked {
        records: Vec::new(),
        refused: None,
    };
    for (issue, answer) in answers {
        match answer {
            Offered::Yes(links) => {
                let texts: Vec<&str> = links.iter().map(|link| link.get()).collect();
                let list = format!("[{}]", texts.join(","));
                asked.records.push(Received::new(issue.to_string(), list));
            }
            // It went in between, or linking is switched off; what it had stays.
            Offered::No(reason) => asked.refused = asked.refused.or(Some(reason)),
        }
    }
    Ok(asked)
}

/// Makes the remote links of issues equal to what the issues say, `seen_at` when they were asked.
pub(crate) async fn merge(
    warehouse: &Warehouse,
    connection: &str,
    landing: &mut Landing<'_>,
    records: &[Received],
    seen_at: DateTime<Utc>,
    commit: &Commit,
    report: &mut StreamReport,
) -> Result<()> {
    let mut found = Found::default();
    for record in records {
        let Ok(issue_id) = record.key.parse::<i64>() else {
            continue;
        };
        found.complete.push(issue_id);
        for (position, link) in each(&record.payload).iter().enumerate() {
            report.read += 1;
            match rows::remote_link_row(connection, issue_id, link) {
                Ok(mapped) => found.rows.push(mapped.row),
                Err(refusal) => {
                    report.quarantined += 1;
                    let one = Received::new(format!("{}/{position}", record.key), link.clone());
                    landing.quarantine(REMOTE_LINKS, &one, &refusal).await?;
                }
            }
        }
    }
    let owners = ["issue_id"];
    let written = replace(
        warehouse,
        connection,
        REMOTE_LINKS,
        &owners,
        found,
        seen_at,
        commit,
    );
    report.add(written.await?);
    Ok(fault::point("ingest.remote_links.merged")?)
}

/// Asks all stored issues for their remote links.
pub(crate) async fn read_all(
    warehouse: &Warehouse,
    api: &Api<'_>,
    connection: &str,
    landing: &mut Landing<'_>,
    run_id: &str,
    progress: &dyn Progress,
) -> Result<(StreamReport, Vec<Note>)> {
    let mut report = StreamReport::of(REMOTE_LINKS);
    let mut notes = Vec::new();
    let commit = Commit {
        run_id: run_id.to_string(),
        marks: Vec::new(),
    };
    let issues = TableName::new("jira", ISSUES);
    let columns = ["issue_id"];
    let live = filter::live(connection);
    let rows = warehouse.tables().columns(&issues, &columns, &live).await?;
    let mut ids: Vec<i64> = rows
        .iter()
        .filter_map(|row| rows::row_id(row, "issue_id"))
        .collect();
    ids.sort_unstable();
    for part in ids.chunks(PART) {
        let Asked { records, refused } = asked(api, part).await?;
        if let Some(reason) = refused.filter(|_| notes.is_empty()) {
            notes.push(Note {
                stream: REMOTE_LINKS,
                text: format!("some issues don't show their remote links: {reason}"),
            });
        }
        let at = landing.land(REMOTE_LINKS, &records).await?;
        merge(
            warehouse,
            connection,
            landing,
            &records,
            at,
            &commit,
            &mut report,
        )
        .await?;
        progress.event(&Event::Committed {
            stream: REMOTE_LINKS,
            records: report.read,
        });
    }
    Ok((report, notes))
}

/// Rebuilds the table from the raw zone, in the order of landing.
pub(crate) async fn replay(
    warehouse: &Warehouse,
    connection: &str,
    landing: &mut Landing<'_>,
    commit: &Commit,
) -> Result<StreamReport> {
    let mut report = StreamReport::of(REMOTE_LINKS);
    for file in warehouse.raw().files(connection, REMOTE_LINKS).await? {
        let landed = warehouse.raw().read(&file).await?;
        let Some(at) = landed.first().map(|record| record.fetched_at) else {
            continue;
        };
        let records = of_raw(landed);
        let report = &mut report;
        merge(warehouse, connection, landing, &records, at, commit, report).await?;
    }
    Ok(report)
}
