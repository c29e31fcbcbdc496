//! Tables that an older version wrote, whose contract has had fewer columns.

use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use deltalake::DeltaTable;
use schemas::{Row, TableName, contract};
use serde_json::json;
use tempfile::TempDir;
use warehouse::rows_to_batch;

use crate::{commit, open, row};

/// Writes a table as a version would that didn't know some columns.
async fn write_without(folder: &TempDir, table: &str, without: &[&str], rows: &[Row]) {
    let table = TableName::new("jira", table);
    let full = rows_to_batch(contract(&table).unwrap(), rows).unwrap();
    let kept: Vec<usize> = full
        .schema()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !without.contains(&field.name().as_str()))
        .map(|(at, _)| at)
        .collect();
    let older: RecordBatch = full.project(&kept).unwrap();
    let schema: Arc<Schema> = older.schema();
    assert_eq!(schema.fields().len() + without.len(), full.num_columns());
    let path = folder.path().join("lake/tables/jira").join(&table.name);
    std::fs::create_dir_all(&path).unwrap();
    let url = url::Url::from_directory_path(&path).unwrap();
    let delta = DeltaTable::try_from_url(url).await.unwrap();
    delta.write([older]).await.unwrap();
}

fn sprint(id: i64, name: &str, goal: Option<&str>) -> Row {
    row(json!({"connection": "acme", "sprint_id": id, "name": name, "goal": goal}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_an_older_version_is_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder).await);
    let issue = |id: i64, rank: Option<&str>| {
        row(
            json!({"connection": "acme", "issue_id": id, "issue_key": format!("A-{id}"), "rank": rank,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}),
        )
    };
    write_without(
        &folder,
        "issues",
        &["rank", "missing_since"],
        &[issue(1, None), issue(2, None)],
    )
    .await;
    let lake = open(&folder).await;
    let issues = TableName::new("jira", "issues");
    // Read before anything is written to it: what it lacks is null, in columns and conditions alike.
    let rows = lake
        .tables()
        .rows(&issues, Some("rank is null"))
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["rank"], json!(null));
    let columns = ["issue_id", "missing_since"];
    let rows = lake
        .tables()
        .columns(&issues, &columns, "missing_since is null");
    assert_eq!(rows.await.unwrap().len(), 2);
    let context = lake
        .sessions()
        .open(&warehouse::Snapshot::newest_sources())
        .await
        .unwrap();
    let seen = context.sql("select rank, issue_id from jira.issues where issue_id = 2");
    assert_eq!(seen.await.unwrap().count().await.unwrap(), 1);
    // Merged into, appended to, and unchanged when there is nothing to change.
    let tables = lake.tables();
    let written = tables
        .upsert(
            &issues,
            vec![issue(2, Some("0|a")), issue(3, Some("0|b"))],
            &commit(&[]),
        )
        .await
        .unwrap();
    assert_eq!((written.inserted, written.updated), (1, 1));
    let version = tables.version(&issues).await.unwrap();
    let same = vec![issue(1, None), issue(3, Some("0|b"))];
    let again = tables.upsert(&issues, same, &commit(&[])).await.unwrap();
    assert_eq!(again.unchanged, 2);
    assert_eq!(tables.version(&issues).await.unwrap(), version);
    let mut ranks: Vec<_> = tables
        .rows(&issues, None)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row["issue_id"].as_i64().unwrap(), row["rank"].clone()))
        .collect();
    ranks.sort_by_key(|(id, _)| *id);
    assert_eq!(
        ranks,
        [(1, json!(null)), (2, json!("0|a")), (3, json!("0|b"))]
    );
    // And by a program that opens it afresh.
    let again = open(&folder).await;
    assert_eq!(
        again
            .tables()
            .rows(&issues, Some("rank = '0|a'"))
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_and_its_history_take_a_new_column_without_a_new_state() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder).await);
    let at = |second: i64| DateTime::from_timestamp(1_772_366_400 + second, 0).unwrap();
    let state = |id: i64, name: &str| {
        let mut row = sprint(id, name, None);
        row.insert("valid_from".into(), "2026-03-01T12:00:00Z".into());
        row.insert("is_initial".into(), true.into());
        row
    };
    write_without(
        &folder,
        "sprints",
        &["goal"],
        &[sprint(1, "a", None), sprint(2, "b", None)],
    )
    .await;
    write_without(
        &folder,
        "sprints_history",
        &["goal"],
        &[state(1, "a"), state(2, "b")],
    )
    .await;
    let lake = open(&folder).await;
    let sprints = TableName::new("jira", "sprints");
    let rows = vec![sprint(1, "a", Some("win")), sprint(2, "renamed", None)];
    let tables = lake.tables();
    let written = tables
        .replace(&sprints, "acme", rows, at(60), &commit(&[]))
        .await
        .unwrap();
    assert_eq!(written.updated, 2);
    let history = TableName::new("jira", "sprints_history");
    let states = async || {
        let mut states: Vec<_> = tables
            .rows(&history, None)
            .await
            .unwrap()
            .into_iter()
            .map(|row| {
                (
                    row["sprint_id"].as_i64().unwrap(),
                    row["name"].clone(),
                    row["goal"].clone(),
                    row["valid_to"].is_null(),
                )
            })
            .collect();
        states.sort_by_key(|state| (state.0, state.3));
        states
    };
    let expected = [
        (1, json!("a"), json!("win"), true),
        (2, json!("b"), json!(null), false),
        (2, json!("renamed"), json!(null), true),
    ];
    assert_eq!(states().await, expected);
    // From now on a goal is a part of the state.
    let rows = vec![
        sprint(1, "a", Some("win")),
        sprint(2, "renamed", Some("too")),
    ];
    tables
        .replace(&sprints, "acme", rows, at(120), &commit(&[]))
        .await
        .unwrap();
    assert_eq!(states().await.len(), 4);
}

/// Immutable records are appended.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_appended_to_a_table_of_an_older_version() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder).await);
    let item = |history: i64, to: Option<&str>| {
        row(
            json!({"connection": "acme", "history_id": history, "ordinal": 0, "issue_id": 1,
            "changed_at": "2026-01-01T00:00:00Z", "field": "labels", "to_value": to}),
        )
    };
    write_without(&folder, "changelog_items", &["to_value"], &[item(1, None)]).await;
    let lake = open(&folder).await;
    let table = TableName::new("jira", "changelog_items");
    let rows = vec![item(1, None), item(2, Some("x"))];
    let written = lake
        .tables()
        .append_new(&table, rows, &commit(&[]))
        .await
        .unwrap();
    assert_eq!((written.inserted, written.unchanged), (1, 1));
    let found = lake
        .tables()
        .rows(&table, Some("to_value = 'x'"))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}
