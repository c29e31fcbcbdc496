//! Copying all that a metadata database holds into another, of either kind; leases stay behind.

use futures::TryStreamExt;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::MetaDb;
use super::db::Kind;
use crate::{Error, Result};

/// A column of a table.
struct Column {
    name: String,
    holds: Holds,
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Holds {
    Text,
    Number,
    Bytes,
}

impl MetaDb {
    /// Copies all rows into a database that has the same tables and none of the rows; one of the two is SQLite.
    /// All of them are as of one moment, and all are there or none.
    pub(super) async fn copy_into(&self, other: &MetaDb) -> Result<()> {
        let failed = || Error::meta("copying the metadata database");
        let file = match self.pool.kind() {
            Kind::Sqlite => self,
            Kind::Postgres => other,
        };
        let mut tables = Vec::new();
        for table in names(file).await.map_err(failed())? {
            let columns = columns(file, &table).await.map_err(failed())?;
            tables.push((table, columns));
        }
        let mut from = self.pool.begin().await.map_err(failed())?;
        if self.pool.kind() == Kind::Postgres {
            let one_moment = "set transaction isolation level repeatable read, read only";
            let set = sqlx::query(one_moment).execute(&mut *from).await;
            set.map_err(failed())?;
        }
        let mut to = other.pool.begin().await.map_err(failed())?;
        for (table, columns) in &tables {
            copy(table, columns, &mut from, &mut to)
                .await
                .map_err(failed())?;
        }
        if other.pool.kind() == Kind::Postgres {
            let after_the_last = "select setval(pg_get_serial_sequence('inbox', 'event_id'),
                 (select coalesce(max(event_id), 0) + 1 from inbox), false) as n";
            let set = sqlx::query(after_the_last).fetch_one(&mut *to).await;
            set.map_err(failed())?;
        }
        to.commit().await.map_err(failed())
    }

    /// Whether nothing was ever written into it.
    pub(super) async fn is_empty(&self) -> Result<bool> {
        let row = sqlx::query(
            "select (select count(*) from runs) + (select count(*) from sources) +
             (select count(*) from secrets) + (select count(*) from jobs) + (select count(*) from inbox) as n",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(Error::meta("looking whether the metadata database is empty"))?;
        let count: i64 = row.try_get("n").map_err(Error::meta(
            "looking whether the metadata database is empty",
        ))?;
        Ok(count == 0)
    }
}

/// The tables, those first that others refer to.
async fn names(file: &MetaDb) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query(
        "select name from sqlite_master where type = 'table' and substr(name, 1, 7) <> 'sqlite_'
             and name not in ('_sqlx_migrations', 'leases')
         order by case name when 'runs' then 0 else 1 end, name",
    )
    .fetch_all(&file.pool)
    .await?;
    rows.iter().map(|row| row.try_get("name")).collect()
}

async fn columns(file: &MetaDb, table: &str) -> Result<Vec<Column>, sqlx::Error> {
    let rows =
        sqlx::query("select name, lower(type) as holds from pragma_table_info($1) order by cid")
            .bind(table)
            .fetch_all(&file.pool)
            .await?;
    let column = |row: &sqlx::any::AnyRow| -> Result<Column, sqlx::Error> {
        let holds: String = row.try_get("holds")?;
        Ok(Column {
            name: row.try_get("name")?,
            holds: match holds.as_str() {
                "blob" => Holds::Bytes,
                "integer" | "bigint" => Holds::Number,
                _ => Holds::Text,
            },
        })
    };
    rows.iter().map(column).collect()
}

async fn copy(
    table: &str,
    columns: &[Column],
    from: &mut Transaction<'_, Any>,
    to: &mut Transaction<'_, Any>,
) -> Result<(), sqlx::Error> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let names = names.join(", ");
    let places: Vec<String> = (1..=columns.len())
        .map(|place| format!("${place}"))
        .collect();
    let places = places.join(", ");
    let read = format!("select {names} from {table}");
    let write = format!("insert into {table} ({names}) values ({places})");
    let mut rows = sqlx::query(AssertSqlSafe(read)).fetch(&mut **from);
    while let Some(row) = rows.try_next().await? {
        let mut insert = sqlx::query(AssertSqlSafe(write.clone()));
        for (place, column) in columns.iter().enumerate() {
            insert = match column.holds {
                Holds::Text => insert.bind(row.try_get::<Option<String>, _>(place)?),
                Holds::Number => insert.bind(row.try_get::<Option<i64>, _>(place)?),
                Holds::Bytes => insert.bind(row.try_get::<Option<Vec<u8>>, _>(place)?),
            };
        }
        insert.execute(&mut **to).await?;
    }
    Ok(())
}
