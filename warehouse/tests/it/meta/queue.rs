//! The queue of runs: each tick and each job once, whoever asks at the same moment.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use warehouse::meta::{Beat, Claim, Tick};

use super::Backend;

super::over_both!(
    the_ticks_of_a_time_are_written_by_one_of_many,
    a_pipeline_works_on_one_run_whoever_claims,
    a_claim_is_renewed_lost_and_given_back,
    what_waits_and_what_works_is_cancelled,
);

async fn the_ticks_of_a_time_are_written_by_one_of_many(backend: Backend) {
    let meta = backend.open().await;
    let names = [("p".to_string(), "{}".to_string())];
    meta.know_pipelines(&names).await.unwrap();
    let at = |minute: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
    assert!(meta.account_ticks("p", None, at(0), &[]).await.unwrap());
    for round in 0..5 {
        let ticks = [
            Tick::Run(at(10 * round + 5), "schedule"),
            Tick::Skip(at(10 * round + 10), "another one".to_string()),
        ];
        let tries = (0..6).map(|_| {
            let (meta, ticks) = (meta.clone(), ticks.clone());
            let (from, until) = (at(10 * round), at(10 * round + 10));
            tokio::spawn(async move {
                let accounted = meta.account_ticks("p", Some(from), until, &ticks).await;
                accounted.unwrap()
            })
        });
        let wrote = futures::future::join_all(tries).await;
        assert_eq!(
            wrote
                .into_iter()
                .filter(|one| *one.as_ref().unwrap())
                .count(),
            1
        );
    }
    assert_eq!(meta.open_jobs(Some("p")).await.unwrap().len(), 5);
    let skipped = meta
        .runs_page(Some("p"), Some("skipped"), None, 100)
        .await
        .unwrap();
    let ticks: BTreeSet<_> = skipped.iter().map(|run| run.scheduled_for).collect();
    assert_eq!((skipped.len(), ticks.len()), (5, 5));
    // Page by page it is the same.
    let first = meta.runs_page(Some("p"), None, None, 3).await.unwrap();
    let rest = meta
        .runs_page(Some("p"), None, Some(&first[2].run_id), 3)
        .await
        .unwrap();
    assert_eq!([first, rest].concat(), skipped);
    // Switched off and on, what was accounted for is forgotten; what was written is not.
    meta.enable_pipeline("p", Some(false)).await.unwrap();
    let row = meta.pipelines().await.unwrap().remove(0);
    assert_eq!((row.enabled, row.scheduled_until), (Some(false), None));
}

async fn a_pipeline_works_on_one_run_whoever_claims(backend: Backend) {
    let meta = backend.open().await;
    for name in ["a", "a", "a", "b", "c"] {
        meta.request_run(name, "request").await.unwrap();
    }
    let claims = (0..8).map(|_| {
        let meta = meta.clone();
        tokio::spawn(async move { meta.claim_job(&["a", "b"], Utc::now()).await.unwrap() })
    });
    let claims = futures::future::join_all(claims).await;
    let claims: Vec<Claim> = claims.into_iter().filter_map(|one| one.unwrap()).collect();
    let names: BTreeSet<&str> = claims.iter().map(|one| one.job.pipeline.as_str()).collect();
    assert_eq!((claims.len(), names), (2, BTreeSet::from(["a", "b"])));
    for claim in &claims {
        assert!(
            meta.finish_job(claim, "succeeded", None, Utc::now())
                .await
                .unwrap()
        );
        assert!(
            !meta
                .finish_job(claim, "failed", None, Utc::now())
                .await
                .unwrap()
        );
    }
    let next = meta
        .claim_job(&["a", "b"], Utc::now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(next.job.pipeline, "a");
    let run = meta.run(&next.job.run_id).await.unwrap().unwrap();
    assert_eq!(run.status, "running");
}

async fn a_claim_is_renewed_lost_and_given_back(backend: Backend) {
    let meta = backend.open().await;
    let run_id = meta.request_run("a", "request").await.unwrap();
    let now = Utc::now();
    let first = meta.claim_this(&run_id, now).await.unwrap().unwrap();
    let second = meta.request_run("a", "request").await.unwrap();
    assert!(meta.claim_this(&second, now).await.unwrap().is_none());
    assert_eq!(
        meta.beat(&first, Some("model 3"), now).await.unwrap(),
        Beat::Held
    );
    let job = meta.job(&run_id).await.unwrap().unwrap();
    assert_eq!(job.progress.as_deref(), Some("model 3"));
    let later = now + TimeDelta::minutes(3);
    assert!(meta.claim_ended(&["a"], now).await.unwrap().is_none());
    let taken = meta.claim_ended(&["a"], later).await.unwrap().unwrap();
    assert_eq!((&taken.job.run_id, taken.job.takeovers), (&run_id, 1));
    assert_eq!(meta.beat(&first, None, later).await.unwrap(), Beat::Lost);
    meta.hand_back(&first).await.unwrap();
    assert_eq!(meta.beat(&taken, None, later).await.unwrap(), Beat::Held);
    meta.hand_back(&taken).await.unwrap();
    let again = meta.claim_this(&run_id, later).await.unwrap().unwrap();
    assert!(
        meta.finish_job(&again, "succeeded", Some("x"), later)
            .await
            .unwrap()
    );
    assert!(meta.claim_this(&second, later).await.unwrap().is_some());
}

async fn what_waits_and_what_works_is_cancelled(backend: Backend) {
    let meta = backend.open().await;
    let waits = meta.request_run("a", "request").await.unwrap();
    assert!(meta.cancel_run(&waits, "why").await.unwrap());
    let run = meta.run(&waits).await.unwrap().unwrap();
    assert_eq!(
        (run.status.as_str(), run.reason.as_deref()),
        ("cancelled", Some("why"))
    );
    let works = meta.request_run("a", "request").await.unwrap();
    let claim = meta.claim_this(&works, Utc::now()).await.unwrap().unwrap();
    assert!(meta.cancel_run(&works, "stop").await.unwrap());
    let beat = meta.beat(&claim, None, Utc::now()).await.unwrap();
    assert_eq!(beat, Beat::Cancelled("stop".to_string()));
    meta.finish_job(&claim, "cancelled", Some("stop"), Utc::now())
        .await
        .unwrap();
    assert!(!meta.cancel_run(&works, "again").await.unwrap());
    assert!(!meta.cancel_run("nobody", "x").await.unwrap());
}
