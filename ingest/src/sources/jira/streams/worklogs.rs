//! Worklogs: those that were written or edited, and those deleted, since the last run.
//!
//! The cursor is two marks on `jira.worklogs`, each the instant up to which the site has told its
//! changes: `updated_ms` and `deleted_ms`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemas::{Row, TableName};
use serde_json::Value;
use serde_json::value::RawValue;
use warehouse::{Commit, Warehouse, fault};

use super::super::api::{Api, Ask, Offered, WorklogChange};
use super::super::context::fingerprint;
use super::super::jql::Scope;
use super::super::replay::received as of_raw;
use super::super::{filter, rows, time};
use super::children::{Found, each, replace};
use super::fetch::received;
use super::issues::milliseconds_of;
use super::people::People;
use super::{ISSUES, WORKLOGS};
use crate::land::{Landing, Received};
use crate::{Error, Note, Result, StreamReport};

/// Stream of the raw zone that names deleted worklogs.
const DELETIONS: &str = "worklog_deletions";

/// Begin of the key under which all worklogs of an issue are landed.
const OF_ISSUE: &str = "issue/";

/// Reads the worklogs of one connection.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) warehouse: &'r Warehouse,
    pub(crate) api: &'r Api<'a>,
    pub(crate) landing: &'r mut Landing<'a>,
    pub(crate) connection: &'r str,
    pub(crate) scope: Scope,
    pub(crate) run_id: &'r str,
    pub(crate) look_back: Duration,
    pub(crate) people: &'r mut People,
    pub(crate) report: StreamReport,
    pub(crate) notes: Vec<Note>,
    /// Worklogs that this run can't read; it asks for them once.
    pub(crate) given_up: HashSet<i64>,
}

fn table() -> TableName {
    TableName::new("jira", WORKLOGS)
}

impl Reader<'_, '_> {
    /// Reads what is new; `full` reads all that the site shows again, and so does another choice of
    /// projects: what was logged in one that comes into scope was dropped until then.
    pub(crate) async fn read(&mut self, full: bool) -> Result<()> {
        self.ask_again().await?;
        let scope = (
            format!("{}/{WORKLOGS}/scope", self.connection),
            fingerprint(&self.scope.identity()),
        );
        let known = self.warehouse.tables().mark(&table(), &scope.0).await?;
        let full = full || known.is_some_and(|known| known != scope.1);
        for (deleted, mark) in [(false, "updated_ms"), (true, "deleted_ms")] {
            let mark = format!("{}/{WORKLOGS}/{mark}", self.connection);
            let reached = self.warehouse.tables().mark(&table(), &mark).await?;
            let look_back = i64::try_from(self.look_back.as_millis()).unwrap_or(i64::MAX);
            let mut since = match reached.filter(|_| !full) {
                Some(reached) => reached.saturating_sub(look_back).max(0),
                None => 0,
            };
            loop {
                let page = match self.api.worklog_changes(deleted, since).await? {
                    Offered::Yes(page) => page,
                    Offered::No(reason) => {
                        self.report.offered = false;
                        let text = format!("the site does not offer changes of worklogs: {reason}");
                        self.notes.push(Note {
                            stream: WORKLOGS,
                            text,
                        });
                        return Ok(());
                    }
                };
                // An empty page moves nothing, whatever instant it names: a run without changes commits
                // nothing.
                let until = match page.values.is_empty() {
                    true => since,
                    false => page.until.unwrap_or(since).max(since),
                };
                let mut marks = vec![(mark.clone(), until.max(reached.unwrap_or(0)))];
                // Once all is read that a new choice of projects asks for.
                marks.extend(deleted.then(|| scope.clone()));
                let commit = Commit {
                    run_id: self.run_id.to_string(),
                    marks,
                };
                if deleted {
                    self.remove(&page.values, &commit).await?;
                } else {
                    self.put(&page.values, &commit).await?;
                }
                if page.last_page || page.values.is_empty() {
                    break;
                }
                // A page full of one instant can't tell what else happened in it.
                if until == since {
                    let at = DateTime::from_timestamp_millis(since).unwrap_or_default();
                    let text = format!(
                        "more worklogs were changed at {} than the site lists; some may be missing",
                        time::text(at)
                    );
                    self.notes.push(Note {
                        stream: WORKLOGS,
                        text,
                    });
                    since = until + 1;
                } else {
                    since = until;
                }
            }
        }
        Ok(())
    }

