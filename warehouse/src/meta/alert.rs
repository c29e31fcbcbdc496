//! Alerts that wait to be told, and what became of them.
//!
//! Raising writes a row for each channel; telling is somebody else's work. A condition has one open row
//! in a channel, which an index holds to, so it is told once until it is closed. Who tells a row claims it
//! for a while; when that ends without a word, another does.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{MetaDb, to_instant, to_text};
use crate::{Error, Result};

/// What is known of an alert, whoever is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// What happened, as a word.
    pub kind: String,
    /// How bad it is, as a word.
    pub severity: String,
    /// What makes two alerts the same condition.
    pub dedupe_key: String,
    /// One line.
    pub subject: String,
    /// More lines.
    pub lines: Vec<String>,
    /// Pipeline that it is about.
    pub pipeline: Option<String>,
    /// Run that it is about.
    pub run_id: Option<String>,
    /// Connection that it is about.
    pub connection: Option<String>,
    /// Where to read more.
    pub link: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

/// An alert that this process is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedAlert {
    /// Identity; the same at every attempt.
    pub alert_id: String,
    /// Who is told.
    pub channel: String,
    /// How often it was tried, this attempt included.
    pub attempts: u32,
    /// When it was raised.
    pub raised_at: DateTime<Utc>,
    /// The alert that this one tells the end of.
    pub resolves: Option<String>,
    /// What is told.
    pub alert: NewAlert,
    claim: String,
}

/// An alert, as `system.alerts` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AlertRow {
    /// Identity; sorts by when it was raised.
    pub alert_id: String,
    /// Who is told.
    pub channel: String,
    /// What happened.
    pub kind: String,
    /// How bad it is.
    pub severity: String,
    /// One line.
    pub subject: String,
    /// Pipeline that it is about.
    pub pipeline: Option<String>,
    /// Run that it is about.
    pub run_id: Option<String>,
    /// Connection that it is about.
    pub connection: Option<String>,
    /// What makes two alerts the same condition.
    pub dedupe_key: String,
    /// The alert that this one tells the end of.
    pub resolves: Option<String>,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// Why it was given up or is late.
    pub reason: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was raised.
    pub raised_at: DateTime<Utc>,
    /// When it is tried next.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was told or given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// When the condition was over.
    pub closed_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "alert_id, channel, kind, severity, dedupe_key, resolves, subject, lines, pipeline, \
     run_id, connection, link, occurred_at, raised_at, state, attempts, due_at, claim, finished_at, reason, \
     closed_at";

impl MetaDb {
    /// Keeps an alert for each of the channels, except where the same condition is open already. Says how
    /// many are new.
    pub async fn raise_alert(&self, alert: &NewAlert, channels: &[&str]) -> Result<u64> {
        let failed = || Error::meta("raising an alert");
        let mut all = self.pool.begin().await.map_err(failed())?;
        let mut new = 0;
        for channel in channels {
            new += insert(alert, channel, None, &mut all)
                .await
                .map_err(failed())?;
        }
        all.commit().await.map_err(failed())?;
        Ok(new)
    }

    /// Closes the open conditions whose key is `key` or begins with `key` and a slash. Each channel that
    /// was to be told of one is told the end of it, if `end` says something. Says how many channels.
    pub async fn close_alerts(&self, key: &str, end: Option<&NewAlert>) -> Result<u64> {
        let failed = || Error::meta("closing alerts");
        let below = format!("{key}/");
        let mut all = self.pool.begin().await.map_err(failed())?;
        let closed = sqlx::query(
            "update alerts set closed_at = $1 where closed_at is null and resolves is null
             and (dedupe_key = $2 or substr(dedupe_key, 1, $3) = $4)
             returning channel, alert_id",
        )
        .bind(to_text(Utc::now()))
        .bind(key)
        .bind(i32::try_from(below.chars().count()).unwrap_or(i32::MAX))
        .bind(&below)
        .fetch_all(&mut *all)
        .await
        .map_err(failed())?;
        let mut channels = std::collections::BTreeMap::<String, String>::new();
        for row in &closed {
            let channel: String = row.try_get("channel").map_err(failed())?;
            let alert_id: String = row.try_get("alert_id").map_err(failed())?;
            let latest = channels.entry(channel).or_default();
            *latest = alert_id.max(std::mem::take(latest));
        }
        if let Some(end) = end {
            for (channel, resolved) in &channels {
                let end = NewAlert {
                    dedupe_key: format!("resolved/{resolved}"),
                    ..end.clone()
                };
                insert(&end, channel, Some(resolved), &mut all)
                    .await
                    .map_err(failed())?;
            }
        }
        all.commit().await.map_err(failed())?;
        Ok(channels.len() as u64)
    }

