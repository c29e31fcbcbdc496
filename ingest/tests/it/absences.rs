//! What goes away: issues, and what belongs to them.

use serde_json::json;
use warehouse::fault;

use crate::engine::site;
use crate::site::START;
use crate::{FAULTS, Lake, SyncOptions, connection, options};

#[tokio::test]
async fn links_and_comments_come_and_go_with_their_issues() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let kind = json!({"id": "1", "name": "Blocks"});
    let comment = |id: i64| {
        json!({"id": id.to_string(), "author": {"accountId": "u1"}, "body": format!("c{id}"),
            "created": "2026-03-01T12:00:00.000+0000"})
    };
    site.edit(|state| {
        let fields = &mut state.issues.get_mut(&10_001).unwrap().fields;
        fields["issuelinks"] = json!([{"id": "7", "type": kind, "outwardIssue": {"id": "10002"}}]);
        // It carries one of five; the site has the others in pages of two.
        fields["comment"] = json!({"comments": [comment(1)], "total": 5});
        state
            .comments
            .insert(10_001, (1..=5).map(comment).collect());
        let fields = &mut state.issues.get_mut(&10_002).unwrap().fields;
        fields["issuelinks"] = json!([{"id": "7", "type": kind, "inwardIssue": {"id": "10001"}}]);
        fields["comment"] = json!({"comments": [comment(9)], "total": 1});
    });
    lake.sync(&acme).await.unwrap();
    let links = lake.table("issue_links").await;
    assert_eq!(links.len(), 1);
    assert_eq!(
        (&links[0]["source_issue_id"], &links[0]["target_issue_id"]),
        (&json!(10_001), &json!(10_002))
    );
    let ids = |rows: Vec<schemas::Row>| -> Vec<i64> {
        let live = rows.iter().filter(|row| row["deleted_at"].is_null());
        let mut ids: Vec<_> = live
            .map(|row| row["comment_id"].as_i64().unwrap())
            .collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(lake.table("comments").await), [1, 2, 3, 4, 5, 9]);

    // A comment is deleted, a link is taken away as only one end tells, an issue shows no comments.
    site.edit(|state| {
        state
            .comments
            .insert(10_001, [1, 2, 4, 5].map(comment).to_vec());
        let fields = &mut state.issues.get_mut(&10_001).unwrap().fields;
        fields["comment"]["total"] = json!(4);
        fields["issuelinks"] = json!([]);
        state
            .issues
            .get_mut(&10_002)
            .unwrap()
            .fields
            .as_object_mut()
            .unwrap()
            .remove("comment");
    });
    site.change(10_001, "summary", json!("x"));
    site.change(10_003, "summary", json!("y"));
    let report = lake.sync(&acme).await.unwrap();
    assert_eq!(report.stream("comments").unwrap().deleted, 1);
    assert_eq!(report.stream("issue_links").unwrap().deleted, 1);
    assert_eq!(ids(lake.table("comments").await), [1, 2, 4, 5, 9]);
    assert!(!lake.table("issue_links").await[0]["deleted_at"].is_null());
    // The same from the raw zone.
    let rows = lake.rows().await;
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    lake.sync_with(&acme, replay).await.unwrap();
    assert_eq!(lake.rows().await, rows);
}

