//! Jira's own reports of closed sprints, for comparing them with ours.
//!
//! A report costs a request. It is asked for once, when a sprint has been completed; what the site
//! answered is kept with the completion that it is about, so that a run without newly completed
//! sprints asks nothing. The resource is not documented: a site that doesn't offer it, or fails at it,
//! fails no run.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use schemas::{Row, TableName};
use serde_json::Value;
use serde_json::value::RawValue;
use warehouse::{Commit, Warehouse, fault};

use super::super::api::{Api, Offered};
use super::super::replay::received as of_raw;
use super::super::{filter, rows, time};
use super::{SPRINT_REPORTS, SPRINTS};
use crate::land::{self, Landing, Received};
use crate::{Error, Note, Result, StreamReport};

/// Table of what a site answered.
const ANSWERS: &str = "sprint_report_answers";

/// Suffix of the key under which a refusal is landed, with its reason.
const REFUSED: &str = "/refused";

/// Suffix of the key under which is landed that a sprint is closed no more, or gone.
const GONE: &str = "/gone";

/// Sprints that are asked for before it is believed that a site has no reports.
const PROBE: usize = 3;

/// Sprints that are asked for between two commits.
const PART: usize = 50;

/// Mark of when a site was last found to have no reports, in milliseconds of this machine's clock.
const WITHOUT: &str = "without_ms";

/// Which reports are asked for besides those that were never asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    /// Those that the site refused.
    Refused,
    All,
}

/// A closed sprint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sprint {
    board_id: i64,
    sprint_id: i64,
    /// As the table holds it.
    completed_at: Option<String>,
}

impl Sprint {
    fn key(&self) -> String {
        format!("{}/{}", self.board_id, self.sprint_id)
    }

    fn completion(&self) -> Option<DateTime<Utc>> {
        let text = Value::from(self.completed_at.clone()?);
        time::instant(&text).ok().flatten()
    }

    fn of(row: &Row) -> Option<Self> {
        Some(Self {
            board_id: rows::row_id(row, "board_id")?,
            sprint_id: rows::row_id(row, "sprint_id")?,
            completed_at: row
                .get("completed_at")
                .and_then(Value::as_str)
                .map(str::to_string),
        })
    }
}

/// What the site said about some sprints.
#[derive(Debug, Default)]
struct Asked {
    records: Vec<Received>,
    offered: usize,
    /// Why a sprint has no report, once.
    refused: Option<String>,
    /// How the site failed at it, once.
    failed: Option<String>,
}

/// Reads the reports of a connection.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) warehouse: &'a Warehouse,
    pub(crate) api: &'r Api<'a>,
    pub(crate) connection: &'a str,
    pub(crate) landing: &'r mut Landing<'a>,
    pub(crate) run_id: &'r str,
    pub(crate) report: StreamReport,
    pub(crate) notes: Vec<Note>,
}

impl Reader<'_, '_> {
    /// Asks for the reports of sprints that were completed since they were asked for last.
    pub(crate) async fn read(&mut self, again: Again) -> Result<()> {
        // Models read them, also where no sprint was ever closed.
        for table in [SPRINT_REPORTS, ANSWERS] {
            let table = TableName::new("jira", table);
            let tables = self.warehouse.tables();
            let commit = self.commit(Vec::new());
            tables.upsert(&table, Vec::new(), &commit).await?;
        }
        let closed = self.closed().await?;
        let answers = self.answers().await?;
        let known: HashSet<(i64, i64)> = closed
            .iter()
            .map(|one| (one.board_id, one.sprint_id))
            .collect();
        let gone: Vec<Received> = answers
            .keys()
            .filter(|key| !known.contains(key))
            .map(|(board, sprint)| Received::new(format!("{board}/{sprint}{GONE}"), "null"))
            .collect();
        self.keep(&gone).await?;
        let mut due: Vec<Sprint> = closed
            .into_iter()
            .filter(
                |sprint| match answers.get(&(sprint.board_id, sprint.sprint_id)) {
                    None => true,
                    Some((completed_at, is_offered)) => {
                        again == Again::All
                            || (again == Again::Refused && !is_offered)
                            || *completed_at != sprint.completed_at
                    }
                },
            )
            .collect();
        if due.is_empty() || (again == Again::No && self.is_without().await?) {
            return Ok(());
        }
        // The newest first: whoever has to wait for the rest sees them at once.
        due.sort_by_key(|sprint| std::cmp::Reverse((sprint.completion(), sprint.sprint_id)));
        let mut any = answers.values().any(|(_, is_offered)| *is_offered);
        let (probe, rest) = due.split_at(due.len().min(PROBE));
        let parts = std::iter::once(probe).chain(rest.chunks(PART));
        for part in parts {
            let asked = self.ask(part).await?;
            any |= asked.offered > 0;
            self.keep(&asked.records).await?;
            let stop = match (asked.failed, asked.refused) {
                (Some(reason), _) => Some(format!("the site fails at sprint reports: {reason}")),
                (None, Some(reason)) if !any => {
                    self.report.offered = false;
                    Some(format!("the site offers no sprint reports: {reason}"))
                }
                _ => None,
            };
            if let Some(text) = stop {
                let text = format!("{text}; they are asked for again tomorrow");
                self.notes.push(Note {
                    stream: SPRINT_REPORTS,
                    text,
                });
                return self.note_without().await;
            }
        }
        Ok(())
    }

