//! The lake on S3.

use tests::{Product, S3, Server, lying_bucket, small_site};

use crate::assert_same;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_on_s3_gives_the_same_as_on_disk() {
    let bucket = S3::start();
    let site = small_site().await;
    let local = Product::reading(&site);
    let remote = Product::reading(&site).with_environment(bucket.environment("teams/one"));
    for product in [&local, &remote] {
        product.run(&["sync"]).ok();
        product.run(&tests::REFRESH).ok();
    }
    assert!(
        !remote.path().join("data/lake").exists(),
        "nothing of the lake is on this disk"
    );
    assert_same(&local, &remote).await;
    remote.run(&["sync"]).ok();
    remote.run(&tests::REFRESH).ok();
    assert_eq!(
        remote.releases(),
        1,
        "nothing changed, so nothing is published"
    );
    let server = Server::start(&remote);
    assert_eq!(server.get("/health/ready").await.status, 200);
    assert_eq!(server.get("/api/v1/sprints/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_on_s3_one_wins() {
    let bucket = S3::start();
    let site = small_site().await;
    let one = Product::reading(&site).with_environment(bucket.environment("shared"));
    one.run(&["sync"]).ok();
    // Both have built everything and stand before the same release when the other publishes.
    let contenders: Vec<_> = (0..2)
        .map(|_| Product::reading(&site).with_environment(bucket.environment("shared")))
        .collect();
    let children: Vec<_> = contenders
        .iter()
        .map(|product| {
            let mut command = product.command(&tests::REFRESH);
            command.env("SPRINT_REPORTS_FAULT", "slow@release.before_publish");
            command.spawn().unwrap()
        })
        .collect();
    let ended: Vec<_> = children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let won = ended
        .iter()
        .filter(|output| output.status.success())
        .count();
    let said: Vec<_> = ended
        .iter()
        .map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
        .collect();
    assert_eq!(won, 1, "{said:?}");
    assert_eq!(one.releases(), 1);
    one.run(&tests::REFRESH).ok();
    assert!(
        one.value("select count(*) as n from velocity")
            .as_i64()
            .unwrap()
            > 0
    );
}

#[test]
fn a_bucket_that_ignores_conditions_is_refused() {
    let product = Product::new().with_environment(lying_bucket());
    let ended = product.run(&["sql", "select 1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(
        ended.err.contains("ignores conditional writes"),
        "{}",
        ended.err
    );
}

#[test]
fn a_bucket_that_is_not_there_is_said_in_one_sentence() {
    let bucket = S3::start();
    let mut environment = bucket.environment("x");
    for (name, value) in &mut environment {
        if name == "SPRINT_REPORTS__STORE__URL" {
            *value = "s3://missing/x".to_string();
        }
    }
    let ended = Product::new()
        .with_environment(environment)
        .run(&["sql", "select 1"]);
    assert!(
        ended.err.contains("the bucket can't be written"),
        "{}",
        ended.err
    );
    assert_ne!(ended.code, Some(0));
}
