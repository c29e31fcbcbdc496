//! What a run does: its steps once each, failures by who has to act, ends that come from outside.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use pipelines::{Clock, Ended, Failure, OnFailure, Steps};
use schemas::{Blame, Retry};
use warehouse::MetaDb;

use crate::{Play, SYNC_AND_REFRESH, Stage, definition, open, worker};

fn failure(blame: Blame, retry: Retry) -> Play {
    Play::Fail(Failure {
        text: "it broke".to_string(),
        blame,
        retry,
        notices: Vec::new(),
    })
}

/// No time passes while one waits for the next attempt.
fn impatient() -> Clock {
    Clock::of(Utc::now)
}

async fn run_of(meta: &MetaDb, run_id: &str) -> (String, Option<String>) {
    let run = meta.run(run_id).await.unwrap().unwrap();
    (run.status, run.reason)
}

async fn steps_of(meta: &MetaDb, run_id: &str) -> Vec<(String, String, u32)> {
    let steps = meta.steps_of_run(run_id).await.unwrap();
    let told = steps.into_iter().map(|row| row.step);
    told.map(|step| (step.step, step.status, step.attempts))
        .collect()
}

fn step(name: &str, status: &str, attempts: u32) -> (String, String, u32) {
    (name.to_string(), status.to_string(), attempts)
}

