//! What a site says about its limits is kept: by the request that was told, by all others that the
//! site counts with it, and by all clients of the site in this process.

use std::time::{Duration, Instant};

use chrono::{DateTime, Timelike, Utc};
use ingest::{Connection, Error, Limits, SyncOptions};
use serde_json::json;
use simulator::{RateLimit, Settings, Simulator, WorldSettings};

use crate::site::{Asked, Reply, Site};
use crate::{Lake, connection, options};

const BULK: &str = "/issue/bulkfetch";

async fn site(issues: i64) -> Site {
    let site = Site::start().await;
    for id in 1..=issues {
        site.create(10_000 + id);
    }
    site
}

fn limited(headers: &[(&'static str, &str)]) -> Reply {
    let headers = headers.iter();
    Reply {
        status: 429,
        headers: headers
            .map(|(name, value)| (*name, value.to_string()))
            .collect(),
        ..Reply::default()
    }
}

fn is(asked: &Asked, path: &str) -> bool {
    asked.path.ends_with(path)
}

/// Two connections to one site. The first is told to wait at its first search; then the second begins.
/// Returns what was asked, and which of it was refused.
async fn two_readers(refusal: Reply) -> (Vec<Asked>, usize) {
    let site = site(4).await;
    let (one, two) = (Lake::open().await, Lake::open().await);
    site.edit(|state| state.scripted.push_back(("/search/jql", refusal)));
    let acme = connection(&site.url());
    let other = Connection {
        name: "other".into(),
        ..acme.clone()
    };
    let refused = || site.edit(|state| state.asked.iter().position(|one| is(one, "/search/jql")));
    let (first, second) = tokio::join!(one.sync(&acme), async {
        while refused().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The answer is on its way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        two.sync(&other).await
    });
    first.unwrap();
    second.unwrap();
    assert_eq!(one.table("issues").await.len(), 4);
    assert_eq!(two.table("issues").await.len(), 4);
    let refused = refused().unwrap();
    (site.asked(), refused)
}

#[tokio::test]
async fn a_refusal_holds_its_family_of_all_clients_and_no_other() {
    let (asked, refused) = two_readers(limited(&[
        ("retry-after", "2"),
        ("ratelimit-reason", "jira-burst-based"),
    ]))
    .await;
    let told = asked[refused].at + Duration::from_secs(2);
    let later = &asked[refused + 1..];
    let early: Vec<_> = later.iter().filter(|one| one.at < told).collect();
    assert!(early.iter().all(|one| !is(one, "/search/jql")), "{early:?}");
    // The second reader got all its listings meanwhile.
    assert!(early.len() >= 10, "{early:?}");
    assert!(later.iter().any(|one| is(one, "/search/jql")));
}

#[tokio::test]
async fn a_quota_that_is_used_up_holds_the_whole_site() {
    for headers in [
        [
            ("retry-after", "2"),
            ("ratelimit-reason", "jira-quota-tenant-based"),
        ],
        [("beta-retry-after", "2"), ("retry-after", "1")],
        [
            ("x-ratelimit-fillrate", "1"),
            ("x-ratelimit-interval-seconds", "2"),
        ],
    ] {
        let (asked, refused) = two_readers(limited(&headers)).await;
        let told = asked[refused].at + Duration::from_secs(2);
        let later = &asked[refused + 1..];
        assert!(later.iter().all(|one| one.at >= told), "{headers:?}");
        assert!(later.len() > 20);
    }
}

#[tokio::test]
async fn a_budget_that_runs_out_is_left_alone_before_it_refuses() {
    let site = site(1).await;
    let reset = (Utc::now() + chrono::TimeDelta::seconds(3))
        .with_nanosecond(0)
        .unwrap();
    let fields = site.edit(|state| json!(state.fields)).to_string();
    let last = Reply {
        status: 200,
        headers: vec![
            ("x-ratelimit-remaining", "0".into()),
            ("x-ratelimit-reset", reset.to_rfc3339()),
        ],
        body: fields,
        ..Reply::default()
    };
    site.edit(|state| state.scripted.push_back(("/field", last)));
    Lake::open()
        .await
        .sync(&connection(&site.url()))
        .await
        .unwrap();
    let asked = site.asked();
    let next = asked.iter().find(|one| is(one, "/field/search")).unwrap();
    let came: DateTime<Utc> = Utc::now() - next.at.elapsed();
    assert!(
        came >= reset - chrono::TimeDelta::milliseconds(20),
        "{came} {reset}"
    );
}

#[tokio::test]
async fn a_site_that_asks_for_too_long_a_pause_is_not_asked_before_it_is_over() {
    let site = site(1).await;
    let hour = limited(&[("retry-after", "3600")]);
    site.edit(|state| state.scripted.push_back(("/serverInfo", hour)));
    let lake = Lake::open().await;
    lake.sync(&connection(&site.url())).await.unwrap_err();
    assert_eq!(site.asked().len(), 1);
    // The next run of this process knows it, whatever the connection is called.
    let other = Connection {
        name: "other".into(),
        ..connection(&site.url())
    };
    let error = lake.sync(&other).await.unwrap_err();
    assert!(matches!(error, Error::Busy { tries: 0, .. }), "{error}");
    assert!(error.to_string().contains("and asks to wait 35"), "{error}");
    assert_eq!(site.asked().len(), 0);
}

#[tokio::test]
async fn the_ceilings_of_the_settings_are_kept_by_all_clients_together() {
    let site = site(12).await;
    site.edit(|state| {
        state.latency = Duration::from_millis(20);
        let project = |id: i64| json!({"id": id.to_string(), "key": format!("P{id}"), "name": "P"});
        state.projects.extend((1..20).map(project));
    });
    let most = |site: &Site| site.edit(|state| std::mem::take(&mut state.most_running));
    let free = connection(&site.url());
    Lake::open().await.sync(&free).await.unwrap();
    let unbounded = most(&site);
    assert!((5..=8).contains(&unbounded), "{unbounded}");
    let narrow = Connection {
        concurrency: Some(2),
        ..free.clone()
    };
    let (one, two) = (Lake::open().await, Lake::open().await);
    let (first, second) = tokio::join!(one.sync(&narrow), two.sync(&narrow));
    first.unwrap();
    second.unwrap();
    assert_eq!(most(&site), 2);

    site.edit(|state| state.latency = Duration::ZERO);
    site.asked();
    let paced = Connection {
        requests_per_second: 40.0,
        ..free
    };
    let (one, two) = (Lake::open().await, Lake::open().await);
    let (first, second) = tokio::join!(one.sync(&paced), two.sync(&paced));
    first.unwrap();
    second.unwrap();
    let mut at: Vec<Instant> = site.asked().iter().map(|one| one.at).collect();
    at.sort_unstable();
    assert!(at.len() > 100);
    let fastest = at.windows(41).map(|some| some[40] - some[0]).min().unwrap();
    assert!(fastest >= Duration::from_millis(950), "{fastest:?}");
}

#[tokio::test]
async fn a_storm_of_refusals_ends_in_the_same_tables() {
    let world = WorldSettings::small(5, Utc::now());
    let start = async |rate_limit| {
        let settings = Settings {
            world: world.clone(),
            rate_limit,
            ..Settings::default()
        };
        Simulator::start(settings).await.unwrap()
    };
    let calm = start(None).await;
    let stormy = start(Some(RateLimit::Bucket {
        capacity: 3.0,
        per_second: 5.0,
    }))
    .await;
    let (expected, lake) = (Lake::open().await, Lake::open().await);
    expected.sync(&connection(calm.url())).await.unwrap();
    let report = lake.sync(&connection(stormy.url())).await.unwrap();
    assert_eq!(lake.live_rows().await, expected.live_rows().await);
    let refused = stormy.requests();
    let refused = refused.iter().filter(|one| one.status == 429).count();
    let needed = calm.requests().len();
    assert!(refused > 0 && report.retries >= refused as u64);
    // Listings of a dozen families are asked side by side, and the site counts all as one: each family
    // learns of it by a refusal of its own, and hardly one request is refused twice.
    assert!(refused < needed, "{refused} refusals of {needed} requests");
}

/// Reads a site on which one record spoils what it is in; returns how often the path was asked.
async fn spoilt(path: &'static str, id: i64, reply: Reply) -> (Site, Lake, usize) {
    let site = site(8).await;
    for id in 10_001..=10_008 {
        site.change(id, "summary", json!("changed"));
    }
    site.edit(|state| {
        let worklog =
            |id: i64| json!({"id": id.to_string(), "issueId": "10001", "timeSpentSeconds": 60});
        let now = state.now;
        state.worklogs = (1..=5)
            .map(|n| (20_000 + n, (now + n, worklog(20_000 + n))))
            .collect();
        state.spoiling.push((path, id, reply));
    });
    let lake = Lake::open().await;
    let patient = SyncOptions {
        batch_issues: 100,
        limits: Limits {
            read: Duration::from_millis(300),
            ..options().limits
        },
        ..options()
    };
    let report = lake
        .sync_with(&connection(&site.url()), patient)
        .await
        .unwrap();
    assert_eq!(report.quarantined(), 1, "{report:?}");
    assert!(!report.is_complete());
    let asked = site.asked().iter().filter(|one| is(one, path)).count();
    (site, lake, asked)
}

/// The record is read when the site can serve it again.
async fn recovered(site: &Site, lake: &Lake) {
    site.edit(|state| state.spoiling.clear());
    let report = lake.sync(&connection(&site.url())).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lake.table("issues").await.len(), 8);
    assert_eq!(lake.table("changelog_items").await.len(), 8);
    assert_eq!(lake.table("worklogs").await.len(), 5);
    assert_eq!(lake.warehouse.meta().quarantined(9).await.unwrap(), []);
}

#[tokio::test]
async fn an_issue_that_spoils_every_batch_waits_in_quarantine() {
    let reply = |status, body: &str, delay| Reply {
        status,
        body: body.to_string(),
        delay: Duration::from_millis(delay),
        ..Reply::default()
    };
    for (reply, says) in [
        (reply(500, "{}", 0), "500 to POST"),
        (reply(200, "", 0), "200 to POST"),
        (reply(200, "{}", 400), "does not answer POST"),
    ] {
        let (site, lake, asked) = spoilt(BULK, 10_005, reply).await;
        assert_eq!(lake.table("issues").await.len(), 7);
        assert_eq!(lake.table("changelog_items").await.len(), 7);
        let waiting = lake.warehouse.meta().quarantined(9).await.unwrap();
        assert_eq!(
            (waiting[0].stream.as_str(), waiting[0].key.as_str()),
            ("issues", "10005")
        );
        assert!(waiting[0].error.contains(says), "{}", waiting[0].error);
        assert!(asked <= 20, "{asked}");
        recovered(&site, &lake).await;
    }
}

#[tokio::test]
async fn a_history_or_a_worklog_that_spoils_its_batch_waits_too() {
    let failing = Reply {
        status: 502,
        ..Reply::default()
    };
    let (site, lake, _) = spoilt("/changelog/bulkfetch", 10_002, failing.clone()).await;
    // No issue without its history.
    let issues = lake.table("issues").await;
    assert!(issues.iter().all(|row| row["issue_id"] != 10_002));
    assert_eq!(
        (issues.len(), lake.table("changelog_items").await.len()),
        (7, 7)
    );
    recovered(&site, &lake).await;

    let (site, lake, _) = spoilt("/worklog/list", 20_003, failing).await;
    assert_eq!(lake.table("issues").await.len(), 8);
    assert_eq!(lake.table("worklogs").await.len(), 4);
    recovered(&site, &lake).await;
}

#[tokio::test]
async fn a_record_that_waits_and_is_deleted_waits_no_longer() {
    let failing = Reply {
        status: 500,
        ..Reply::default()
    };
    let (site, lake, _) = spoilt(BULK, 10_005, failing).await;
    site.edit(|state| {
        state.spoiling.clear();
        state.issues.remove(&10_005);
    });
    let report = lake.sync(&connection(&site.url())).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lake.warehouse.meta().quarantined(9).await.unwrap(), []);
}

#[tokio::test]
async fn an_endpoint_that_is_down_fails_the_run_and_blames_no_record() {
    let site = site(8).await;
    for _ in 0..100 {
        site.script(BULK, 500, "");
    }
    let lake = Lake::open().await;
    let whole = SyncOptions {
        batch_issues: 100,
        ..options()
    };
    let error = lake
        .sync_with(&connection(&site.url()), whole)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Failing { status: 500, .. }),
        "{error}"
    );
    assert_eq!(lake.warehouse.meta().quarantined(9).await.unwrap(), []);
    let asked = site.asked().iter().filter(|one| is(one, BULK)).count();
    assert!(asked <= 7, "{asked}");
    site.edit(|state| state.scripted.clear());
    lake.sync(&connection(&site.url())).await.unwrap();
    assert_eq!(lake.table("issues").await.len(), 8);
}