    /// Claims the oldest alert of a channel that is due, until an instant. The end of a condition is told
    /// after the condition.
    pub async fn claim_alert(
        &self,
        channel: &str,
        until: DateTime<Utc>,
    ) -> Result<Option<ClaimedAlert>> {
        let failed = || Error::meta("claiming an alert");
        let claim = uuid::Uuid::now_v7().to_string();
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "update alerts set claim = $1, due_at = $2, attempts = attempts + 1
             where state = 'pending' and due_at <= $3 and alert_id =
               (select one.alert_id from alerts one
                where one.channel = $4 and one.state = 'pending' and one.due_at <= $3
                and not exists (select 1 from alerts before
                                where before.alert_id = one.resolves and before.state = 'pending')
                order by one.alert_id limit 1)
             returning {COLUMNS}"
        )))
        .bind(&claim)
        .bind(to_text(until))
        .bind(to_text(Utc::now()))
        .bind(channel)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed())?;
        row.map(|row| claimed(&row)).transpose().map_err(failed())
    }

    /// Records that a claimed alert was told. False: another has it by now.
    pub async fn alert_delivered(&self, alert: &ClaimedAlert) -> Result<bool> {
        self.finish_alert(alert, "delivered", None).await
    }

    /// Records that a claimed alert is given up, and why: nobody heard of the condition, so it may be raised
    /// again. False: another has it by now.
    pub async fn alert_failed(&self, alert: &ClaimedAlert, reason: &str) -> Result<bool> {
        self.finish_alert(alert, "failed", Some(reason)).await
    }

    async fn finish_alert(
        &self,
        alert: &ClaimedAlert,
        state: &str,
        reason: Option<&str>,
    ) -> Result<bool> {
        let done = sqlx::query(
            "update alerts set state = $1, reason = $2, finished_at = $3, claim = null,
             closed_at = case when $1 = 'failed' then coalesce(closed_at, $3) else closed_at end
             where alert_id = $4 and claim = $5 and state = 'pending'",
        )
        .bind(state)
        .bind(reason)
        .bind(to_text(Utc::now()))
        .bind(&alert.alert_id)
        .bind(&alert.claim)
        .execute(&self.pool)
        .await
        .map_err(Error::meta("recording the end of an alert"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Puts a claimed alert off, and with `all` everything else that waits for its channel.
    pub async fn postpone_alert(
        &self,
        alert: &ClaimedAlert,
        until: DateTime<Utc>,
        reason: &str,
        all: bool,
    ) -> Result<()> {
        let failed = || Error::meta("putting an alert off");
        let until = to_text(until);
        sqlx::query(
            "update alerts set due_at = $1, reason = $2, claim = null
             where alert_id = $3 and claim = $4 and state = 'pending'",
        )
        .bind(&until)
        .bind(reason)
        .bind(&alert.alert_id)
        .bind(&alert.claim)
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        if all {
            sqlx::query(
                "update alerts set due_at = $1
                 where channel = $2 and state = 'pending' and due_at < $1",
            )
            .bind(&until)
            .bind(&alert.channel)
            .execute(&self.pool)
            .await
            .map_err(failed())?;
        }
        Ok(())
    }

    /// Gives up what waits since before an instant for channels other than these.
    pub async fn drop_alerts_of_others(
        &self,
        channels: &[&str],
        before: DateTime<Utc>,
        reason: &str,
    ) -> Result<u64> {
        let names = serde_json::to_string(channels).unwrap_or_default();
        let failed = || Error::meta("giving up alerts");
        let waiting = sqlx::query(
            "select distinct channel from alerts where state = 'pending' and raised_at < $1",
        )
        .bind(to_text(before))
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        let mut gone = 0;
        for row in waiting {
            let channel: String = row.try_get("channel").map_err(failed())?;
            if channels.contains(&channel.as_str()) {
                continue;
            }
            tracing::warn!(channel, known = names, reason, "alerts given up");
            gone += sqlx::query(
                "update alerts set state = 'failed', reason = $1, finished_at = $2, claim = null,
                 closed_at = coalesce(closed_at, $2)
                 where channel = $3 and state = 'pending' and raised_at < $4",
            )
            .bind(reason)
            .bind(to_text(Utc::now()))
            .bind(&channel)
            .bind(to_text(before))
            .execute(&self.pool)
            .await
            .map_err(failed())?
            .rows_affected();
        }
        Ok(gone)
    }

    /// Forgets alerts that were told or given up before an instant, and whose condition is over.
    pub async fn forget_alerts(&self, before: DateTime<Utc>) -> Result<u64> {
        let gone = sqlx::query(
            "delete from alerts where state <> 'pending' and finished_at < $1
             and (closed_at is not null or resolves is not null)",
        )
        .bind(to_text(before))
        .execute(&self.pool)
        .await
        .map_err(Error::meta("forgetting old alerts"))?;
        Ok(gone.rows_affected())
    }

    /// The newest alerts, newest first.
    pub async fn alerts(&self, limit: u32) -> Result<Vec<AlertRow>> {
        let failed = || Error::meta("reading alerts");
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "select {COLUMNS} from alerts order by alert_id desc limit $1"
        )))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        let read = rows.iter().map(alert_row).collect::<Result<_, _>>();
        read.map_err(failed())
    }
}

