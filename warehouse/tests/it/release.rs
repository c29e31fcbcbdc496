use std::collections::BTreeMap;

use schemas::{RawRecord, TableName};
use warehouse::{Error, NewRelease, TableState};

use crate::open;

fn content(version: u64) -> NewRelease {
    NewRelease {
        tables: BTreeMap::from([(TableName::new("jira", "issues"), TableState { version })]),
        ..NewRelease::default()
    }
}

#[tokio::test]
async fn releases_are_numbered_listed_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    assert_eq!(lake.releases().latest().await.unwrap(), None);
    let first = lake
        .releases()
        .publish(content(1), "a", None)
        .await
        .unwrap();
    let between = chrono::Utc::now();
    let second = lake
        .releases()
        .publish(content(2), "b", Some(between))
        .await
        .unwrap();
    assert_eq!(
        (first.release_id.as_str(), second.release_id.as_str()),
        ("r1", "r2")
    );
    assert_eq!(
        lake.releases().latest().await.unwrap(),
        Some(second.clone())
    );
    assert_eq!(
        lake.releases().list().await.unwrap(),
        vec![second, first.clone()]
    );
    assert_eq!(lake.releases().find("r1").await.unwrap(), first);
    assert_eq!(
        lake.releases().find(&between.to_rfc3339()).await.unwrap(),
        first
    );
    for unknown in ["r3", "yesterday", "2001-01-01"] {
        let error = lake.releases().find(unknown).await.unwrap_err();
        assert!(matches!(error, Error::UnknownRelease(_)), "{unknown}");
    }
}

#[tokio::test]
async fn of_two_publishers_at_one_moment_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder).await, open(&folder).await);
    let (a, b) = tokio::join!(
        one.releases().publish(content(1), "a", None),
        two.releases().publish(content(1), "b", None)
    );
    let published = one.releases().list().await.unwrap();
    let won = usize::from(a.is_ok()) + usize::from(b.is_ok());
    assert_eq!(published.len(), won);
    for lost in [a, b].into_iter().filter_map(Result::err) {
        assert!(matches!(lost, Error::ReleaseTaken(_)));
    }
}

#[tokio::test]
async fn raw_files_are_read_back_in_landing_order() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let record = |key: &str, payload: &str| RawRecord {
        connection: "acme".into(),
        stream: "issues".into(),
        key: key.into(),
        fetched_at: chrono::DateTime::UNIX_EPOCH,
        run_id: "r".into(),
        source_updated: None,
        payload: payload.into(),
    };
    lake.raw().land(&[]).await.unwrap();
    lake.raw()
        .land(&[record("1", r#"{"a":1}"#), record("2", "{}")])
        .await
        .unwrap();
    lake.raw().land(&[record("1", r#"{"a":2}"#)]).await.unwrap();
    let files = lake.raw().files("acme", "issues").await.unwrap();
    assert_eq!(files.len(), 2);
    let mut payloads = Vec::new();
    for file in &files {
        payloads.extend(
            lake.raw()
                .read(file)
                .await
                .unwrap()
                .into_iter()
                .map(|r| r.payload),
        );
    }
    assert_eq!(payloads, [r#"{"a":1}"#, "{}", r#"{"a":2}"#]);
    assert!(
        lake.raw()
            .files("acme", "sprints")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_run_is_recorded_from_start_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    let id = lake.meta().start_run("sync", "command").await.unwrap();
    assert_eq!(lake.meta().runs(10).await.unwrap()[0].status, "running");
    lake.meta()
        .finish_run(&id, "failed", Some("no network"))
        .await
        .unwrap();
    let run = lake.meta().runs(10).await.unwrap().remove(0);
    assert_eq!(
        (run.status.as_str(), run.reason.as_deref()),
        ("failed", Some("no network"))
    );
    assert!(run.finished_at.unwrap() >= run.started_at);
}
