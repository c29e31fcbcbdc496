//! PostgreSQL is gone for a while.

use std::time::{Duration, Instant};

use warehouse::meta::{Accepted, InboxLimits, NewEvent};
use warehouse::{Config, Error, Warehouse};

async fn opened(url: &str, folder: &tempfile::TempDir) -> Result<Warehouse, Error> {
    let config = Config {
        store_url: format!("file:{}/lake", folder.path().display()),
        metadata_url: url.to_string(),
        ..Config::default()
    };
    Warehouse::open(&config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_when_the_server_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = tests::Cluster::start();
    let lake = opened(&cluster.database(), &folder).await.unwrap();
    let meta = lake.meta();
    let run = meta.start_run("sync", "command").await.unwrap();
    let lease = meta.lease("a", "sync", Duration::ZERO).await.unwrap();
    let event = |number: i32| NewEvent {
        connection: "acme".into(),
        identifier: number.to_string(),
        retry: None,
        flow: None,
        body: b"x".to_vec(),
    };
    let limits = InboxLimits::default();
    let stored = meta.accept_event(&event(1), limits).await.unwrap();
    assert_eq!(stored, Accepted::Stored);
    cluster.stop();
    // What a run does waits.
    let waiting = tokio::spawn({
        let (lake, run) = (lake.clone(), run.clone());
        async move {
            let meta = lake.meta();
            let outcome = meta.finish_run(&run, "succeeded", None).await;
            outcome.and(meta.lease("b", "sync", Duration::ZERO).await.map(drop))
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    cluster.resume();
    waiting.await.unwrap().unwrap();
    assert_eq!(meta.runs(1).await.unwrap()[0].status, "succeeded");
    assert_eq!(meta.due_events("acme", 9, 1 << 20).await.unwrap().len(), 1);
    // Who held something still does.
    meta.lease("a", "work", Duration::ZERO).await.unwrap_err();
    lease.release().await.unwrap();
    // Who is asked from outside says before long that it can't.
    cluster.stop();
    let begun = Instant::now();
    let error = meta.accept_event(&event(2), limits).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(matches!(error, Error::MetaGone { .. }), "{error}");
    assert_eq!(error.retry(), schemas::Retry::Later);
    assert!(error.to_string().contains("safe to try again"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://owner:{}@127.0.0.1:1/meta", tests::PASSWORD);
    let error = opened(&url, &folder).await.unwrap_err();
    assert!(matches!(error, Error::MetaAway { .. }), "{error}");
    assert_eq!(error.retry(), schemas::Retry::Later);
    let text = format!("{error} {error:?}");
    assert!(text.contains("postgres://owner@127.0.0.1:1/meta"), "{text}");
    assert!(!text.contains(tests::PASSWORD), "{text}");
}