#[tokio::test]
async fn failures_are_tried_again_by_who_has_to_act() {
    let cases = [
        (Blame::Source, Retry::Later, 4),
        (Blame::Us, Retry::Later, 3),
        (Blame::User, Retry::Later, 1),
        (Blame::Source, Retry::Never, 1),
    ];
    for (blame, retry, attempts) in cases {
        let (meta, _folder) = open().await;
        let stage = Stage::of(vec![failure(blame, retry); 9]);
        let worker =
            worker(&meta, vec![definition("p", SYNC_AND_REFRESH)], &stage).with_clock(impatient());
        let run_id = meta.request_run("p", "request").await.unwrap();
        let claim = worker.claim().await.unwrap().unwrap();
        let ended = worker.perform(&claim).await.unwrap();
        assert_eq!(ended, Ended::Failed("sync: it broke".to_string()));
        assert_eq!(
            steps_of(&meta, &run_id).await,
            [step("sync", "failed", attempts)]
        );
        let told = ("failed".to_string(), Some("sync: it broke".to_string()));
        assert_eq!(run_of(&meta, &run_id).await, told);
        assert!(meta.open_jobs(None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn one_good_attempt_is_enough_and_a_failed_step_may_be_passed() {
    let (meta, _folder) = open().await;
    let later = || failure(Blame::Source, Retry::Later);
    let stage = Stage::of([later(), Play::Succeed]);
    let on = definition(
        "on",
        "[[steps]]\nrun = \"sync\"\non_failure = \"continue\"\n[[steps]]\nrun = \"refresh\"",
    );
    assert_eq!(on.steps[0].on_failure, OnFailure::Continue);
    let worker = worker(&meta, vec![on], &stage).with_clock(impatient());
    let run_id = meta.request_run("on", "request").await.unwrap();
    let claim = worker.claim().await.unwrap().unwrap();
    assert_eq!(
        worker.perform(&claim).await.unwrap(),
        Ended::Succeeded(None)
    );
    let told = [
        step("sync", "succeeded", 2),
        step("refresh", "succeeded", 1),
    ];
    assert_eq!(steps_of(&meta, &run_id).await, told);
    // A source that stays down: the rest is done, the run has failed.
    *stage.plays.lock().unwrap() = (0..4).map(|_| later()).collect();
    let run_id = meta.request_run("on", "request").await.unwrap();
    let claim = worker.claim().await.unwrap().unwrap();
    assert!(matches!(
        worker.perform(&claim).await.unwrap(),
        Ended::Failed(_)
    ));
    let told = [step("sync", "failed", 4), step("refresh", "succeeded", 1)];
    assert_eq!(steps_of(&meta, &run_id).await, told);
}

#[tokio::test]
async fn a_run_whose_worker_ended_goes_on_where_its_steps_ended() {
    let (meta, _folder) = open().await;
    let stage = Stage::of([Play::Succeed, Play::Hang]);
    let definitions = vec![definition("p", SYNC_AND_REFRESH)];
    let first = worker(&meta, definitions.clone(), &stage);
    let run_id = meta.request_run("p", "request").await.unwrap();
    let claim = first.claim().await.unwrap().unwrap();
    // Killed in its second step.
    let killed = tokio::time::timeout(Duration::from_millis(300), first.perform(&claim)).await;
    assert!(killed.is_err());
    // Nobody may have it while its claim is good.
    assert!(first.claim().await.unwrap().is_none());
    let later = || Utc::now() + TimeDelta::minutes(2);
    let second = worker(&meta, definitions, &stage).with_clock(Clock::of(later));
    let again = second.claim().await.unwrap().unwrap();
    assert_eq!(
        (again.job.run_id.as_str(), again.job.takeovers),
        (run_id.as_str(), 1)
    );
    assert_eq!(
        second.perform(&again).await.unwrap(),
        Ended::Succeeded(None)
    );
    let asked: Vec<_> = stage.asked().into_iter().map(|(_, step)| step).collect();
    assert_eq!(asked, ["sync", "refresh", "refresh"]);
    // The first one, if it should wake up, changes nothing any more.
    assert_eq!(first.perform(&claim).await.unwrap(), Ended::Lost);
    assert_eq!(run_of(&meta, &run_id).await.0, "succeeded");
}

#[tokio::test]
async fn a_run_that_kills_its_workers_is_given_up() {
    let (meta, _folder) = open().await;
    let stage = Stage::of([]);
    let hours = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let clock = {
        let hours = Arc::clone(&hours);
        Clock::of(move || {
            Utc::now() + TimeDelta::hours(hours.load(std::sync::atomic::Ordering::SeqCst))
        })
    };
    let worker = worker(&meta, vec![definition("p", SYNC_AND_REFRESH)], &stage).with_clock(clock);
    let run_id = meta.request_run("p", "request").await.unwrap();
    for _ in 0..6 {
        drop(worker.claim().await.unwrap().unwrap());
        hours.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
    let claim = worker.claim().await.unwrap().unwrap();
    assert!(matches!(
        worker.perform(&claim).await.unwrap(),
        Ended::Failed(_)
    ));
    let (status, reason) = run_of(&meta, &run_id).await;
    assert_eq!(status, "failed");
    assert!(reason.unwrap().contains("6 processes ended"));
    assert!(stage.asked().is_empty());
}

#[tokio::test]
async fn a_run_can_be_cancelled_before_and_while_it_works() {
    let (meta, _folder) = open().await;
    let stage = Stage::of([Play::Hang]);
    let worker = worker(&meta, vec![definition("p", SYNC_AND_REFRESH)], &stage);
    let waiting = meta.request_run("p", "request").await.unwrap();
    assert!(meta.cancel_run(&waiting, "not needed").await.unwrap());
    assert_eq!(
        run_of(&meta, &waiting).await,
        ("cancelled".into(), Some("not needed".into()))
    );
    assert!(!meta.cancel_run(&waiting, "again").await.unwrap());
    let working = meta.request_run("p", "request").await.unwrap();
    let claim = worker.claim().await.unwrap().unwrap();
    let (ended, cancelled) =
        tokio::join!(worker.perform(&claim), meta.cancel_run(&working, "stop it"));
    assert!(cancelled.unwrap());
    assert_eq!(ended.unwrap(), Ended::Cancelled("stop it".to_string()));
    assert_eq!(
        run_of(&meta, &working).await,
        ("cancelled".into(), Some("stop it".into()))
    );
}

/// A worker that is asked to stop gives its run back; another goes on with it, at once.
#[tokio::test]
async fn a_stopped_worker_hands_its_run_over() {
    let (meta, _folder) = open().await;
    let stage = Stage::of([Play::Succeed, Play::Hang]);
    let definitions = vec![definition("p", SYNC_AND_REFRESH)];
    let run_id = meta.request_run("p", "request").await.unwrap();
    let first = worker(&meta, definitions.clone(), &stage);
    let is_in_second = async {
        while stage.asked().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    first.work(is_in_second).await.unwrap();
    let job = meta.job(&run_id).await.unwrap().unwrap();
    assert_eq!(job.state, "waiting");
    let second = worker(&meta, definitions, &stage);
    let is_done = async {
        while meta.job(&run_id).await.unwrap().unwrap().state != "done" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    second.work(is_done).await.unwrap();
    assert_eq!(run_of(&meta, &run_id).await, ("succeeded".into(), None));
    assert_eq!(stage.asked().len(), 3);
}

/// Of one pipeline one run works at a time, whoever claims; other pipelines work beside it.
#[tokio::test]
async fn a_pipeline_works_on_one_run_at_a_time() {
    let (meta, _folder) = open().await;
    let stage = Stage::of([]);
    let definitions = vec![
        definition("a", SYNC_AND_REFRESH),
        definition("b", SYNC_AND_REFRESH),
    ];
    for name in ["a", "a", "b"] {
        meta.request_run(name, "request").await.unwrap();
    }
    let claims = (0..8).map(|_| {
        let worker = worker(&meta, definitions.clone(), &stage);
        tokio::spawn(async move { worker.claim().await.unwrap() })
    });
    let claims = futures::future::join_all(claims).await;
    let mut claimed: Vec<_> = claims
        .into_iter()
        .filter_map(|claim| claim.unwrap())
        .collect();
    claimed.sort_by(|one, other| one.job.pipeline.cmp(&other.job.pipeline));
    let names: Vec<_> = claimed
        .iter()
        .map(|claim| claim.job.pipeline.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let steps: Arc<dyn Steps> = Arc::clone(&stage) as Arc<dyn Steps>;
    drop(steps);
    let worker = worker(&meta, definitions, &stage);
    worker.perform(&claimed[0]).await.unwrap();
    assert_eq!(worker.claim().await.unwrap().unwrap().job.pipeline, "a");
}

#[tokio::test]
async fn an_unknown_pipeline_is_left_to_those_who_know_it() {
    let (meta, _folder) = open().await;
    let stage = Stage::of([]);
    meta.request_run("of another version", "request")
        .await
        .unwrap();
    let worker = worker(&meta, vec![definition("p", SYNC_AND_REFRESH)], &stage);
    assert!(worker.claim().await.unwrap().is_none());
    assert_eq!(meta.open_jobs(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn switched_off_and_on_again_a_pipeline_starts_with_the_next_tick() {
    let (meta, _folder) = open().await;
    let stage = Stage::of([]);
    let often = definition(
        "often",
        "schedule = \"*/5 * * * *\"\n[[steps]]\nrun = \"sync\"",
    );
    let all = pipelines::Definitions::of(vec![often.clone()]);
    worker(&meta, vec![often], &stage).announce().await.unwrap();
    let at = |minute: u32| format!("2026-05-04T10:{minute:02}:30Z").parse().unwrap();
    let account = async |minute| pipelines::account(&meta, &all, at(minute)).await.unwrap();
    assert_eq!(account(1).await, 0);
    assert_eq!(account(6).await, 1);
    meta.enable_pipeline("often", Some(false)).await.unwrap();
    assert_eq!(account(11).await, 0);
    assert_eq!(account(31).await, 0);
    meta.enable_pipeline("often", Some(true)).await.unwrap();
    assert_eq!(account(32).await, 0);
    assert_eq!(account(36).await, 1);
}