    /// The closed sprints that live, with their origin boards.
    async fn closed(&self) -> Result<Vec<Sprint>> {
        let filter = format!("{} and state = 'closed'", filter::live(self.connection));
        let table = TableName::new("jira", SPRINTS);
        let columns = ["board_id", "sprint_id", "completed_at"];
        let rows = self.warehouse.tables().columns(&table, &columns, &filter);
        Ok(rows.await?.iter().filter_map(Sprint::of).collect())
    }

    /// What the site answered before: the completion it was about, and whether there was a report.
    async fn answers(&self) -> Result<BTreeMap<(i64, i64), (Option<String>, bool)>> {
        let filter = filter::live(self.connection);
        let table = TableName::new("jira", ANSWERS);
        let columns = ["board_id", "sprint_id", "completed_at", "is_offered"];
        let rows = self.warehouse.tables().columns(&table, &columns, &filter);
        let answers = rows.await?.into_iter().filter_map(|row| {
            let is_offered = row.get("is_offered").and_then(Value::as_bool);
            let sprint = Sprint::of(&row)?;
            let answer = (sprint.completed_at, is_offered.unwrap_or(false));
            Some(((sprint.board_id, sprint.sprint_id), answer))
        });
        Ok(answers.collect())
    }

    async fn ask(&self, sprints: &[Sprint]) -> Result<Asked> {
        type Answer<'s> = BoxFuture<'s, Result<(&'s Sprint, Result<Offered<Box<RawValue>>>)>>;
        let in_flight = self.api.client().limits().in_flight.max(1);
        let asks: Vec<Answer<'_>> = sprints
            .iter()
            .map(|sprint| {
                let api = self.api;
                Box::pin(async move {
                    let answer = api.sprint_report(sprint.board_id, sprint.sprint_id).await;
                    match answer {
                        Err(error) if !is_its_own(&error) => Err(error),
                        answer => Ok((sprint, answer)),
                    }
                }) as Answer<'_>
            })
            .collect();
        let answers: Vec<_> = futures::stream::iter(asks)
            .buffered(in_flight)
            .try_collect()
            .await?;
        let mut asked = Asked::default();
        for (sprint, answer) in answers {
            let (key, payload) = match answer {
                Ok(Offered::Yes(report)) => {
                    asked.offered += 1;
                    (sprint.key(), report.get().to_string())
                }
                Ok(Offered::No(reason)) => {
                    let payload = Value::from(reason.clone()).to_string();
                    asked.refused = asked.refused.or(Some(reason));
                    (format!("{}{REFUSED}", sprint.key()), payload)
                }
                Err(error) => {
                    asked.failed = asked.failed.or(Some(error.to_string()));
                    continue;
                }
            };
            asked.records.push(Received {
                key,
                source_updated: sprint.completion(),
                payload,
            });
        }
        Ok(asked)
    }

    async fn keep(&mut self, records: &[Received]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let at = self.landing.land(SPRINT_REPORTS, records).await?;
        fault::point("ingest.sprint_reports.landed")?;
        let commit = self.commit(Vec::new());
        let (warehouse, connection) = (self.warehouse, self.connection);
        merge(
            warehouse,
            connection,
            self.landing,
            records,
            at,
            &commit,
            &mut self.report,
        )
        .await
    }

    /// Whether the site was found to have no reports within a day.
    async fn is_without(&self) -> Result<bool> {
        let table = TableName::new("jira", ANSWERS);
        let name = mark_name(self.connection);
        let mark = self.warehouse.tables().mark(&table, &name).await?;
        let day = TimeDelta::days(1).num_milliseconds();
        Ok(mark.is_some_and(|mark| Utc::now().timestamp_millis() - mark < day))
    }

    async fn note_without(&self) -> Result<()> {
        let mark = (mark_name(self.connection), Utc::now().timestamp_millis());
        let table = TableName::new("jira", ANSWERS);
        let commit = self.commit(vec![mark]);
        let tables = self.warehouse.tables();
        tables.upsert(&table, Vec::new(), &commit).await?;
        Ok(())
    }

    fn commit(&self, marks: Vec<(String, i64)>) -> Commit {
        Commit {
            run_id: self.run_id.to_string(),
            marks,
        }
    }
}

fn mark_name(connection: &str) -> String {
    format!("{connection}/{SPRINT_REPORTS}/{WITHOUT}")
}

/// Whether an error says only that this resource does not work.
fn is_its_own(error: &Error) -> bool {
    matches!(
        error,
        Error::Failing { .. }
            | Error::BadPage { .. }
            | Error::TimedOut { .. }
            | Error::TooLarge { .. }
            | Error::Redirected { .. }
            | Error::Refused { .. }
    )
}

/// Makes the reports of sprints equal to what the site answered, `seen_at` when it did.
pub(crate) async fn merge(
    warehouse: &Warehouse,
    connection: &str,
    landing: &mut Landing<'_>,
    records: &[Received],
    seen_at: DateTime<Utc>,
    commit: &Commit,
    report: &mut StreamReport,
) -> Result<()> {
    let (mut lines, mut answers, mut sprints) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        let (key, is_refused, is_gone) = match record.key.strip_suffix(REFUSED) {
            Some(key) => (key, true, false),
            None => match record.key.strip_suffix(GONE) {
                Some(key) => (key, false, true),
                None => (record.key.as_str(), false, false),
            },
        };
        let (board_id, sprint_id) = land::split_key(SPRINT_REPORTS, key)?;
        sprints.push(sprint_id);
        let mut answer = Row::new();
        answer.insert("connection".into(), connection.into());
        answer.insert("sprint_id".into(), sprint_id.into());
        answer.insert("board_id".into(), board_id.into());
        if let Some(at) = record.source_updated {
            answer.insert("completed_at".into(), time::text(at).into());
        }
        if is_gone {
            answer.insert("deleted_at".into(), time::text(seen_at).into());
            answers.push(answer);
            continue;
        }
        report.read += 1;
        let reason = match is_refused {
            true => serde_json::from_str(&record.payload).ok(),
            false => {
                let read =
                    rows::sprint_report_rows(connection, board_id, sprint_id, &record.payload);
                match read {
                    Ok((found, remarks)) => {
                        lines.extend(found);
                        match remarks.is_empty() {
                            true => landing.release(SPRINT_REPORTS, &record.key).await?,
                            false => {
                                let remarks = remarks.join("; ");
                                landing.quarantine(SPRINT_REPORTS, record, &remarks).await?;
                            }
                        }
                        None
                    }
                    Err(refusal) => {
                        report.quarantined += 1;
                        landing.quarantine(SPRINT_REPORTS, record, &refusal).await?;
                        Some(refusal)
                    }
                }
            }
        };
        answer.insert("is_offered".into(), reason.is_none().into());
        if let Some(reason) = reason {
            answer.insert("reason".into(), reason.into());
        }
        answers.push(answer);
    }
    let table = TableName::new("jira", SPRINT_REPORTS);
    let gone = vanished(warehouse, &table, connection, &sprints, &lines, seen_at).await?;
    let deleted = gone.len() as u64;
    lines.extend(gone);
    let written = warehouse.tables().upsert(&table, lines, commit).await?;
    report.add(written.with_deleted(deleted));
    fault::point("ingest.sprint_reports.merged")?;
    // Last: a run that is killed before asks again.
    let table = TableName::new("jira", ANSWERS);
    warehouse.tables().upsert(&table, answers, commit).await?;
    Ok(())
}

