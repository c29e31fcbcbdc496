//! Landed records → rows of the tables. The same for a sync and for a replay, and harmless when it is
//! done twice.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use schemas::Row;
use serde_json::Value;
use warehouse::{Commit, Warehouse, fault};

use super::api::Repository;
use super::record::{Mapped, Refusal};
use super::references::issue_keys;
use super::steps::Reports;
use super::{
    COMMITS, DEPLOYMENTS, Dialect, ISSUE_REFERENCES, PULL_REQUEST_COMMITS, PULL_REQUESTS,
    REPOSITORIES, Whole, filter, table,
};
use crate::Result;
use crate::land::{Landing, Received, split_key};

/// Writes the records of one connection and run.
pub(super) struct Writer<'a> {
    dialect: &'static dyn Dialect,
    warehouse: &'a Warehouse,
    connection: &'a str,
    run_id: &'a str,
    pub(super) reports: Reports,
}

/// A pull request and the rows that go with it.
struct PullRequest {
    mapped: Mapped,
    commits: Vec<Mapped>,
    shown: Vec<Row>,
    references: Vec<Row>,
}

/// A row of `git.repositories`.
pub(super) fn repository_row(
    dialect: &dyn Dialect,
    connection: &str,
    record: &Received,
) -> Result<Mapped, Refusal> {
    let mut row = Mapped::new(connection);
    dialect.repository(&mut row, &parse(&record.payload)?)?;
    Ok(row)
}

