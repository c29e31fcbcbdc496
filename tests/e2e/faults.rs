//! Killed at any moment and started again, the product holds the same as undisturbed.

use serde_json::json;
use tests::{Product, Server, filled, small_site};

use crate::{assert_holds, contents};

/// Points of `sync` at which it is killed.
const SYNC: [&str; 11] = [
    "jira.fields.committed",
    "jira.sprints.before_commit",
    "ingest.listing.landed",
    "ingest.listing.landed:4",
    "ingest.batch.landed",
    "jira.changelog_items.before_commit",
    "jira.changelog_items.committed",
    "jira.issues.before_commit",
    "jira.issues.committed",
    "jira.comments.before_commit",
    "ingest.worklogs.landed",
];

/// Points of `refresh` at which it is killed.
const REFRESH: [&str; 4] = [
    "model.before_write",
    "model.written:3",
    "release.before_publish",
    "release.published",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_and_started_again_gives_the_same_tables() {
    let site = small_site().await;
    let undisturbed = Product::reading(&site);
    undisturbed.run(&["sync"]).ok();
    undisturbed.run(&tests::REFRESH).ok();
    let expected = contents(&undisturbed).await;
    // Every second one; all of them in a thorough run (`make soak`).
    let step = match std::env::var_os("SPRINT_REPORTS_THOROUGH") {
        Some(_) => 1,
        None => 2,
    };
    for point in SYNC.into_iter().step_by(step) {
        let product = Product::reading(&site);
        let killed = product.run_with_fault(&["sync"], &format!("kill@{point}"));
        assert_eq!(
            killed.code, None,
            "sync passes {point} and is killed there: {}",
            killed.err
        );
        product.run(&["sync"]).ok();
        product.run(&tests::REFRESH).ok();
        assert_holds(&product, &expected).await;
    }
    for point in REFRESH {
        let product = Product::reading(&site);
        product.run(&["sync"]).ok();
        let killed = product.run_with_fault(&tests::REFRESH, &format!("kill@{point}"));
        assert_eq!(
            killed.code, None,
            "refresh passes {point} and is killed there: {}",
            killed.err
        );
        product.run(&tests::REFRESH).ok();
        assert_eq!(product.releases(), 1, "{point}");
        assert_holds(&product, &expected).await;
    }
    // The killed runs are recorded as what they are.
    let product = Product::reading(&site);
    product.run_with_fault(&["sync"], "kill@jira.issues.committed");
    product.run(&["sync"]).ok();
    product.run(&tests::REFRESH).ok();
    let runs = product
        .sql("select status, reason from system.runs where pipeline = 'sync' order by started_at");
    assert_eq!(runs[0]["status"], "failed", "{runs:?}");
    assert_eq!(runs[1]["status"], "succeeded", "{runs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_leaves_no_half_release() {
    let site = small_site().await;
    let product = Product::reading(&site);
    let ended = product.run_with_fault(&["sync"], "full@jira.issues.before_commit");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("the disk is full") && ended.err.contains("free some space"),
        "{}",
        ended.err
    );
    product.run(&["sync"]).ok();
    let ended = product.run_with_fault(&tests::REFRESH, "full@release.before_publish");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("the disk is full"), "{}", ended.err);
    assert_eq!(product.releases(), 0);
    product.run(&tests::REFRESH).ok();
    assert_eq!(product.releases(), 1);
}

/// The same on a real file system of 2 MiB, where the test may mount one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_really_full_disk_is_said_too() {
    let site = small_site().await;
    let product = Product::reading(&site);
    let lake = product.path().join("small");
    std::fs::create_dir(&lake).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=200k", "tmpfs"])
        .arg(&lake)
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("skipped: this machine does not let the test mount a small file system");
        return;
    }
    let mut command = product.command(&["sync"]);
    command.env("SPRINT_REPORTS__STORE__URL", "file:./small");
    let output = command.output().unwrap();
    let unmounted = std::process::Command::new("umount")
        .arg(&lake)
        .status()
        .unwrap();
    assert!(unmounted.success());
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("the disk is full"), "{err}");
}

/// A query that fails on our side when rows were already on their way is an error on every
/// protocol, never a shorter answer; what went wrong stands in the log only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_fails_midway_is_never_a_shorter_answer() {
    let many = "select * from generate_series(1, 30000)";
    for batch in [1, 3] {
        let fault = format!("fail@query.batch:{batch}");
        let armed = [("SPRINT_REPORTS_FAULT", fault.as_str())];
        let server = Server::start_with(filled().await, &armed);
        let postgres = server.postgres().await;
        let error = postgres.rows(many).await.unwrap_err();
        assert_eq!(error.sqlstate, "XX000", "{error:?}");
        assert!(!error.message.contains("injected"), "{error:?}");
        // The fault is over; the connection is not.
        assert_eq!(postgres.rows(many).await.unwrap().len(), 30_000);
        let ended = server.stop();
        assert!(ended.err.contains("injected"), "{}", ended.err);

        for accept in ["application/json", "application/vnd.apache.arrow.stream"] {
            let server = Server::start_with(filled().await, &armed);
            let body = json!({"query": many});
            let headers = [("accept", accept)];
            let answer = server.post_with("/api/v1/sql", &body, &headers).await;
            assert_eq!(answer.status, 500, "{accept}: {}", answer.body);
            assert_eq!(answer.json()["error"]["code"], "INTERNAL_ERROR");
            assert!(!answer.body.contains("injected"), "{}", answer.body);
            assert_eq!(server.post("/api/v1/sql", &body).await.status, 200);
        }
    }
}