#[tokio::test]
async fn what_the_site_no_longer_shows_is_deleted_at_the_second_look() {
    let site = site(5).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let sweep = SyncOptions {
        sweep: true,
        ..options()
    };
    site.edit(|state| {
        let comment = json!({"comments": [{"id": "1", "body": "x"}], "total": 1});
        state.issues.get_mut(&10_002).unwrap().fields["comment"] = comment;
        let worklog = json!({"id": "1", "issueId": "10002", "timeSpentSeconds": 60});
        state.worklogs.insert(1, (START, worklog));
    });
    lake.sync(&acme).await.unwrap();
    let whole = lake.rows().await;
    let gone = site.edit(|state| state.issues.remove(&10_002).unwrap());
    // An incremental read says nothing about it.
    lake.sync(&acme).await.unwrap();
    let issue = async |lake: &Lake| {
        let rows = lake.table("issues").await;
        rows.into_iter()
            .find(|row| row["issue_id"] == 10_002)
            .unwrap()
    };
    assert!(issue(&lake).await["missing_since"].is_null());
    // The first look only notes it.
    lake.sync_with(&acme, sweep.clone()).await.unwrap();
    let noted = issue(&lake).await;
    assert!(!noted["missing_since"].is_null() && noted["deleted_at"].is_null());
    // Seen again in between, nothing has happened.
    site.edit(|state| state.issues.insert(10_002, gone.clone()));
    lake.sync_with(&acme, sweep.clone()).await.unwrap();
    assert_eq!(lake.rows().await, whole);
    site.edit(|state| state.issues.remove(&10_002));
    lake.sync_with(&acme, sweep.clone()).await.unwrap();
    let report = lake.sync_with(&acme, sweep.clone()).await.unwrap();
    assert_eq!(report.stream("issues").unwrap().deleted, 1);
    let deleted = issue(&lake).await;
    assert_eq!(deleted["deleted_at"], deleted["missing_since"]);
    assert_eq!(deleted["deleted_reason"], "not_visible");
    for table in ["changelog_items", "comments", "worklogs"] {
        let rows = lake.table(table).await;
        let mut of_issue = rows
            .iter()
            .filter(|row| row["issue_id"] == 10_002)
            .peekable();
        assert!(of_issue.peek().is_some(), "{table}");
        assert!(
            of_issue.all(|row| row["deleted_at"] == deleted["deleted_at"]),
            "{table}"
        );
    }
    // A third look finds nothing new; raw tells the same story.
    let rows = lake.rows().await;
    let third = lake.sync_with(&acme, sweep.clone()).await.unwrap();
    assert_eq!(third.changed(), 0, "{third:?}");
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    lake.sync_with(&acme, replay.clone()).await.unwrap();
    assert_eq!(lake.rows().await, rows);
    // Given back, it is whole again.
    site.edit(|state| state.issues.insert(10_002, gone));
    lake.sync_with(&acme, sweep).await.unwrap();
    assert_eq!(lake.rows().await, whole);
    lake.sync_with(&acme, replay).await.unwrap();
    assert_eq!(lake.rows().await, whole);
}

#[tokio::test]
async fn an_update_that_the_index_shows_hours_late_is_read_with_the_sweep() {
    let site = site(4).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    site.edit(|state| state.now = START + 7_200_000);
    site.change(10_003, "summary", json!("in time"));
    lake.sync(&acme).await.unwrap();
    // An hour older than what has been read since.
    site.edit(|state| {
        let issue = state.issues.get_mut(&10_002).unwrap();
        issue.updated = START + 3_600_000;
        let at = chrono::DateTime::from_timestamp_millis(issue.updated).unwrap();
        issue.fields["updated"] = json!(at.to_rfc3339());
        issue.fields["summary"] = json!("late");
    });
    let summary = async || {
        let rows = lake.table("issues").await;
        let row = rows
            .into_iter()
            .find(|row| row["issue_id"] == 10_002)
            .unwrap();
        row["summary"].clone()
    };
    lake.sync(&acme).await.unwrap();
    assert_ne!(summary().await, "late", "out of reach of the look-back");
    let sweep = SyncOptions {
        sweep: true,
        ..options()
    };
    lake.sync_with(&acme, sweep).await.unwrap();
    assert_eq!(summary().await, "late");
}

#[tokio::test]
async fn an_issue_that_leaves_the_chosen_projects_is_deleted_at_once() {
    let site = site(4).await;
    let lake = Lake::open().await;
    let mut acme = connection(&site.url());
    acme.projects = vec!["EE".into()];
    lake.sync(&acme).await.unwrap();
    site.edit(|state| {
        let issue = state.issues.get_mut(&10_003).unwrap();
        issue.fields["project"] = json!({"id": "10009", "key": "FF"});
    });
    let sweep = SyncOptions {
        sweep: true,
        ..options()
    };
    lake.sync_with(&acme, sweep).await.unwrap();
    let rows = lake.table("issues").await;
    let row = rows.iter().find(|row| row["issue_id"] == 10_003).unwrap();
    assert_eq!(row["deleted_reason"], "out_of_scope");
}