/// What the tables keep of a listing of repositories, to compare it with another one.
pub(super) fn repository_rows(
    dialect: &dyn Dialect,
    connection: &str,
    records: &[Received],
) -> Vec<(String, Result<Mapped, Refusal>)> {
    let row = |record: &Received| {
        let row = repository_row(dialect, connection, record);
        (record.key.clone(), row)
    };
    let mut rows: Vec<_> = records.iter().map(row).collect();
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        dialect: &'static dyn Dialect,
        warehouse: &'a Warehouse,
        connection: &'a str,
        run_id: &'a str,
    ) -> Self {
        Self {
            dialect,
            warehouse,
            connection,
            run_id,
            reports: Reports::default(),
        }
    }

    pub(super) fn commit_of(&self, marks: Vec<(String, i64)>) -> Commit {
        Commit {
            run_id: self.run_id.to_string(),
            marks,
        }
    }

    /// Commits marks of a stream.
    pub(super) async fn marked(
        &mut self,
        stream: &'static str,
        marks: Vec<(String, i64)>,
    ) -> Result<()> {
        self.upsert(stream, Vec::new(), marks).await
    }

    async fn upsert(
        &mut self,
        stream: &'static str,
        rows: Vec<Row>,
        marks: Vec<(String, i64)>,
    ) -> Result<()> {
        if rows.is_empty() && marks.is_empty() {
            return Ok(());
        }
        let commit = self.commit_of(marks);
        let gone = rows.iter().filter(|row| row.contains_key("deleted_at"));
        let gone = gone.filter(|row| !row["deleted_at"].is_null()).count() as u64;
        let tables = self.warehouse.tables();
        let written = tables.upsert(&table(stream), rows, &commit).await?;
        self.reports.of(stream).add(written.with_deleted(gone));
        Ok(())
    }

    /// Makes the live repositories equal to a listing; what it lacks is gone since it was received.
    pub(super) async fn repositories(
        &mut self,
        landing: &mut Landing<'_>,
        records: &[Received],
        received_at: DateTime<Utc>,
    ) -> Result<Vec<Repository>> {
        let (mut rows, mut refused) = (Vec::new(), HashSet::new());
        for record in records {
            let row = repository_row(self.dialect, self.connection, record);
            match self.judge(landing, REPOSITORIES, record, row).await? {
                Some(mapped) => rows.push(mapped.row),
                None => {
                    refused.insert(record.key.clone());
                }
            }
        }
        if !refused.is_empty() {
            // A record that can't be read is no proof that its repository is gone.
            let live = filter::live(self.connection);
            let tables = self.warehouse.tables();
            let stored = tables.rows(&table(REPOSITORIES), Some(&live)).await?;
            let id = |row: &Row| row.get("repository_id").map(Value::to_string);
            let kept = stored
                .into_iter()
                .filter(|row| id(row).is_some_and(|id| refused.contains(&id)));
            rows.extend(kept);
        }
        let read = rows.iter().filter_map(repository).collect();
        let commit = self.commit_of(Vec::new());
        let tables = self.warehouse.tables();
        let name = table(REPOSITORIES);
        let written = tables
            .replace(&name, self.connection, rows, received_at, &commit)
            .await?;
        self.reports.of(REPOSITORIES).add(written);
        Ok(read)
    }

    /// Writes pull requests with their commits and the issue keys they name.
    pub(super) async fn pull_requests(
        &mut self,
        landing: &mut Landing<'_>,
        records: &[Received],
    ) -> Result<()> {
        let mut found = Vec::new();
        for (record, whole) in wholes(records) {
            let mapped = whole.and_then(|whole| self.pull_request(&whole));
            let (mapped, rest) = match mapped {
                Ok(one) => (
                    Ok(one.mapped),
                    Some((one.commits, one.shown, one.references)),
                ),
                Err(refusal) => (Err(refusal), None),
            };
            let judged = self.judge(landing, PULL_REQUESTS, record, mapped).await?;
            if let (Some(mapped), Some((commits, shown, references))) = (judged, rest) {
                found.push(PullRequest {
                    mapped,
                    commits,
                    shown,
                    references,
                });
            }
        }
        let commits = found.iter().flat_map(|one| &one.commits);
        let commits = commits.map(|commit| commit.row.clone()).collect();
        let commit = self.commit_of(Vec::new());
        let tables = self.warehouse.tables();
        let appended = tables.append_new(&table(COMMITS), commits, &commit).await?;
        self.reports.of(COMMITS).add(appended);
        let mut shown: Vec<Row> = found.iter().flat_map(|one| one.shown.clone()).collect();
        shown.extend(self.gone_commits(&found).await?);
        self.upsert(PULL_REQUEST_COMMITS, shown, Vec::new()).await?;
        let mut references: Vec<Row> = found
            .iter()
            .flat_map(|one| one.references.clone())
            .collect();
        references.extend(self.gone_references(&found).await?);
        self.upsert(ISSUE_REFERENCES, references, Vec::new())
            .await?;
        fault::point("ingest.git.parts_written")?;
        let rows = found.into_iter().map(|one| one.mapped.row).collect();
        self.upsert(PULL_REQUESTS, rows, Vec::new()).await?;
        Ok(fault::point("ingest.git.merged")?)
    }

    /// Writes commits of the default branch, with the cursor.
    pub(super) async fn commits(
        &mut self,
        landing: &mut Landing<'_>,
        records: &[Received],
        marks: Vec<(String, i64)>,
    ) -> Result<()> {
        let (mut rows, mut references) = (Vec::new(), Vec::new());
        for record in records {
            let repository_id = leading_id(&record.key);
            let mapped = repository_id
                .ok_or_else(|| "its repository is not known".to_string())
                .and_then(|id| self.commit(id, &parse(&record.payload)?, true));
            if let Some(mapped) = self.judge(landing, COMMITS, record, mapped).await? {
                references.extend(self.message_references(&mapped));
                rows.push(mapped.row);
            }
        }
        self.upsert(ISSUE_REFERENCES, references, Vec::new())
            .await?;
        fault::point("ingest.git.parts_written")?;
        self.upsert(COMMITS, rows, marks).await?;
        Ok(fault::point("ingest.git.merged")?)
    }

    /// Writes deployments.
    pub(super) async fn deployments(
        &mut self,
        landing: &mut Landing<'_>,
        records: &[Received],
    ) -> Result<()> {
        let mut rows = Vec::new();
        for (record, whole) in wholes(records) {
            let mapped = whole.and_then(|whole| self.deployment(&whole));
            let judged = self.judge(landing, DEPLOYMENTS, record, mapped).await?;
            rows.extend(judged.map(|mapped| mapped.row));
        }
        self.upsert(DEPLOYMENTS, rows, Vec::new()).await?;
        Ok(fault::point("ingest.git.merged")?)
    }

    /// Whether a deployment tells another status than the stored row.
    pub(super) fn says_otherwise(&self, records: &[Received], stored: &Row) -> bool {
        let whole = wholes(records).pop().and_then(|(_, whole)| whole.ok());
        let Some(mapped) = whole.and_then(|whole| self.deployment(&whole).ok()) else {
            return false;
        };
        ["status", "status_at"]
            .iter()
            .any(|column| mapped.row.get(*column) != stored.get(*column).filter(|v| !v.is_null()))
    }

    /// Counts a record and keeps it in quarantine, or takes it out of there.
    async fn judge(
        &mut self,
        landing: &mut Landing<'_>,
        stream: &'static str,
        record: &Received,
        mapped: Result<Mapped, Refusal>,
    ) -> Result<Option<Mapped>> {
        let report = self.reports.of(stream);
        report.read += 1;
        match mapped {
            Ok(mapped) if mapped.remarks.is_empty() => {
                landing.release(stream, &record.key).await?;
                Ok(Some(mapped))
            }
            Ok(mapped) => {
                let remarks = mapped.remarks.join("; ");
                landing.quarantine(stream, record, &remarks).await?;
                Ok(Some(mapped))
            }
            Err(refusal) => {
                report.quarantined += 1;
                landing.quarantine(stream, record, &refusal).await?;
                Ok(None)
            }
        }
    }

    fn pull_request(&self, whole: &Whole) -> Result<PullRequest, Refusal> {
        let mut mapped = Mapped::new(self.connection);
        mapped.put("repository_id", whole.repository_id);
        self.dialect.pull_request(&mut mapped, whole)?;
        let own = mapped.id("pull_request_id").unwrap_or_default();
        let mut listed: Vec<&Value> = whole.part("commits").iter().collect();
        if self.dialect.lists_commits_backwards() {
            listed.reverse();
        }
        let (mut commits, mut shown) = (Vec::new(), Vec::new());
        for (position, record) in listed.into_iter().enumerate() {
            match self.commit(whole.repository_id, record, false) {
                Ok(mut commit) => {
                    // Forges that do not know parents here say that there are none.
                    let has_none = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
                    if commit.row.get("parent_shas").is_some_and(has_none) {
                        commit.row.remove("parent_shas");
                    }
                    let mut row = Mapped::new(self.connection);
                    row.put("pull_request_id", own);
                    row.put("sha", commit.text("sha"));
                    row.put("repository_id", whole.repository_id);
                    row.put("position", position as i64);
                    shown.push(row.row);
                    commits.push(commit);
                }
                Err(refusal) => mapped.remarks.push(format!("commits: {refusal}")),
            }
        }
        let mut references = Vec::new();
        for (kind, column) in [("pull_request", "title"), ("branch", "head_branch")] {
            let of = own.to_string();
            references.extend(self.references(whole.repository_id, kind, &of, mapped.text(column)));
        }
        for commit in &commits {
            references.extend(self.message_references(commit));
        }
        Ok(PullRequest {
            mapped,
            commits,
            shown,
            references,
        })
    }

    fn commit(
        &self,
        repository_id: i64,
        record: &Value,
        on_default: bool,
    ) -> Result<Mapped, Refusal> {
        let mut mapped = Mapped::new(self.connection);
        mapped.put("repository_id", repository_id);
        mapped.put("is_on_default_branch", on_default);
        self.dialect.commit(&mut mapped, record)?;
        Ok(mapped)
    }

    fn deployment(&self, whole: &Whole) -> Result<Mapped, Refusal> {
        let mut mapped = Mapped::new(self.connection);
        mapped.put("repository_id", whole.repository_id);
        self.dialect.deployment(&mut mapped, whole)?;
        Ok(mapped)
    }

    fn message_references(&self, commit: &Mapped) -> Vec<Row> {
        let repository_id = commit.id("repository_id").unwrap_or_default();
        let (sha, message) = (commit.text("sha"), commit.text("message"));
        self.references(repository_id, "commit", sha, message)
    }

    fn references(&self, repository_id: i64, kind: &str, ref_id: &str, text: &str) -> Vec<Row> {
        let keys = issue_keys(text).into_iter().enumerate();
        let rows = keys.map(|(position, key)| {
            let mut row = Mapped::new(self.connection);
            row.put("repository_id", repository_id);
            row.put("kind", kind);
            row.put("ref_id", ref_id);
            row.put("issue_key", key);
            row.put("position", position as i64);
            row.row
        });
        rows.collect()
    }

    /// Commits that pull requests showed before and show no more: gone since the state that lacks them.
    async fn gone_commits(&self, found: &[PullRequest]) -> Result<Vec<Row>> {
        let ids: Vec<i64> = found.iter().filter_map(own_id).collect();
        let Some(filter) = filter::among(self.connection, &["pull_request_id"], &ids) else {
            return Ok(Vec::new());
        };
        let filter = format!("{filter} and deleted_at is null");
        let tables = self.warehouse.tables();
        let stored = tables
            .rows(&table(PULL_REQUEST_COMMITS), Some(&filter))
            .await?;
        let columns = ["pull_request_id", "sha"];
        Ok(gone(
            found,
            |one| &one.shown,
            &columns,
            stored,
            "pull_request_id",
        ))
    }

    /// Issue keys that pull requests named before and name no more.
    async fn gone_references(&self, found: &[PullRequest]) -> Result<Vec<Row>> {
        let ids: Vec<String> = found
            .iter()
            .filter_map(own_id)
            .map(|id| format!("'{id}'"))
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let filter = format!(
            "{} and kind in ('pull_request', 'branch') and ref_id in ({})",
            filter::live(self.connection),
            ids.join(", ")
        );
        let tables = self.warehouse.tables();
        let stored = tables.rows(&table(ISSUE_REFERENCES), Some(&filter)).await?;
        let columns = ["kind", "ref_id", "issue_key"];
        Ok(gone(
            found,
            |one| &one.references,
            &columns,
            stored,
            "ref_id",
        ))
    }
}

