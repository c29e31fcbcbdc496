//! Everything that a site does wrong, at every kind of page: the tables are those of a site that does
//! nothing wrong, every time.

use std::time::Duration;

use ingest::{Limits, SyncOptions};
use simulator::model::IssueKind;
use simulator::{Deployment, Edit, Fault, FaultKind, NewIssue, Settings, Simulator};

use crate::simulated::{only, settings, start};
use crate::{Lake, connection, options};

/// The pages of a first load and of an update, by a part of their paths.
const PAGES: [&str; 9] = [
    "/search",
    "/issue/bulkfetch",
    "/changelog/bulkfetch",
    "/board",
    "/sprint",
    "/status",
    "/field",
    "/worklog/updated",
    "/worklog/list",
];

/// How a page fails, when it does.
fn kinds() -> Vec<(&'static str, FaultKind)> {
    let now = Some(Duration::ZERO);
    vec![
        ("429", FaultKind::TooManyRequests { retry_after: now }),
        (
            "429 without a word",
            FaultKind::TooManyRequests { retry_after: None },
        ),
        ("500", FaultKind::Status(500)),
        ("503", FaultKind::Status(503)),
        ("connection reset", FaultKind::DroppedConnection),
        ("half a page", FaultKind::TruncatedBody),
        ("a page of HTML", FaultKind::Html),
        ("nothing at all", FaultKind::EmptyBody),
        (
            "slower than the patience",
            FaultKind::Delay(Duration::from_millis(400)),
        ),
        ("the other way round", FaultKind::Reversed),
    ]
}

/// Small pages and batches, so that every path has several; little patience.
fn hasty() -> SyncOptions {
    SyncOptions {
        batch_issues: 25,
        limits: Limits {
            pause: Duration::from_millis(2),
            read: Duration::from_millis(250),
            ..options().limits
        },
        ..options()
    }
}

fn small(deployment: Deployment) -> Settings {
    let mut settings = Settings {
        deployment,
        ..settings(5)
    };
    settings.limits.search_light = 30;
    settings.limits.search_full = 20;
    settings.limits.bulk_changelog_histories = 60;
    settings.limits.data_center_search = 20;
    settings.limits.worklogs = 15;
    settings
}

/// Edits of every kind that leaves a trace.
fn edit(simulator: &Simulator) {
    simulator.advance(chrono::TimeDelta::seconds(90));
    simulator.edit(|world| {
        let issues: Vec<u64> = world.issues().map(|issue| issue.id).collect();
        let project = world.projects()[0].id;
        for (number, issue) in issues.iter().step_by(3).enumerate() {
            let (issue, summary) = (*issue, format!("again {number}"));
            world
                .apply_now(Edit::SetSummary { issue, summary })
                .unwrap();
        }
        let comment = Edit::Comment {
            issue: issues[1],
            text: "seen".into(),
        };
        world.apply_now(comment).unwrap();
        let work = Edit::LogWork {
            issue: issues[2],
            seconds: 60,
        };
        world.apply_now(work).unwrap();
        let new = NewIssue::new(project, IssueKind::Story, "new");
        world.apply_now(Edit::CreateIssue(new)).unwrap();
    });
}

/// The tables of one lake are those of another.
#[track_caller]
fn assert_same(what: &str, found: &[(String, Vec<String>)], expected: &[(String, Vec<String>)]) {
    for ((table, found), (_, expected)) in found.iter().zip(expected) {
        let (more, less) = (only(found, expected), only(expected, found));
        assert!(
            more.is_empty() && less.is_empty(),
            "{what}: {table}: too many {more:#?}, lost {less:#?}"
        );
    }
}

