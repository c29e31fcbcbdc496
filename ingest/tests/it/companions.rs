//! What goes with issues and boards: remote links, features, people without a listing, worklogs of
//! issues that come into sight.

use schemas::Row;
use serde_json::{Value, json};
use simulator::{Deployment, Edit, Settings, Simulator, WorldSettings};
use warehouse::fault;

use crate::engine::site;
use crate::simulated::{large_batches, settings, start};
use crate::site::START;
use crate::{FAULTS, Lake, SyncOptions, connection, options};

fn replay() -> SyncOptions {
    SyncOptions {
        replay: true,
        ..options()
    }
}

fn sweep() -> SyncOptions {
    SyncOptions {
        sweep: true,
        ..options()
    }
}

fn asked_for(simulator: &Simulator, end: &str) -> usize {
    let requests = simulator.requests();
    requests
        .iter()
        .filter(|one| one.path.ends_with(end))
        .count()
}

fn live(rows: &[Row], column: &str) -> Vec<Value> {
    let live = rows.iter().filter(|row| row["deleted_at"].is_null());
    live.map(|row| row[column].clone()).collect()
}

/// Links three issues to pages; returns two of them and the link of the first.
fn link_some(simulator: &Simulator) -> (u64, u64, u64) {
    simulator.edit(|world| {
        world.advance_clock(chrono::TimeDelta::minutes(10));
        let issues: Vec<u64> = world.issues().map(|issue| issue.id).take(3).collect();
        let mut links = Vec::new();
        for issue in &issues {
            let title = format!("page of {issue}");
            let edit = Edit::LinkRemote {
                issue: *issue,
                title,
            };
            links.push(world.apply_now(edit).unwrap().id);
        }
        world.advance_clock(chrono::TimeDelta::minutes(10));
        (issues[0], issues[1], links[0])
    })
}

#[tokio::test]
async fn remote_links_are_asked_for_where_the_history_tells_of_them() {
    for deployment in [Deployment::Cloud, Deployment::DataCenter] {
        let simulator = start(Settings {
            deployment,
            ..settings(3)
        })
        .await;
        let lake = Lake::open().await;
        let acme = connection(simulator.url());
        let (first, second, link) = link_some(&simulator);
        lake.sync_with(&acme, large_batches()).await.unwrap();
        assert_eq!(asked_for(&simulator, "/remotelink"), 3);
        let rows = lake.table("remote_links").await;
        assert_eq!(rows.len(), 3);
        let row = rows.iter().find(|row| row["issue_id"] == first).unwrap();
        assert_eq!(row["title"], format!("page of {first}"));
        assert_eq!(row["relationship"], "mentioned on");
        // Other changes of the issue say nothing of its links.
        simulator.edit(|world| {
            world.advance_clock(chrono::TimeDelta::minutes(10));
            for issue in [first, second] {
                let summary = "changed".to_owned();
                world
                    .apply_now(Edit::SetSummary { issue, summary })
                    .unwrap();
            }
        });
        simulator.clear_requests();
        lake.sync_with(&acme, large_batches()).await.unwrap();
        assert_eq!(asked_for(&simulator, "/remotelink"), 0);
        simulator.edit(|world| {
            world.advance_clock(chrono::TimeDelta::minutes(10));
            world
                .apply_now(Edit::UnlinkRemote { issue: first, link })
                .unwrap();
        });
        let report = lake.sync_with(&acme, large_batches()).await.unwrap();
        assert_eq!(asked_for(&simulator, "/remotelink"), 1);
        assert_eq!(report.stream("remote_links").unwrap().deleted, 1);
        assert_eq!(live(&lake.table("remote_links").await, "issue_id").len(), 2);
        // All issues, when it is asked for.
        let rows = lake.rows().await;
        simulator.clear_requests();
        let all = SyncOptions {
            streams: vec!["remote_links".into()],
            ..options()
        };
        let report = lake.sync_with(&acme, all).await.unwrap();
        assert_eq!(report.stream("remote_links").unwrap().changed(), 0);
        assert_eq!(
            asked_for(&simulator, "/remotelink"),
            lake.table("issues").await.len()
        );
        assert_eq!(lake.rows().await, rows);
        lake.sync_with(&acme, replay()).await.unwrap();
        assert_eq!(lake.rows().await, rows);
    }
}

