//! The inbox: events that sources sent, from the moment they are accepted until what they tell of is
//! in the tables.
//!
//! Accepting an event is durable, also over a loss of power, before the call returns. Everything that
//! follows may be repeated: an event whose end was not recorded is pending again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{MetaDb, clean, name, to_instant, to_text};
use crate::{Error, Result, fault};

/// An event, as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Connection it belongs to.
    pub connection: String,
    /// What makes two deliveries the same event.
    pub identifier: String,
    /// What the source says about earlier deliveries.
    pub retry: Option<String>,
    /// Which of the source's queues it came from.
    pub flow: Option<String>,
    /// The event as received.
    pub body: Vec<u8>,
}

/// How much of one connection may be pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// Most events.
    pub events: u64,
    /// Most bytes.
    pub bytes: u64,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            events: 50_000,
            bytes: 1 << 30,
        }
    }
}

/// What became of an event that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable.
    Stored,
    /// It had been before.
    Duplicate,
    /// Too much is pending; it was not taken.
    Full,
}

/// A pending event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEvent {
    /// Number in order of arrival.
    pub event_id: i64,
    /// What makes two deliveries the same event.
    pub identifier: String,
    /// How often it was worked on without an end.
    pub attempts: u32,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The event as received.
    pub body: Vec<u8>,
}

/// The end of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedEvent {
    /// The event.
    pub event_id: i64,
    /// Its kind, as far as it could be read.
    pub kind: Option<String>,
    /// What is worth knowing; of a refused event, why.
    pub reason: Option<String>,
    /// Version of the reader that refused it; `None` when it was worked off.
    pub refused_by: Option<i64>,
}

/// An event, as `system.webhooks` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct InboxRow {
    /// Connection it belongs to.
    pub connection: String,
    /// What makes two deliveries the same event.
    pub identifier: String,
    /// Its kind, once it was read.
    pub kind: Option<String>,
    /// `pending`, `done` or `refused`.
    pub state: String,
    /// How often it was worked on without an end.
    pub attempts: i64,
    /// Why it was refused or is late.
    pub reason: Option<String>,
    /// What the source said about earlier deliveries.
    pub retry: Option<String>,
    /// Which of the source's queues it came from.
    pub flow: Option<String>,
    /// Size as received.
    pub bytes: i64,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// When it is worked on next.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was done or refused.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Events of a connection in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxCount {
    /// The connection.
    pub connection: String,
    /// `pending` or `refused`.
    pub state: String,
    /// How many.
    pub events: u64,
    /// Arrival of the oldest.
    pub oldest: DateTime<Utc>,
}

impl MetaDb {
    /// Keeps an event. When this returns, a kill or a loss of power does not lose it.
    pub async fn accept_event(&self, event: &NewEvent, most: InboxLimits) -> Result<Accepted> {
        let failed = || Error::meta("keeping an event");
        fault::point("inbox.before_commit")?;
        let now = to_text(Utc::now());
        let identifier = name(&event.identifier);
        let durable = self.durable.hasty();
        // Deliveries that arrive at the same moment through several processes may exceed the limits by
        // what these accept at once.
        let stored = sqlx::query(
            "insert into inbox (connection, identifier, state, received_at, due_at, retry, flow, bytes, body)
             select $1, $2, 'pending', $3, $3, $4, $5, $6, $7
             where (select count(*) < $8 and coalesce(sum(bytes), 0) + $6 <= $9
                    from inbox where connection = $1 and state = 'pending')
             on conflict (connection, identifier) do nothing",
        )
        .bind(&event.connection)
        .bind(&identifier)
        .bind(&now)
        .bind(event.retry.as_deref().map(clean))
        .bind(event.flow.as_deref().map(clean))
        .bind(signed(event.body.len() as u64))
        .bind(event.body.as_slice())
        .bind(signed(most.events))
        .bind(signed(most.bytes))
        .execute(&durable)
        .await
        .map_err(failed())?;
        if stored.rows_affected() == 1 {
            fault::point("inbox.committed")?;
            self.arrived.notify_waiters();
            return Ok(Accepted::Stored);
        }
        let known = sqlx::query("select 1 from inbox where connection = $1 and identifier = $2")
            .bind(&event.connection)
            .bind(&identifier)
            .fetch_optional(&durable)
            .await
            .map_err(failed())?;
        Ok(match known {
            Some(_) => Accepted::Duplicate,
            None => Accepted::Full,
        })
    }

