//! What is known of the sources, and the records they sent that no table takes.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{MetaDb, clean, name, to_instant, to_text};
use crate::{Error, Result};

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Source {
    /// Name of the connection.
    pub connection: String,
    /// Kind of source, such as `jira`.
    pub kind: String,
    /// Its address, without credentials.
    pub url: String,
    /// IANA time zone of the account that reads.
    pub time_zone: String,
    /// The source's own clock when the last complete sync began: data is complete up to here.
    pub source_time: DateTime<Utc>,
    /// When the last complete sync ended, by this machine's clock.
    pub synced_at: DateTime<Utc>,
}

/// A record that no table took.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quarantined {
    /// Connection it came from.
    pub connection: String,
    /// Stream it belongs to.
    pub stream: String,
    /// Its identity, as far as it has one.
    pub key: String,
    /// Run that read it last.
    pub run_id: String,
    /// Why it was refused.
    pub error: String,
    /// The record as received.
    pub payload: String,
    /// When it was last seen.
    pub seen_at: DateTime<Utc>,
    /// Version of the mapping that refused it: a later one may read it.
    pub mapping_version: i64,
}

impl MetaDb {
    /// Records that a sync of a source was complete.
    pub async fn set_source(&self, source: &Source) -> Result<()> {
        sqlx::query(
            "insert into sources (connection, kind, url, time_zone, source_time, synced_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (connection) do update set kind = excluded.kind, url = excluded.url,
             time_zone = excluded.time_zone, source_time = excluded.source_time,
             synced_at = excluded.synced_at",
        )
        .bind(&source.connection)
        .bind(&source.kind)
        .bind(&source.url)
        .bind(&source.time_zone)
        .bind(to_text(source.source_time))
        .bind(to_text(source.synced_at))
        .execute(&self.pool)
        .await
        .map_err(Error::meta("recording a source"))?;
        Ok(())
    }

    /// All sources that were ever read completely, by connection.
    pub async fn sources(&self) -> Result<Vec<Source>> {
        let rows = sqlx::query(
            "select connection, kind, url, time_zone, source_time, synced_at
             from sources order by connection",
        )
        .fetch_all(&self.reads)
        .await
        .map_err(Error::meta("reading sources"))?;
        let read = rows.iter().map(source_row).collect::<Result<_, _>>();
        read.map_err(Error::meta("reading sources"))
    }

    /// Up to which instant the data of all sources is complete.
    pub async fn data_time(&self) -> Result<Option<DateTime<Utc>>> {
        let failed = || Error::meta("reading sources");
        let row = sqlx::query("select min(source_time) as oldest from sources")
            .fetch_one(&self.pool)
            .await
            .map_err(failed())?;
        let oldest: Option<String> = row.try_get("oldest").map_err(failed())?;
        Ok(oldest.as_deref().map(to_instant))
    }

    /// Keeps a record that no table takes; the newest one per key.
    pub async fn quarantine(&self, record: &Quarantined) -> Result<()> {
        sqlx::query(
            "insert into quarantine (connection, stream, key, run_id, error, payload, seen_at,
             mapping_version) values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (connection, stream, key) do update set run_id = excluded.run_id,
             error = excluded.error, payload = excluded.payload, seen_at = excluded.seen_at,
             mapping_version = excluded.mapping_version",
        )
        .bind(&record.connection)
        .bind(&record.stream)
        .bind(name(&record.key))
        .bind(&record.run_id)
        .bind(clean(&record.error))
        .bind(clean(&record.payload))
        .bind(to_text(record.seen_at))
        .bind(record.mapping_version)
        .execute(&self.pool)
        .await
        .map_err(Error::meta("recording a refused record"))?;
        Ok(())
    }

    /// Takes a record out of quarantine, after it was read well.
    pub async fn release_from_quarantine(
        &self,
        connection: &str,
        stream: &str,
        key: &str,
    ) -> Result<()> {
        sqlx::query("delete from quarantine where connection = $1 and stream = $2 and key = $3")
            .bind(connection)
            .bind(stream)
            .bind(name(key))
            .execute(&self.pool)
            .await
            .map_err(Error::meta("releasing a record from quarantine"))?;
        Ok(())
    }

    /// Stream and key of every record of a connection in quarantine, and whether its payload is the one
    /// given.
    pub async fn quarantined_keys(
        &self,
        connection: &str,
        payload: &str,
    ) -> Result<Vec<(String, String, bool)>> {
        let failed = || Error::meta("reading the quarantine");
        let rows = sqlx::query(
            "select stream, key, case when payload = $1 then 1 else 0 end as is_it
             from quarantine where connection = $2",
        )
        .bind(clean(payload))
        .bind(connection)
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        let read = rows.iter().map(|row| {
            Ok((
                row.try_get(0)?,
                row.try_get(1)?,
                row.try_get::<i64, _>(2)? == 1,
            ))
        });
        read.collect::<Result<_, sqlx::Error>>().map_err(failed())
    }

    /// Stream, key and payload of the records of a connection that a mapping older than a version
    /// refused.
    pub async fn refused_before(
        &self,
        connection: &str,
        mapping_version: i64,
    ) -> Result<Vec<(String, String, String)>> {
        let failed = || Error::meta("reading the quarantine");
        let rows = sqlx::query(
            "select stream, key, payload from quarantine where connection = $1 and mapping_version < $2",
        )
        .bind(connection)
        .bind(mapping_version)
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        let read = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
        read.collect::<Result<_, sqlx::Error>>().map_err(failed())
    }

    /// Records in quarantine, newest first.
    pub async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>> {
        let rows = sqlx::query(
            "select connection, stream, key, run_id, error, payload, seen_at, mapping_version
             from quarantine order by seen_at desc limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await
        .map_err(Error::meta("reading the quarantine"))?;
        let read = rows.iter().map(quarantined_row).collect::<Result<_, _>>();
        read.map_err(Error::meta("reading the quarantine"))
    }
}

fn source_row(row: &AnyRow) -> Result<Source, sqlx::Error> {
    Ok(Source {
        connection: row.try_get("connection")?,
        kind: row.try_get("kind")?,
        url: row.try_get("url")?,
        time_zone: row.try_get("time_zone")?,
        source_time: to_instant(&row.try_get::<String, _>("source_time")?),
        synced_at: to_instant(&row.try_get::<String, _>("synced_at")?),
    })
}

fn quarantined_row(row: &AnyRow) -> Result<Quarantined, sqlx::Error> {
    Ok(Quarantined {
        connection: row.try_get("connection")?,
        stream: row.try_get("stream")?,
        key: row.try_get("key")?,
        run_id: row.try_get("run_id")?,
        error: row.try_get("error")?,
        payload: row.try_get("payload")?,
        seen_at: to_instant(&row.try_get::<String, _>("seen_at")?),
        mapping_version: row.try_get("mapping_version")?,
    })
}