/// Stored rows that the present state of their pull request lacks, marked with its instant: the same
/// whenever the record is written.
fn gone(
    found: &[PullRequest],
    rows: impl Fn(&PullRequest) -> &[Row],
    columns: &[&str],
    stored: Vec<Row>,
    of: &str,
) -> Vec<Row> {
    let key = |row: &Row| -> Vec<String> {
        let part = |column: &&str| row.get(*column).map(plain).unwrap_or_default();
        columns.iter().map(part).collect()
    };
    let present: HashSet<Vec<String>> = found.iter().flat_map(rows).map(key).collect();
    let updated: HashMap<String, Value> = found
        .iter()
        .filter_map(|one| {
            let at = one.mapped.row.get("updated_at")?.clone();
            Some((own_id(one)?.to_string(), at))
        })
        .collect();
    let gone = stored.into_iter().filter_map(|mut row| {
        if present.contains(&key(&row)) {
            return None;
        }
        let at = updated.get(&row.get(of).map(plain)?)?;
        row.insert("deleted_at".to_string(), at.clone());
        Some(row)
    });
    gone.collect()
}

fn own_id(one: &PullRequest) -> Option<i64> {
    one.mapped.id("pull_request_id")
}

/// A value without the quotes of a text.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string)
}

/// A repository as its row says.
fn repository(row: &Row) -> Option<Repository> {
    let text = |column: &str| row.get(column).and_then(Value::as_str).map(str::to_string);
    Some(Repository {
        id: row.get("repository_id")?.as_i64()?,
        full_name: text("full_name")?,
        default_branch: text("default_branch"),
    })
}

