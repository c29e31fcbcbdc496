use std::time::Duration;

use futures::TryStreamExt;
use schemas::TableName;
use serde_json::json;
use warehouse::{
    Error, NewRelease, QueryOptions, Snapshot, TableSource, TableState, Warehouse, batch_to_rows,
};

use crate::{commit, open, row};

async fn run(
    lake: &Warehouse,
    sql: &str,
    options: QueryOptions,
) -> Result<Vec<schemas::Row>, Error> {
    let stream = lake.query().run(sql, &options).await?;
    let batches: Vec<_> = stream.try_collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(batch_to_rows(batch)?);
    }
    Ok(rows)
}

/// Two releases of a board table: with one board, then with two; and a view over it.
async fn lake(folder: &tempfile::TempDir) -> Warehouse {
    let lake = open(folder).await;
    let table = TableName::new("jira", "boards");
    for boards in 1..=2 {
        let rows = (1..=boards)
            .map(|id| row(json!({"connection": "acme", "board_id": id, "name": format!("B{id}")})))
            .collect();
        lake.tables()
            .upsert(&table, rows, &commit(&[]))
            .await
            .unwrap();
        let version = lake.tables().version(&table).await.unwrap().unwrap();
        let mut content = NewRelease::default();
        content.tables.insert(table.clone(), TableState { version });
        let view = "select board_id, name from jira.boards where deleted_at is null";
        content.views.insert(
            TableName::new("staging", "stg_jira__boards"),
            view.to_string(),
        );
        lake.releases().publish(content, "run", None).await.unwrap();
    }
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_one_release() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(&folder).await;
    let count = "select count(*) as n from staging.stg_jira__boards";
    let now = run(&lake, count, QueryOptions::default()).await.unwrap();
    assert_eq!(now[0]["n"], 2);
    let then = QueryOptions {
        as_of: Some("r1".into()),
        ..QueryOptions::default()
    };
    assert_eq!(run(&lake, count, then).await.unwrap()[0]["n"], 1);
    // Source tables that hold nothing yet are there, and empty.
    let issues = run(&lake, "select * from jira.issues", QueryOptions::default())
        .await
        .unwrap();
    assert!(issues.is_empty());
    let releases = "select release_id from system.releases order by release_id";
    assert_eq!(
        run(&lake, releases, QueryOptions::default())
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_records_can_be_queried() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(&folder).await;
    for stream in ["boards", "sprints"] {
        let record = schemas::RawRecord {
            connection: "acme".into(),
            stream: stream.into(),
            key: "1".into(),
            fetched_at: chrono::DateTime::UNIX_EPOCH,
            run_id: "r".into(),
            source_updated: None,
            payload: format!("{{\"stream\":\"{stream}\"}}"),
        };
        lake.raw().land(&[record]).await.unwrap();
    }
    let sql = "select key, payload from raw.records where stream = 'sprints'";
    let rows = run(&lake, sql, QueryOptions::default()).await.unwrap();
    assert_eq!(
        rows,
        [row(
            json!({"key": "1", "payload": "{\"stream\":\"sprints\"}"})
        )]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_errors_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let empty = open(&folder).await;
    let error = run(&empty, "select 1", QueryOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("refresh"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let lake = lake(&folder).await;
    let few = QueryOptions {
        max_rows: Some(1),
        ..QueryOptions::default()
    };
    let error = run(&lake, "select * from jira.boards", few)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooManyRows(1)));

    let short = QueryOptions {
        deadline: Some(Duration::from_millis(200)),
        ..QueryOptions::default()
    };
    let endless = "select count(*) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b";
    let started = std::time::Instant::now();
    let error = run(&lake, endless, short).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));

    for writing in [
        "drop table jira.boards",
        "explain analyze copy (select 1) to '/tmp/never.csv'",
        "explain analyze insert into jira.boards values (1)",
        "create table x as select 1",
    ] {
        let error = run(&lake, writing, QueryOptions::default())
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::NotReadOnly(_) | Error::Query { .. }),
            "{writing}: {error}"
        );
    }
    assert!(!std::path::Path::new("/tmp/never.csv").exists());
    let error = run(
        &lake,
        "select nothing from jira.boards",
        QueryOptions::default(),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, Error::Query { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_table_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(&folder).await;
    let context = lake
        .sessions()
        .open(&Snapshot::newest_sources())
        .await
        .unwrap();
    let model = TableName::new("marts", "board_names");
    for expected in [0, 1] {
        let sql = "select board_id, name, [board_id, 1] as pair, arrow_cast('2020-01-01T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))') as at from jira.boards";
        let frame = context.sql(sql).await.unwrap();
        let (version, rows) = lake.tables().overwrite(&model, frame, "run").await.unwrap();
        assert_eq!(rows, 2);
        assert_eq!(version, expected);
    }
    lake.sessions()
        .set(&context, &model, TableSource::Delta(None))
        .unwrap();
    let rows = context
        .sql("select * from marts.board_names order by board_id")
        .await
        .unwrap();
    let batches = rows.collect().await.unwrap();
    assert_eq!(
        batches.iter().map(|batch| batch.num_rows()).sum::<usize>(),
        2
    );
    assert_eq!(
        lake.tables().rows(&model, None).await.unwrap()[0]["at"],
        "2020-01-01T00:00:00Z"
    );
}
