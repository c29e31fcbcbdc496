//! Backups that are taken while others write, and putting them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{RawRecord, TableName};
use serde_json::json;
use warehouse::maintenance::{backup, connection_lease, restore};
use warehouse::{Config, Error, NewRelease, Source, StoreOptions, TableState, Warehouse};

use crate::{Silent, answer, commit, files, open, row};

fn boards() -> TableName {
    TableName::new("jira", "boards")
}

fn config(folder: &tempfile::TempDir) -> Config {
    let path = folder.path().display();
    Config {
        store_url: format!("file:{path}/lake"),
        metadata_url: format!("sqlite:{path}/meta.db"),
        ..Config::default()
    }
}

/// One sync: the record as received, its row with a mark, a release, and then what the metadata know.
async fn write(lake: &Warehouse, number: i64) {
    let record = RawRecord {
        connection: "acme".into(),
        stream: "boards".into(),
        key: number.to_string(),
        fetched_at: Utc::now(),
        run_id: "r".into(),
        source_updated: None,
        payload: "{}".into(),
    };
    lake.raw().land(&[record]).await.unwrap();
    let board = row(json!({"connection": "acme", "board_id": number, "name": "x"}));
    let marks = commit(&[("high", number)]);
    lake.tables()
        .upsert(&boards(), vec![board], &marks)
        .await
        .unwrap();
    let version = lake.tables().version(&boards()).await.unwrap().unwrap();
    let mut content = NewRelease::default();
    content.tables.insert(boards(), TableState { version });
    lake.releases().publish(content, "run", None).await.unwrap();
    let source = Source {
        connection: "acme".into(),
        kind: "jira".into(),
        url: "https://example.org".into(),
        time_zone: "UTC".into(),
        source_time: DateTime::UNIX_EPOCH + TimeDelta::seconds(number),
        synced_at: Utc::now(),
    };
    lake.meta().set_source(&source).await.unwrap();
}

/// What is in a lake: rows, mark, raw records, second of the source's clock, newest release.
async fn content(lake: &Warehouse) -> (i64, i64, i64, i64, u64) {
    let rows = lake.tables().rows(&boards(), None).await.unwrap().len() as i64;
    let mark = lake
        .tables()
        .mark(&boards(), "high")
        .await
        .unwrap()
        .unwrap();
    let raw = lake.raw().files("acme", "boards").await.unwrap().len() as i64;
    let source = lake.meta().sources().await.unwrap().remove(0);
    let release = lake.releases().latest().await.unwrap().unwrap().number;
    (rows, mark, raw, source.source_time.timestamp(), release)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_a_writer_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    write(&lake, 1).await;
    for is_polite in [true, false] {
        let target = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (writer, stopped) = (lake.clone(), Arc::clone(&stop));
        let from = content(&lake).await.0;
        let writing = tokio::spawn(async move {
            let mut number = from;
            let name = connection_lease("acme");
            // One that is not polite holds its lease for longer than the backup waits.
            let lease = |wait| writer.meta().lease(&name, "sync", wait);
            let _all = match is_polite {
                false => Some(lease(Duration::ZERO).await.unwrap()),
                true => None,
            };
            while !stopped.load(Ordering::Relaxed) {
                let one = match is_polite {
                    true => Some(lease(Duration::from_secs(30)).await.unwrap()),
                    false => None,
                };
                number += 1;
                write(&writer, number).await;
                if let Some(lease) = one {
                    lease.release().await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(120)).await;
            }
            number
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        let place = format!("file:{}", target.path().join("copy").display());
        let wait = match is_polite {
            true => Duration::from_secs(30),
            false => Duration::from_millis(200),
        };
        let report = backup(&lake, &place, &StoreOptions::default(), wait, &Silent)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        let last = writing.await.unwrap();
        assert_eq!(report.notes.is_empty(), is_polite, "{:?}", report.notes);
        let restored = restore(&place, &config(&target), &Silent).await.unwrap();
        assert_eq!(
            (restored.files, restored.bytes),
            (report.files, report.bytes)
        );
        let copy = open(&target).await;
        let (rows, mark, raw, source, release) = content(&copy).await;
        assert!(
            from < rows && rows < last,
            "it was taken while it was written: {from} {rows} {last}"
        );
        assert_eq!(rows, mark, "rows and cursor agree");
        assert!(release as i64 <= rows, "a release names what is there");
        assert!(raw >= rows, "what tables were built from is there");
        assert!(
            source <= rows,
            "nothing is said to be there that is not: {source} {rows}"
        );
        if is_polite {
            assert_eq!(
                (raw, source, release as i64),
                (rows, rows, rows),
                "and all of it together"
            );
        }
        let count = "select count(*) as n from jira.boards";
        let newest = format!("r{release}");
        assert_eq!(
            answer(&copy, count, &newest).await.unwrap()[0]["n"],
            release as i64
        );
        assert_eq!(Some(newest), report.release);
        // Nobody holds anything in the copy, and it goes on.
        let name = connection_lease("acme");
        copy.meta()
            .lease(&name, "sync", Duration::ZERO)
            .await
            .unwrap();
        write(&copy, rows + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten_and_nothing_unsound_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    write(&lake, 1).await;
    let running = lake.meta().start_run("sync", "command").await.unwrap();
    let target = tempfile::tempdir().unwrap();
    let copy = target.path().join("copy");
    let place = format!("file:{}", copy.display());
    let options = StoreOptions::default();
    let take = || backup(&lake, &place, &options, Duration::ZERO, &Silent);
    take().await.unwrap();
    let again = take().await.unwrap_err().to_string();
    assert!(again.contains("never overwrites"), "{again}");
    // Into what is there already: neither the lake nor the metadata.
    let refused = restore(&place, &config(&folder), &Silent)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("never overwrites one; move it away"),
        "{refused}"
    );
    std::fs::create_dir_all(target.path().join("lake")).unwrap();
    std::fs::write(target.path().join("lake/some"), "x").unwrap();
    let refused = restore(&place, &config(&target), &Silent)
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::StoreUrl { .. }), "{refused}");
    std::fs::remove_file(target.path().join("lake/some")).unwrap();
    // One bit, and nothing is written.
    let changed = files(&copy.join("lake/tables")).pop().unwrap();
    let sound = std::fs::read(&changed).unwrap();
    let mut bytes = sound.clone();
    bytes[10] ^= 1;
    std::fs::write(&changed, &bytes).unwrap();
    let refused = restore(&place, &config(&target), &Silent)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("is not what it was when the backup was taken"),
        "{refused}"
    );
    assert_eq!(
        files(&target.path().join("lake")),
        Vec::<std::path::PathBuf>::new()
    );
    assert!(!target.path().join("meta.db").exists());
    std::fs::remove_file(&changed).unwrap();
    let refused = restore(&place, &config(&target), &Silent)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("is missing"), "{refused}");
    std::fs::write(&changed, &sound).unwrap();
    restore(&place, &config(&target), &Silent).await.unwrap();
    let restored = open(&target).await;
    let runs = restored.meta().runs(10).await.unwrap();
    let run = runs.iter().find(|run| run.run_id == running).unwrap();
    assert_eq!(run.status, "failed", "nobody runs it any more");
    // Something else, or half of it.
    std::fs::remove_file(copy.join("manifest.json")).unwrap();
    let other = tempfile::tempdir().unwrap();
    let refused = restore(&place, &config(&other), &Silent)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("not finished"), "{refused}");
    let refused = restore("file:/nowhere/at/all", &config(&other), &Silent)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("no such folder"), "{refused}");
}