    /// Reads worklogs that events named; the cursor stays where it is. Returns those that are not as the
    /// events tell: written ones that the site doesn't show, deleted ones that it does.
    pub(crate) async fn read_named(
        &mut self,
        written: &[WorklogChange],
        deleted: &[WorklogChange],
    ) -> Result<HashSet<i64>> {
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        let ids: Vec<i64> = written
            .iter()
            .chain(deleted)
            .map(|change| change.worklog_id)
            .collect();
        let served = self.api.worklogs(&ids).await?;
        let shown = served.answers.iter().flatten();
        let shown = shown.filter_map(|one| received(one).key.parse().ok());
        // One that can't be handed out is there.
        let shown: HashSet<i64> = shown
            .chain(served.spoiled.iter().map(|(id, _)| *id))
            .collect();
        let is_shown = |change: &&WorklogChange| shown.contains(&change.worklog_id);
        let (there, absent): (Vec<&WorklogChange>, Vec<_>) = written.iter().partition(is_shown);
        let (still, gone): (Vec<&WorklogChange>, Vec<_>) = deleted.iter().partition(is_shown);
        if !there.is_empty() {
            let there: Vec<i64> = there.iter().map(|change| change.worklog_id).collect();
            self.fetch(&there, &commit).await?;
        }
        if !gone.is_empty() {
            let gone: Vec<WorklogChange> = gone.into_iter().copied().collect();
            self.remove(&gone, &commit).await?;
        }
        let other = absent.iter().chain(&still).map(|change| change.worklog_id);
        Ok(other.collect())
    }

    /// Fetches and merges changed worklogs.
    async fn put(&mut self, changes: &[WorklogChange], commit: &Commit) -> Result<()> {
        let stored = self.stored(changes).await?;
        let mut asked = HashSet::new();
        let ids: Vec<i64> = changes
            .iter()
            .filter(|change| stored.get(&change.worklog_id) != Some(&Some(change.updated_time)))
            .map(|change| change.worklog_id)
            .filter(|id| !self.given_up.contains(id) && asked.insert(*id))
            .collect();
        self.report.read += (changes.len() - ids.len()) as u64;
        self.report.unchanged += (changes.len() - ids.len()) as u64;
        self.fetch(&ids, commit).await
    }

