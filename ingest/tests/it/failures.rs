//! What a sync says and does when the site doesn't answer as it should.

use std::time::{Duration, Instant};

use ingest::{Error, Limits, Secret, SyncOptions};
use schemas::{Blame, Retry};
use tokio::net::TcpListener;

use crate::site::{Reply, Site};
use crate::{Lake, connection, options};

const HTML: &str = "<!DOCTYPE html><html><body>Log in to continue</body></html>";

async fn site() -> Site {
    let site = Site::start().await;
    for id in 1..=5 {
        site.create(id);
    }
    site
}

#[tokio::test]
async fn pages_that_fail_once_are_read_again() {
    let (site, whole) = (site().await, Lake::open().await);
    whole.sync(&connection(&site.url())).await.unwrap();
    let lake = Lake::open().await;
    let limited = Reply {
        status: 429,
        headers: vec![("retry-after", "0".into())],
        ..Reply::default()
    };
    let cut = Reply {
        status: 200,
        body: r#"{"issues":["#.into(),
        cut: true,
        ..Reply::default()
    };
    site.edit(|state| {
        state.scripted.push_back(("/search/jql", limited.clone()));
        state.scripted.push_back(("/issue/bulkfetch", cut));
        state.scripted.push_back(("/issue/bulkfetch", limited));
    });
    site.script("/serverInfo", 503, "");
    site.script("/board", 502, HTML);
    site.script("/status", 200, HTML);
    site.script("/field", 200, "");
    site.script(
        "/changelog/bulkfetch",
        200,
        r#"{"issueChangeLogs":[{"issueId":"#,
    );
    site.script("/project/search", 200, "{}");
    let report = lake.sync(&connection(&site.url())).await.unwrap();
    assert_eq!(report.retries, 9, "{report:?}");
    assert_eq!(lake.rows().await, whole.rows().await);
}

#[tokio::test]
async fn all_requests_keep_the_pause_that_the_site_asks_for() {
    let site = site().await;
    let lake = Lake::open().await;
    let limited = Reply {
        status: 429,
        headers: vec![("retry-after", "1".into())],
        ..Reply::default()
    };
    site.edit(|state| state.scripted.push_back(("/configuration", limited)));
    let before = Instant::now();
    lake.sync(&connection(&site.url())).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(990));
}

#[tokio::test]
async fn a_site_that_stays_busy_ends_the_run_with_what_to_do() {
    let site = site().await;
    let lake = Lake::open().await;
    // Two batches are fetched side by side, and each is tried five times.
    for _ in 0..10 {
        site.script("/issue/bulkfetch", 429, "");
    }
    let error = lake.sync(&connection(&site.url())).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("still limits requests (429 to POST"),
        "{error}"
    );
    assert_eq!(
        (error.blame(), error.retry()),
        (Blame::Source, Retry::Later)
    );
    // It continues where it stopped.
    site.edit(|state| state.scripted.clear());
    lake.sync(&connection(&site.url())).await.unwrap();
    assert_eq!(lake.table("issues").await.len(), 5);
    let hours = Reply {
        status: 429,
        headers: vec![("retry-after", "3600".into())],
        ..Reply::default()
    };
    site.edit(|state| state.scripted.push_back(("/serverInfo", hours)));
    let error = lake.sync(&connection(&site.url())).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("after 1 tries and asks to wait 3600 s"),
        "{error}"
    );
}

#[tokio::test]
async fn a_page_that_is_never_json_is_an_error_that_shows_it() {
    let site = site().await;
    let lake = Lake::open().await;
    for _ in 0..5 {
        site.script("/status", 200, HTML);
    }
    let error = lake
        .sync(&connection(&site.url()))
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "200 to GET http://127",
        "/rest/api/3/status",
        "after 5 tries",
        "<!DOCTYPE html><html>",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let steps = lake.warehouse.meta().steps(20).await.unwrap();
    let failed = steps
        .iter()
        .find(|row| row.step.status == "failed")
        .unwrap();
    assert_eq!(failed.step.step, "acme.statuses");
    assert!(failed.step.error.as_ref().unwrap().contains("DOCTYPE"));
}

