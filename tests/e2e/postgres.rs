//! The metadata database on PostgreSQL.

use std::time::Duration;

use serde_json::json;
use tests::{Cluster, PASSWORD, Product, Server, psql, small_site};

use crate::assert_same;

const URL: &str = "SPRINT_REPORTS__METADATA__URL";
const REPLICAS: &str = "SPRINT_REPORTS__METADATA__REPLICAS";

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_string(), value.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_on_postgresql_gives_the_same_as_on_a_file() {
    let url = tests::database();
    let site = small_site().await;
    let local = Product::reading(&site);
    let shared = Product::reading(&site).with_environment(vec![
        variable(URL, &url),
        variable("SPRINT_REPORTS_LOG", "info,sqlx=debug"),
    ]);
    let mut said = String::new();
    for command in [&["sync"][..], &tests::REFRESH, &["check"]] {
        local.run(command).ok();
        let ended = shared.run(command).ok();
        said += &(ended.out + &ended.err);
    }
    assert!(!shared.path().join("data/meta.db").exists());
    let line = said.lines().find(|line| line.starts_with("ok    metadata"));
    let line = line.expect("check names the database");
    for part in ["postgres://owner@127.0.0.1:", "PostgreSQL 1", "schema"] {
        assert!(line.contains(part), "{line}");
    }
    let runs = "select pipeline, status from system.runs order by started_at";
    let expected = json!([
        {"pipeline": "sync", "status": "succeeded"},
        {"pipeline": "refresh", "status": "succeeded"},
    ]);
    assert_eq!(json!(shared.sql(runs)), expected);
    assert_eq!(json!(local.sql(runs)), expected);
    let steps = "select step, status, attempts, rows_in, rows_out from system.steps order by step";
    assert_eq!(shared.sql(steps), local.sql(steps));
    assert_eq!(shared.value("select count(*) from system.connections"), 1);
    // It is there that they are.
    assert_eq!(psql(&url, "select count(*) from runs"), "2");
    assert_same(&local, &shared).await;
    // Another machine with the same settings finds nothing to do.
    shared.run(&["sync"]).ok();
    shared.run(&tests::REFRESH).ok();
    assert_eq!(shared.releases(), 1);
    let server = Server::start(&shared);
    assert_eq!(server.get("/health/ready").await.status, 200);
    assert!(server.get("/metrics").await.body.contains("sprint_reports"));
    said += &server.stop().err;
    assert!(said.contains("sync"), "something was logged");
    assert!(!said.contains(PASSWORD), "{said}");
}

#[test]
fn a_copy_that_is_down_is_said_once_and_a_wrong_address_without_its_password() {
    let url = tests::database();
    let nobody = format!("postgres://owner:{PASSWORD}@127.0.0.1:1/meta");
    let product = Product::new().with_environment(vec![
        variable(URL, &url),
        variable(REPLICAS, &format!("[{nobody:?}]")),
    ]);
    let check = product.run(&["check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.out.contains("the primary does"), "{}", check.out);
    assert!(!(check.out + &check.err).contains(PASSWORD));

    for (url, words) in [
        (nobody.as_str(), "can't be reached"),
        (
            &url.replace(PASSWORD, "wrong"),
            "correct the user or the password",
        ),
        (
            &format!("mysql://x:{PASSWORD}@db/x"),
            "postgres://USER@HOST/DATABASE",
        ),
        ("env:NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE is not set"),
    ] {
        let product = Product::new().with_environment(vec![variable(URL, url)]);
        let ended = product.run(&["release", "list"]);
        assert_ne!(ended.code, Some(0));
        assert!(ended.err.contains(words), "{}", ended.err);
        assert!(!(ended.out + &ended.err).contains(PASSWORD));
    }
    // Neither does a file that can't be read show its line, nor a variable its value.
    let product = Product::new();
    let file = format!("[metadata]\nurl = \"postgres://sr:{PASSWORD}@db/meta\n");
    product.write("sprint-reports.toml", &file);
    let broken = product.run(&["check"]);
    assert_eq!(broken.code, Some(2));
    assert!(broken.err.contains("line 2"), "{}", broken.err);
    let product = Product::new().with_environment(vec![variable(REPLICAS, &nobody)]);
    let untyped = product.run(&["check"]);
    assert!(untyped.err.contains(REPLICAS), "{}", untyped.err);
    for ended in [broken, untyped] {
        assert!(!(ended.out + &ended.err).contains(PASSWORD));
    }
    // The address and the password may stand in files.
    let product = Product::new();
    product.write("url", &url.replace(&format!(":{PASSWORD}"), ""));
    product.write("password", PASSWORD);
    let file = "[metadata]\nurl = \"file:url\"\npassword = \"file:password\"\nconnections = 2\n";
    product.write("sprint-reports.toml", file);
    product.run(&["release", "list"]).ok();
    product.write("sprint-reports.toml", &file.replace("= 2", "= 1"));
    let few = product.run(&["release", "list"]);
    assert_eq!(few.code, Some(2));
    assert!(few.err.contains("metadata.connections"), "{}", few.err);
}

/// One warning, however often it is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_goes_on_without_the_copy() {
    let nobody = format!("[\"postgres://owner:{PASSWORD}@127.0.0.1:1/meta\"]");
    let product = Product::new().with_environment(vec![
        variable(URL, &tests::database()),
        variable(REPLICAS, &nobody),
    ]);
    let server = Server::start(&product);
    for _ in 0..4 {
        assert_eq!(server.get("/metrics").await.status, 200);
    }
    let log = server.stop().err;
    let warnings = log.lines().filter(|line| line.contains("the primary does"));
    assert_eq!(warnings.count(), 1, "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
}

/// A sync under way waits for the database, and ends as if nothing had been.
async fn gone_for(outage: Duration) {
    let cluster = Cluster::start();
    let url = cluster.database();
    let site = small_site().await;
    let local = Product::reading(&site);
    let shared = Product::reading(&site).with_environment(vec![variable(URL, &url)]);
    let mut sync = shared.command(&["sync"]);
    // Long enough for the server to go in its midst.
    sync.env("SPRINT_REPORTS_FAULT", "slow@ingest.batch.landed");
    let sync = sync.spawn().unwrap();
    let mut looks = 0;
    let held = "select case when to_regclass('leases') is null then 0 else 1 end";
    let leases = "select count(*) from leases";
    while cluster.psql(&url, held) != "1" || cluster.psql(&url, leases) != "1" {
        looks += 1;
        assert!(looks < 600, "the sync takes its lease");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.stop();
    tokio::time::sleep(outage).await;
    cluster.resume();
    let ended = sync.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    assert_eq!(cluster.psql(&url, leases), "0", "the lease was given back");
    local.run(&["sync"]).ok();
    for product in [&local, &shared] {
        product.run(&tests::REFRESH).ok();
    }
    assert_same(&local, &shared).await;
    // A server says before long what it can't say, goes on with the rest, and recovers by itself.
    let server = Server::start(&shared);
    let runs = json!({"query": "select run_id from system.runs"});
    cluster.stop();
    let answer = server.post("/api/v1/sql", &runs).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.json()["error"]["code"], "DATABASE_AWAY");
    assert_eq!(server.get("/api/v1/sprints/").await.status, 200);
    cluster.resume();
    let answer = server.post("/api/v1/sql", &runs).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_goes_on_when_postgresql_is_back() {
    gone_for(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two minutes"]
async fn a_sync_outlives_a_minute_without_postgresql() {
    gone_for(Duration::from_secs(60)).await;
}