    /// Asks for the worklogs that earlier runs could not read.
    async fn ask_again(&mut self) -> Result<()> {
        let withheld = self.landing.withheld(WORKLOGS);
        let ids: Vec<i64> = withheld.iter().filter_map(|key| key.parse().ok()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        self.fetch(&ids, &commit).await
    }

    /// Fetches and merges worklogs.
    async fn fetch(&mut self, ids: &[i64], commit: &Commit) -> Result<()> {
        let served = self.api.worklogs(ids).await?;
        let payloads = served.answers.iter().flatten();
        let mut records: Vec<Received> = payloads.map(|one| received(one)).collect();
        let came = records.iter().filter_map(|one| one.key.parse().ok());
        let mut known: HashSet<i64> = came.collect();
        for (id, reason) in &served.spoiled {
            self.report.quarantined += 1;
            let key = id.to_string();
            self.landing.withhold(WORKLOGS, &key, reason).await?;
            self.given_up.insert(*id);
            known.insert(*id);
        }
        let gone: Vec<i64> = ids
            .iter()
            .copied()
            .filter(|id| !known.contains(id))
            .collect();
        self.report.unseen += gone.len() as u64;
        self.landing.release_gone(WORKLOGS, &gone).await?;
        self.keep_in_scope(&mut records).await?;
        self.landing.land(WORKLOGS, &records).await?;
        fault::point("ingest.worklogs.landed")?;
        let named = records.iter().map(|record| record.payload.as_str());
        self.people
            .meet(self.warehouse, self.landing, named)
            .await?;
        let rows = mapped(self.connection, self.landing, &records, &mut self.report).await?;
        let written = self
            .warehouse
            .tables()
            .upsert(&table(), rows, commit)
            .await?;
        self.report.add(written);
        Ok(())
    }

    /// Marks worklogs as deleted.
    async fn remove(&mut self, changes: &[WorklogChange], commit: &Commit) -> Result<()> {
        let stored = self.stored(changes).await?;
        let known: Vec<Received> = changes
            .iter()
            .filter(|change| {
                let key = change.worklog_id.to_string();
                stored.get(&change.worklog_id).is_some_and(Option::is_some)
                    || self.landing.is_quarantined(WORKLOGS, &key)
            })
            .filter_map(|change| {
                let payload = serde_json::to_string(change).ok()?;
                Some(Received::new(change.worklog_id.to_string(), payload))
            })
            .collect();
        self.landing.land(DELETIONS, &known).await?;
        for deletion in &known {
            self.landing.release(WORKLOGS, &deletion.key).await?;
        }
        remove(
            self.warehouse,
            self.connection,
            &known,
            commit,
            &mut self.report,
        )
        .await
    }

    /// When stored worklogs were last changed, in milliseconds; `None` for one that is deleted.
    async fn stored(&self, changes: &[WorklogChange]) -> Result<HashMap<i64, Option<i64>>> {
        let ids = changes.iter().map(|change| change.worklog_id);
        let stored = stored(self.warehouse, self.connection, ids).await?;
        let known = stored.iter().filter_map(|row| {
            let lives = row.get("deleted_at").is_none_or(Value::is_null);
            let updated = row.get("updated_at").and_then(milliseconds_of);
            Some((rows::row_id(row, "worklog_id")?, updated.filter(|_| lives)))
        });
        Ok(known.collect())
    }

    /// Drops worklogs of deleted issues, and of those that the settings leave out: the site tells the
    /// worklogs of all projects.
    async fn keep_in_scope(&self, records: &mut Vec<Received>) -> Result<()> {
        let issue = |record: &Received| -> Option<i64> {
            let worklog: Value = serde_json::from_str(&record.payload).ok()?;
            rows::id(worklog.get("issueId")?)
        };
        let mut asked: Vec<i64> = records.iter().filter_map(issue).collect();
        asked.sort_unstable();
        asked.dedup();
        let Some(filter) = filter::among(self.connection, &["issue_id"], &asked) else {
            return Ok(());
        };
        let issues = TableName::new("jira", ISSUES);
        let columns = ["issue_id", "deleted_at"];
        let stored = self
            .warehouse
            .tables()
            .columns(&issues, &columns, &filter)
            .await?;
        let (mut inside, mut outside) = (HashSet::new(), HashSet::new());
        for row in &stored {
            let lives = row.get("deleted_at").is_none_or(Value::is_null);
            let side = if lives { &mut inside } else { &mut outside };
            side.extend(rows::row_id(row, "issue_id"));
        }
        records.retain(|record| issue(record).is_none_or(|id| !outside.contains(&id)));
        if self.scope.projects.is_empty() {
            return Ok(());
        }
        // Issues that are not stored yet may still be of a chosen project.
        let unknown: Vec<i64> = asked
            .into_iter()
            .filter(|id| !inside.contains(id))
            .collect();
        for part in unknown.chunks(500) {
            let mut pages = self.api.pages(self.scope.among(part), Ask::Ids);
            while let Some(page) = pages.next().await? {
                inside.extend(page.found.iter().map(|found| found.issue_id));
            }
        }
        records.retain(|record| issue(record).is_none_or(|id| inside.contains(&id)));
        Ok(())
    }
}

/// Rebuilds the table from the raw zone, in the order of landing.
pub(crate) async fn replay(
    warehouse: &Warehouse,
    connection: &str,
    landing: &mut Landing<'_>,
    commit: &Commit,
) -> Result<StreamReport> {
    let mut report = StreamReport::of(WORKLOGS);
    let mut landed = Vec::new();
    for stream in [WORKLOGS, DELETIONS] {
        for file in warehouse.raw().files(connection, stream).await? {
            let records = warehouse.raw().read(&file).await?;
            if let Some(at) = records.first().map(|record| record.fetched_at) {
                landed.push((at, stream, file));
            }
        }
    }
    landed.sort_by_key(|(at, _, _)| *at);
    for (at, stream, file) in landed {
        let records = of_raw(warehouse.raw().read(&file).await?);
        if stream == DELETIONS {
            for deletion in &records {
                landing.release(WORKLOGS, &deletion.key).await?;
            }
            remove(warehouse, connection, &records, commit, &mut report).await?;
            continue;
        }
        if records
            .iter()
            .any(|record| record.key.starts_with(OF_ISSUE))
        {
            write_whole(
                warehouse,
                connection,
                landing,
                &records,
                at,
                commit,
                &mut report,
            )
            .await?;
            continue;
        }
        let rows = mapped(connection, landing, &records, &mut report).await?;
        report.add(warehouse.tables().upsert(&table(), rows, commit).await?);
    }
    Ok(report)
}

pub(crate) async fn mapped(
    connection: &str,
    landing: &mut Landing<'_>,
    records: &[Received],
    report: &mut StreamReport,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for record in records {
        report.read += 1;
        match rows::worklog_row(connection, &record.payload) {
            Ok(mapped) => {
                match mapped.remarks.as_slice() {
                    [] => landing.release(WORKLOGS, &record.key).await?,
                    remarks => {
                        landing
                            .quarantine(WORKLOGS, record, &remarks.join("; "))
                            .await?
                    }
                }
                rows.push(mapped.row);
            }
            Err(refusal) => {
                report.quarantined += 1;
                landing.quarantine(WORKLOGS, record, &refusal).await?;
            }
        }
    }
    Ok(rows)
}

/// Reads all worklogs of issues that came into sight: what was written, edited or deleted while they
/// were out of it was told to nobody.
pub(crate) async fn of_issues(
    warehouse: &Warehouse,
    api: &Api<'_>,
    connection: &str,
    landing: &mut Landing<'_>,
    ids: &[i64],
    run_id: &str,
    report: &mut StreamReport,
) -> Result<()> {
    let mut records = Vec::new();
    for id in ids {
        if let Offered::Yes(worklogs) = api.worklogs_of(*id).await? {
            let texts: Vec<&str> = worklogs.iter().map(|one| one.get()).collect();
            let list = format!("[{}]", texts.join(","));
            records.push(Received::new(format!("{OF_ISSUE}{id}"), list));
        }
    }
    if records.is_empty() {
        return Ok(());
    }
    let at = landing.land(WORKLOGS, &records).await?;
    let commit = Commit {
        run_id: run_id.to_string(),
        marks: Vec::new(),
    };
    write_whole(
        warehouse, connection, landing, &records, at, &commit, report,
    )
    .await
}

/// Makes the worklogs of issues equal to all that the site shows of them.
async fn write_whole(
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
        let Some(Ok(issue_id)) = record.key.strip_prefix(OF_ISSUE).map(str::parse) else {
            continue;
        };
        found.complete.push(issue_id);
        let worklogs: Vec<Received> = each(&record.payload)
            .into_iter()
            .filter_map(|payload| Some(received(&RawValue::from_string(payload).ok()?)))
            .collect();
        found
            .rows
            .extend(mapped(connection, landing, &worklogs, report).await?);
    }
    let owners = ["issue_id"];
    let written = replace(
        warehouse, connection, WORKLOGS, &owners, found, seen_at, commit,
    );
    report.add(written.await?);
    Ok(())
}