/// Stored lines of some sprints that a newer report of theirs lacks, marked as deleted.
async fn vanished(
    warehouse: &Warehouse,
    table: &TableName,
    connection: &str,
    sprints: &[i64],
    lines: &[Row],
    seen_at: DateTime<Utc>,
) -> Result<Vec<Row>> {
    let Some(filter) = filter::among(connection, &["sprint_id"], sprints) else {
        return Ok(Vec::new());
    };
    let filter = format!("{filter} and deleted_at is null");
    let line = |row: &Row| {
        Some((
            rows::row_id(row, "sprint_id")?,
            rows::row_id(row, "board_id")?,
            rows::row_id(row, "issue_id")?,
        ))
    };
    let present: HashSet<_> = lines.iter().filter_map(line).collect();
    let mut stored = warehouse.tables().rows(table, Some(&filter)).await?;
    stored.retain(|row| line(row).is_some_and(|line| !present.contains(&line)));
    for row in &mut stored {
        row.insert("deleted_at".to_string(), time::text(seen_at).into());
    }
    Ok(stored)
}

/// Rebuilds the tables from the raw zone, in the order of landing.
pub(crate) async fn replay(
    warehouse: &Warehouse,
    connection: &str,
    landing: &mut Landing<'_>,
    commit: &Commit,
) -> Result<StreamReport> {
    let mut report = StreamReport::of(SPRINT_REPORTS);
    for file in warehouse.raw().files(connection, SPRINT_REPORTS).await? {
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