async fn every_page_fails(deployment: Deployment, faults: Vec<(&'static str, FaultKind)>) {
    let simulator = start(small(deployment)).await;
    let acme = connection(simulator.url());
    let lake = Lake::open().await;
    for (name, kind) in &faults {
        // The first load of a lake, or an update of it, each with this fault at every kind of page.
        simulator.clear_faults();
        for path in PAGES {
            simulator.inject(Fault::new(path, kind.clone()));
            simulator.inject(Fault::new(path, kind.clone()).nth(3));
        }
        let report = lake.sync_with(&acme, hasty()).await;
        let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
        let quiet = matches!(kind, FaultKind::Reversed | FaultKind::Doubled);
        assert!(quiet || report.retries >= 5, "{name}: {}", report.retries);
        edit(&simulator);
    }
    simulator.clear_faults();
    lake.sync_with(&acme, hasty()).await.unwrap();
    let fresh = Lake::open().await;
    fresh.sync_with(&acme, hasty()).await.unwrap();
    assert_same(
        "after all faults",
        &lake.live_rows().await,
        &fresh.live_rows().await,
    );
    let truth = simulator.edit(|world| {
        let issues = world.issues();
        let histories = issues.map(|issue| issue.histories.len());
        (world.issues().count(), histories.sum::<usize>())
    });
    assert_eq!(fresh.table("issues").await.len(), truth.0);
    let mut entries: Vec<i64> = fresh
        .table("changelog_items")
        .await
        .iter()
        .filter_map(|row| row["history_id"].as_i64())
        .collect();
    entries.sort_unstable();
    entries.dedup();
    assert_eq!(entries.len(), truth.1);
}

#[tokio::test]
async fn whatever_fails_on_cloud_nothing_is_lost() {
    every_page_fails(Deployment::Cloud, kinds()).await;
}

#[tokio::test]
async fn whatever_fails_on_data_center_nothing_is_lost() {
    // Its pages go by creation, and a page in another order is refused, not believed.
    let mut kinds = kinds();
    kinds.retain(|(_, kind)| *kind != FaultKind::Reversed);
    every_page_fails(Deployment::DataCenter, kinds).await;
}

/// A first load whose faults come in a storm: most requests are refused at first.
#[tokio::test]
async fn a_storm_of_refusals_ends_with_the_same_tables() {
    let simulator = start(small(Deployment::Cloud)).await;
    let acme = connection(simulator.url());
    let (calm, stormy) = (Lake::open().await, Lake::open().await);
    calm.sync_with(&acme, hasty()).await.unwrap();
    for path in ["/search", "bulkfetch", "/worklog"] {
        let refused = FaultKind::TooManyRequests {
            retry_after: Some(Duration::ZERO),
        };
        for nth in (1..20).step_by(2) {
            simulator.inject(Fault::new(path, refused.clone()).nth(nth));
        }
    }
    let report = stormy.sync_with(&acme, hasty()).await.unwrap();
    assert!(report.retries >= 20, "{}", report.retries);
    assert_same(
        "a storm",
        &stormy.live_rows().await,
        &calm.live_rows().await,
    );
}

/// Tokens of pages expire; the pages begin again.
#[tokio::test]
async fn pages_whose_token_expires_begin_again() {
    let simulator = start(small(Deployment::Cloud)).await;
    let acme = connection(simulator.url());
    let (calm, lake) = (Lake::open().await, Lake::open().await);
    calm.sync_with(&acme, hasty()).await.unwrap();
    for nth in [1, 3] {
        simulator.inject(Fault::status("/search/jql", 400).continuing().nth(nth));
    }
    simulator.inject(Fault::status("/changelog/bulkfetch", 400).continuing());
    lake.sync_with(&acme, hasty()).await.unwrap();
    assert_same(
        "first load",
        &lake.live_rows().await,
        &calm.live_rows().await,
    );
    edit(&simulator);
    simulator.inject(Fault::status("/search/jql", 400).continuing());
    lake.sync_with(&acme, hasty()).await.unwrap();
    calm.sync_with(&acme, hasty()).await.unwrap();
    assert_same("update", &lake.live_rows().await, &calm.live_rows().await);
    // A site that refuses every second page has no token that holds.
    simulator.inject(Fault::status("/search/jql", 400).continuing().times(10));
    let full = SyncOptions {
        full: true,
        ..hasty()
    };
    let error = lake.sync_with(&acme, full).await.unwrap_err();
    assert!(error.to_string().contains("answered 400"), "{error}");
}

/// Every record of a page comes twice, and a page comes in another order.
#[tokio::test]
async fn records_that_come_twice_are_one() {
    let simulator = start(small(Deployment::Cloud)).await;
    let acme = connection(simulator.url());
    let (calm, lake) = (Lake::open().await, Lake::open().await);
    calm.sync_with(&acme, hasty()).await.unwrap();
    for path in [
        "/search/jql",
        "bulkfetch",
        "/worklog/updated",
        "/worklog/list",
    ] {
        simulator.inject(Fault::new(path, FaultKind::Doubled).times(6));
    }
    lake.sync_with(&acme, hasty()).await.unwrap();
    assert_same("doubled", &lake.live_rows().await, &calm.live_rows().await);
}
