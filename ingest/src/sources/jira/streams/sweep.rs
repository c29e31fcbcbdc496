//! The sweep: all issues that the site shows against all that are stored. It finds what an incremental
//! read can't: issues that were deleted, hidden, or moved out of the chosen projects, and issues
//! that were never read.
//!
//! Nothing is deleted on the word of the search index: what it lacks is asked for by id, and only what
//! is missing there in two sweeps counts as deleted, since the first of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{Row, TableName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use warehouse::{Commit, Warehouse, fault};

use super::super::api::Ask;
use super::super::{filter, rows, time};
use super::issues::{Cursor, Reader, mark, mark_name};
use super::whole;
use super::{COMMENTS, ISSUE_LINKS, ISSUES, PROJECTS, REMOTE_LINKS, SPRINT_REPORTS, WORKLOGS};
use crate::land::Received;
use crate::{Dropped, Event, Note, Result, StreamReport};

/// What progress calls it.
const SWEEP: &str = "sweep";
/// Stream of the raw zone that tells which issues the site no longer shows.
pub(crate) const ABSENCES: &str = "issue_absences";

/// Mark of the last sweep, in milliseconds of this machine's clock.
const SWEPT: &str = "swept_ms";

/// Part of a project's issues that may be missing at once without a word.
const ALARMING: f64 = 0.2;
/// Missing issues of a project that are never worth a word.
const UNREMARKABLE: usize = 10;

/// What belongs to issues, with the columns that name them.
const CHILDREN: [(&str, &[&str]); 6] = [
    ("changelog_items", &["issue_id"]),
    (COMMENTS, &["issue_id"]),
    (WORKLOGS, &["issue_id"]),
    (REMOTE_LINKS, &["issue_id"]),
    (SPRINT_REPORTS, &["issue_id"]),
    (ISSUE_LINKS, &["source_issue_id", "target_issue_id"]),
];

/// What a sweep found out about an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Not shown; it counts as deleted when that is so in the next sweep too.
    Missing,
    /// Deleted.
    Gone,
    /// Shown again.
    Shown,
}

/// A finding, as it is landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Absence {
    state: State,
    reason: Option<String>,
}

/// The stored issues: all of them, so each takes little.
#[derive(Debug, Default)]
struct Stored {
    /// In the order of their ids.
    issues: Vec<Known>,
    /// Id, where it is known, and key of their projects.
    projects: Vec<(Option<i64>, String)>,
}

/// A stored issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    issue_id: i64,
    /// Position among the projects.
    project: u32,
    is_deleted: bool,
    is_missing: bool,
}

impl Stored {
    fn live(&self) -> impl Iterator<Item = &Known> {
        self.issues.iter().filter(|known| !known.is_deleted)
    }

    fn is_live(&self, issue_id: i64) -> bool {
        let place = self
            .issues
            .binary_search_by_key(&issue_id, |one| one.issue_id);
        place.is_ok_and(|place| !self.issues[place].is_deleted)
    }

    fn project(&self, known: &Known) -> (Option<i64>, &str) {
        let project = self.projects.get(known.project as usize);
        project.map_or((None, ""), |(id, key)| (*id, key.as_str()))
    }

    /// How many issues of each project the site still shows; none of some, perhaps.
    fn visible(&self, is_shown: impl Fn(&Known) -> bool) -> BTreeMap<String, u64> {
        let mut counts = vec![None; self.projects.len()];
        for known in self.live() {
            if let Some(count) = counts.get_mut(known.project as usize) {
                *count = Some(count.unwrap_or(0) + u64::from(is_shown(known)));
            }
        }
        let mut visible = BTreeMap::new();
        for ((_, key), count) in self.projects.iter().zip(counts) {
            if let Some(count) = count {
                *visible.entry(key.clone()).or_default() += count;
            }
        }
        visible
    }

