//! Runs and their steps.

use std::path::Path;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::db::Kind;
use super::{MetaDb, clean, to_instant, to_text};
use crate::events::{RUN_FAILED, RUN_FINISHED, RUN_STARTED};

use crate::{Error, Result};

/// Columns of a run, and of a step. By name: with a star, a statement that is prepared already fails once
/// another version has added one.
const RUN: &str =
    "run_id, pipeline, trigger, status, reason, scheduled_for, started_at, finished_at";
const STEP: &str = "run_id, step, status, attempts, rows_in, rows_out, bytes, requests, retries, \
                    started_at, finished_at, error, details";

/// A run, as `system.runs` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RunRow {
    /// Identity; sorts by start.
    pub run_id: String,
    /// Pipeline or command.
    pub pipeline: String,
    /// What started it: `command`, `schedule` or `event`.
    pub trigger: String,
    /// `running`, `succeeded`, `failed`, `skipped` or `cancelled`.
    pub status: String,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
    /// Instant it was due, for scheduled runs.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End; null while running.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A finished step of a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Name of the step within its run.
    pub step: String,
    /// `succeeded`, `failed` or `skipped`.
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Records read.
    pub rows_in: u64,
    /// Rows changed.
    pub rows_out: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Requests made.
    pub requests: u64,
    /// Requests repeated.
    pub retries: u64,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A step with its run, as `system.steps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StepRow {
    /// Run the step belongs to.
    pub run_id: String,
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// What it says beside its numbers, JSON text.
    pub details: Option<String>,
}

impl MetaDb {
    /// Records the start of a run and returns its id. Runs of the same pipeline whose process has
    /// ended without saying so are closed as failed.
    pub async fn start_run(&self, pipeline: &str, trigger: &str) -> Result<String> {
        self.close_ended_runs(pipeline).await?;
        let run_id = uuid::Uuid::now_v7().to_string();
        sqlx::query(
            "insert into runs (run_id, pipeline, trigger, status, process, started_at)
             values ($1, $2, $3, 'running', $4, $5)",
        )
        .bind(&run_id)
        .bind(pipeline)
        .bind(trigger)
        .bind(this_process())
        .bind(to_text(Utc::now()))
        .execute(&self.pool)
        .await
        .map_err(Error::meta("recording the start of a run"))?;
        tracing::info!(run_id, pipeline, trigger, "run started");
        self.tell(
            RUN_STARTED,
            json!({"run_id": run_id, "pipeline": pipeline, "trigger": trigger}),
        );
        Ok(run_id)
    }

    /// Records the end of a run.
    pub async fn finish_run(&self, run_id: &str, status: &str, reason: Option<&str>) -> Result<()> {
        tracing::info!(run_id, status, reason, "run finished");
        sqlx::query("update runs set status = $1, reason = $2, finished_at = $3 where run_id = $4")
            .bind(status)
            .bind(reason.map(clean))
            .bind(to_text(Utc::now()))
            .bind(run_id)
            .execute(&self.pool)
            .await
            .map_err(Error::meta("recording the end of a run"))?;
        self.tell_end(run_id, None, status, reason);
        Ok(())
    }

    /// Tells how a run ended.
    pub(super) fn tell_end(
        &self,
        run_id: &str,
        pipeline: Option<&str>,
        status: &str,
        reason: Option<&str>,
    ) {
        let kind = match status {
            "failed" => RUN_FAILED,
            _ => RUN_FINISHED,
        };
        let run =
            json!({"run_id": run_id, "pipeline": pipeline, "status": status, "reason": reason});
        self.tell(kind, run);
    }

    /// Records a finished step; a step of the same name is replaced.
    pub async fn record_step(&self, run_id: &str, step: &Step) -> Result<()> {
        tracing::info!(
            run_id,
            step = step.step,
            status = step.status,
            rows_in = step.rows_in,
            rows_out = step.rows_out,
            error = step.error,
            "step"
        );
        sqlx::query(
            "insert into steps (run_id, step, status, attempts, rows_in, rows_out, bytes, requests, retries,
             started_at, finished_at, error) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             on conflict (run_id, step) do update set status = excluded.status,
             attempts = excluded.attempts, rows_in = excluded.rows_in, rows_out = excluded.rows_out,
             bytes = excluded.bytes, requests = excluded.requests, retries = excluded.retries,
             started_at = excluded.started_at, finished_at = excluded.finished_at,
             error = excluded.error, details = null",
        )
        .bind(run_id)
        .bind(&step.step)
        .bind(&step.status)
        .bind(i64::from(step.attempts))
        .bind(signed(step.rows_in))
        .bind(signed(step.rows_out))
        .bind(signed(step.bytes))
        .bind(signed(step.requests))
        .bind(signed(step.retries))
        .bind(to_text(step.started_at))
        .bind(to_text(step.finished_at))
        .bind(step.error.as_deref().map(clean))
        .execute(&self.pool)
        .await
        .map_err(Error::meta("recording a step"))?;
        Ok(())
    }

    /// Adds to a recorded step what it says beside its numbers.
    pub async fn detail_step(
        &self,
        run_id: &str,
        step: &str,
        details: &serde_json::Value,
    ) -> Result<()> {
        sqlx::query("update steps set details = $1 where run_id = $2 and step = $3")
            .bind(details.to_string())
            .bind(run_id)
            .bind(step)
            .execute(&self.pool)
            .await
            .map_err(Error::meta("recording the details of a step"))?;
        Ok(())
    }

    /// The newest runs, newest first.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunRow>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {RUN} from runs order by started_at desc limit $1"
        )))
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await;
        run_rows(rows)
    }

    /// Runs of a pipeline and a status, where they are named, by their ids: the newest first, those before an
    /// id.
    pub async fn runs_page(
        &self,
        pipeline: Option<&str>,
        status: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RunRow>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {RUN} from runs
             where pipeline = coalesce($1, pipeline) and status = coalesce($2, status)
                 and ($3 is null or run_id < $3)
             order by run_id desc limit $4"
        )))
        .bind(pipeline)
        .bind(status)
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await;
        run_rows(rows)
    }

    /// The newest runs of a pipeline, newest first.
    pub async fn runs_of(&self, pipeline: &str, limit: u32) -> Result<Vec<RunRow>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {RUN} from runs where pipeline = $1 order by started_at desc, run_id desc limit $2"
        )))
        .bind(pipeline)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await;
        run_rows(rows)
    }

    /// Steps of the newest runs, newest first.
    pub async fn steps(&self, limit: u32) -> Result<Vec<StepRow>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {STEP} from steps order by started_at desc limit $1"
        )))
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await;
        step_rows(rows)
    }

    /// Steps of one run, in the order they ended.
    pub async fn steps_of_run(&self, run_id: &str) -> Result<Vec<StepRow>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {STEP} from steps where run_id = $1 order by finished_at, step"
        )))
        .bind(run_id)
        .fetch_all(&self.pool)
        .await;
        step_rows(rows)
    }

    /// One run.
    pub async fn run(&self, run_id: &str) -> Result<Option<RunRow>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {RUN} from runs where run_id = $1"
        )))
        .bind(run_id)
        .fetch_all(&self.pool)
        .await;
        Ok(run_rows(rows)?.into_iter().next())
    }

    /// Closes runs of a pipeline as failed whose process has ended without saying so.
    pub async fn close_ended_runs(&self, pipeline: &str) -> Result<()> {
        let failed = || Error::meta("closing ended runs");
        let rows = sqlx::query(
            "select run_id, process from runs where status = 'running' and pipeline = $1",
        )
        .bind(pipeline)
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        for row in rows {
            let run_id: String = row.try_get("run_id").map_err(failed())?;
            let process: String = row.try_get("process").map_err(failed())?;
            if self.is_over(&process) {
                let reason = "the process ended before the run did";
                let closed = sqlx::query(
                    "update runs set status = 'failed', reason = $1, finished_at = $2
                     where run_id = $3 and status = 'running'",
                )
                .bind(reason)
                .bind(to_text(Utc::now()))
                .bind(&run_id)
                .execute(&self.pool)
                .await
                .map_err(failed())?;
                if closed.rows_affected() == 1 {
                    tracing::info!(run_id, status = "failed", reason, "run finished");
                    self.tell_end(&run_id, Some(pipeline), "failed", Some(reason));
                }
            }
        }
        Ok(())
    }

    /// Whether a process is known to have ended.
    pub(super) fn is_over(&self, process: &str) -> bool {
        // A file is one machine's: who had its name is who is there now.
        has_ended(process) || self.pool.kind() == Kind::Sqlite && is_of_earlier_life(process)
    }
}

fn run_rows(rows: Result<Vec<AnyRow>, sqlx::Error>) -> Result<Vec<RunRow>> {
    let read = rows.and_then(|rows| rows.iter().map(run_row).collect());
    read.map_err(Error::meta("reading runs"))
}

fn step_rows(rows: Result<Vec<AnyRow>, sqlx::Error>) -> Result<Vec<StepRow>> {
    let read = rows.and_then(|rows| rows.iter().map(step_row).collect());
    read.map_err(Error::meta("reading steps"))
}

fn run_row(row: &AnyRow) -> Result<RunRow, sqlx::Error> {
    let instant = |name: &str| -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        Ok(row
            .try_get::<Option<String>, _>(name)?
            .map(|text| to_instant(&text)))
    };
    Ok(RunRow {
        run_id: row.try_get("run_id")?,
        pipeline: row.try_get("pipeline")?,
        trigger: row.try_get("trigger")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        scheduled_for: instant("scheduled_for")?,
        started_at: instant("started_at")?.unwrap_or_default(),
        finished_at: instant("finished_at")?,
    })
}

fn step_row(row: &AnyRow) -> Result<StepRow, sqlx::Error> {
    let count = |name: &str| -> Result<u64, sqlx::Error> {
        Ok(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or_default())
    };
    let started: String = row.try_get("started_at")?;
    let finished: String = row.try_get("finished_at")?;
    let step = Step {
        step: row.try_get("step")?,
        status: row.try_get("status")?,
        attempts: u32::try_from(count("attempts")?).unwrap_or(u32::MAX),
        rows_in: count("rows_in")?,
        rows_out: count("rows_out")?,
        bytes: count("bytes")?,
        requests: count("requests")?,
        retries: count("retries")?,
        started_at: to_instant(&started),
        finished_at: to_instant(&finished),
        error: row.try_get("error")?,
    };
    Ok(StepRow {
        run_id: row.try_get("run_id")?,
        step,
        details: row.try_get("details")?,
    })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Host and process id of this process.
pub(super) fn this_process() -> String {
    format!("{}:{}", host(), std::process::id())
}

/// Name of this host, and which life of it this is: process ids of another start of the machine or of
/// the container, or of another machine with the same name, say nothing here.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = std::fs::read_to_string("/etc/hostname")
            .map_or_else(|_| "local".into(), |name| name.trim().to_string());
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let Ok(boot) = boot else { return name };
        let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(boot.trim())
            .chain_update(space.as_os_str().as_encoded_bytes())
            .finalize();
        let life: String = digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{name}/{life}")
    })
}

/// Whether a process of this host is known to have ended. Elsewhere one can't know.
pub(super) fn has_ended(process: &str) -> bool {
    let Some((on, pid)) = process.rsplit_once(':') else {
        return false;
    };
    on == host() && Path::new("/proc").exists() && !Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether a process is of a host with this one's name, but not of its present life.
fn is_of_earlier_life(process: &str) -> bool {
    let name = |host: &str| {
        host.rsplit_once('/')
            .map_or(host, |(name, _)| name)
            .to_string()
    };
    let on = process.rsplit_once(':').map_or(process, |(on, _)| on);
    on != host() && name(on) == name(host())
}
