//! The queue of runs: what is asked for, who works on it, and that each is done once.
//!
//! A job is a run that is asked for. A worker claims it and renews its claim while it works; a claim whose
//! worker has ended, or shows no sign of life, is taken over. Of one pipeline one run works at a time: an
//! index of the database holds to it, whatever the workers do.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::run::{has_ended, this_process};
use super::{MetaDb, to_instant, to_text};
use crate::events::RUN_STARTED;
use crate::{Error, Result};

/// How long a claim lasts that is not renewed: longer than a database may be gone, and clocks of machines differ.
pub const CLAIM_LIFE: TimeDelta = TimeDelta::seconds(90);

/// Columns that a job is read from.
const COLUMNS: &str =
    "run_id, pipeline, trigger, scheduled_for, requested_at, due_at, state, progress, takeovers";

/// A pipeline that some process has read the definition of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PipelineRow {
    /// Its name.
    pub name: String,
    /// Its definition, JSON.
    pub definition: String,
    /// What a person set; `None`: as the definition says.
    pub enabled: Option<bool>,
    /// The ticks up to here are accounted for.
    pub scheduled_until: Option<DateTime<Utc>>,
    /// When the definition was read last.
    pub seen_at: DateTime<Utc>,
}

/// What becomes of a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tick {
    /// It is run, as what: `schedule` or `catch-up`.
    Run(DateTime<Utc>, &'static str),
    /// It is passed over, and why.
    Skip(DateTime<Utc>, String),
}

/// A run that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Job {
    /// The run it is, or will be.
    pub run_id: String,
    /// Its pipeline.
    pub pipeline: String,
    /// What asked for it: `schedule`, `catch-up`, `request` or `command`.
    pub trigger: String,
    /// The tick it is of.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Not before.
    pub due_at: DateTime<Utc>,
    /// `waiting`, `running` or `done`.
    pub state: String,
    /// What its worker does just now.
    pub progress: Option<String>,
    /// How often it was taken over from a worker that had ended.
    pub takeovers: i64,
}

/// A job that this process works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    token: String,
}

/// What a worker learns when it renews its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// Go on.
    Held,
    /// Stop, for this reason.
    Cancelled(String),
    /// Another has it.
    Lost,
}

impl MetaDb {
    /// Writes down the definitions of pipelines, JSON, so that all processes can name them. One that nobody
    /// defines any more stays, with the instant at which it was seen last.
    pub async fn know_pipelines(&self, definitions: &[(String, String)]) -> Result<()> {
        let failed = || Error::meta("writing down the pipelines");
        let mut tx = self.pool.begin().await.map_err(failed())?;
        for (name, definition) in definitions {
            sqlx::query(
                "insert into pipelines (name, definition, seen_at) values ($1, $2, $3)
                 on conflict (name) do update set definition = excluded.definition, seen_at = excluded.seen_at",
            )
            .bind(name)
            .bind(definition)
            .bind(to_text(Utc::now()))
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
        }
        tx.commit().await.map_err(failed())
    }

    /// The pipelines that are known, by name.
    pub async fn pipelines(&self) -> Result<Vec<PipelineRow>> {
        let failed = || Error::meta("reading the pipelines");
        let rows = sqlx::query(
            "select name, definition, enabled, scheduled_until, seen_at from pipelines order by name",
        )
            .fetch_all(&self.pool)
            .await
            .map_err(failed())?;
        let row = |row: &AnyRow| -> Result<PipelineRow, sqlx::Error> {
            Ok(PipelineRow {
                name: row.try_get("name")?,
                definition: row.try_get("definition")?,
                enabled: row.try_get::<Option<i64>, _>("enabled")?.map(|on| on != 0),
                scheduled_until: instant(row, "scheduled_until")?,
                seen_at: instant(row, "seen_at")?.unwrap_or_default(),
            })
        };
        rows.iter()
            .map(row)
            .collect::<Result<_, _>>()
            .map_err(failed())
    }

    /// Switches a pipeline on or off, or back to what its definition says. Switched on again, it starts with
    /// the next tick.
    pub async fn enable_pipeline(&self, name: &str, enabled: Option<bool>) -> Result<()> {
        sqlx::query("update pipelines set enabled = $1, scheduled_until = null where name = $2")
            .bind(enabled.map(i64::from))
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(Error::meta("switching a pipeline"))?;
        Ok(())
    }

