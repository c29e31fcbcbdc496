//! What a sync leaves behind.

use serde_json::json;
use warehouse::fault;

use crate::site::{Asked, START, Site};
use crate::{FAULTS, Lake, SyncOptions, connection, options};

pub(crate) async fn site(issues: i64) -> Site {
    let site = Site::start().await;
    for id in 1..=issues {
        site.create(10_000 + id);
    }
    for id in 1..=issues {
        site.change(10_000 + id, "labels", json!([format!("l{id}")]));
    }
    if issues > 0 {
        site.change(10_001, "customfield_16", json!(5));
        site.change(10_001, "customfield_20", json!([{"id": 7}]));
    }
    site
}

fn paths(asked: &[Asked], part: &str) -> usize {
    asked.iter().filter(|one| one.path.contains(part)).count()
}

#[tokio::test]
async fn the_first_load_is_whole_and_the_second_reads_next_to_nothing() {
    let site = site(10).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let report = lake.sync(&acme).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.stream("issues").unwrap().inserted, 10);
    assert_eq!(report.stream("changelogs").unwrap().inserted, 12);
    assert_eq!(report.time_zone.as_deref(), Some("Europe/Berlin"));
    let issues = lake.table("issues").await;
    let first = issues.iter().find(|row| row["issue_id"] == 10_001).unwrap();
    assert_eq!(first["story_points"], json!(5.0));
    assert_eq!(first["sprint_ids"], json!([7]));
    assert_eq!(first["story_points_field_id"], json!("customfield_16"));
    let roles: Vec<_> = lake
        .table("fields")
        .await
        .into_iter()
        .map(|row| row["role"].clone())
        .collect();
    assert!(roles.contains(&json!("sprint")) && roles.contains(&json!("story_points")));
    let source = lake.warehouse.meta().sources().await.unwrap().remove(0);
    assert_eq!(
        source.source_time.timestamp_millis(),
        site.edit(|state| state.now)
    );

    let (rows, versions, files) = (
        lake.rows().await,
        lake.versions().await,
        lake.raw_files().await,
    );
    site.asked();
    let again = lake.sync(&acme).await.unwrap();
    let asked = site.asked();
    assert_eq!(paths(&asked, "bulkfetch"), 0);
    assert_eq!(again.changed(), 0, "{again:?}");
    assert_eq!(lake.versions().await, versions);
    assert_eq!(lake.rows().await, rows);
    assert_eq!(lake.raw_files().await, files);
    let runs = lake.warehouse.meta().runs(10).await.unwrap();
    assert_eq!(
        runs.iter()
            .map(|run| run.status.as_str())
            .collect::<Vec<_>>(),
        ["succeeded"; 2]
    );
    let steps = lake.warehouse.meta().steps(100).await.unwrap();
    let issues = steps
        .iter()
        .find(|row| row.step.step == "acme.issues")
        .unwrap();
    assert!(issues.step.requests > 0);
}

#[tokio::test]
async fn an_empty_site_is_read_again_until_it_has_issues() {
    let site = Site::start().await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let versions = lake.versions().await;
    let mut of_jira = versions
        .iter()
        .filter(|(table, _)| table.starts_with("jira."));
    assert!(
        of_jira.all(|(_, version)| version.is_some()),
        "{versions:?}"
    );
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.versions().await, versions);
    site.create(10_001);
    assert_eq!(
        lake.sync(&acme)
            .await
            .unwrap()
            .stream("issues")
            .unwrap()
            .inserted,
        1
    );
}