#[tokio::test]
async fn remote_links_survive_a_run_that_is_killed_before_the_histories_are_stored() {
    let _alone = FAULTS.write().await;
    let simulator = start(settings(3)).await;
    let (lake, calm) = (Lake::unguarded().await, Lake::unguarded().await);
    let acme = connection(simulator.url());
    link_some(&simulator);
    for point in ["ingest.remote_links.merged", "ingest.batch.landed"] {
        fault::arm(&format!("fail@{point}")).unwrap();
        lake.sync_with(&acme, large_batches()).await.unwrap_err();
    }
    for lake in [&lake, &calm] {
        lake.sync_with(&acme, large_batches()).await.unwrap();
    }
    assert_eq!(lake.table("remote_links").await.len(), 3);
    assert_eq!(lake.live_rows().await, calm.live_rows().await);
}

#[tokio::test]
async fn remote_links_go_and_come_back_with_their_issue() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    site.edit(|state| {
        state.remote_links =
            json!([{"id": 5, "object": {"url": "https://x", "title": "T"}}, {"object": {}}]);
        let entry = json!({"id": "77", "created": "2026-03-01T12:00:00.000+0000", "items": [
            {"field": "RemoteWorkItemLink", "from": null, "to": "5"}]});
        state.issues.get_mut(&10_002).unwrap().histories.push(entry);
    });
    let report = lake.sync(&acme).await.unwrap();
    assert_eq!(report.stream("remote_links").unwrap().quarantined, 1);
    let whole = lake.rows().await;
    assert_eq!(
        live(&lake.table("remote_links").await, "issue_id"),
        [json!(10_002)]
    );
    let gone = site.edit(|state| state.issues.remove(&10_002).unwrap());
    for _ in 0..2 {
        lake.sync_with(&acme, sweep()).await.unwrap();
    }
    assert!(live(&lake.table("remote_links").await, "issue_id").is_empty());
    let buried = lake.rows().await;
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.rows().await, buried);
    site.edit(|state| state.issues.insert(10_002, gone));
    lake.sync_with(&acme, sweep()).await.unwrap();
    assert_eq!(lake.rows().await, whole);
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.rows().await, whole);
}

#[tokio::test]
async fn a_board_that_says_it_has_no_sprints_is_not_asked_for_them() {
    let simulator = start(Settings {
        world: WorldSettings {
            simple_board: true,
            ..settings(3).world
        },
        ..settings(3)
    })
    .await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    let board = simulator.edit(|world| {
        let board = world.boards().iter().find(|board| board.simple);
        board.unwrap().id
    });
    let report = lake.sync_with(&acme, large_batches()).await.unwrap();
    assert_eq!(asked_for(&simulator, &format!("/board/{board}/sprint")), 0);
    assert_eq!(
        asked_for(&simulator, "/features"),
        1,
        "others say it by their kind"
    );
    let told = format!("board {board} has no sprints");
    assert!(!report.notes.iter().any(|note| note.text.contains(&told)));
    let features = lake.table("board_features").await;
    let sprints = features
        .iter()
        .find(|row| row["feature"] == "jsw.agility.sprints");
    let sprints = sprints.unwrap();
    assert_eq!(
        (&sprints["board_id"], &sprints["is_enabled"]),
        (&json!(board), &json!(false))
    );
    let rows = lake.rows().await;
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.rows().await, rows);
}

#[tokio::test]
async fn people_whom_only_records_name_have_a_row() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let person = |id: &str, name: &str| json!({"accountId": id, "displayName": name});
    site.edit(|state| {
        state.missing = vec!["/users/search"];
        let issue = state.issues.get_mut(&10_001).unwrap();
        issue.fields["assignee"] = person("former", "Former Colleague");
        issue.fields["comment"] =
            json!({"comments": [{"id": "1", "author": person("app", "An App"), "body": "x"}], "total": 1});
        let change = json!({"id": "70", "created": "2026-03-01T12:00:00.000+0000", "author": person("u1", "U"),
            "items": [{"field": "assignee", "from": "older", "fromString": "Older", "to": "former", "toString": "F"}]});
        issue.histories.push(change);
        let worklog = json!({"id": "1", "issueId": "10001", "author": person("logger", "L"), "timeSpentSeconds": 60});
        state.worklogs.insert(1, (START, worklog));
        state.projects[0]["lead"] = person("lead", "A Lead");
    });
    lake.sync(&acme).await.unwrap();
    let people = async || -> Vec<(String, Value)> {
        let rows = lake.table("users").await;
        let shown = |row: &Row| {
            let id = row["user_id"].as_str().unwrap().to_string();
            assert!(row["deleted_at"].is_null(), "{id}");
            (id, row["is_stub"].clone())
        };
        let mut people: Vec<_> = rows.iter().map(shown).collect();
        people.sort_by(|one, other| one.0.cmp(&other.0));
        people
    };
    let stubs = |ids: &[&str], listed: &[&str]| -> Vec<(String, Value)> {
        let stub = |id: &&str| (id.to_string(), json!(!listed.contains(id)));
        ids.iter().map(stub).collect()
    };
    let all = ["app", "former", "lead", "logger", "older", "u1"];
    assert_eq!(people().await, stubs(&all, &[]));
    let rows = lake.rows().await;
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.rows().await, rows);
    // A listing replaces them; whom it lacks stays, and so does whom a later one lacks.
    site.edit(|state| {
        state.missing.clear();
        let former = json!({"accountId": "former", "displayName": "F. Colleague", "active": true,
            "emailAddress": "former@example.org"});
        state.users = vec![person("u1", "U"), former];
    });
    lake.sync(&acme).await.unwrap();
    assert_eq!(people().await, stubs(&all, &["u1", "former"]));
    site.edit(|state| state.users = vec![person("u1", "U")]);
    lake.sync(&acme).await.unwrap();
    assert_eq!(people().await, stubs(&all, &["u1"]));
    let rows = lake.table("users").await;
    let former = rows.iter().find(|row| row["user_id"] == "former").unwrap();
    assert_eq!(former["display_name"], "F. Colleague");
    assert!(former["email"].is_null() && former["is_active"].is_null());
    let rows = lake.rows().await;
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.rows().await, rows);
}

