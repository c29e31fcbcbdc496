//! The metadata database: runs, steps, sources, quarantine, the inbox, leases, secrets. SQLite,
//! reached through sqlx.

mod cleanup;
mod inbox;
mod lease;
mod run;
mod secret;
mod snapshot;
mod source;

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::Notify;

use crate::{Error, Result, SecretKey};

pub use inbox::{Accepted, FinishedEvent, InboxCount, InboxEvent, InboxLimits, InboxRow, NewEvent};
pub use lease::Lease;
pub use run::{RunRow, Step, StepRow};
pub use secret::SecretPlace;
pub use source::{Quarantined, Source};

/// Handle of the metadata database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetaDb {
    pool: SqlitePool,
    /// Its commits are on the disk before they return; those of the pool survive a kill, but the last
    /// of them not a loss of power.
    durable: SqlitePool,
    /// Told of every event that this process accepts.
    arrived: Arc<Notify>,
    key: Option<SecretKey>,
}

impl MetaDb {
    pub(crate) async fn open(url: &str, key: Option<SecretKey>) -> Result<Self> {
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
            .connect_with(options.clone())
            .await
            .map_err(Error::meta("opening"))?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        let durable = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options.synchronous(SqliteSynchronous::Full));
        Ok(Self {
            pool,
            durable,
            arrived: Arc::default(),
            key,
        })
    }
}

fn to_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn to_instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).map_or(DateTime::UNIX_EPOCH, |instant| instant.to_utc())
}