#[tokio::test]
async fn incremental_reading_ends_where_a_full_one_does() {
    let site = site(9).await;
    let (lake, fresh) = (Lake::open().await, Lake::open().await);
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    site.edit(|state| state.now += 3_600_000);
    site.create(10_020);
    site.change(10_003, "summary", json!("renamed"));
    site.change(10_005, "status", json!({"id": "3", "name": "Done"}));
    // Neither bumps `updated`: a status is renamed, a sprint is closed, a status is deleted.
    site.edit(|state| {
        state.statuses[0]["name"] = json!("Open");
        state.sprints.get_mut(&8).unwrap()[0]["state"] = json!("closed");
    });
    site.asked();
    let report = lake.sync(&acme).await.unwrap();
    assert_eq!(report.stream("issues").unwrap().inserted, 1);
    let fetched: usize = site
        .asked()
        .iter()
        .filter(|one| one.path.ends_with("issue/bulkfetch"))
        .map(|one| one.body["issueIdsOrKeys"].as_array().unwrap().len())
        .sum();
    assert_eq!(fetched, 3);
    fresh.sync(&acme).await.unwrap();
    assert_eq!(lake.rows().await, fresh.rows().await);
    let open = lake
        .table("issues")
        .await
        .into_iter()
        .filter(|row| row["status"] == "Open")
        .count();
    assert_eq!(open, 9);
}

#[tokio::test]
async fn what_disappears_is_marked_and_a_replay_marks_it_at_the_same_instant() {
    let site = site(6).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    site.edit(|state| {
        state.statuses.remove(1);
        state.boards.remove(1);
        state.users.clear();
        state.fields[2]["name"] = json!("Points");
    });
    site.change(10_002, "summary", json!("renamed"));
    lake.sync(&acme).await.unwrap();
    let gone = |rows: Vec<schemas::Row>| {
        rows.iter()
            .filter(|row| !row["deleted_at"].is_null())
            .count()
    };
    assert_eq!(gone(lake.table("statuses").await), 1);
    assert_eq!(gone(lake.table("boards").await), 1);
    // What is stored names people.
    let people = lake.table("users").await;
    assert_eq!(
        (people[0]["is_stub"].clone(), gone(people)),
        (json!(true), 0)
    );

    let rows = lake.everything().await;
    site.asked();
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    let report = lake.sync_with(&acme, replay).await.unwrap();
    assert!(site.asked().is_empty());
    assert_eq!(lake.everything().await, rows);
    assert!(report.stream("issues").unwrap().inserted > 0);
    // The cursor stands: nothing is fetched again.
    lake.sync(&acme).await.unwrap();
    assert_eq!(paths(&site.asked(), "bulkfetch"), 0);
    assert_eq!(lake.everything().await, rows);
}

#[tokio::test]
async fn a_full_read_forgets_the_cursor_and_keeps_the_rows() {
    let site = site(6).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let rows = lake.rows().await;
    // A change that the cursor would never find.
    site.edit(|state| state.issues.get_mut(&10_004).unwrap().fields["summary"] = json!("silent"));
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.rows().await, rows);
    let full = SyncOptions {
        full: true,
        ..options()
    };
    let report = lake.sync_with(&acme, full).await.unwrap();
    let issues = report.stream("issues").unwrap();
    assert_eq!((issues.read, issues.updated, issues.unchanged), (6, 1, 5));
}

#[tokio::test]
async fn a_project_that_comes_into_scope_is_read_whole() {
    let site = site(4).await;
    site.edit(|state| {
        state.projects.push(json!({"id": "10009", "key": "FF"}));
        let issue = state.issues.get_mut(&10_001).unwrap();
        issue.fields["project"] = json!({"id": "10009", "key": "FF"});
        state.now += 3_600_000;
    });
    site.change(10_004, "summary", json!("x"));
    let lake = Lake::open().await;
    let mut acme = connection(&site.url());
    acme.projects = vec!["EE".into()];
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.table("issues").await.len(), 3);
    acme.projects.push("FF".into());
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.table("issues").await.len(), 4);
    site.asked();
    lake.sync(&acme).await.unwrap();
    assert_eq!(paths(&site.asked(), "bulkfetch"), 0);
}

