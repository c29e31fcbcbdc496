//! Issues and their changelogs: the first load by creation, then what was updated.
//!
//! The cursor is three marks on `jira.issues`: `high_water_ms` is the largest `updated` of the
//! search index among committed issues; until the first load is complete there is none, but
//! `backfill_created_ms` (creation of the last committed issue) and `backfill_start_ms` (the
//! newest `updated` when the load began, where incremental reading will take over).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use schemas::TableName;
use serde_json::Value;
use tokio::sync::mpsc;
use warehouse::{Commit, Warehouse};

use super::super::api::{Api, Ask, Found};
use super::super::context::{Context, fingerprint};
use super::super::details::Seen;
use super::super::jql::{self, Scope};
use super::super::{filter, rows, time};
use super::batch::{self, Batch};
use super::children::{self, Family};
use super::people::People;
use super::whole::{self, Whole};
use super::{CHANGELOGS, ISSUES, REMOTE_LINKS, remote_links, sweep, worklogs};
use crate::land::Landing;
use crate::{Error, Event, Progress, Result, StreamReport};

/// Value of a mark that is not set.
const UNSET: i64 = -1;

/// How long an index may lag before an issue that it shows for the first time counts as one that was
/// out of sight.
const LAG_MS: i64 = 10 * 60_000;

/// Batches that are fetched at once while the first load is written.
const AHEAD: usize = 2;

/// Reads issues and changelogs of one connection.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) warehouse: &'r Warehouse,
    pub(crate) api: &'r Api<'a>,
    pub(crate) context: &'r Context,
    pub(crate) landing: &'r mut Landing<'a>,
    pub(crate) progress: &'r dyn Progress,
    pub(crate) scope: Scope,
    pub(crate) run_id: &'r str,
    pub(crate) batch_issues: usize,
    pub(crate) look_back: Duration,
    pub(crate) issues: StreamReport,
    pub(crate) changelogs: StreamReport,
    pub(crate) family: Family,
    /// Issues of the run by the key of their project.
    pub(crate) projects: BTreeMap<String, Seen>,
    /// Issues that this run can't read; it asks for them once.
    pub(crate) given_up: HashSet<i64>,
    /// Whether any stored issue is deleted, once that was asked.
    pub(crate) buried: Option<bool>,
    pub(crate) people: &'r mut People,
    /// The mark when the run began.
    pub(crate) known_until_ms: Option<i64>,
    /// Worklogs of issues that came into sight.
    pub(crate) sighted: StreamReport,
}

/// The cursor of a connection's issues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) high_water_ms: Option<i64>,
    pub(crate) backfill_created_ms: Option<i64>,
    pub(crate) backfill_start_ms: Option<i64>,
}

impl Cursor {
    pub(crate) async fn load(warehouse: &Warehouse, connection: &str) -> Result<Self> {
        Ok(Self {
            high_water_ms: mark(warehouse, connection, "high_water_ms").await?,
            backfill_created_ms: mark(warehouse, connection, "backfill_created_ms").await?,
            backfill_start_ms: mark(warehouse, connection, "backfill_start_ms").await?,
        })
    }

    /// The marks as a commit carries them.
    fn marks(self, connection: &str) -> Vec<(String, i64)> {
        [
            ("high_water_ms", self.high_water_ms),
            ("backfill_created_ms", self.backfill_created_ms),
            ("backfill_start_ms", self.backfill_start_ms),
        ]
        .into_iter()
        .map(|(name, value)| (mark_name(connection, name), value.unwrap_or(UNSET)))
        .collect()
    }
}

/// A mark of the issues table; `None` when it is not set.
pub(crate) async fn mark(
    warehouse: &Warehouse,
    connection: &str,
    name: &str,
) -> Result<Option<i64>> {
    let table = TableName::new("jira", "issues");
    let mark = warehouse
        .tables()
        .mark(&table, &mark_name(connection, name))
        .await?;
    Ok(mark.filter(|value| *value != UNSET))
}

/// Full name of a mark of the issues table.
pub(crate) fn mark_name(connection: &str, name: &str) -> String {
    format!("{connection}/{ISSUES}/{name}")
}