    /// Waits until an event arrives through this process, at most for a while. Other processes are not
    /// heard of, so callers look again after that while.
    pub async fn event_arrived(&self, most: Duration) {
        drop(tokio::time::timeout(most, self.arrived.notified()).await);
    }

    /// Events that are due, the oldest first: at most so many, and so many bytes (one at least).
    pub async fn due_events(
        &self,
        connection: &str,
        events: u32,
        bytes: u64,
    ) -> Result<Vec<InboxEvent>> {
        let failed = || Error::meta("reading the inbox");
        let rows = sqlx::query(
            "select event_id, identifier, attempts, received_at, body
             from inbox join
               (select event_id as due, sum(bytes) over (order by event_id) - bytes as before
                from inbox where connection = $1 and state = 'pending' and due_at <= $2
                order by event_id limit $3) as first
             on due = event_id and (before = 0 or before < $4) order by event_id",
        )
        .bind(connection)
        .bind(to_text(Utc::now()))
        .bind(i64::from(events))
        .bind(signed(bytes))
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        let read = rows.iter().map(event).collect::<Result<_, _>>();
        read.map_err(failed())
    }

    /// Records the end of events. What they tell of must be committed before.
    pub async fn finish_events(&self, finished: &[FinishedEvent]) -> Result<()> {
        let failed = || Error::meta("recording the end of events");
        let now = to_text(Utc::now());
        let mut all = self.pool.begin().await.map_err(failed())?;
        for event in finished {
            // The body of an event that was worked off is in the raw zone.
            sqlx::query(
                "update inbox set kind = $2, reason = $3, reader = $4, finished_at = $5,
                 state = case when $4 is null then 'done' else 'refused' end,
                 body = case when $4 is null then $6 else body end
                 where event_id = $1",
            )
            .bind(event.event_id)
            .bind(event.kind.as_deref().map(clean))
            .bind(event.reason.as_deref().map(clean))
            .bind(event.refused_by)
            .bind(&now)
            .bind(Vec::<u8>::new())
            .execute(&mut *all)
            .await
            .map_err(failed())?;
        }
        all.commit().await.map_err(failed())
    }

    /// Puts pending events off, each until an instant and for a reason.
    pub async fn postpone_events(&self, events: &[(i64, DateTime<Utc>, &str)]) -> Result<()> {
        let failed = || Error::meta("putting events off");
        let mut all = self.pool.begin().await.map_err(failed())?;
        for (event_id, due_at, reason) in events {
            sqlx::query(
                "update inbox set attempts = attempts + 1, due_at = $2, reason = $3
                 where event_id = $1 and state = 'pending'",
            )
            .bind(*event_id)
            .bind(to_text(*due_at))
            .bind(clean(reason))
            .execute(&mut *all)
            .await
            .map_err(failed())?;
        }
        all.commit().await.map_err(failed())
    }

    /// Makes events pending again that an older reader refused; returns how many.
    pub async fn reopen_events(&self, connection: &str, reader: i64) -> Result<u64> {
        let reopened = sqlx::query(
            "update inbox set state = 'pending', reader = null, finished_at = null, due_at = $3, attempts = 0
             where connection = $1 and state = 'refused' and reader < $2",
        )
        .bind(connection)
        .bind(reader)
        .bind(to_text(Utc::now()))
        .execute(&self.pool)
        .await
        .map_err(Error::meta("opening refused events again"))?;
        Ok(reopened.rows_affected())
    }