#[tokio::test]
async fn worklogs_of_an_issue_that_comes_into_sight_are_read_with_it() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    let worklog = |id: i64, seconds: i64| {
        let payload =
            json!({"id": id.to_string(), "issueId": "10002", "timeSpentSeconds": seconds});
        (START + id, payload)
    };
    site.edit(|state| {
        for id in 1..=3 {
            state.worklogs.insert(id, worklog(id, 60));
        }
    });
    lake.sync(&acme).await.unwrap();
    let spent = async || {
        let mut spent = live(&lake.table("worklogs").await, "time_spent_seconds");
        spent.sort_by_key(Value::as_i64);
        spent
    };
    assert_eq!(spent().await, [60, 60, 60]);
    let gone = site.edit(|state| state.issues.remove(&10_002).unwrap());
    for _ in 0..2 {
        lake.sync_with(&acme, sweep()).await.unwrap();
    }
    assert!(spent().await.is_empty());
    // Out of sight: one is edited, one is deleted, one is new, and all of it is told too early.
    site.edit(|state| {
        state.now = START + 7_200_000;
        state.worklogs.insert(2, worklog(2, 120));
        state.worklogs.remove(&3);
        state.worklogs.insert(4, worklog(4, 30));
        let later = json!({"id": "9", "issueId": "10001", "timeSpentSeconds": 15});
        state.worklogs.insert(9, (START + 7_200_000, later));
    });
    site.change(10_001, "summary", json!("moves the mark"));
    lake.sync(&acme).await.unwrap();
    assert_eq!(spent().await, [15]);
    site.edit(|state| state.issues.insert(10_002, gone));
    lake.sync_with(&acme, sweep()).await.unwrap();
    assert_eq!(spent().await, [15, 30, 60, 120]);
    let rows = lake.rows().await;
    lake.sync_with(&acme, replay()).await.unwrap();
    assert_eq!(lake.rows().await, rows);
}

#[tokio::test]
async fn projects_say_whether_they_are_read_and_a_new_one_brings_its_worklogs() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let mut acme = connection(&site.url());
    acme.projects = vec!["EE".into()];
    site.edit(|state| {
        state
            .projects
            .push(json!({"id": "10009", "key": "FF", "name": "F"}));
        let issue = state.issues.get_mut(&10_003).unwrap();
        issue.fields["project"] = json!({"id": "10009", "key": "FF"});
        let worklog = json!({"id": "1", "issueId": "10003", "timeSpentSeconds": 60});
        state.worklogs.insert(1, (START, worklog));
    });
    lake.sync(&acme).await.unwrap();
    let selected = async || {
        let rows = lake.table("projects").await;
        let is = |key: &str| {
            rows.iter().find(|row| row["project_key"] == key).unwrap()["is_selected"].clone()
        };
        (is("EE"), is("FF"))
    };
    assert_eq!(selected().await, (json!(true), json!(false)));
    assert!(lake.table("worklogs").await.is_empty());
    acme.projects = Vec::new();
    lake.sync(&acme).await.unwrap();
    assert_eq!(selected().await, (json!(true), json!(true)));
    assert_eq!(lake.table("issues").await.len(), 3);
    assert_eq!(lake.table("worklogs").await.len(), 1);
}