impl Reader<'_, '_> {
    /// Reads what is new: the rest of the first load, or what was updated since the last run.
    /// `full` forgets the cursor; the rows stay and are merged.
    pub(crate) async fn read(&mut self, full: bool) -> Result<()> {
        let connection = self.context.connection.clone();
        let mut cursor = Cursor::load(self.warehouse, &connection).await?;
        // Issues of a project that was not in scope before were updated long ago.
        let scope = mark(self.warehouse, &connection, "scope").await?;
        let rescoped = scope.is_some_and(|scope| scope != fingerprint(&self.scope.identity()));
        self.known_until_ms = cursor.high_water_ms;
        if full || rescoped {
            cursor = Cursor::default();
            self.commit(Vec::new(), cursor).await?;
        }
        match cursor.high_water_ms {
            Some(high_water_ms) => self.update(cursor, high_water_ms).await,
            None => self.backfill(cursor).await,
        }
    }

    /// The first load, by creation: an order that never changes while pages are read.
    async fn backfill(&mut self, mut cursor: Cursor) -> Result<()> {
        if cursor.backfill_start_ms.is_none() {
            let newest = self.api.newest(&self.scope.updated_since(0)).await?;
            cursor.backfill_start_ms = newest.and_then(|one| one.updated_us).map(milliseconds);
        }
        let from_ms = cursor.backfill_created_ms.map_or(0, jql::floor_minute);
        let search = self.scope.created_since(from_ms);
        let (api, size) = (self.api, self.batch_issues);
        let (send, mut fetched) = mpsc::channel::<(Whole, bool)>(1);
        // Batches are fetched while those before them are written.
        let fetching = async {
            let batches = whole::batches(api, search, size).map(|batch| async {
                let (ids, last) = batch?;
                Ok::<_, Error>((whole::whole(api, &ids).await?, last))
            });
            let mut batches = Box::pin(batches.buffered(AHEAD));
            while let Some(batch) = batches.try_next().await? {
                if send.send(batch).await.is_err() {
                    break;
                }
            }
            drop(send);
            Ok::<_, Error>(())
        };
        let writing = async {
            while let Some((whole, last)) = fetched.recv().await {
                let batch = self.take(whole).await?;
                self.load(&batch, &mut cursor, last).await?;
            }
            Ok::<_, Error>(())
        };
        futures::future::try_join(fetching.boxed(), writing.boxed()).await?;
        Ok(())
    }

    /// Loads a batch of the first load; the last one hands over to incremental reading.
    async fn load(&mut self, batch: &Batch, cursor: &mut Cursor, last: bool) -> Result<()> {
        let (rows, reach) = self.land(batch).await?;
        cursor.backfill_created_ms = cursor.backfill_created_ms.max(reach.0);
        if last {
            cursor.high_water_ms = cursor.backfill_start_ms;
        }
        self.commit(rows, *cursor).await
    }

    /// What was updated since the last run, oldest update first.
    async fn update(&mut self, mut cursor: Cursor, high_water_ms: i64) -> Result<()> {
        let look_back_ms = i64::try_from(self.look_back.as_millis()).unwrap_or(i64::MAX);
        let search = self
            .scope
            .updated_since(jql::look_back(high_water_ms, look_back_ms));
        let withheld: Vec<i64> = self
            .landing
            .withheld(ISSUES)
            .iter()
            .filter_map(|key| key.parse().ok())
            .collect();
        for ids in withheld.chunks(self.batch_issues) {
            self.refresh(ids, cursor).await?;
        }
        let (api, mut waiting) = (self.api, Vec::new());
        let mut pages = api.pages(search, Ask::Updated);
        while let Some(page) = pages.next().await? {
            waiting.extend(self.changed(page.found).await?);
            // What the index has shown so far is committed before the mark moves past it.
            cursor.high_water_ms = cursor.high_water_ms.max(page.reached_us.map(milliseconds));
            if page.is_last || waiting.len() >= self.batch_issues {
                self.refresh(&std::mem::take(&mut waiting), cursor).await?;
            }
        }
        Ok(())
    }

