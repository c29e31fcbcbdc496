//! How the metadata database is, for people.

use sqlx::Row as _;

use super::db::{Db, Kind, Replica};
use super::{MetaDb, migrate};
use crate::{Error, Result};

/// The metadata database, as `check` shows it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MetaState {
    /// Its address, without the password.
    pub database: String,
    /// Software behind it, with its version.
    pub software: String,
    /// Number of its newest migration; it is the newest of this version too.
    pub schema: i64,
    /// Its read-only copies.
    pub replicas: Vec<ReplicaState>,
}

/// A read-only copy of the metadata database.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ReplicaState {
    /// Its address, without the password.
    pub database: String,
    /// Seconds that it is behind; null when it does not say.
    pub behind_seconds: Option<f64>,
    /// Why it can't be read.
    pub error: Option<String>,
}

impl MetaDb {
    /// Which database it is, and how its copies are.
    pub async fn state(&self) -> Result<MetaState> {
        let software = software(&self.pool.hasty()).await;
        let mut replicas = Vec::new();
        for replica in self.reads.replicas() {
            replicas.push(copy(replica).await);
        }
        Ok(MetaState {
            database: self.place.to_string(),
            software: software.map_err(Error::meta("asking for its version"))?,
            schema: migrate::newest(self.pool.kind()),
            replicas,
        })
    }
}

async fn software(db: &Db) -> Result<String, sqlx::Error> {
    let (name, query) = match db.kind() {
        Kind::Sqlite => ("SQLite", "select sqlite_version() as version"),
        Kind::Postgres => (
            "PostgreSQL",
            "select current_setting('server_version') as version",
        ),
    };
    let row = sqlx::query(query).fetch_one(db).await?;
    Ok(format!("{name} {}", row.try_get::<String, _>("version")?))
}

async fn copy(replica: &Replica) -> ReplicaState {
    let read = async {
        // It has the tables, and is as far as it says.
        let row = sqlx::query(
            "select (select count(*) from runs) as runs,
             case when not pg_is_in_recovery() then null
             when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
             else cast(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())
             as double precision) end as behind",
        )
        .fetch_one(&replica.db)
        .await?;
        row.try_get::<Option<f64>, _>("behind")
    };
    let (behind_seconds, error) = match read.await {
        Ok(behind) => (behind, None),
        Err(error) => (None, Some(error.to_string())),
    };
    ReplicaState {
        database: replica.place.to_string(),
        behind_seconds,
        error,
    }
}
