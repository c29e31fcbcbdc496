//! Data Center: another interface to the same kind of site. Everything here is read from the
//! simulator, since no recording of a Data Center is at hand.

use std::time::Duration;

use chrono::TimeDelta;
use schemas::Row;
use serde_json::{Value, json};
use simulator::model::Issue;
use simulator::{Deployment, Edit, Fault, FaultKind, RateLimit, Settings, Simulator, World};

use crate::simulated::{large_batches, only, settings, start};
use crate::{Lake, SyncOptions, connection};

fn data_center(seed: u64) -> Settings {
    Settings {
        deployment: Deployment::DataCenter,
        ..settings(seed)
    }
}

/// Paths that were asked for, without their numbers.
fn paths(simulator: &Simulator) -> Vec<String> {
    let requests = simulator.requests();
    let mut paths: Vec<_> = requests.into_iter().map(|one| one.path).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Columns in which the two differ for the same site: accounts have other identities, Data Center
/// leaves out ids of changed fields, levels of issue types and styles of projects, always says
/// whether a project is archived, and shows an epic by its key.
const DIFFERENT: &[(&str, &[&str])] = &[
    ("sites", &["deployment_type"]),
    ("users", &["user_id", "account_type"]),
    ("projects", &["lead_id", "style", "is_archived"]),
    ("components", &["lead_id"]),
    ("issue_types", &["hierarchy_level"]),
    (
        "issues",
        &["assignee_id", "reporter_id", "fields_json", "parent_id"],
    ),
    ("changelog_items", &["author_id", "field_id"]),
    ("comments", &["author_id"]),
    ("worklogs", &["author_id"]),
];

/// Rows without what may differ.
fn comparable(table: &str, rows: Vec<Row>) -> Vec<String> {
    let different = DIFFERENT.iter().filter(|(name, _)| *name == table);
    let different: Vec<&str> = different
        .flat_map(|(_, columns)| columns.iter().copied())
        .collect();
    let mut texts: Vec<String> = rows
        .into_iter()
        .map(|mut row| {
            // Of a person the changed value is the account, of an epic the field is another one.
            if row.get("field") == Some(&json!("assignee")) {
                row.remove("from_value");
                row.remove("to_value");
            }
            if row.get("field") == Some(&json!("Epic Link")) {
                row.insert("field".into(), json!("IssueParentAssociation"));
                row.insert("field_type".into(), json!("jira"));
            }
            different
                .iter()
                .for_each(|column| drop(row.remove(*column)));
            Value::Object(row).to_string()
        })
        .collect();
    texts.sort();
    texts
}

/// What a small world doesn't have by itself: many comments on one issue, an epic that was changed,
/// an archived project.
fn edit(world: &mut World) {
    world.advance_clock(TimeDelta::minutes(10));
    let commented = world
        .issues()
        .find(|issue| !issue.comments.is_empty())
        .map(|issue| issue.id);
    for number in 0..30 {
        let comment = Edit::Comment {
            issue: commented.unwrap(),
            text: format!("comment {number}"),
        };
        world.apply_now(comment).unwrap();
    }
    let is_child = |issue: &&Issue| issue.parent.is_some() && !issue.is_subtask();
    let child = world.issues().find(is_child).map(|issue| issue.id).unwrap();
    let epic = world
        .issues()
        .find(|issue| issue.parent.is_none() && issue.id != child)
        .map(|issue| issue.id);
    world
        .apply_now(Edit::SetEpic { issue: child, epic })
        .unwrap();
    let title = "A page".to_owned();
    world
        .apply_now(Edit::LinkRemote {
            issue: child,
            title,
        })
        .unwrap();
    let project = world.projects()[1].id;
    world.apply_now(Edit::ArchiveProject { project }).unwrap();
    world.advance_clock(TimeDelta::minutes(10));
}

#[tokio::test]
async fn the_same_site_gives_the_same_rows_as_on_cloud() {
    let mut of_data_center = data_center(7);
    of_data_center.limits.data_center_search = 23;
    of_data_center.limits.users = 4;
    let mut world = World::generate(&of_data_center.world);
    world.freeze_clock(true);
    edit(&mut world);
    let cloud = Simulator::start_with(settings(7), world.clone())
        .await
        .unwrap();
    let server = Simulator::start_with(of_data_center, world).await.unwrap();
    let (one, other) = (Lake::open().await, Lake::open().await);
    one.sync_with(&connection(cloud.url()), large_batches())
        .await
        .unwrap();
    let report = other
        .sync_with(&connection(server.url()), large_batches())
        .await
        .unwrap();
    assert!(report.is_complete(), "{report:?}");
    // A history tells when a state was read first.
    for contract in schemas::contracts().iter().filter(|one| !one.is_history()) {
        let table = contract.table().name.as_str();
        let expected = comparable(table, one.table(table).await);
        let found = comparable(table, other.table(table).await);
        let (ours, theirs) = (only(&found, &expected), only(&expected, &found));
        assert!(
            ours.is_empty() && theirs.is_empty(),
            "{table}: only Data Center {ours:#?}, only Cloud {theirs:#?}"
        );
    }
    assert!(!other.table("users").await.is_empty());
    let asked = paths(&server);
    assert!(
        asked.iter().all(|path| !path.contains("/api/3/")),
        "{asked:?}"
    );
    let rows = other.table("issues").await;
    assert!(rows.iter().any(|row| {
        row["assignee_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("JIRAUSER"))
    }));
    // A replay tells the same, and a second sync finds nothing new.
    let rows = other.rows().await;
    let versions = other.versions().await;
    server.clear_requests();
    other
        .sync_with(&connection(server.url()), large_batches())
        .await
        .unwrap();
    assert_eq!(other.versions().await, versions);
    let replay = SyncOptions {
        replay: true,
        ..large_batches()
    };
    other
        .sync_with(&connection(server.url()), replay)
        .await
        .unwrap();
    assert_eq!(other.rows().await, rows);
}

#[tokio::test]
async fn every_project_is_read_although_ids_compare_within_one() {
    let mut narrow = data_center(9);
    narrow.limits.data_center_search = 3;
    let simulator = start(narrow).await;
    let lake = Lake::open().await;
    lake.sync_with(&connection(simulator.url()), large_batches())
        .await
        .unwrap();
    let (issues, items) = simulator.edit(|world| {
        let items = world
            .issues()
            .flat_map(|one| &one.histories)
            .map(|one| one.items.len());
        (world.issues().count(), items.sum::<usize>())
    });
    assert_eq!(lake.table("issues").await.len(), issues);
    assert_eq!(lake.table("changelog_items").await.len(), items);
}

#[tokio::test]
async fn a_part_of_the_history_entries_is_never_taken_for_all() {
    let mut short = data_center(3);
    short.limits.data_center_searched_histories = 2;
    let simulator = start(short).await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    lake.sync_with(&acme, large_batches()).await.unwrap();
    let (items, heavy) = simulator.edit(|world| {
        let items = world
            .issues()
            .flat_map(|one| &one.histories)
            .map(|one| one.items.len());
        let heavy = world.issues().filter(|one| one.histories.len() > 2);
        (items.sum::<usize>(), heavy.count())
    });
    assert_eq!(lake.table("changelog_items").await.len(), items);
    let single = |simulator: &Simulator| {
        let requests = simulator.requests();
        let single = requests
            .iter()
            .filter(|one| one.path.starts_with("/rest/api/2/issue/1"));
        single.count()
    };
    assert_eq!(single(&simulator), heavy);
    // Where the site never shows them all, the issue waits and is told.
    let mut short = data_center(3);
    short.limits.data_center_searched_histories = 2;
    short.limits.data_center_histories = 2;
    let simulator = start(short).await;
    let lake = Lake::open().await;
    let report = lake
        .sync_with(&connection(simulator.url()), large_batches())
        .await
        .unwrap();
    assert_eq!(report.stream("issues").unwrap().quarantined, heavy as u64);
    assert!(!report.is_complete());
    let kept = lake.warehouse.meta().quarantined(1000).await.unwrap();
    assert!(
        kept.iter().any(|one| one.error.contains("shows 2 of its")),
        "{kept:?}"
    );
}

#[tokio::test]
async fn a_site_that_misbehaves_gives_the_same_tables() {
    let calm = start(data_center(5)).await;
    let limit = RateLimit::EveryNth {
        n: 6,
        retry_after: Duration::ZERO,
    };
    let rough = start(Settings {
        rate_limit: Some(limit),
        ..data_center(5)
    })
    .await;
    for (path, kind) in [
        ("/rest/api/2/search", FaultKind::Html),
        ("/rest/api/2/search", FaultKind::DroppedConnection),
        ("/rest/api/2/search", FaultKind::TruncatedBody),
        ("/rest/api/2/project", FaultKind::Status(503)),
        ("/rest/api/2/user/search", FaultKind::EmptyBody),
    ] {
        rough.inject(Fault::new(path, kind));
    }
    let (expected, lake) = (Lake::open().await, Lake::open().await);
    expected
        .sync_with(&connection(calm.url()), large_batches())
        .await
        .unwrap();
    let report = lake
        .sync_with(&connection(rough.url()), large_batches())
        .await
        .unwrap();
    assert!(report.retries >= 5, "{}", report.retries);
    for table in ["issues", "changelog_items", "comments", "worklogs", "users"] {
        let plain = |rows: Vec<Row>| -> Vec<Row> {
            let without = |mut row: Row| {
                row.remove("fields_json");
                row
            };
            rows.into_iter().map(without).collect()
        };
        assert_eq!(
            plain(lake.table(table).await),
            plain(expected.table(table).await),
            "{table}"
        );
    }
}

#[tokio::test]
async fn a_personal_access_token_is_enough() {
    let simulator = start(data_center(1)).await;
    let lake = Lake::open().await;
    let mut bearer = connection(simulator.url());
    bearer.auth = ingest::Auth::Bearer;
    bearer.email = String::new();
    lake.sync_with(&bearer, large_batches()).await.unwrap();
    assert!(!lake.table("issues").await.is_empty());
}

#[tokio::test]
async fn it_can_be_discovered() {
    let simulator = start(data_center(3)).await;
    let found = ingest::discover(&connection(simulator.url()))
        .await
        .unwrap();
    assert_eq!(found.version, "9.12.4");
    assert_eq!(found.projects.len(), 2);
    assert_eq!(found.time_zone, "Europe/Berlin");
    let names: Vec<_> = found
        .permissions
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["BROWSE_PROJECTS", "USER_PICKER"]);
    assert!(found.fields.iter().any(|field| field.role == "sprint"));
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}
