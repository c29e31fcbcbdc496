//! Issues that change with another one without being updated for it.

use chrono::TimeDelta;
use serde_json::{Value, json};
use simulator::model::{IssueKind, SprintState};
use simulator::{Deployment, Edit, Settings, Simulator};

use crate::simulated::{large_batches, settings, start};
use crate::{Lake, SyncOptions, connection};

/// Sub-tasks are in the sprints of their parent, and are not updated when it moves.
#[tokio::test]
async fn sub_tasks_follow_their_parent_into_a_sprint() {
    let simulator = start(settings(42)).await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    lake.sync_with(&acme, large_batches()).await.unwrap();
    let (parent, subtasks, sprint) = simulator.edit(|world| {
        world.advance_clock(TimeDelta::minutes(10));
        let open = world
            .sprints()
            .filter(|sprint| sprint.state != SprintState::Closed);
        let sprint = open.map(|sprint| sprint.id).max().unwrap();
        let parent = world
            .issues()
            .find(|issue| {
                world.subtasks_of(issue.id).len() > 1 && !world.sprints_of(issue).contains(&sprint)
            })
            .unwrap()
            .id;
        let edit = Edit::SetSprint {
            issue: parent,
            sprint: Some(sprint),
        };
        world.apply_now(edit).unwrap();
        (parent, world.subtasks_of(parent).to_vec(), sprint)
    });
    lake.sync_with(&acme, large_batches()).await.unwrap();
    let rows = lake.table("issues").await;
    let sprints = |id: u64| {
        let row = rows.iter().find(|row| row["issue_id"] == id).unwrap();
        row["sprint_ids"].clone()
    };
    assert!(sprints(parent).as_array().unwrap().contains(&json!(sprint)));
    for subtask in subtasks {
        assert_eq!(sprints(subtask), sprints(parent), "{subtask}");
    }
}

/// An epic and the issues of it.
fn epic_of(simulator: &Simulator) -> (u64, Vec<u64>) {
    simulator.edit(|world| {
        world.advance_clock(TimeDelta::minutes(10));
        let epics = world.issues().filter(|issue| issue.kind == IssueKind::Epic);
        let families = epics.map(|epic| {
            let children = world.issues().filter(|issue| issue.parent == Some(epic.id));
            (epic.id, children.map(|child| child.id).collect::<Vec<_>>())
        });
        families.max_by_key(|(_, children)| children.len()).unwrap()
    })
}

async fn rows_of(lake: &Lake, ids: &[u64]) -> Vec<schemas::Row> {
    let rows = lake.table("issues").await;
    let of = |row: &schemas::Row| ids.iter().any(|id| row["issue_id"] == *id);
    rows.into_iter().filter(of).collect()
}

/// The issues of an epic name it by its key, and are not updated when it gets another one.
#[tokio::test]
async fn issues_of_a_moved_epic_name_its_new_key() {
    for deployment in [Deployment::Cloud, Deployment::DataCenter] {
        let simulator = start(Settings {
            deployment,
            ..settings(7)
        })
        .await;
        let lake = Lake::open().await;
        let acme = connection(simulator.url());
        lake.sync_with(&acme, large_batches()).await.unwrap();
        let (epic, children) = epic_of(&simulator);
        assert!(children.len() > 1);
        let key = simulator.edit(|world| {
            let from = world.issue(epic).unwrap().project;
            let other = world.projects().iter().find(|one| one.id != from);
            let project = other.unwrap().id;
            world
                .apply_now(Edit::Move {
                    issue: epic,
                    project,
                })
                .unwrap();
            world.issue(epic).unwrap().key.clone()
        });
        lake.sync_with(&acme, large_batches()).await.unwrap();
        for row in rows_of(&lake, &children).await {
            assert_eq!(row["epic_key"], json!(key), "{deployment:?} {row:?}");
        }
    }
}

/// The issues of an epic lose it when it is deleted, and are not updated for that.
#[tokio::test]
async fn issues_of_a_deleted_epic_have_none() {
    let simulator = start(settings(7)).await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    lake.sync_with(&acme, large_batches()).await.unwrap();
    let (epic, children) = epic_of(&simulator);
    assert!(children.len() > 1);
    simulator.edit(|world| world.apply_now(Edit::Delete { issue: epic }).unwrap());
    let swept = SyncOptions {
        sweep: true,
        ..large_batches()
    };
    for _ in 0..2 {
        lake.sync_with(&acme, swept.clone()).await.unwrap();
    }
    let gone = rows_of(&lake, &[epic]).await;
    assert_ne!(gone[0]["deleted_at"], Value::Null);
    let rows = rows_of(&lake, &children).await;
    assert_eq!(rows.len(), children.len());
    for row in rows {
        let named = (&row["parent_id"], &row["epic_key"]);
        assert_eq!(named, (&Value::Null, &Value::Null), "{row:?}");
    }
}