    /// Accounts for the ticks of a pipeline between two instants, all or nothing. False when another process
    /// has already done so.
    pub async fn account_ticks(
        &self,
        pipeline: &str,
        from: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
        ticks: &[Tick],
    ) -> Result<bool> {
        let failed = || Error::meta("writing down the ticks of a pipeline");
        let mut tx = self.pool.begin().await.map_err(failed())?;
        // The first statement writes, so that nobody else is in between.
        let moved = sqlx::query(
            "update pipelines set scheduled_until = $1
             where name = $2 and coalesce(scheduled_until, '') = $3",
        )
        .bind(to_text(until))
        .bind(pipeline)
        .bind(from.map(to_text).unwrap_or_default())
        .execute(&mut *tx)
        .await
        .map_err(failed())?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        for tick in ticks {
            match tick {
                Tick::Run(at, trigger) => {
                    insert_job(&mut tx, pipeline, trigger, Some(*at), until).await
                }
                Tick::Skip(at, reason) => {
                    insert_skipped(&mut tx, pipeline, *at, until, reason).await
                }
            }
            .map_err(failed())?;
        }
        tx.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Asks for a run; returns its id.
    pub async fn request_run(&self, pipeline: &str, trigger: &str) -> Result<String> {
        let failed = || Error::meta("asking for a run");
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let run_id = insert_job(&mut tx, pipeline, trigger, None, Utc::now())
            .await
            .map_err(failed())?;
        tx.commit().await.map_err(failed())?;
        Ok(run_id)
    }

    /// Claims a run whose worker has ended.
    pub async fn claim_ended(
        &self,
        pipelines: &[&str],
        now: DateTime<Utc>,
    ) -> Result<Option<Claim>> {
        let failed = || Error::meta("looking for runs whose worker has ended");
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {COLUMNS}, token, process, expires_at from jobs where state = 'running'"
        )))
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        for row in &rows {
            let token: String = row.try_get("token").map_err(failed())?;
            let process: String = row.try_get("process").map_err(failed())?;
            let expires = instant(row, "expires_at").map_err(failed())?;
            let is_gone = expires.is_none_or(|at| at < now) || has_ended(&process);
            let job = job(row).map_err(failed())?;
            if is_gone && pipelines.contains(&job.pipeline.as_str()) {
                tracing::warn!(
                    run_id = job.run_id,
                    process,
                    "a run whose worker has ended goes on"
                );
                if let Some(claim) = self.take(&job, &token, now).await? {
                    return Ok(Some(claim));
                }
            }
        }
        Ok(None)
    }

    /// Claims the job that has been due for longest and whose pipeline is free, or one whose worker has
    /// ended. Only pipelines of these names are looked at.
    pub async fn claim_job(&self, pipelines: &[&str], now: DateTime<Utc>) -> Result<Option<Claim>> {
        let failed = || Error::meta("looking for a run to work on");
        if let Some(claim) = self.claim_ended(pipelines, now).await? {
            return Ok(Some(claim));
        }
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {COLUMNS} from jobs where state = 'waiting' and due_at <= $1 and not exists (
                 select 1 from jobs as other where other.pipeline = jobs.pipeline and other.state = 'running')
             order by due_at, run_id"
        )))
        .bind(to_text(now))
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        for row in &rows {
            let job = job(row).map_err(failed())?;
            if pipelines.contains(&job.pipeline.as_str())
                && let Some(claim) = self.take(&job, "", now).await?
            {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Claims one job; `None` when its pipeline is not free, or the job is no longer to be done.
    pub async fn claim_this(&self, run_id: &str, now: DateTime<Utc>) -> Result<Option<Claim>> {
        match self.job(run_id).await? {
            Some(job) if job.state == "waiting" => self.take(&job, "", now).await,
            _ => Ok(None),
        }
    }

    /// Takes a job from whoever has this token; nobody has the empty one. Its run begins, or goes on.
    async fn take(&self, job: &Job, from: &str, now: DateTime<Utc>) -> Result<Option<Claim>> {
        let failed = || Error::meta("claiming a run");
        let token = uuid::Uuid::now_v7().to_string();
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let taken = sqlx::query(
            "update jobs set state = 'running', token = $1, process = $2, expires_at = $3,
                 takeovers = takeovers + $4
             where run_id = $5 and coalesce(token, '') = $6 and state <> 'done'",
        )
        .bind(&token)
        .bind(this_process())
        .bind(to_text(now + CLAIM_LIFE))
        .bind(i64::from(!from.is_empty()))
        .bind(&job.run_id)
        .bind(from)
        .execute(&mut *tx)
        .await;
        let taken = match taken {
            Ok(taken) => taken,
            // Another run of the pipeline was begun in between.
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(None),
            Err(error) => return Err(failed()(error)),
        };
        if taken.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query(
            "insert into runs (run_id, pipeline, trigger, status, process, scheduled_for, started_at)
             values ($1, $2, $3, 'running', $4, $5, $6)
             on conflict (run_id) do update set process = excluded.process",
        )
        .bind(&job.run_id)
        .bind(&job.pipeline)
        .bind(&job.trigger)
        .bind(this_process())
        .bind(job.scheduled_for.map(to_text))
        .bind(to_text(now))
        .execute(&mut *tx)
        .await
        .map_err(failed())?;
        tx.commit().await.map_err(failed())?;
        let mut job = job.clone();
        job.state = "running".to_string();
        job.takeovers += i64::from(!from.is_empty());
        tracing::info!(run_id = job.run_id, pipeline = job.pipeline, "run claimed");
        let run = json!({"run_id": job.run_id, "pipeline": job.pipeline, "trigger": job.trigger});
        self.tell(RUN_STARTED, run);
        Ok(Some(Claim { job, token }))
    }

    /// Renews a claim and says what is done just now.
    pub async fn beat(
        &self,
        claim: &Claim,
        progress: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Beat> {
        let failed = || Error::meta("renewing the claim of a run");
        let held = sqlx::query(
            "update jobs set expires_at = $1, progress = $2 where run_id = $3 and token = $4",
        )
        .bind(to_text(now + CLAIM_LIFE))
        .bind(progress)
        .bind(&claim.job.run_id)
        .bind(&claim.token)
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        if held.rows_affected() == 0 {
            return Ok(Beat::Lost);
        }
        let row = sqlx::query("select cancelled, reason from jobs where run_id = $1")
            .bind(&claim.job.run_id)
            .fetch_one(&self.pool)
            .await
            .map_err(failed())?;
        let cancelled: i64 = row.try_get("cancelled").map_err(failed())?;
        let reason: Option<String> = row.try_get("reason").map_err(failed())?;
        Ok(match cancelled {
            0 => Beat::Held,
            _ => Beat::Cancelled(reason.unwrap_or_else(|| "it was cancelled".to_string())),
        })
    }

    /// Ends a claimed run. False when another has it by now; nothing is written then.
    pub async fn finish_job(
        &self,
        claim: &Claim,
        status: &str,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let failed = || Error::meta("recording the end of a run");
        let run_id = &claim.job.run_id;
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let done = sqlx::query(
            "update jobs set state = 'done', token = null, expires_at = null, progress = null
             where run_id = $1 and token = $2",
        )
        .bind(run_id)
        .bind(&claim.token)
        .execute(&mut *tx)
        .await
        .map_err(failed())?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("update runs set status = $1, reason = $2, finished_at = $3 where run_id = $4")
            .bind(status)
            .bind(reason)
            .bind(to_text(now))
            .bind(run_id)
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
        tx.commit().await.map_err(failed())?;
        tracing::info!(run_id, status, reason, "run finished");
        self.tell_end(run_id, Some(&claim.job.pipeline), status, reason);
        Ok(true)
    }

    /// Gives a claimed run back: another worker goes on with it at once, where its steps ended.
    pub async fn hand_back(&self, claim: &Claim) -> Result<()> {
        sqlx::query(
            "update jobs set state = 'waiting', token = null, process = null, expires_at = null
             where run_id = $1 and token = $2",
        )
        .bind(&claim.job.run_id)
        .bind(&claim.token)
        .execute(&self.pool)
        .await
        .map_err(Error::meta("giving a run back"))?;
        Ok(())
    }

    /// Cancels a run: one that waits ends here, one that works is told at its next sign of life. False when
    /// there is nothing to cancel.
    pub async fn cancel_run(&self, run_id: &str, reason: &str) -> Result<bool> {
        let failed = || Error::meta("cancelling a run");
        let now = to_text(Utc::now());
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let ended = sqlx::query(
            "update jobs set state = 'done', cancelled = 1, reason = $1 where run_id = $2 and state = 'waiting'",
        )
        .bind(reason)
        .bind(run_id)
        .execute(&mut *tx)
        .await
        .map_err(failed())?;
        let told = sqlx::query(
            "update jobs set cancelled = 1, reason = $1 where run_id = $2 and state = 'running'",
        )
        .bind(reason)
        .bind(run_id)
        .execute(&mut *tx)
        .await
        .map_err(failed())?;
        if ended.rows_affected() == 1 {
            // One that was given back has begun already.
            sqlx::query(
                "insert into runs (run_id, pipeline, trigger, status, reason, process, scheduled_for, started_at, finished_at)
                 select run_id, pipeline, trigger, 'cancelled', $1, '', scheduled_for, $2, $2 from jobs where run_id = $3
                 on conflict (run_id) do update set status = 'cancelled', reason = excluded.reason, finished_at = excluded.finished_at",
            )
            .bind(reason)
            .bind(&now)
            .bind(run_id)
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
        }
        tx.commit().await.map_err(failed())?;
        Ok(ended.rows_affected() + told.rows_affected() > 0)
    }

    /// A job by the run it is.
    pub async fn job(&self, run_id: &str) -> Result<Option<Job>> {
        let failed = || Error::meta("reading a run");
        let row = sqlx::query(AssertSqlSafe(format!(
            "select {COLUMNS} from jobs where run_id = $1"
        )))
        .bind(run_id)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed())?;
        row.as_ref().map(job).transpose().map_err(failed())
    }

    /// The runs of a pipeline that wait or work, oldest first; of all pipelines without a name.
    pub async fn open_jobs(&self, pipeline: Option<&str>) -> Result<Vec<Job>> {
        let failed = || Error::meta("reading the runs that are under way");
        let rows = sqlx::query(AssertSqlSafe(format!(
            "select {COLUMNS} from jobs where state <> 'done' and pipeline = coalesce($1, pipeline)
             order by requested_at, run_id"
        )))
        .bind(pipeline)
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        rows.iter()
            .map(job)
            .collect::<Result<_, _>>()
            .map_err(failed())
    }
}

async fn insert_job(
    tx: &mut Transaction<'_, Any>,
    pipeline: &str,
    trigger: &str,
    scheduled_for: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<String, sqlx::Error> {
    let run_id = uuid::Uuid::now_v7().to_string();
    sqlx::query(
        "insert into jobs (run_id, pipeline, trigger, scheduled_for, requested_at, due_at, state)
         values ($1, $2, $3, $4, $5, $5, 'waiting') on conflict (pipeline, scheduled_for) do nothing",
    )
    .bind(&run_id)
    .bind(pipeline)
    .bind(trigger)
    .bind(scheduled_for.map(to_text))
    .bind(to_text(now))
    .execute(&mut **tx)
    .await?;
    Ok(run_id)
}

async fn insert_skipped(
    tx: &mut Transaction<'_, Any>,
    pipeline: &str,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
    reason: &str,
) -> Result<String, sqlx::Error> {
    let run_id = uuid::Uuid::now_v7().to_string();
    sqlx::query(
        "insert into runs (run_id, pipeline, trigger, status, reason, process, scheduled_for, started_at, finished_at)
         values ($1, $2, 'schedule', 'skipped', $3, $4, $5, $6, $6)",
    )
    .bind(&run_id)
    .bind(pipeline)
    .bind(reason)
    .bind(this_process())
    .bind(to_text(at))
    .bind(to_text(now))
    .execute(&mut **tx)
    .await?;
    Ok(run_id)
}

fn instant(row: &AnyRow, name: &str) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let text = row.try_get::<Option<String>, _>(name)?;
    Ok(text.map(|text| to_instant(&text)))
}

fn job(row: &AnyRow) -> Result<Job, sqlx::Error> {
    Ok(Job {
        run_id: row.try_get("run_id")?,
        pipeline: row.try_get("pipeline")?,
        trigger: row.try_get("trigger")?,
        scheduled_for: instant(row, "scheduled_for")?,
        requested_at: instant(row, "requested_at")?.unwrap_or_default(),
        due_at: instant(row, "due_at")?.unwrap_or_default(),
        state: row.try_get("state")?,
        progress: row.try_get("progress")?,
        takeovers: row.try_get("takeovers")?,
    })
}
