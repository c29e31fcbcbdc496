//! A consistent copy of the metadata database in one file, and putting it back. What is in the file is the
//! database's own affair; one function for each database.

use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::db::Kind;
use super::{MetaDb, to_text};
use crate::{Error, Result};

impl MetaDb {
    /// Writes the database as it is at one moment into a new file: without leases, and with runs that
    /// were running closed, for in the copy nobody holds and runs them.
    pub(crate) async fn snapshot_into(&self, file: &Path) -> Result<()> {
        let failed = || Error::meta("copying the metadata database");
        if self.pool.kind() != Kind::Sqlite {
            return Err(Error::MetadataUrl {
                url: self.place.to_string(),
                reason: "this version copies metadata from SQLite only; stop the workers, take a copy of the \
                         database with pg_dump and one of the store with its own tools"
                    .to_string(),
            });
        }
        sqlx::query("vacuum into $1")
            .bind(file.display().to_string())
            .execute(&self.pool)
            .await
            .map_err(failed())?;
        let options = SqliteConnectOptions::new().filename(file);
        let mut copy = SqliteConnection::connect_with(&options)
            .await
            .map_err(failed())?;
        sqlx::query("delete from leases")
            .execute(&mut copy)
            .await
            .map_err(failed())?;
        sqlx::query(
            "update runs set status = 'failed', finished_at = $1,
             reason = 'it was running when the backup was taken' where status = 'running'",
        )
        .bind(to_text(chrono::Utc::now()))
        .execute(&mut copy)
        .await
        .map_err(failed())?;
        sqlx::query("update jobs set state = 'done', token = null where state = 'running'")
            .execute(&mut copy)
            .await
            .map_err(failed())?;
        copy.close().await.map_err(failed())
    }

    /// The file of a database that does not exist yet, for a snapshot to be put there.
    pub(crate) fn place_for_snapshot(url: &str) -> Result<PathBuf> {
        let refuse = |reason: &str| Error::MetadataUrl {
            url: url.to_string(),
            reason: reason.to_string(),
        };
        let Some(path) = url.strip_prefix("sqlite:") else {
            return Err(refuse(
                "the metadata of this backup is an SQLite database; write sqlite:PATH",
            ));
        };
        let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
        if path.exists() {
            return Err(refuse(
                "there is a database already, and restoring never overwrites one; move it away, or \
                 let metadata.url name another file",
            ));
        }
        Ok(path)
    }
}