/// A backup of either kind of metadata is put back into either, and the system goes on there.
#[tokio::test]
async fn metadata_go_from_postgresql_to_a_file_and_back() {
    let folders: Vec<tempfile::TempDir> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let shared = |folder: usize| Config {
        metadata_url: ::tests::database(),
        ..config(&folders[folder])
    };
    let (first, second) = (shared(0), shared(2));
    let lake = Warehouse::open(&first).await.unwrap();
    for number in 1..4 {
        write(&lake, number).await;
    }
    let meta = lake.meta();
    let run = meta.start_run("sync", "command").await.unwrap();
    meta.finish_run(&run, "failed", Some("no network"))
        .await
        .unwrap();
    let asked = meta.request_run("hourly", "request").await.unwrap();
    let event = |identifier: &str| warehouse::meta::NewEvent {
        connection: "acme".into(),
        identifier: identifier.into(),
        retry: None,
        flow: None,
        body: vec![0, 159, 146, 150],
    };
    let limits = warehouse::meta::InboxLimits::default();
    meta.accept_event(&event("a"), limits).await.unwrap();
    let backups: Vec<String> = [1, 3]
        .map(|n| format!("file:{}", folders[n].path().join("b").display()))
        .into();
    backup(
        &lake,
        &backups[0],
        &StoreOptions::default(),
        Duration::from_secs(5),
        &Silent,
    )
    .await
    .unwrap();
    // To another database, from there to a file.
    restore(&backups[0], &second, &Silent).await.unwrap();
    let again = restore(&backups[0], &second, &Silent).await.unwrap_err();
    assert!(again.to_string().contains("never overwrites"), "{again}");
    let other = Warehouse::open(&second).await.unwrap();
    backup(
        &other,
        &backups[1],
        &StoreOptions::default(),
        Duration::from_secs(5),
        &Silent,
    )
    .await
    .unwrap();
    let local = config(&folders[4]);
    restore(&backups[1], &local, &Silent).await.unwrap();
    let local = Warehouse::open(&local).await.unwrap();
    for (name, copy) in [("PostgreSQL", &other), ("SQLite", &local)] {
        let (theirs, ours) = (copy.meta(), lake.meta());
        assert_eq!(
            theirs.runs(10).await.unwrap(),
            ours.runs(10).await.unwrap(),
            "{name}"
        );
        assert_eq!(
            theirs.sources().await.unwrap(),
            ours.sources().await.unwrap(),
            "{name}"
        );
        assert_eq!(
            theirs.job(&asked).await.unwrap(),
            ours.job(&asked).await.unwrap(),
            "{name}"
        );
        let (due, expected) = (
            theirs.due_events("acme", 9, 1 << 20).await.unwrap(),
            ours.due_events("acme", 9, 1 << 20).await.unwrap(),
        );
        assert_eq!((due.len(), &due[0].body), (1, &expected[0].body), "{name}");
        let query = "select board_id, name from jira.boards order by board_id";
        let rows = answer(copy, query, "r3").await.unwrap();
        assert_eq!(rows, answer(&lake, query, "r3").await.unwrap(), "{name}");
        // It goes on: the next event has a number of its own.
        theirs.accept_event(&event("b"), limits).await.unwrap();
        assert_eq!(
            theirs.due_events("acme", 9, 1 << 20).await.unwrap().len(),
            2,
            "{name}"
        );
        theirs.start_run("sync", "command").await.unwrap();
    }
}
