//! What is recorded of a run, and told while it works.

use std::sync::Mutex;

use ingest::{Event, Progress, SyncOptions};
use serde_json::{Value, json};

use crate::engine::site;
use crate::{Lake, connection, options};

async fn details(lake: &Lake, step: &str) -> Value {
    let steps = lake.warehouse.meta().steps(100).await.unwrap();
    let newest = steps.into_iter().find(|row| row.step.step == step).unwrap();
    newest
        .details
        .map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn a_step_tells_what_it_saw_of_each_project() {
    let site = site(4).await;
    site.edit(|state| {
        state.projects.push(json!({"id": "10009", "key": "FF"}));
        let issue = state.issues.get_mut(&10_001).unwrap();
        issue.fields["project"] = json!({"id": "10009", "key": "FF"});
    });
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let first = details(&lake, "acme.issues").await;
    assert_eq!(
        first["projects"],
        json!({"EE": {"read": 3}, "FF": {"read": 1}})
    );
    let sprints = details(&lake, "acme.sprints").await;
    let note = sprints["notes"][0].as_str().unwrap();
    assert!(note.contains("board 9 has no sprints"), "{note}");
    assert_eq!(details(&lake, "acme.statuses").await, Value::Null);
    // The account may not see the other project's issue any more; a new one was not read yet.
    site.edit(|state| {
        state.issues.remove(&10_001);
        let mut hidden = state.issues[&10_002].clone();
        (hidden.created, hidden.updated) =
            (hidden.created - 90_000_000, hidden.created - 90_000_000);
        state.issues.insert(10_000, hidden);
    });
    let sweep = SyncOptions {
        sweep: true,
        ..options()
    };
    lake.sync_with(&acme, sweep).await.unwrap();
    let swept = details(&lake, "acme.issues").await;
    assert_eq!(
        swept["projects"],
        json!({"EE": {"read": 1, "visible": 4}, "FF": {"read": 0, "visible": 0}})
    );
}

#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Progress for Told {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

#[tokio::test]
async fn as_many_steps_are_planned_as_pass() {
    let site = site(2).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    for streams in [vec![], vec!["sprints".to_string()]] {
        let told = Told::default();
        let chosen = SyncOptions {
            streams,
            ..options()
        };
        ingest::sync(&lake.warehouse, &acme, &chosen, &told)
            .await
            .unwrap();
        let told = told.0.into_inner().unwrap();
        let planned = told.iter().find_map(|event| match event {
            Event::Planned { steps } => Some(*steps),
            _ => None,
        });
        let passed = told.iter().filter(|event| **event == Event::Passed);
        assert_eq!(planned, Some(passed.count()));
    }
}