#[tokio::test]
async fn a_killed_run_is_continued_to_the_same_tables() {
    let _alone = FAULTS.write().await;
    let site = site(11).await;
    let acme = connection(&site.url());
    let whole = Lake::unguarded().await;
    whole.sync(&acme).await.unwrap();
    let expected = whole.rows().await;
    for point in [
        "ingest.listing.landed:4",
        "ingest.batch.landed:2",
        "ingest.changelogs.appended:3",
        "ingest.issues.merged:2",
        "jira.issues.before_commit:2",
    ] {
        let lake = Lake::unguarded().await;
        fault::arm(&format!("fail@{point}")).unwrap();
        let error = lake.sync(&acme).await.unwrap_err();
        assert!(
            error.to_string().contains("fault injected"),
            "{point}: {error}"
        );
        site.asked();
        lake.sync(&acme).await.unwrap();
        assert_eq!(lake.rows().await, expected, "{point}");
        let runs = lake.warehouse.meta().runs(2).await.unwrap();
        assert_eq!(
            (runs[0].status.as_str(), runs[1].status.as_str()),
            ("succeeded", "failed")
        );
        if point.starts_with("ingest.issues.merged:2") {
            // Two batches of four were committed; only the rest (and their minute) is read.
            assert!(paths(&site.asked(), "issue/bulkfetch") <= 3);
        }
    }
    // A replay that was killed is finished by the next sync.
    let lake = Lake::unguarded().await;
    lake.sync(&acme).await.unwrap();
    for point in ["ingest.replay.cleared", "ingest.issues.merged:2"] {
        fault::arm(&format!("fail@{point}")).unwrap();
        let replay = SyncOptions {
            replay: true,
            ..options()
        };
        lake.sync_with(&acme, replay).await.unwrap_err();
        lake.sync(&acme).await.unwrap();
        assert_eq!(lake.rows().await, expected, "{point}");
    }
}

#[tokio::test]
async fn a_killed_update_is_continued_to_the_same_tables() {
    let _alone = FAULTS.write().await;
    for point in ["ingest.batch.landed", "ingest.issues.merged"] {
        let site = site(8).await;
        let acme = connection(&site.url());
        let (lake, whole) = (Lake::unguarded().await, Lake::unguarded().await);
        lake.sync(&acme).await.unwrap();
        site.edit(|state| state.now += 3_600_000);
        for id in 10_001..=10_008 {
            site.change(id, "summary", json!("x"));
        }
        fault::arm(&format!("fail@{point}")).unwrap();
        lake.sync(&acme).await.unwrap_err();
        lake.sync(&acme).await.unwrap();
        whole.sync(&acme).await.unwrap();
        assert_eq!(lake.rows().await, whole.rows().await, "{point}");
    }
}

#[tokio::test]
async fn records_that_lack_what_is_required_are_set_aside_and_come_back() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    site.edit(|state| {
        state.issues.get_mut(&10_002).unwrap().fields["created"] =
            json!("9999-01-01T00:00:00.000+0000");
        state.issues.get_mut(&10_003).unwrap().histories[0]["created"] = json!(null);
        state.projects.push(json!({"id": "10008"}));
    });
    let report = lake.sync(&acme).await.unwrap();
    assert_eq!(report.quarantined(), 3, "{report:?}");
    assert!(!report.is_complete());
    assert_eq!(lake.table("issues").await.len(), 2);
    let mut found: Vec<_> = lake.warehouse.meta().quarantined(10).await.unwrap();
    found.sort_by(|a, b| a.stream.cmp(&b.stream));
    let shown: Vec<_> = found
        .iter()
        .map(|one| (one.stream.as_str(), one.error.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("changelogs", "changed_at is missing"),
            ("issues", "created_at: year 9999 is out of range"),
            ("projects", "key is missing"),
        ]
    );
    site.edit(|state| {
        state
            .issues
            .get_mut(&10_002)
            .unwrap()
            .fields
            .as_object_mut()
            .unwrap()
            .remove("created");
        state.projects[1]["key"] = json!("XX");
    });
    site.change(10_002, "summary", json!("healed"));
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.table("issues").await.len(), 3);
    assert_eq!(
        lake.warehouse.meta().quarantined(10).await.unwrap().len(),
        1
    );
    // A row whose record can't be read any more stays as it was.
    site.edit(|state| state.projects[1] = json!({"id": "10008"}));
    lake.sync(&acme).await.unwrap();
    let projects = lake.table("projects").await;
    assert_eq!(
        projects
            .iter()
            .filter(|row| row["deleted_at"].is_null())
            .count(),
        2
    );
}

