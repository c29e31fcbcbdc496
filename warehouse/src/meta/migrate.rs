//! Bringing the schema of the metadata database forward.

use futures::future::BoxFuture;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::{AnyConnection, Connection, Executor, Row};

use super::db::{Db, Kind};
use crate::{Error, Result};

/// Migrations have the same numbers in both, and leave the same schema.
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

fn migrator(kind: Kind) -> &'static Migrator {
    match kind {
        Kind::Sqlite => &SQLITE,
        Kind::Postgres => &POSTGRES,
    }
}

/// Number of the newest migration that this version knows.
pub(super) fn newest(kind: Kind) -> i64 {
    let versions = migrator(kind).iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

/// Applies what is missing. Of several processes that do so at the same time, one does.
pub(super) fn migrate(db: &Db) -> BoxFuture<'_, Result<()>> {
    Box::pin(bring_forward(db))
}

async fn bring_forward(db: &Db) -> Result<()> {
    let failed = || Error::meta("opening");
    let mut connection = db.own_connection().await.map_err(failed())?;
    let migrator = migrator(db.kind());
    let applied = applied(&mut connection, db.kind()).await?;
    if is_complete(migrator, &applied) {
        return connection.close().await.map_err(failed());
    }
    // Nothing is read-only or late here, and a lock may be held by another that migrates.
    let outcome = match db.kind() {
        Kind::Postgres => {
            let patient = "set statement_timeout = 0; set lock_timeout = 0";
            connection.execute(patient).await.map_err(failed())?;
            migrator.run_direct(None, &mut connection, false).await
        }
        Kind::Sqlite => {
            let whole = connection.begin_with("begin immediate");
            let mut whole = whole.await.map_err(failed())?;
            match migrator.run_direct(None, &mut *whole, false).await {
                Ok(()) => whole.commit().await.map_err(MigrateError::from),
                failed => failed,
            }
        }
    };
    // The server's lock goes with the connection.
    let closed = connection.close().await;
    outcome.map_err(|error| match error {
        MigrateError::VersionMissing(found) => Error::NewerMetadata {
            found,
            known: newest(db.kind()),
        },
        MigrateError::Execute(source) => Error::meta("opening")(source),
        MigrateError::ExecuteMigration(source, _) if is_about_rights(&source) => {
            Error::meta("opening")(source)
        }
        other => Error::Migrate(other),
    })?;
    closed.map_err(failed())
}

fn is_about_rights(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "42501")
}

fn is_complete(migrator: &Migrator, applied: &[AppliedMigration]) -> bool {
    let known: Vec<_> = migrator.iter().collect();
    known.len() == applied.len()
        && known.iter().zip(applied).all(|(known, applied)| {
            known.version == applied.version && known.checksum == applied.checksum
        })
}

/// Migrations that were applied, by number.
async fn applied(connection: &mut AnyConnection, kind: Kind) -> Result<Vec<AppliedMigration>> {
    let failed = || Error::meta("opening");
    let is_there = match kind {
        Kind::Sqlite => {
            "select count(*) as present from sqlite_master where name = '_sqlx_migrations'"
        }
        Kind::Postgres => {
            "select case when to_regclass('_sqlx_migrations') is null then 0 else 1 end as present"
        }
    };
    let row = connection.fetch_one(is_there).await.map_err(failed())?;
    if row.try_get::<i64, _>("present").map_err(failed())? == 0 {
        return Ok(Vec::new());
    }
    let applied = connection.list_applied_migrations("_sqlx_migrations");
    let applied = applied.await?;
    if connection
        .dirty_version("_sqlx_migrations")
        .await?
        .is_some()
    {
        // The migrator says what to do.
        return Ok(Vec::new());
    }
    Ok(applied)
}