#[tokio::test]
async fn a_sweep_that_fails_in_the_middle_is_finished_by_the_next() {
    let _alone = FAULTS.write().await;
    for point in ["ingest.absences.landed", "jira.changelog_items.committed"] {
        let site = site(4).await;
        let (lake, calm) = (Lake::unguarded().await, Lake::unguarded().await);
        let acme = connection(&site.url());
        lake.sync(&acme).await.unwrap();
        calm.sync(&acme).await.unwrap();
        site.edit(|state| state.issues.remove(&10_002));
        let sweep = SyncOptions {
            sweep: true,
            ..options()
        };
        lake.sync_with(&acme, sweep.clone()).await.unwrap();
        fault::arm(&format!("fail@{point}")).unwrap();
        lake.sync_with(&acme, sweep.clone()).await.unwrap_err();
        lake.sync_with(&acme, sweep.clone()).await.unwrap();
        for _ in 0..2 {
            calm.sync_with(&acme, sweep.clone()).await.unwrap();
        }
        assert_eq!(lake.live_rows().await, calm.live_rows().await, "{point}");
        assert_eq!(lake.table("issues").await.len(), 4);
    }
}

#[tokio::test]
async fn worklogs_are_read_by_their_own_cursor() {
    let site = site(2).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let worklog = |id: i64, seconds: i64, at: i64| {
        let updated = chrono::DateTime::from_timestamp_millis(at).unwrap();
        let payload = json!({"id": id.to_string(), "issueId": "10001", "timeSpentSeconds": seconds,
            "started": "2026-03-01T12:00:00.000+0000", "updated": updated.to_rfc3339()});
        (at, payload)
    };
    site.edit(|state| {
        for id in 1..=5 {
            state.worklogs.insert(id, worklog(id, 60, START + id));
        }
    });
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.table("worklogs").await.len(), 5);
    site.asked();
    let again = lake.sync(&acme).await.unwrap();
    let asked = site.asked();
    assert_eq!(
        asked
            .iter()
            .filter(|one| one.path.ends_with("/worklog/list"))
            .count(),
        0
    );
    assert_eq!(again.stream("worklogs").unwrap().changed(), 0);
    // Edited, deleted, and new while the issue itself is not touched.
    site.edit(|state| {
        state.worklogs.insert(2, worklog(2, 120, START + 60_000));
        state.worklogs.insert(6, worklog(6, 30, START + 60_000));
        state.worklogs.remove(&3);
        state.worklogs_gone.insert(3, START + 70_000);
        state.worklogs_gone.insert(77, START + 70_000);
    });
    let report = lake.sync(&acme).await.unwrap();
    let report = report.stream("worklogs").unwrap();
    assert_eq!(
        (report.inserted, report.updated, report.deleted),
        (1, 1, 1),
        "{report:?}"
    );
    let rows = lake.rows().await;
    let live: Vec<_> = lake.table("worklogs").await;
    let live = live.iter().filter(|row| row["deleted_at"].is_null());
    let mut spent: Vec<_> = live
        .map(|row| row["time_spent_seconds"].as_i64().unwrap())
        .collect();
    spent.sort_unstable();
    assert_eq!(spent, [30, 60, 60, 60, 120]);
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    lake.sync_with(&acme, replay).await.unwrap();
    assert_eq!(lake.rows().await, rows);
    lake.sync(&acme).await.unwrap();
    assert_eq!(lake.rows().await, rows);
}

#[tokio::test]
async fn worklogs_of_one_instant_that_fill_a_page_end_and_are_told() {
    let site = site(1).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    site.edit(|state| {
        for id in 1..=4 {
            let payload = json!({"id": id.to_string(), "issueId": "10001", "timeSpentSeconds": 60});
            state.worklogs.insert(id, (START, payload));
        }
        let payload = json!({"id": "9", "issueId": "10001", "timeSpentSeconds": 60});
        state.worklogs.insert(9, (START + 5, payload));
    });
    let report = lake.sync(&acme).await.unwrap();
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.text.contains("more worklogs were changed")),
        "{:?}",
        report.notes
    );
    assert_eq!(lake.table("worklogs").await.len(), 3);
}