    /// Forgets events that were worked off before an instant: no delivery of them is expected any more.
    pub async fn forget_events(&self, before: DateTime<Utc>) -> Result<u64> {
        let gone = sqlx::query("delete from inbox where state = 'done' and finished_at < $1")
            .bind(to_text(before))
            .execute(&self.pool)
            .await
            .map_err(Error::meta("forgetting old events"))?;
        Ok(gone.rows_affected())
    }

    /// Keeps the newest refused events of a connection, and of the quarantine's records of them.
    pub async fn trim_refused(&self, connection: &str, stream: &str, keep: u32) -> Result<u64> {
        let failed = || Error::meta("forgetting refused events");
        let mut all = self.pool.begin().await.map_err(failed())?;
        let gone = sqlx::query(
            "delete from inbox where event_id in
             (select event_id from inbox where connection = $1 and state = 'refused'
              order by event_id desc limit $3 offset $2)
             returning identifier",
        )
        .bind(connection)
        .bind(i64::from(keep))
        .bind(i64::MAX)
        .fetch_all(&mut *all)
        .await
        .map_err(failed())?;
        for row in &gone {
            sqlx::query(
                "delete from quarantine where connection = $1 and stream = $2 and key = $3",
            )
            .bind(connection)
            .bind(stream)
            .bind(row.try_get::<String, _>("identifier").map_err(failed())?)
            .execute(&mut *all)
            .await
            .map_err(failed())?;
        }
        all.commit().await.map_err(failed())?;
        Ok(gone.len() as u64)
    }

    /// The newest events, newest first.
    pub async fn inbox(&self, limit: u32) -> Result<Vec<InboxRow>> {
        let failed = || Error::meta("reading the inbox");
        let rows = sqlx::query(
            "select connection, identifier, kind, state, attempts, reason, retry, flow, bytes,
             received_at, due_at, finished_at from inbox order by event_id desc limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await
        .map_err(failed())?;
        let read = rows.iter().map(inbox_row).collect::<Result<_, _>>();
        read.map_err(failed())
    }

    /// How many events wait or were refused, by connection and state.
    pub async fn inbox_counts(&self) -> Result<Vec<InboxCount>> {
        let failed = || Error::meta("counting the inbox");
        let rows = sqlx::query(
            "select connection, state, count(*) as events, min(received_at) as oldest
             from inbox where state in ('pending', 'refused') group by 1, 2 order by 1, 2",
        )
        .fetch_all(&self.reads)
        .await
        .map_err(failed())?;
        let read = rows.iter().map(|row| {
            Ok(InboxCount {
                connection: row.try_get("connection")?,
                state: row.try_get("state")?,
                events: u64::try_from(row.try_get::<i64, _>("events")?).unwrap_or_default(),
                oldest: to_instant(&row.try_get::<String, _>("oldest")?),
            })
        });
        read.collect::<Result<_, sqlx::Error>>().map_err(failed())
    }
}

fn event(row: &AnyRow) -> Result<InboxEvent, sqlx::Error> {
    Ok(InboxEvent {
        event_id: row.try_get("event_id")?,
        identifier: row.try_get("identifier")?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or_default(),
        received_at: to_instant(&row.try_get::<String, _>("received_at")?),
        body: row.try_get("body")?,
    })
}

fn inbox_row(row: &AnyRow) -> Result<InboxRow, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let due_at: String = row.try_get("due_at")?;
    let finished_at: Option<String> = row.try_get("finished_at")?;
    Ok(InboxRow {
        connection: row.try_get("connection")?,
        identifier: row.try_get("identifier")?,
        kind: row.try_get("kind")?,
        attempts: row.try_get("attempts")?,
        reason: row.try_get("reason")?,
        retry: row.try_get("retry")?,
        flow: row.try_get("flow")?,
        bytes: row.try_get("bytes")?,
        received_at: to_instant(&row.try_get::<String, _>("received_at")?),
        due_at: (state == "pending").then(|| to_instant(&due_at)),
        finished_at: finished_at.map(|at| to_instant(&at)),
        state,
    })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
