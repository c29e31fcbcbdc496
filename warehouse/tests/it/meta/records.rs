use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::json;
use warehouse::meta::{Quarantined, Source};
use warehouse::{MetaDb, Step};

use super::Backend;

super::over_both!(
    runs_and_their_steps_are_kept,
    a_run_whose_process_has_ended_is_closed,
    sources_say_up_to_when_data_is_complete,
    a_refused_record_is_kept_once_and_let_go,
    a_refused_record_may_hold_anything,
);

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

fn step(name: &str, started_at: DateTime<Utc>) -> Step {
    Step {
        step: name.into(),
        status: "succeeded".into(),
        attempts: 2,
        rows_in: 5_000_000_000,
        rows_out: 4,
        bytes: u64::MAX,
        requests: 6,
        retries: 7,
        started_at,
        finished_at: started_at + TimeDelta::seconds(1),
        error: None,
    }
}

async fn runs_and_their_steps_are_kept(backend: Backend) {
    let meta = backend.open().await;
    let first = meta.start_run("sync", "command").await.unwrap();
    let second = meta.start_run("refresh", "event").await.unwrap();
    meta.finish_run(&first, "failed", Some("a\0b"))
        .await
        .unwrap();
    let runs = backend.open().await.runs(10).await.unwrap();
    let ids: Vec<_> = runs.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    assert_eq!(
        (runs[0].status.as_str(), runs[0].finished_at),
        ("running", None)
    );
    assert_eq!(runs[0].trigger, "event");
    assert_eq!(runs[1].status, "failed");
    assert_eq!(runs[1].reason.as_deref(), Some("a\u{fffd}b"));
    assert!(runs[1].finished_at.unwrap() >= runs[1].started_at);
    assert_eq!(meta.runs(1).await.unwrap(), runs[..1]);

    let at = now();
    meta.record_step(&first, &step("issues", at)).await.unwrap();
    let details = json!({"notes": ["ö"]});
    meta.detail_step(&first, "issues", &details).await.unwrap();
    let later = step("boards", at + TimeDelta::seconds(5));
    meta.record_step(&first, &later).await.unwrap();
    let steps = meta.steps(10).await.unwrap();
    assert_eq!(steps[0].step, later_as_kept(&later));
    assert_eq!(
        steps[1].details.as_deref(),
        Some(details.to_string().as_str())
    );
    // Recorded again, it is another step of that name.
    let again = Step {
        error: Some("late".into()),
        ..step("issues", at)
    };
    meta.record_step(&first, &again).await.unwrap();
    let steps = meta.steps(10).await.unwrap();
    assert_eq!((steps.len(), &steps[1].details), (2, &None));
    assert_eq!(steps[1].step, later_as_kept(&again));
    // A step belongs to a run.
    meta.record_step("nobody's", &again).await.unwrap_err();
}

/// Counts are kept as far as the databases count.
fn later_as_kept(step: &Step) -> Step {
    Step {
        bytes: step.bytes.min(i64::MAX as u64),
        ..step.clone()
    }
}

async fn a_run_whose_process_has_ended_is_closed(backend: Backend) {
    let meta = backend.open().await;
    let run_id = meta.start_run("sync", "command").await.unwrap();
    meta.start_run("sync", "command").await.unwrap();
    let open = async || {
        let runs = meta.runs(10).await.unwrap();
        runs.iter().filter(|run| run.status == "running").count()
    };
    assert_eq!(open().await, 2, "its process is this one");
    let process = backend.raw("select process from runs").await;
    let process: String = sqlx::Row::get(&process[0], "process");
    let (host, _) = process.rsplit_once(':').unwrap();
    // No process has this number.
    let statement =
        format!("update runs set process = '{host}:99999999' where run_id = '{run_id}'");
    backend.raw(&statement).await;
    meta.close_ended_runs("refresh").await.unwrap();
    assert_eq!(open().await, 2, "it is of another pipeline");
    meta.close_ended_runs("sync").await.unwrap();
    let runs = meta.runs(10).await.unwrap();
    let closed = runs.iter().find(|run| run.run_id == run_id).unwrap();
    assert_eq!(closed.status, "failed");
    assert!(closed.reason.as_deref().unwrap().contains("ended before"));
    assert_eq!(open().await, 1);
}

