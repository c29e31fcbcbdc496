//! Read-only copies are asked where being late does no harm, and missed by nobody.

use std::time::Duration;

use warehouse::{Config, Error, MetadataOptions, Warehouse};

use super::Backend;

async fn with_replicas(primary: &Backend, replicas: Vec<String>) -> Result<Warehouse, Error> {
    let config = Config {
        metadata_options: MetadataOptions {
            replicas,
            ..MetadataOptions::default()
        },
        ..primary.config()
    };
    Warehouse::open(&config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_from_a_copy_and_everything_else_from_the_primary() {
    // The copy is a database of its own here, so that what is read says where it was read.
    let (primary, copy) = (Backend::postgres(), Backend::postgres());
    let stale = copy.open().await;
    let old = stale.start_run("refresh", "command").await.unwrap();
    let lake = with_replicas(&primary, vec![copy.url.clone()])
        .await
        .unwrap();
    let meta = lake.meta();
    let new = meta.start_run("sync", "command").await.unwrap();
    let runs = meta.runs(10).await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].run_id, old);
    // What decides something does not depend on it.
    let lease = meta.lease("a", "sync", Duration::ZERO).await.unwrap();
    assert!(stale.lease("a", "sync", Duration::ZERO).await.is_ok());
    let other = primary.open().await;
    other.lease("a", "sync", Duration::ZERO).await.unwrap_err();
    lease.release().await.unwrap();
    assert_eq!(primary.open().await.runs(10).await.unwrap()[0].run_id, new);
    let state = meta.state().await.unwrap();
    assert_eq!(state.replicas.len(), 1);
    assert_eq!(state.replicas[0].error, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_stands_in_for_a_copy_that_is_down() {
    let primary = Backend::postgres();
    let (_, database) = primary.url.rsplit_once('/').unwrap();
    let nobody = format!(
        "postgres://owner:{}@127.0.0.1:1/{database}",
        tests::PASSWORD
    );
    // One that is there, but has no tables.
    let empty = tests::database();
    let lake = with_replicas(&primary, vec![nobody, empty]).await.unwrap();
    let run = lake.meta().start_run("sync", "command").await.unwrap();
    for _ in 0..3 {
        assert_eq!(lake.meta().runs(10).await.unwrap()[0].run_id, run);
    }
    let begun = std::time::Instant::now();
    lake.meta().steps(10).await.unwrap();
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(1),
        "it is left alone for a while: {took:?}"
    );
    let state = lake.meta().state().await.unwrap();
    assert!(state.replicas.iter().all(|replica| replica.error.is_some()));
    assert!(!format!("{state:?}").contains(tests::PASSWORD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_no_copies() {
    let error = with_replicas(&Backend::sqlite(), vec![tests::database()]).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("metadata.replicas") && !text.contains(tests::PASSWORD),
        "{text}"
    );
}