/// Marks the worklogs of deletions as deleted when the site says they were.
async fn remove(
    warehouse: &Warehouse,
    connection: &str,
    deletions: &[Received],
    commit: &Commit,
    report: &mut StreamReport,
) -> Result<()> {
    let mut deleted = HashMap::new();
    for record in deletions {
        let change: WorklogChange =
            serde_json::from_str(&record.payload).map_err(|error| Error::RawRecord {
                stream: DELETIONS.to_string(),
                key: record.key.clone(),
                reason: error.to_string(),
            })?;
        deleted.insert(change.worklog_id, change.updated_time);
    }
    let mut rows = stored(warehouse, connection, deleted.keys().copied()).await?;
    rows.retain(|row| row.get("deleted_at").is_none_or(Value::is_null));
    for row in &mut rows {
        let at = rows::row_id(row, "worklog_id").and_then(|id| deleted.get(&id));
        let at = at.and_then(|at| DateTime::<Utc>::from_timestamp_millis(*at));
        row.insert(
            "deleted_at".to_string(),
            time::text(at.unwrap_or_default()).into(),
        );
    }
    let gone = rows.len() as u64;
    let written = warehouse.tables().upsert(&table(), rows, commit).await?;
    report.add(written.with_deleted(gone));
    Ok(())
}

async fn stored(
    warehouse: &Warehouse,
    connection: &str,
    ids: impl Iterator<Item = i64>,
) -> Result<Vec<Row>> {
    let ids: Vec<i64> = ids.collect();
    let Some(filter) = filter::among(connection, &["worklog_id"], &ids) else {
        return Ok(Vec::new());
    };
    Ok(warehouse.tables().rows(&table(), Some(&filter)).await?)
}