async fn insert(
    alert: &NewAlert,
    channel: &str,
    resolves: Option<&str>,
    all: &mut sqlx::Transaction<'_, sqlx::Any>,
) -> Result<u64, sqlx::Error> {
    let now = to_text(Utc::now());
    let done = sqlx::query(
        "insert into alerts (alert_id, channel, kind, severity, dedupe_key, resolves, subject, lines,
         pipeline, run_id, connection, link, occurred_at, raised_at, state, due_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'pending', $14)
         on conflict (channel, dedupe_key) where closed_at is null do nothing",
    )
    .bind(uuid::Uuid::now_v7().to_string())
    .bind(channel)
    .bind(&alert.kind)
    .bind(&alert.severity)
    .bind(&alert.dedupe_key)
    .bind(resolves)
    .bind(&alert.subject)
    .bind(serde_json::to_string(&alert.lines).unwrap_or_default())
    .bind(&alert.pipeline)
    .bind(&alert.run_id)
    .bind(&alert.connection)
    .bind(&alert.link)
    .bind(to_text(alert.occurred_at))
    .bind(now)
    .execute(&mut **all)
    .await?;
    Ok(done.rows_affected())
}

fn claimed(row: &AnyRow) -> Result<ClaimedAlert, sqlx::Error> {
    let lines: String = row.try_get("lines")?;
    Ok(ClaimedAlert {
        alert_id: row.try_get("alert_id")?,
        channel: row.try_get("channel")?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        raised_at: to_instant(&row.try_get::<String, _>("raised_at")?),
        resolves: row.try_get("resolves")?,
        claim: row.try_get("claim")?,
        alert: NewAlert {
            kind: row.try_get("kind")?,
            severity: row.try_get("severity")?,
            dedupe_key: row.try_get("dedupe_key")?,
            subject: row.try_get("subject")?,
            lines: serde_json::from_str(&lines).unwrap_or_default(),
            pipeline: row.try_get("pipeline")?,
            run_id: row.try_get("run_id")?,
            connection: row.try_get("connection")?,
            link: row.try_get("link")?,
            occurred_at: to_instant(&row.try_get::<String, _>("occurred_at")?),
        },
    })
}

fn alert_row(row: &AnyRow) -> Result<AlertRow, sqlx::Error> {
    let instant = |name: &str| -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let text: Option<String> = row.try_get(name)?;
        Ok(text.map(|text| to_instant(&text)))
    };
    let state: String = row.try_get("state")?;
    Ok(AlertRow {
        alert_id: row.try_get("alert_id")?,
        channel: row.try_get("channel")?,
        kind: row.try_get("kind")?,
        severity: row.try_get("severity")?,
        subject: row.try_get("subject")?,
        pipeline: row.try_get("pipeline")?,
        run_id: row.try_get("run_id")?,
        connection: row.try_get("connection")?,
        dedupe_key: row.try_get("dedupe_key")?,
        resolves: row.try_get("resolves")?,
        attempts: row.try_get("attempts")?,
        reason: row.try_get("reason")?,
        occurred_at: to_instant(&row.try_get::<String, _>("occurred_at")?),
        raised_at: to_instant(&row.try_get::<String, _>("raised_at")?),
        due_at: instant("due_at")?.filter(|_| state == "pending"),
        finished_at: instant("finished_at")?,
        closed_at: instant("closed_at")?,
        state,
    })
}
