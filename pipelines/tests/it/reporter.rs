//! What people are told of runs, tests, and data that grows old.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use pipelines::alerts::{Alerts, Delivery};
use pipelines::{Clock, Failure, Notice, Reporter, Worker};
use schemas::{Blame, Retry};
use warehouse::{MetaDb, Source, Warehouse};

use crate::{Play, SYNC_AND_REFRESH, Stage, definition, open_warehouse, worker};

fn reporter(warehouse: &Warehouse) -> Reporter {
    let alerts = Alerts::new(warehouse.meta().clone(), Vec::new(), Delivery::default());
    Reporter::new(warehouse.clone(), alerts, vec!["acme".to_string()])
}

async fn run(worker: &Worker, meta: &MetaDb) {
    meta.request_run("p", "request").await.unwrap();
    let claim = worker.claim().await.unwrap().unwrap();
    worker.perform(&claim).await.unwrap();
}

/// Subjects of all alerts, the oldest first.
async fn told(meta: &MetaDb) -> Vec<String> {
    let mut rows = meta.alerts(100).await.unwrap();
    rows.sort_by(|one, other| one.alert_id.cmp(&other.alert_id));
    rows.into_iter().map(|row| row.subject).collect()
}

#[tokio::test]
async fn a_failure_is_told_once_until_it_is_over() {
    let (warehouse, _folder) = open_warehouse().await;
    let meta = warehouse.meta();
    let failure = |notices: Vec<Notice>| {
        Play::Fail(Failure {
            text: "it broke".to_string(),
            blame: Blame::Source,
            retry: Retry::Never,
            notices,
        })
    };
    let test_failed = Notice::TestFailed {
        test: "unique marts.velocity".to_string(),
        table: Some("marts.velocity".to_string()),
        rows: 3,
    };
    let stage = Stage::of([
        failure(Vec::new()),
        failure(Vec::new()),
        Play::Succeed,
        failure(vec![test_failed]),
    ]);
    let worker = worker(meta, vec![definition("p", SYNC_AND_REFRESH)], &stage)
        .with_reporter(reporter(&warehouse));
    run(&worker, meta).await;
    run(&worker, meta).await;
    assert_eq!(told(meta).await, ["Pipeline p failed at step sync"]);
    // The refresh fails with a test: another step, and the test itself.
    run(&worker, meta).await;
    let all = told(meta).await;
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(
        all.contains(&"Pipeline p failed at step refresh".to_string()),
        "{all:?}"
    );
    assert!(
        all.iter().any(|one| one.contains("unique marts.velocity")),
        "{all:?}"
    );
    let rows = meta.alerts(100).await.unwrap();
    assert!(rows.iter().all(|row| row.closed_at.is_none()));
    // All is well again, and those who heard of a failure hear of that.
    run(&worker, meta).await;
    let rows = meta.alerts(100).await.unwrap();
    let open = rows
        .iter()
        .filter(|row| row.kind == "run_failed" && row.resolves.is_none());
    assert!(open.clone().count() == 2 && open.clone().all(|row| row.closed_at.is_some()));
}

#[tokio::test]
async fn old_data_is_told_of_until_it_is_fresh() {
    let (warehouse, _folder) = open_warehouse().await;
    let meta = warehouse.meta();
    let source = |hours: i64| Source {
        connection: "acme".into(),
        kind: "jira".into(),
        url: "https://acme.example".into(),
        time_zone: "UTC".into(),
        source_time: Utc::now() - TimeDelta::hours(hours),
        synced_at: Utc::now(),
    };
    meta.set_source(&source(4)).await.unwrap();
    // Of one that the settings no longer have nobody expects anything.
    let gone = Source {
        connection: "gone".into(),
        ..source(400)
    };
    meta.set_source(&gone).await.unwrap();
    let stage = Stage::of([]);
    let mut options = pipelines::WorkerOptions {
        poll: Duration::from_millis(10),
        freshness: Some(Duration::from_secs(3 * 3600)),
        ..pipelines::WorkerOptions::default()
    };
    let steps: Arc<dyn pipelines::Steps> = Arc::clone(&stage) as Arc<dyn pipelines::Steps>;
    let minutes = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let clock = {
        let minutes = Arc::clone(&minutes);
        // Each look of the worker comes two minutes later.
        Clock::of(move || {
            Utc::now()
                + TimeDelta::seconds(minutes.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
        })
    };
    let start = |options: &pipelines::WorkerOptions| {
        let definitions = pipelines::Definitions::default();
        Worker::new(
            meta.clone(),
            definitions,
            Arc::clone(&steps),
            options.clone(),
        )
        .with_clock(clock.clone())
        .with_reporter(reporter(&warehouse))
    };
    let for_a_moment = || tokio::time::sleep(Duration::from_millis(300));
    start(&options).work(for_a_moment()).await.unwrap();
    let all = told(meta).await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(
        all[0].starts_with("Data of acme is 24") && all[0].ends_with("the limit is 180 min"),
        "{all:?}"
    );
    meta.set_source(&source(0)).await.unwrap();
    start(&options).work(for_a_moment()).await.unwrap();
    let rows = meta.alerts(100).await.unwrap();
    assert!(
        rows.iter()
            .filter(|row| row.resolves.is_none())
            .all(|row| row.closed_at.is_some())
    );
    // Without a limit nobody is told.
    options.freshness = None;
    meta.set_source(&source(400)).await.unwrap();
    let before = told(meta).await.len();
    start(&options).work(for_a_moment()).await.unwrap();
    assert_eq!(told(meta).await.len(), before);
}