    /// Fetches and commits changed issues, with the cursor.
    pub(super) async fn refresh(&mut self, ids: &[i64], cursor: Cursor) -> Result<()> {
        let batch = self.fetch(ids).await?;
        let (mut rows, _) = self.land(&batch).await?;
        let followers = self.followers(&batch, &rows).await?;
        if !followers.is_empty() {
            let more = self.fetch(&followers).await?;
            let (more, _) = self.land(&more).await?;
            rows.extend(more);
        }
        let arrivals = self.arrivals(&rows).await?;
        worklogs::of_issues(
            self.warehouse,
            self.api,
            &self.context.connection,
            self.landing,
            &arrivals,
            self.run_id,
            &mut self.sighted,
        )
        .await?;
        self.commit(rows, cursor).await
    }

    /// Issues that are older than what had been read before this run, and not stored: they were out of
    /// sight, and what happened to their worklogs meanwhile was told to nobody.
    async fn arrivals(&self, rows: &[schemas::Row]) -> Result<Vec<i64>> {
        let Some(known_until_ms) = self.known_until_ms else {
            return Ok(Vec::new());
        };
        let since = jql::look_back(known_until_ms, LAG_MS);
        let is_old = |row: &&schemas::Row| {
            let created = row.get("created_at").and_then(milliseconds_of);
            created.is_some_and(|created| created < since)
        };
        let mut old: Vec<i64> = rows
            .iter()
            .filter(is_old)
            .filter_map(|row| rows::row_id(row, "issue_id"))
            .collect();
        let connection = &self.context.connection;
        let Some(filter) = filter::among(connection, &["issue_id"], &old) else {
            return Ok(Vec::new());
        };
        let filter = format!("{filter} and deleted_at is null");
        let table = TableName::new("jira", "issues");
        let stored = self.warehouse.tables();
        let stored = stored.columns(&table, &["issue_id"], &filter).await?;
        let known: HashSet<i64> = stored
            .iter()
            .filter_map(|row| rows::row_id(row, "issue_id"))
            .collect();
        old.retain(|id| !known.contains(id));
        Ok(old)
    }

    /// Stored issues by id.
    pub(super) async fn stored(&self, ids: &[i64]) -> Result<Vec<schemas::Row>> {
        let connection = &self.context.connection;
        let Some(filter) = filter::among(connection, &["issue_id"], ids) else {
            return Ok(Vec::new());
        };
        let table = TableName::new("jira", "issues");
        Ok(self.warehouse.tables().rows(&table, Some(&filter)).await?)
    }

    /// Ids of the issues whose stored state is not the one that the search tells.
    async fn changed(&mut self, mut found: Vec<Found>) -> Result<Vec<i64>> {
        let mut seen = HashSet::new();
        found.retain(|one| seen.insert(one.issue_id));
        let ids: Vec<i64> = seen.into_iter().collect();
        let stored = self.stored(&ids).await?;
        let stored: HashMap<i64, i64> = stored
            .iter()
            .filter(|row| row.get("deleted_at").is_none_or(Value::is_null))
            .filter_map(|row| {
                let updated = time::instant(row.get("updated_at")?).ok()??;
                Some((row.get("issue_id")?.as_i64()?, updated.timestamp_micros()))
            })
            .collect();
        // An index that lags tells an older state than the stored one; nothing is missing then.
        let is_known = |one: &Found| match (stored.get(&one.issue_id), one.updated_us) {
            (Some(stored), Some(told)) => *stored >= told,
            _ => false,
        };
        let known = found.iter().filter(|one| is_known(one)).count() as u64;
        self.issues.read += known;
        self.issues.unchanged += known;
        Ok(found
            .iter()
            .filter(|one| !is_known(one))
            .map(|one| one.issue_id)
            .collect())
    }

    /// Whole issues with all their history entries.
    pub(super) async fn fetch(&mut self, ids: &[i64]) -> Result<Batch> {
        let open = ids.iter().filter(|id| !self.given_up.contains(id));
        let ids: Vec<i64> = open.copied().collect();
        let whole = whole::whole(self.api, &ids).await?;
        self.take(whole).await
    }

