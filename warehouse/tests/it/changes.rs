//! What differs between versions of a table, and replacing the rows of some keys.

use datafusion::arrow::array::RecordBatch;
use schemas::{Row, TableName};
use serde_json::json;
use warehouse::{Changes, Keys, Snapshot, TableSource, Warehouse, batch_to_rows};

use crate::{commit, open, row};

fn boards() -> TableName {
    TableName::new("jira", "boards")
}

fn board(id: i64, name: &str) -> Row {
    row(json!({"connection": "acme", "board_id": id, "name": name}))
}

fn columns() -> Vec<String> {
    ["board_id", "name"].map(String::from).to_vec()
}

fn rows(changes: Changes) -> Vec<(i64, String)> {
    let batches: Vec<RecordBatch> = match changes {
        Changes::Rows { before, after } => before.into_iter().chain(after).collect(),
        other => panic!("{other:?}"),
    };
    let rows = batches
        .iter()
        .flat_map(|batch| batch_to_rows(batch).unwrap());
    let mut rows: Vec<(i64, String)> = rows
        .map(|row| {
            let name = row["name"].as_str().unwrap().to_string();
            (row["board_id"].as_i64().unwrap(), name)
        })
        .collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rows_are_told_as_they_were_and_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let (tables, table) = (lake.tables(), boards());
    let all: Vec<Row> = (1..=5).map(|id| board(id, "old")).collect();
    tables.upsert(&table, all, &commit(&[])).await.unwrap();
    let first = tables.version(&table).await.unwrap().unwrap();
    let change = vec![board(2, "new"), board(9, "more")];
    tables.upsert(&table, change, &commit(&[])).await.unwrap();
    let second = tables.version(&table).await.unwrap().unwrap();
    let names = columns();
    let changes = |from, to| tables.changes(&table, &names, from, to);
    let found = rows(changes(first, second).await.unwrap());
    let expected = [(2, "new"), (2, "old"), (9, "more")].map(|(id, name)| (id, name.to_string()));
    assert_eq!(
        found, expected,
        "the rows that were only rewritten are no change"
    );
    assert!(matches!(
        changes(second, second).await.unwrap(),
        Changes::Nothing
    ));
    // Back, and forth again: of two versions with the same rows nothing differs.
    let back = vec![board(2, "old")];
    tables.upsert(&table, back, &commit(&[])).await.unwrap();
    let forth = vec![board(2, "new")];
    tables.upsert(&table, forth, &commit(&[])).await.unwrap();
    let last = tables.version(&table).await.unwrap().unwrap();
    assert!(matches!(
        changes(second, last).await.unwrap(),
        Changes::Nothing
    ));
    // What can't be compared counts as changed.
    assert!(matches!(
        changes(99, last).await.unwrap(),
        Changes::Everything
    ));
}

/// Rows of a model's table: ids with a word each.
async fn model(lake: &Warehouse, ids: &str, word: &str) -> datafusion::dataframe::DataFrame {
    let context = lake.sessions().open(&Snapshot::default()).await.unwrap();
    let sql = format!(
        "select 'acme' as connection, cast(value as bigint) as issue_id, '{word}' as word \
         from generate_series({ids}) order by 2"
    );
    context.sql(&sql).await.unwrap()
}

async fn count(lake: &Warehouse, table: &TableName, version: u64, condition: &str) -> i64 {
    let mut snapshot = Snapshot::default();
    let source = TableSource::Delta(Some(version));
    snapshot.tables.insert(table.clone(), source);
    let context = lake.sessions().open(&snapshot).await.unwrap();
    let sql = format!("select count(*) as n from {table} where {condition}");
    let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
    batch_to_rows(&batches[0]).unwrap()[0]["n"]
        .as_i64()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_replaces_the_rows_of_its_keys_and_rewrites_only_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let table = TableName::new("marts", "words");
    let tables = lake.tables();
    let frame = model(&lake, "1, 10", "old").await;
    let (empty, _) = tables.overwrite(&table, frame, "r").await.unwrap();
    // Three files of 65536 rows, by patching with everything.
    let mut keys = Keys::default();
    (1..=10).for_each(|id| keys.insert("acme", id));
    let frame = model(&lake, "1, 196608", "old").await;
    let patched = tables.patch(&table, empty, "issue_id", &keys, frame, "r");
    let (base, _) = patched.await.unwrap();
    assert_eq!(count(&lake, &table, base, "word = 'old'").await, 196_608);

    let mut keys = Keys::default();
    [70_000, 70_001, 70_002]
        .iter()
        .for_each(|id| keys.insert("acme", *id));
    let frame = model(&lake, "70000, 70001", "new").await;
    let patched = tables.patch(&table, base, "issue_id", &keys, frame, "r");
    let (next, written) = patched.await.unwrap();
    assert_eq!(written, 65_535, "one of three files, less one row");
    assert_eq!(count(&lake, &table, next, "word = 'new'").await, 2);
    assert_eq!(count(&lake, &table, next, "true").await, 196_607);
    assert_eq!(count(&lake, &table, next, "issue_id = 70002").await, 0);
    assert_eq!(count(&lake, &table, base, "true").await, 196_608);

    let names = ["issue_id".to_string(), "word".to_string()];
    let changes = tables.changes(&table, &names, base, next).await.unwrap();
    let Changes::Rows { before, after } = changes else {
        panic!("{changes:?}")
    };
    let rows = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!((rows(&before), rows(&after)), (3, 2));

    // Whoever starts from another version than the newest is refused.
    let frame = model(&lake, "70000, 70001", "late").await;
    let late = tables.patch(&table, base, "issue_id", &keys, frame, "r");
    assert!(
        late.await
            .unwrap_err()
            .to_string()
            .contains("not at version")
    );

    // Small files don't pile up: new keys at the end are written together.
    let mut version = next;
    for id in 200_000..200_006 {
        let mut keys = Keys::default();
        keys.insert("acme", id);
        let frame = model(&lake, &format!("{id}, {id}"), "new").await;
        let patched = tables.patch(&table, version, "issue_id", &keys, frame, "r");
        version = patched.await.unwrap().0;
    }
    let files = tables.file_count(&table).await.unwrap();
    assert_eq!(files, 4, "three and one of new rows");
    assert_eq!(count(&lake, &table, version, "true").await, 196_613);
}
