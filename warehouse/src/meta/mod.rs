//! The metadata database: runs, steps, sources, quarantine. SQLite, reached through sqlx.

mod run;
mod source;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::{Error, Result};

pub use run::{RunRow, Step, StepRow};
pub use source::{Quarantined, Source};

/// Handle of the metadata database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetaDb {
    pool: SqlitePool,
}

impl MetaDb {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let refuse = |reason: String| Error::MetadataUrl {
            url: url.to_string(),
            reason,
        };
        let Some(path) = url.strip_prefix("sqlite:") else {
            return Err(refuse(
                "write sqlite:PATH; other databases are not built into this version".to_string(),
            ));
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        if let Some(folder) = Path::new(path).parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| refuse(format!("can't create the folder: {error}")))?;
        }
        let options = SqliteConnectOptions::from_str(&format!("sqlite:{path}"))
            .map_err(|error| refuse(error.to_string()))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .map_err(Error::meta("opening"))?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        Ok(Self { pool })
    }
}

fn to_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn to_instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).map_or(DateTime::UNIX_EPOCH, |instant| instant.to_utc())
}