    /// Takes what the site handed out. What it could not waits in quarantine, to be asked for by the
    /// next run; what was waiting there and is gone leaves it.
    async fn take(&mut self, whole: Whole) -> Result<Batch> {
        for (id, reason) in &whole.withheld {
            self.issues.quarantined += 1;
            self.landing
                .withhold(ISSUES, &id.to_string(), reason)
                .await?;
            self.given_up.insert(*id);
        }
        self.issues.unseen += whole.unseen.len() as u64;
        self.landing.release_gone(ISSUES, &whole.unseen).await?;
        let mut batch = whole.batch;
        let connection = &self.context.connection;
        batch.remote_links =
            remote_links::of_changed(self.warehouse, self.api, connection, &batch.histories)
                .await?;
        Ok(batch)
    }

    /// Lands a batch and appends its history entries; returns the rows of the issues.
    pub(super) async fn land(
        &mut self,
        batch: &Batch,
    ) -> Result<(Vec<schemas::Row>, batch::Reach)> {
        let received_at = batch::land(self.landing, batch).await?;
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        let named = batch.issues.iter().chain(&batch.histories);
        let named = named.map(|record| record.payload.as_str());
        self.people
            .meet(self.warehouse, self.landing, named)
            .await?;
        // Before the history entries: whose entry is stored is not asked again.
        let linked_at = self.landing.land(REMOTE_LINKS, &batch.remote_links).await?;
        remote_links::merge(
            self.warehouse,
            &self.context.connection,
            self.landing,
            &batch.remote_links,
            linked_at,
            &commit,
            &mut self.family.remote_links,
        )
        .await?;
        let report = &mut self.changelogs;
        batch::append_histories(
            self.warehouse,
            self.context,
            self.landing,
            &batch.histories,
            &commit,
            report,
        )
        .await?;
        self.progress.event(&Event::Committed {
            stream: CHANGELOGS,
            records: report.read,
        });
        if self.has_buried().await? {
            let connection = &self.context.connection;
            sweep::revive(self.warehouse, connection, &batch.issues, &commit).await?;
        }
        children::merge(
            self.warehouse,
            &self.context.connection,
            self.landing,
            &batch.issues,
            received_at,
            &commit,
            &mut self.family,
        )
        .await?;
        batch::map_issues(self.context, self.landing, &batch.issues, &mut self.issues).await
    }

    /// What this run has seen of a project.
    pub(super) fn seen(&mut self, project_key: &str) -> &mut Seen {
        self.projects.entry(project_key.to_string()).or_default()
    }

    /// Whether any stored issue is deleted. Asked once: only a sweep, at the end, deletes more.
    async fn has_buried(&mut self) -> Result<bool> {
        if let Some(known) = self.buried {
            return Ok(known);
        }
        let condition = filter::of(&self.context.connection) + " and deleted_at is not null";
        let table = TableName::new("jira", ISSUES);
        let mut found = false;
        let take = |rows: Vec<schemas::Row>| found |= !rows.is_empty();
        let tables = self.warehouse.tables();
        tables.each(&table, &["issue_id"], &condition, take).await?;
        self.buried = Some(found);
        Ok(found)
    }

    /// Merges rows of issues, with the cursor and the fingerprint of their mapping.
    async fn commit(&mut self, rows: Vec<schemas::Row>, cursor: Cursor) -> Result<()> {
        for row in &rows {
            let key = row.get("project_key").and_then(Value::as_str);
            self.seen(key.unwrap_or_default()).read += 1;
        }
        let connection = &self.context.connection;
        let mut marks = cursor.marks(connection);
        marks.push((mark_name(connection, "mapping"), self.context.fingerprint()));
        let scope = fingerprint(&self.scope.identity());
        marks.push((mark_name(connection, "scope"), scope));
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks,
        };
        batch::merge_issues(self.warehouse, rows, &commit, &mut self.issues).await?;
        self.progress.event(&Event::Committed {
            stream: ISSUES,
            records: self.issues.read,
        });
        Ok(())
    }
}

/// The instant in a row, in milliseconds.
pub(crate) fn milliseconds_of(value: &Value) -> Option<i64> {
    Some(time::instant(value).ok()??.timestamp_millis())
}

fn milliseconds(microseconds: i64) -> i64 {
    microseconds.div_euclid(1000)
}