fn leading_id(key: &str) -> Option<i64> {
    key.split('/').next()?.parse().ok()
}

/// Records with the parts that follow them.
fn wholes(records: &[Received]) -> Vec<(&Received, Result<Whole, Refusal>)> {
    let mut found: Vec<(&Received, Result<Whole, Refusal>)> = Vec::new();
    for record in records {
        let (_, own) = record.key.split_once('/').unwrap_or_default();
        match own.split_once('/') {
            None => found.push((record, whole(record))),
            Some((_, part)) => {
                let Some((main, Ok(whole))) = found.last_mut() else {
                    continue;
                };
                let belongs = record
                    .key
                    .strip_suffix(part)
                    .and_then(|key| key.strip_suffix('/'));
                if belongs == Some(main.key.as_str()) {
                    let list = serde_json::from_str(&record.payload).unwrap_or_default();
                    whole.parts.push((part.to_string(), list));
                }
            }
        }
    }
    found
}

fn whole(record: &Received) -> Result<Whole, Refusal> {
    let key = split_key("records", &record.key);
    let (repository_id, _) = key.map_err(|_| "its repository is not known".to_string())?;
    Ok(Whole {
        repository_id,
        record: parse(&record.payload)?,
        parts: Vec::new(),
    })
}

fn parse(payload: &str) -> Result<Value, Refusal> {
    serde_json::from_str(payload).map_err(|error| format!("not JSON: {error}"))
}
