//! Both databases have the same schema.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::Backend;

/// Tables that belong to the migrations, not to the product.
const OWN: &str = "_sqlx_migrations";

fn text(row: &AnyRow, column: &str) -> String {
    row.get(column)
}

/// Every column: table, name, type, whether it may be null, whether it has a default, place in the
/// primary key.
async fn columns(backend: &Backend) -> Vec<String> {
    let query = match backend.is_postgres() {
        false => {
            "select m.name as tab, c.name as col, lower(c.type) as kind,
             case when c.\"notnull\" = 1 or c.pk > 0 then 'not null' else 'null' end as nullable,
             case when c.dflt_value is null then '' else 'default ' || c.dflt_value end as initial,
             c.pk as place
             from sqlite_master m join pragma_table_info(m.name) c where m.type = 'table'
             and m.name not like 'sqlite_%'"
        }
        true => {
            "select c.table_name::text as tab, c.column_name::text as col,
             case c.data_type when 'bigint' then 'integer' when 'bytea' then 'blob'
             else c.data_type::text end as kind,
             case c.is_nullable when 'NO' then 'not null' else 'null' end as nullable,
             case when c.column_default is null then '' else 'default ' || c.column_default end as initial,
             coalesce((select k.ordinal_position from information_schema.key_column_usage k
             join information_schema.table_constraints t using (constraint_schema, constraint_name)
             where t.constraint_type = 'PRIMARY KEY' and k.table_schema = c.table_schema
             and k.table_name = c.table_name and k.column_name = c.column_name), 0)::bigint as place
             from information_schema.columns c where c.table_schema = 'public'"
        }
    };
    let rows = backend.raw(query).await;
    let mut columns: Vec<String> = rows
        .iter()
        .filter(|row| text(row, "tab") != OWN)
        .map(|row| {
            format!(
                "{}.{} {} {} {} key {}",
                text(row, "tab"),
                text(row, "col"),
                text(row, "kind"),
                text(row, "nullable"),
                text(row, "initial"),
                row.get::<i64, _>("place")
            )
        })
        .collect();
    columns.sort();
    columns
}

/// Every unique key and index that is not the primary key: table, columns, whether it is unique,
/// whether it is for some rows only.
async fn indexes(backend: &Backend) -> Vec<String> {
    let query = match backend.is_postgres() {
        false => {
            "select m.name as tab, l.\"unique\" as uniq, l.partial as part,
             (select group_concat(name, ',') from (select name from pragma_index_info(l.name) order by seqno))
             as cols from sqlite_master m join pragma_index_list(m.name) l
             where m.type = 'table' and l.origin <> 'pk'"
        }
        true => {
            "select r.relname::text as tab, i.indisunique::int as uniq, (i.indpred is not null)::int as part,
             (select string_agg(a.attname::text, ',' order by k.place) from
             unnest(i.indkey) with ordinality k (num, place)
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.num) as cols
             from pg_index i join pg_class r on r.oid = i.indrelid
             join pg_namespace n on n.oid = r.relnamespace
             where n.nspname = 'public' and not i.indisprimary"
        }
    };
    let rows = backend.raw(query).await;
    let mut indexes: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{} ({}) unique {} partial {}",
                text(row, "tab"),
                text(row, "cols"),
                row.get::<i64, _>("uniq"),
                row.get::<i64, _>("part")
            )
        })
        .collect();
    indexes.sort();
    indexes
}

/// Every reference to another table.
async fn references(backend: &Backend) -> Vec<String> {
    let query = match backend.is_postgres() {
        false => {
            "select m.name as tab, f.\"from\" as col, f.\"table\" as other
             from sqlite_master m join pragma_foreign_key_list(m.name) f where m.type = 'table'"
        }
        true => {
            "select k.table_name::text as tab, k.column_name::text as col, u.table_name::text as other
             from information_schema.referential_constraints c
             join information_schema.key_column_usage k using (constraint_schema, constraint_name)
             join information_schema.constraint_column_usage u using (constraint_schema, constraint_name)"
        }
    };
    let rows = backend.raw(query).await;
    let mut references: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{}.{} → {}",
                text(row, "tab"),
                text(row, "col"),
                text(row, "other")
            )
        })
        .collect();
    references.sort();
    references
}

/// What was applied.
async fn migrations(backend: &Backend) -> Vec<(i64, String)> {
    let query = "select version, description from _sqlx_migrations order by version";
    let rows = backend.raw(query).await;
    rows.iter()
        .map(|row| (row.get("version"), row.get("description")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_have_the_same_schema() {
    let (sqlite, postgres) = (Backend::sqlite(), Backend::postgres());
    drop((sqlite.open().await, postgres.open().await));
    let expected = columns(&sqlite).await;
    assert!(
        expected
            .iter()
            .any(|column| column == "steps.run_id text not null  key 1")
    );
    assert_eq!(columns(&postgres).await, expected);
    let expected = indexes(&sqlite).await;
    let inbox = "inbox (connection,identifier) unique 1 partial 0";
    assert!(expected.iter().any(|index| index == inbox), "{expected:?}");
    assert_eq!(indexes(&postgres).await, expected);
    assert_eq!(references(&sqlite).await, ["steps.run_id → runs"]);
    assert_eq!(references(&postgres).await, ["steps.run_id → runs"]);
    assert_eq!(migrations(&sqlite).await, migrations(&postgres).await);
    // Text compares byte by byte, as in SQLite.
    let other = postgres
        .raw(
            "select count(*) as many from information_schema.columns where table_schema = 'public'
             and table_name <> '_sqlx_migrations' and data_type = 'text'
             and collation_name is distinct from 'C'",
        )
        .await;
    assert_eq!(other[0].get::<i64, _>("many"), 0);
}