    fn add(&mut self, row: &Row, places: &mut HashMap<(Option<i64>, String), u32>) {
        let Some(issue_id) = rows::row_id(row, "issue_id") else {
            return;
        };
        let is_set = |column: &str| row.get(column).is_some_and(|value| !value.is_null());
        let key = row.get("project_key").and_then(Value::as_str);
        let project = (
            rows::row_id(row, "project_id"),
            key.unwrap_or_default().to_string(),
        );
        let place = *places.entry(project).or_insert_with_key(|project| {
            self.projects.push(project.clone());
            (self.projects.len() - 1) as u32
        });
        self.issues.push(Known {
            issue_id,
            project: place,
            is_deleted: is_set("deleted_at"),
            is_missing: is_set("missing_since"),
        });
    }
}

impl Reader<'_, '_> {
    /// Compares what the site shows with what is stored, and makes it equal.
    /// Says of which projects much is missing at once.
    pub(crate) async fn sweep(&mut self) -> Result<Vec<Dropped>> {
        let connection = self.context.connection.clone();
        let cursor = Cursor::load(self.warehouse, &connection).await?;
        if cursor.high_water_ms.is_none() {
            // The first load is under way and will show them all.
            return Ok(Vec::new());
        }
        self.progress.event(&Event::Started { stream: SWEEP });
        let shown = self.shown().await?;
        let stored = known(self.warehouse, &connection).await?;
        let is_shown = |known: &Known| shown.binary_search(&known.issue_id).is_ok();
        let unread = shown.iter().copied().filter(|id| !stored.is_live(*id));
        let unread: Vec<i64> = unread.collect();
        let mut visible = stored.visible(is_shown);
        for part in unread.chunks(self.batch_issues) {
            self.refresh(part, cursor).await?;
            for key in self.projects_of(part).await? {
                *visible.entry(key).or_default() += 1;
            }
        }
        for (key, count) in visible {
            self.seen(&key).visible = Some(count);
        }
        let missing: Vec<&Known> = stored.live().filter(|known| !is_shown(known)).collect();
        let again = stored.live().filter(|known| is_shown(known));
        let mut findings: Vec<(i64, Absence)> = again
            .filter(|known| known.is_missing)
            .map(|known| (known.issue_id, Absence::of(State::Shown, None)))
            .collect();
        for part in missing.chunks(self.batch_issues) {
            findings.extend(self.looked_up(&stored, part).await?);
        }
        let before = self.issues.changed();
        self.record(&findings).await?;
        self.progress.event(&Event::Finished {
            stream: SWEEP,
            records: shown.len() as u64,
            changed: self.issues.changed() - before,
        });
        Ok(dropped(&stored, &findings))
    }

    /// Lands findings and writes them. Issues that name a deleted one as their parent or epic have lost it, and
    /// are read again: before that, so that it is done again if this is interrupted.
    pub(super) async fn record(&mut self, findings: &[(i64, Absence)]) -> Result<()> {
        let gone = findings.iter().filter(|(_, one)| one.state == State::Gone);
        let gone: Vec<i64> = gone.map(|(id, _)| *id).collect();
        let orphans = self.children_of(&gone).await?;
        for part in orphans.chunks(self.batch_issues) {
            self.read_part(part).await?;
        }
        let records: Vec<Received> = findings
            .iter()
            .filter_map(|(id, finding)| {
                Some(Received::new(
                    id.to_string(),
                    serde_json::to_string(finding).ok()?,
                ))
            })
            .collect();
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        let at = self.landing.land(ABSENCES, &records).await?;
        fault::point("ingest.absences.landed")?;
        let connection = &self.context.connection;
        let report = &mut self.issues;
        apply(self.warehouse, connection, &records, at, &commit, report).await
    }

    /// Keys of the projects of some issues, as far as they are stored and live.
    async fn projects_of(&self, ids: &[i64]) -> Result<Vec<String>> {
        let Some(filter) = filter::among(&self.context.connection, &["issue_id"], ids) else {
            return Ok(Vec::new());
        };
        let filter = format!("{filter} and deleted_at is null");
        let issues = TableName::new("jira", ISSUES);
        let rows = self.warehouse.tables();
        let rows = rows.columns(&issues, &["project_key", "deleted_at"], &filter);
        let keys = rows.await?.into_iter().filter_map(|mut row| {
            let key = row.remove("project_key")?;
            key.as_str().map(str::to_string)
        });
        Ok(keys.collect())
    }