#[tokio::test]
async fn issues_that_the_site_withholds_are_asked_for_again() {
    let site = site(4).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    site.edit(|state| state.withheld = vec![10_003]);
    let report = lake.sync(&acme).await.unwrap();
    assert_eq!(report.quarantined(), 1);
    assert_eq!(lake.table("issues").await.len(), 3);
    site.edit(|state| {
        state.withheld.clear();
        state.now += 3_600_000;
    });
    site.change(10_004, "summary", json!("x"));
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.table("issues").await.len(), 4);
    assert!(
        lake.warehouse
            .meta()
            .quarantined(10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn boards_without_sprints_and_missing_endpoints_are_no_failure() {
    let site = site(2).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    site.edit(|state| state.missing = vec!["/users/search", "/field/search", "/9/configuration"]);
    let report = lake.sync(&acme).await.unwrap();
    let notes: Vec<_> = report.notes.iter().map(|note| note.text.as_str()).collect();
    assert!(notes.iter().any(|note| note.contains("board 9 has no sprints: The board does not support sprints")));
    assert!(
        notes
            .iter()
            .any(|note| note.contains("does not offer users: not here (404)")),
        "{notes:?}"
    );
    assert!(
        notes
            .iter()
            .any(|note| note.contains("board 9 shows no configuration"))
    );
    assert!(!report.stream("users").unwrap().offered);
    assert!(report.is_complete());
    assert_eq!(lake.table("board_sprints").await.len(), 1);
    let kanban = lake
        .table("boards")
        .await
        .into_iter()
        .find(|row| row["board_id"] == 9)
        .unwrap();
    assert_eq!(kanban["has_configuration"], json!(false));
}

#[tokio::test]
async fn one_stream_alone() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let only = SyncOptions {
        streams: vec!["sprints".into()],
        ..options()
    };
    let report = lake.sync_with(&acme, only).await.unwrap();
    let streams: Vec<_> = report.streams.iter().map(|one| one.stream).collect();
    assert_eq!(streams, ["boards", "sprints"]);
    assert!(lake.warehouse.meta().sources().await.unwrap().is_empty());
    assert!(
        site.asked()
            .iter()
            .all(|one| !one.path.contains("search/jql"))
    );
}

#[tokio::test]
async fn an_index_that_lags_loses_nothing() {
    let site = site(5).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    // The record is newer than the index says: the mark must follow the index.
    site.edit(|state| {
        let issue = state.issues.get_mut(&10_002).unwrap();
        issue.updated = START + 50_000;
        issue.fields["updated"] = json!("2026-03-01T13:00:00.000+0000");
        issue.fields["summary"] = json!("ahead");
    });
    lake.sync(&acme).await.unwrap();
    site.edit(|state| state.now = START + 60_000);
    site.change(10_003, "summary", json!("late"));
    lake.sync(&acme).await.unwrap();
    let rows = lake.table("issues").await;
    let summary =
        |id: i64| rows.iter().find(|row| row["issue_id"] == id).unwrap()["summary"].clone();
    assert_eq!(
        (summary(10_002), summary(10_003)),
        (json!("ahead"), json!("late"))
    );
}

#[tokio::test]
async fn discovery_writes_nothing_and_names_the_roles() {
    let site = site(1).await;
    let found = ingest::discover(&connection(&site.url())).await.unwrap();
    assert_eq!(found.projects, ["EE"]);
    assert_eq!(found.boards.len(), 2);
    assert_eq!(
        found.boards[0].estimation_field_id.as_deref(),
        Some("customfield_16")
    );
    let sprint = found
        .fields
        .iter()
        .find(|field| field.role == "sprint")
        .unwrap();
    assert_eq!(
        (sprint.field_id.as_str(), sprint.name.as_str()),
        ("customfield_20", "Sprint")
    );
    assert_eq!(sprint.reason, "it is Jira's own sprint field");
    assert_eq!(
        found.story_points,
        [("EE".to_string(), Some("customfield_16".to_string()))]
    );
    assert_eq!(
        found.permissions,
        [
            ("BROWSE_PROJECTS".to_string(), true),
            ("USER_PICKER".to_string(), false)
        ]
    );
}
