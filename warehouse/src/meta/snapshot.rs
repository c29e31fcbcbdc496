//! A consistent copy of the metadata database in one file, and putting it back. The file is an SQLite database,
//! whichever the copied one is: a backup of either can be put back into either.

use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::db::Kind;
use super::place::Place;
use super::{MetaDb, MetadataOptions, to_text};
use crate::{Error, Result};

/// Where a snapshot is put back.
pub(crate) enum SnapshotPlace {
    /// A file that does not exist.
    File(PathBuf),
    /// A database without rows.
    Database(Box<MetaDb>),
}

impl MetaDb {
    /// Writes the database as it is at one moment into a new file: without leases, and with runs that
    /// were running closed, for in the copy nobody holds and runs them.
    pub(crate) async fn snapshot_into(&self, file: &Path) -> Result<()> {
        let failed = || Error::meta("copying the metadata database");
        match self.pool.kind() {
            Kind::Sqlite => self.vacuum_into(file).await?,
            Kind::Postgres => {
                let draft = open_file(&file.with_extension("draft")).await?;
                self.copy_into(&draft).await?;
                draft.vacuum_into(file).await?;
            }
        }
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

    async fn vacuum_into(&self, file: &Path) -> Result<()> {
        sqlx::query("vacuum into $1")
            .bind(file.display().to_string())
            .execute(&self.pool)
            .await
            .map_err(Error::meta("copying the metadata database"))?;
        Ok(())
    }

    /// Where a snapshot may be put back: it never overwrites anything.
    pub(crate) async fn place_for_snapshot(
        url: &str,
        options: &MetadataOptions,
    ) -> Result<SnapshotPlace> {
        let place = Place::parse(url, options.password.as_deref())?;
        let refuse = |reason: &str| Error::MetadataUrl {
            url: place.to_string(),
            reason: reason.to_string(),
        };
        let Place::Sqlite(path) = &place else {
            let database = Self::open(url, None, options).await?;
            return match database.is_empty().await? {
                true => Ok(SnapshotPlace::Database(Box::new(database))),
                false => Err(refuse(
                    "there is something in the database already, and restoring never overwrites; let \
                     metadata.url name an empty one",
                )),
            };
        };
        let path = PathBuf::from(path);
        if path.exists() {
            return Err(refuse(
                "there is a database already, and restoring never overwrites one; move it away, or \
                 let metadata.url name another file",
            ));
        }
        Ok(SnapshotPlace::File(path))
    }

    /// Puts the content of a snapshot into this database, all of it or nothing.
    pub(crate) async fn restore_snapshot(&self, file: &Path) -> Result<()> {
        open_file(file).await?.copy_into(self).await
    }
}

/// A file as a metadata database, brought forward to this version.
async fn open_file(file: &Path) -> Result<MetaDb> {
    let url = format!("sqlite:{}", file.display());
    MetaDb::open(&url, None, &MetadataOptions::default()).await
}