    /// Ids of all issues that the search shows, in order.
    async fn shown(&mut self) -> Result<Vec<i64>> {
        let mut pages = self.api.pages(self.scope.created_since(0), Ask::Ids);
        let mut shown = Vec::new();
        while let Some(page) = pages.next().await? {
            shown.extend(page.found.iter().map(|found| found.issue_id));
        }
        shown.sort_unstable();
        shown.dedup();
        Ok(shown)
    }

    /// Asks for issues by id that the search lacks.
    async fn looked_up(
        &mut self,
        stored: &Stored,
        missing: &[&Known],
    ) -> Result<Vec<(i64, Absence)>> {
        let ids: Vec<i64> = missing.iter().map(|known| known.issue_id).collect();
        let fetched = whole::issues(self.api, &ids).await?;
        let withheld: HashSet<i64> = fetched.missing().map(|(id, _)| *id).collect();
        let there: HashMap<i64, Option<String>> = fetched
            .issues
            .iter()
            .filter_map(|issue| {
                let id = issue.key.parse().ok()?;
                Some((id, rows::project_key(&issue.payload)))
            })
            .collect();
        let projects = projects(self.warehouse, &self.context.connection).await?;
        let findings = missing.iter().filter_map(|known| {
            let id = known.issue_id;
            let finding = match there.get(&id) {
                _ if withheld.contains(&id) => return None,
                Some(Some(key)) if !self.scope.holds(key) => {
                    Absence::of(State::Gone, Some("out_of_scope"))
                }
                // The index lags.
                Some(_) if known.is_missing => Absence::of(State::Shown, None),
                Some(_) => return None,
                None if !known.is_missing => Absence::of(State::Missing, None),
                None => {
                    let project = stored.project(known).0.and_then(|id| projects.get(&id));
                    Absence::of(
                        State::Gone,
                        Some(match project {
                            None => "project_not_visible",
                            Some(true) => "project_archived",
                            Some(false) => "not_visible",
                        }),
                    )
                }
            };
            Some((id, finding))
        });
        Ok(findings.collect())
    }
}

impl Absence {
    /// Of an issue that is known to be deleted or out of reach.
    pub(super) fn gone(reason: &str) -> Self {
        Self::of(State::Gone, Some(reason))
    }

    fn of(state: State, reason: Option<&str>) -> Self {
        Self {
            state,
            reason: reason.map(str::to_string),
        }
    }
}

/// Writes the findings of a sweep that were landed at an instant.
pub(crate) async fn apply(
    warehouse: &Warehouse,
    connection: &str,
    records: &[Received],
    at: DateTime<Utc>,
    commit: &Commit,
    report: &mut StreamReport,
) -> Result<()> {
    let findings: HashMap<i64, Absence> = records
        .iter()
        .filter_map(|record| {
            let finding = serde_json::from_str(&record.payload).ok()?;
            Some((record.key.parse().ok()?, finding))
        })
        .collect();
    let ids: Vec<i64> = findings.keys().copied().collect();
    let mut stored = owned(warehouse, connection, ISSUES, &["issue_id"], &ids, "true").await?;
    let mut gone: BTreeMap<i64, Value> = BTreeMap::new();
    for row in &mut stored {
        let Some((id, finding)) =
            rows::row_id(row, "issue_id").and_then(|id| Some((id, findings.get(&id)?)))
        else {
            continue;
        };
        let since = row.get("missing_since").filter(|since| !since.is_null());
        let since = since.cloned().unwrap_or_else(|| time::text(at).into());
        match finding.state {
            State::Shown => drop(row.remove("missing_since")),
            State::Missing => drop(row.insert("missing_since".to_string(), since)),
            State::Gone => {
                let reason = finding.reason.clone().map_or(Value::Null, Value::from);
                row.insert("missing_since".to_string(), since.clone());
                row.insert("deleted_at".to_string(), since.clone());
                row.insert("deleted_reason".to_string(), reason);
                gone.insert(id, since);
            }
        }
    }
    // Before the issues: killed in between, the next sweep finds the same and finishes it.
    bury(warehouse, connection, &gone, commit).await?;
    let table = TableName::new("jira", ISSUES);
    let written = warehouse.tables().upsert(&table, stored, commit).await?;
    report.add(written.with_deleted(gone.len() as u64));
    Ok(())
}