#[tokio::test]
async fn wrong_credentials_are_not_tried_twice() {
    let site = site().await;
    let lake = Lake::open().await;
    site.script("/serverInfo", 401, "");
    let mut acme = connection(&site.url());
    acme.token = Secret::new("very-wrong");
    let error = lake.sync(&acme).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }));
    assert!(
        error
            .to_string()
            .starts_with("the site refuses the credentials of the connection (401")
    );
    assert!(!error.to_string().contains("very-wrong"));
    assert_eq!(site.asked().len(), 1);
    for status in [403, 404, 410, 400] {
        site.script("/search/jql", status, r#"{"errorMessages":["no"]}"#);
        let error = lake.sync(&connection(&site.url())).await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { status: told, .. } if told == status),
            "{error}"
        );
        let searches = site
            .asked()
            .iter()
            .filter(|one| one.path.ends_with("jql"))
            .count();
        assert_eq!(searches, 1, "{status}");
    }
}

#[tokio::test]
async fn wrong_addresses_are_one_clear_sentence() {
    let lake = Lake::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = lake
        .sync(&connection(&nobody))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no answer to GET http://127.0.0.1") && error.contains("refused"),
        "{error}"
    );

    let site = site().await;
    site.script("/serverInfo", 200, HTML);
    site.script("/serverInfo", 200, HTML);
    let error = lake.sync(&connection(&site.url())).await.unwrap_err();
    assert!(matches!(error, Error::NotJira { .. }));
    assert!(
        error.to_string().contains("check the connection's url"),
        "{error}"
    );
    site.script("/serverInfo", 404, HTML);
    assert!(matches!(
        lake.sync(&connection(&site.url())).await.unwrap_err(),
        Error::NotJira { .. }
    ));
    let moved = Reply {
        status: 302,
        headers: vec![("location", "https://login.example.org/".into())],
        ..Reply::default()
    };
    site.edit(|state| state.scripted.push_back(("/serverInfo", moved)));
    let error = lake
        .sync(&connection(&site.url()))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is redirected to https://login.example.org/"),
        "{error}"
    );
    let plain = lake
        .sync(&connection("http://acme.example.org"))
        .await
        .unwrap_err()
        .to_string();
    assert!(plain.contains("plain http"), "{plain}");
    let mut other = connection(&site.url());
    other.kind = "bitbucket".into();
    assert!(
        lake.sync(&other)
            .await
            .unwrap_err()
            .to_string()
            .contains("kind 'bitbucket' is not known")
    );
    let mut scoped = connection(&site.url());
    scoped.projects = vec!["EE".into(), "NO".into()];
    let error = lake.sync(&scoped).await.unwrap_err().to_string();
    assert!(
        error.contains("project 'NO' is not among those the account sees (EE)"),
        "{error}"
    );
    let mut zoned = connection(&site.url());
    zoned.time_zone = "Berlin".into();
    assert!(
        lake.sync(&zoned)
            .await
            .unwrap_err()
            .to_string()
            .contains("not an IANA time zone")
    );
}

#[tokio::test]
async fn paging_that_never_ends_is_stopped() {
    let site = site().await;
    for id in 6..=20 {
        site.create(id);
    }
    site.edit(|state| state.same_token = true);
    let lake = Lake::open().await;
    let error = lake.sync(&connection(&site.url())).await.unwrap_err();
    assert!(matches!(error, Error::RepeatedPage { .. }), "{error}");
}

#[tokio::test]
async fn answers_have_a_limit_and_heavy_issues_come_in_smaller_parts() {
    let site = site().await;
    let lake = Lake::open().await;
    let limits = |body_bytes| Limits {
        body_bytes,
        ..options().limits
    };
    let small = SyncOptions {
        limits: limits(200),
        ..options()
    };
    let error = lake
        .sync_with(&connection(&site.url()), small)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("larger than 200 bytes"),
        "{error}"
    );
    let heavy = "x".repeat(3000);
    site.edit(|state| {
        for issue in state.issues.values_mut() {
            issue.fields["description"] = heavy.clone().into();
        }
    });
    let narrow = SyncOptions {
        limits: limits(5000),
        ..options()
    };
    lake.sync_with(&connection(&site.url()), narrow)
        .await
        .unwrap();
    assert_eq!(lake.table("issues").await.len(), 5);
}