async fn sources_say_up_to_when_data_is_complete(backend: Backend) {
    let meta = backend.open().await;
    assert_eq!(meta.data_time().await.unwrap(), None);
    let source = |connection: &str, hours: i64| Source {
        connection: connection.into(),
        kind: "jira".into(),
        url: "https://x".into(),
        time_zone: "Europe/Berlin".into(),
        source_time: now() - TimeDelta::hours(hours),
        synced_at: now(),
    };
    // The order is that of the bytes, in every locale.
    let sources = [source("B", 1), source("_", 5), source("a", 3)];
    for source in [&sources[2], &sources[0], &sources[1]] {
        meta.set_source(source).await.unwrap();
    }
    assert_eq!(meta.sources().await.unwrap(), sources);
    assert_eq!(
        meta.data_time().await.unwrap(),
        Some(sources[1].source_time)
    );
    let newer = source("_", 0);
    meta.set_source(&newer).await.unwrap();
    assert_eq!(meta.sources().await.unwrap()[1], newer);
    assert_eq!(
        meta.data_time().await.unwrap(),
        Some(sources[2].source_time)
    );
}

fn refused(key: &str, payload: &str, mapping_version: i64) -> Quarantined {
    Quarantined {
        connection: "acme".into(),
        stream: "issues".into(),
        key: key.into(),
        run_id: "r".into(),
        error: "odd".into(),
        payload: payload.into(),
        seen_at: now(),
        mapping_version,
    }
}

async fn keys(meta: &MetaDb, payload: &str) -> Vec<(String, String, bool)> {
    let mut keys = meta.quarantined_keys("acme", payload).await.unwrap();
    keys.sort();
    keys
}

async fn a_refused_record_is_kept_once_and_let_go(backend: Backend) {
    let meta = backend.open().await;
    let first = refused("1", "{}", 1);
    meta.quarantine(&first).await.unwrap();
    let again = Quarantined {
        error: "odder".into(),
        ..refused("1", "[]", 3)
    };
    meta.quarantine(&again).await.unwrap();
    meta.quarantine(&refused("2", "[]", 2)).await.unwrap();
    let kept = meta.quarantined(10).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1], again);
    let issues = |key: &str, is_it| ("issues".to_string(), key.to_string(), is_it);
    assert_eq!(
        keys(&meta, "[]").await,
        [issues("1", true), issues("2", true)]
    );
    assert_eq!(
        keys(&meta, "{}").await,
        [issues("1", false), issues("2", false)]
    );
    let older = meta.refused_before("acme", 3).await.unwrap();
    assert_eq!(older, [("issues".into(), "2".into(), "[]".into())]);
    let release = meta.release_from_quarantine("acme", "issues", "2");
    release.await.unwrap();
    assert_eq!(keys(&meta, "").await, [issues("1", false)]);
}

async fn a_refused_record_may_hold_anything(backend: Backend) {
    let meta = backend.open().await;
    let long = "k".repeat(10_000);
    for key in ["a\0b", long.as_str(), &format!("{long}x")] {
        let record = Quarantined {
            error: "NUL \0".into(),
            ..refused(key, "\0", 1)
        };
        meta.quarantine(&record).await.unwrap();
        meta.quarantine(&record).await.unwrap();
    }
    let kept = keys(&meta, "\0").await;
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|(_, _, is_it)| *is_it));
    for key in ["a\0b", long.as_str()] {
        meta.release_from_quarantine("acme", "issues", key)
            .await
            .unwrap();
    }
    assert_eq!(keys(&meta, "").await.len(), 1);
}