/// Marks what belongs to deleted issues as deleted, since the same instant.
async fn bury(
    warehouse: &Warehouse,
    connection: &str,
    gone: &BTreeMap<i64, Value>,
    commit: &Commit,
) -> Result<()> {
    let ids: Vec<i64> = gone.keys().copied().collect();
    for (table, owners) in CHILDREN {
        let alive = "deleted_at is null";
        let mut rows = owned(warehouse, connection, table, owners, &ids, alive).await?;
        for row in &mut rows {
            let mut of_owners = owners
                .iter()
                .filter_map(|owner| gone.get(&rows::row_id(row, owner)?));
            let at = of_owners.next().cloned();
            if let Some(at) = at {
                row.insert("deleted_at".to_string(), at);
            }
        }
        let table = TableName::new("jira", table);
        warehouse.tables().upsert(&table, rows, commit).await?;
    }
    Ok(())
}

/// Brings back what was deleted together with issues that are shown again, and that reading the issue
/// doesn't bring: history entries, worklogs, remote links and lines of sprint reports.
pub(crate) async fn revive(
    warehouse: &Warehouse,
    connection: &str,
    records: &[Received],
    commit: &Commit,
) -> Result<()> {
    let ids: Vec<i64> = records
        .iter()
        .filter_map(|record| record.key.parse().ok())
        .collect();
    let table = TableName::new("jira", ISSUES);
    let Some(filter) = filter::among(connection, &["issue_id"], &ids) else {
        return Ok(());
    };
    let filter = format!("{filter} and deleted_at is not null");
    let columns = ["issue_id", "deleted_at"];
    let buried = warehouse
        .tables()
        .columns(&table, &columns, &filter)
        .await?;
    let buried: HashMap<i64, Value> = buried
        .into_iter()
        .filter_map(|mut row| Some((rows::row_id(&row, "issue_id")?, row.remove("deleted_at")?)))
        .collect();
    let ids: Vec<i64> = buried.keys().copied().collect();
    for table in ["changelog_items", WORKLOGS, REMOTE_LINKS, SPRINT_REPORTS] {
        let dead = "deleted_at is not null";
        let mut rows = owned(warehouse, connection, table, &["issue_id"], &ids, dead).await?;
        rows.retain_mut(|row| {
            let with = rows::row_id(row, "issue_id").and_then(|id| buried.get(&id));
            let together = with.is_some() && row.get("deleted_at") == with;
            row.remove("deleted_at");
            together
        });
        let table = TableName::new("jira", table);
        warehouse.tables().upsert(&table, rows, commit).await?;
    }
    Ok(())
}

/// Rows of a table that belong to some issues.
async fn owned(
    warehouse: &Warehouse,
    connection: &str,
    table: &str,
    owners: &[&str],
    ids: &[i64],
    condition: &str,
) -> Result<Vec<Row>> {
    let Some(filter) = filter::among(connection, owners, ids) else {
        return Ok(Vec::new());
    };
    let filter = format!("{filter} and {condition}");
    let table = TableName::new("jira", table);
    Ok(warehouse.tables().rows(&table, Some(&filter)).await?)
}

/// All stored issues of a connection.
async fn known(warehouse: &Warehouse, connection: &str) -> Result<Stored> {
    let table = TableName::new("jira", ISSUES);
    let filter = filter::of(connection);
    let columns = [
        "issue_id",
        "project_id",
        "project_key",
        "missing_since",
        "deleted_at",
    ];
    let (mut stored, mut places) = (Stored::default(), HashMap::new());
    let take = |rows: Vec<Row>| {
        for row in &rows {
            stored.add(row, &mut places);
        }
    };
    warehouse
        .tables()
        .each(&table, &columns, &filter, take)
        .await?;
    stored.issues.sort_unstable_by_key(|known| known.issue_id);
    Ok(stored)
}

