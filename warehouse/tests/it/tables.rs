use chrono::DateTime;
use schemas::TableName;
use serde_json::json;
use warehouse::Written;

use crate::{commit, open, row};

fn issue(id: i64, updated: &str, summary: &str) -> schemas::Row {
    row(json!({
        "connection": "acme", "issue_id": id, "issue_key": format!("A-{id}"), "summary": summary,
        "created_at": "2020-01-01T00:00:00Z", "updated_at": updated, "sprint_ids": [1, 2],
    }))
}

fn issues() -> TableName {
    TableName::new("jira", "issues")
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_inserts_updates_and_leaves_the_rest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let tables = lake.tables();
    let first = vec![
        issue(1, "2020-01-02T00:00:00Z", "one"),
        issue(2, "2020-01-02T00:00:00Z", "two"),
    ];
    let written = tables
        .upsert(&issues(), first.clone(), &commit(&[("high", 5)]))
        .await
        .unwrap();
    assert_eq!(
        written,
        Written {
            inserted: 2,
            ..Written::default()
        }
    );
    assert_eq!(tables.mark(&issues(), "high").await.unwrap(), Some(5));
    let version = tables.version(&issues()).await.unwrap();

    let written = tables
        .upsert(&issues(), first, &commit(&[("high", 5)]))
        .await
        .unwrap();
    assert_eq!(
        written,
        Written {
            unchanged: 2,
            ..Written::default()
        }
    );
    assert_eq!(
        tables.version(&issues()).await.unwrap(),
        version,
        "nothing changed, nothing committed"
    );

    let second = vec![
        issue(2, "2020-01-03T00:00:00Z", "zwei"),
        issue(3, "2020-01-03T00:00:00Z", "three"),
        issue(1, "2019-01-01T00:00:00Z", "older than what is stored"),
    ];
    let written = tables
        .upsert(&issues(), second, &commit(&[("high", 9)]))
        .await
        .unwrap();
    assert_eq!(
        written,
        Written {
            inserted: 1,
            updated: 1,
            unchanged: 1,
            deleted: 0
        }
    );
    let rows = tables.rows(&issues(), Some("issue_id <= 2")).await.unwrap();
    let mut summaries: Vec<_> = rows
        .iter()
        .map(|row| row["summary"].as_str().unwrap())
        .collect();
    summaries.sort_unstable();
    assert_eq!(summaries, ["one", "zwei"]);
    assert_eq!(tables.rows(&issues(), None).await.unwrap().len(), 3);

    // Another handle, as after a restart, sees the same table and cursor.
    let again = open(&folder).await;
    assert_eq!(
        again.tables().mark(&issues(), "high").await.unwrap(),
        Some(9)
    );
    assert_eq!(again.tables().rows(&issues(), None).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_records_are_appended_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let table = TableName::new("jira", "changelog_items");
    let item = |history: i64, ordinal: i64| {
        row(json!({
            "connection": "acme", "history_id": history, "ordinal": ordinal, "issue_id": 1,
            "changed_at": "2020-01-01T00:00:00Z", "field": "Fix Version",
        }))
    };
    let written = lake
        .tables()
        .append_new(&table, vec![item(1, 0), item(1, 1)], &commit(&[]))
        .await
        .unwrap();
    assert_eq!(written.inserted, 2);
    let written = lake
        .tables()
        .append_new(
            &table,
            vec![item(1, 0), item(1, 1), item(2, 0)],
            &commit(&[]),
        )
        .await
        .unwrap();
    assert_eq!((written.inserted, written.unchanged), (1, 2));
    assert_eq!(lake.tables().rows(&table, None).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_listing_marks_what_is_gone_and_revives_what_returns() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let table = TableName::new("jira", "board_sprints");
    let pair = |board: i64, sprint: i64| {
        row(json!({"connection": "acme", "board_id": board, "sprint_id": sprint}))
    };
    let other = row(json!({"connection": "other", "board_id": 1, "sprint_id": 1}));
    let at = DateTime::UNIX_EPOCH;
    let tables = lake.tables();
    tables
        .replace(&table, "other", vec![other], at, &commit(&[]))
        .await
        .unwrap();
    tables
        .replace(
            &table,
            "acme",
            vec![pair(1, 1), pair(1, 2)],
            at,
            &commit(&[]),
        )
        .await
        .unwrap();
    let written = tables
        .replace(
            &table,
            "acme",
            vec![pair(1, 2), pair(1, 3)],
            at,
            &commit(&[]),
        )
        .await
        .unwrap();
    assert_eq!(
        written,
        Written {
            inserted: 1,
            updated: 0,
            unchanged: 1,
            deleted: 1
        }
    );
    let live = tables
        .rows(&table, Some("deleted_at is null"))
        .await
        .unwrap();
    assert_eq!(live.len(), 3, "the other connection is untouched");
    let version = tables.version(&table).await.unwrap();
    tables
        .replace(
            &table,
            "acme",
            vec![pair(1, 2), pair(1, 3)],
            at,
            &commit(&[]),
        )
        .await
        .unwrap();
    assert_eq!(tables.version(&table).await.unwrap(), version);
    let all = vec![pair(1, 1), pair(1, 2), pair(1, 3)];
    let written = tables
        .replace(&table, "acme", all, at, &commit(&[]))
        .await
        .unwrap();
    assert_eq!(written.updated, 1);
    assert!(
        tables
            .rows(&table, Some("deleted_at is not null"))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clearing_takes_one_connection_only() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let mut other = issue(1, "2020-01-02T00:00:00Z", "x");
    other.insert("connection".into(), "other".into());
    let rows = vec![issue(1, "2020-01-02T00:00:00Z", "x"), other];
    lake.tables()
        .upsert(&issues(), rows, &commit(&[]))
        .await
        .unwrap();
    lake.tables()
        .clear(&issues(), "acme", &commit(&[("mark", 0)]))
        .await
        .unwrap();
    let left = lake.tables().rows(&issues(), None).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["connection"], "other");
    assert_eq!(
        lake.tables().mark(&issues(), "mark").await.unwrap(),
        Some(0)
    );
}