/// The projects that the account sees, and whether each is archived.
async fn projects(warehouse: &Warehouse, connection: &str) -> Result<HashMap<i64, bool>> {
    let table = TableName::new("jira", PROJECTS);
    let filter = filter::live(connection);
    let rows = warehouse.tables().rows(&table, Some(&filter)).await?;
    let projects = rows.iter().filter_map(|row| {
        let is_archived = row.get("is_archived").and_then(Value::as_bool);
        Some((
            rows::row_id(row, "project_id")?,
            is_archived.unwrap_or(false),
        ))
    });
    Ok(projects.collect())
}

/// The projects of which much is missing at once.
fn dropped(stored: &Stored, findings: &[(i64, Absence)]) -> Vec<Dropped> {
    let missing: HashSet<i64> = findings
        .iter()
        .filter(|(_, finding)| finding.state == State::Missing)
        .map(|(id, _)| *id)
        .collect();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for known in stored.live() {
        let (of_project, out_of_sight) = counts.entry(stored.project(known).1).or_default();
        *of_project += 1;
        *out_of_sight += usize::from(missing.contains(&known.issue_id));
    }
    counts.retain(|_, (of_project, out_of_sight)| {
        #[allow(clippy::cast_precision_loss, reason = "counts of issues")]
        let share = *out_of_sight as f64 / (*of_project).max(1) as f64;
        *out_of_sight > UNREMARKABLE && share > ALARMING
    });
    let dropped = counts
        .into_iter()
        .map(|(project, (of_project, out_of_sight))| Dropped {
            project: project.to_string(),
            before: of_project as u64,
            after: (of_project - out_of_sight) as u64,
        });
    dropped.collect()
}

/// A word about a project of which much is missing at once.
pub(crate) fn alarm(dropped: &Dropped) -> Note {
    let Dropped {
        project,
        before,
        after,
    } = dropped;
    Note {
        stream: ISSUES,
        text: format!(
            "{} of {before} issues of project {project} are out of sight; they count as deleted if the next \
             sweep doesn't see them either. If they exist, check what the account may see",
            before - after
        ),
    }
}

/// Whether all issues are to be compared with the site's: once a day, or when it is asked for. A first
/// load has just shown them all.
pub(crate) async fn is_due(warehouse: &Warehouse, connection: &str, asked: bool) -> Result<bool> {
    let swept = mark(warehouse, connection, SWEPT).await?;
    let day = TimeDelta::days(1).num_milliseconds();
    Ok(asked || swept.is_some_and(|swept| Utc::now().timestamp_millis() - swept >= day))
}

/// Notes when the last sweep was, or that the first load stands for it.
pub(crate) async fn note(
    warehouse: &Warehouse,
    connection: &str,
    run_id: &str,
    swept: bool,
) -> Result<()> {
    if !swept && mark(warehouse, connection, SWEPT).await?.is_some() {
        return Ok(());
    }
    let commit = Commit {
        run_id: run_id.to_string(),
        marks: vec![(mark_name(connection, SWEPT), Utc::now().timestamp_millis())],
    };
    let table = TableName::new("jira", ISSUES);
    warehouse
        .tables()
        .upsert(&table, Vec::new(), &commit)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_that_is_missing_at_once_is_told() {
        let (mut stored, mut places) = (Stored::default(), HashMap::new());
        let issues = (0..40).map(|id| (id, "A")).chain([(99, "B")]);
        for (id, project) in issues {
            let row = serde_json::json!({"issue_id": id, "project_id": 1, "project_key": project});
            stored.add(row.as_object().unwrap(), &mut places);
        }
        assert!(stored.is_live(99) && !stored.is_live(98));
        assert_eq!(stored.projects.len(), 2);
        let missing = |count: i64| -> Vec<_> {
            (0..count)
                .map(|id| (id, Absence::of(State::Missing, None)))
                .collect()
        };
        assert!(dropped(&stored, &missing(10)).is_empty());
        let found = dropped(&stored, &missing(11));
        let notes: Vec<Note> = found.iter().map(alarm).collect();
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].text.starts_with("11 of 40 issues of project A"),
            "{}",
            notes[0].text
        );
    }
}
