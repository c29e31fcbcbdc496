//! An incremental refresh gives the rows of a full one, whatever happened in between; and it computes
//! only the keys that were affected.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;
use transform::{Materialization, Project, RefreshOptions};

use crate::history::{History, Silent, at};

/// One thing that happens; numbers choose among what there is.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Create {
        points: u8,
        sprint: bool,
        parent: Option<u8>,
    },
    Status {
        issue: u8,
        to: u8,
    },
    Points {
        issue: u8,
        to: u8,
    },
    Sprint {
        issue: u8,
        to: u8,
    },
    Parent {
        issue: u8,
        to: u8,
    },
    Rename {
        issue: u8,
    },
    Delete {
        issue: u8,
    },
    /// A change of the past that is seen only now.
    Late {
        issue: u8,
        to: u8,
    },
    Close,
    Start,
    Recategorise {
        status: u8,
    },
    Remap,
}

fn event() -> impl Strategy<Value = Event> {
    let n = any::<u8>;
    prop_oneof![
        4 => (n(), any::<bool>(), proptest::option::weighted(0.3, n()))
            .prop_map(|(points, sprint, parent)| Event::Create { points, sprint, parent }),
        6 => (n(), n()).prop_map(|(issue, to)| Event::Status { issue, to }),
        3 => (n(), n()).prop_map(|(issue, to)| Event::Points { issue, to }),
        5 => (n(), n()).prop_map(|(issue, to)| Event::Sprint { issue, to }),
        2 => (n(), n()).prop_map(|(issue, to)| Event::Parent { issue, to }),
        1 => n().prop_map(|issue| Event::Rename { issue }),
        1 => n().prop_map(|issue| Event::Delete { issue }),
        2 => (n(), n()).prop_map(|(issue, to)| Event::Late { issue, to }),
        2 => Just(Event::Close),
        2 => Just(Event::Start),
        1 => n().prop_map(|status| Event::Recategorise { status }),
        1 => Just(Event::Remap),
    ]
}

#[derive(Debug, Clone)]
struct Issue {
    key: String,
    status: i64,
    points: Option<f64>,
    sprints: Vec<i64>,
    parent: Option<i64>,
    is_subtask: bool,
    created: f64,
    deleted: bool,
}

/// The present state of the site, from which the rows are written.
pub(crate) struct World {
    issues: BTreeMap<i64, Issue>,
    /// Sprints with their start and end, as days.
    pub(crate) sprints: BTreeMap<i64, (Option<f64>, Option<f64>)>,
    pub(crate) day: f64,
}

impl World {
    pub(crate) fn new() -> Self {
        let sprints = [(10, (Some(5.0), Some(15.0))), (11, (Some(16.0), None))];
        Self {
            issues: BTreeMap::new(),
            sprints: sprints.into(),
            day: 17.0,
        }
    }

    fn pick(&self, number: u8) -> Option<i64> {
        let live: Vec<i64> = self
            .issues
            .iter()
            .filter(|(_, issue)| !issue.deleted)
            .map(|(id, _)| *id)
            .collect();
        live.get(usize::from(number) % live.len().max(1)).copied()
    }

    pub(crate) fn happen(&mut self, event: &Event, h: &mut History) {
        self.day += 0.125;
        let day = self.day;
        match event {
            Event::Create {
                points,
                sprint,
                parent,
            } => {
                let id = 100 + self.issues.len() as i64;
                let parent = parent.and_then(|number| self.pick(number));
                let open = self.sprints.iter().filter(|(_, (_, end))| end.is_none());
                let issue = Issue {
                    key: format!("A-{id}"),
                    status: 1,
                    points: (points % 4 > 0).then(|| f64::from(points % 4)),
                    sprints: open.map(|(id, _)| *id).filter(|_| *sprint).collect(),
                    parent,
                    is_subtask: parent.is_some(),
                    created: day,
                    deleted: false,
                };
                self.issues.insert(id, issue);
                self.write(id, h);
            }
            Event::Status { issue, to } => {
                let Some(id) = self.pick(*issue) else { return };
                let to = i64::from(to % 4) + 1;
                let from = self.change(id, |issue| std::mem::replace(&mut issue.status, to));
                h.status(id, day, from, to);
                self.write(id, h);
            }
            Event::Points { issue, to } => {
                let Some(id) = self.pick(*issue) else { return };
                let to = Some(f64::from(to % 8));
                let from = self.change(id, |issue| std::mem::replace(&mut issue.points, to));
                let text = |points: Option<f64>| points.map_or(String::new(), |p| p.to_string());
                h.points(id, day, &text(from), &text(to));
                self.write(id, h);
            }
            Event::Sprint { issue, to } => {
                let Some(id) = self.pick(*issue) else { return };
                let ids: Vec<i64> = self.sprints.keys().copied().collect();
                let to: Vec<i64> = ids
                    .get(usize::from(*to) % (ids.len() + 1))
                    .copied()
                    .into_iter()
                    .collect();
                let from = self.change(id, |issue| {
                    std::mem::replace(&mut issue.sprints, to.clone())
                });
                let text = |ids: &[i64]| {
                    ids.iter()
                        .map(i64::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                h.sprints(id, day, &text(&from), &text(&to));
                self.write(id, h);
            }
            Event::Parent { issue, to } => {
                let (Some(id), to) = (self.pick(*issue), self.pick(*to)) else {
                    return;
                };
                self.change(id, |issue| issue.parent = to.filter(|to| *to != id));
                self.write(id, h);
            }
            Event::Rename { issue } => {
                let Some(id) = self.pick(*issue) else { return };
                self.change(id, |issue| issue.key = format!("B-{id}"));
                self.write(id, h);
            }
            Event::Delete { issue } => {
                let Some(id) = self.pick(*issue) else { return };
                self.change(id, |issue| issue.deleted = true);
                self.write(id, h);
            }
            Event::Late { issue, to } => {
                let Some(id) = self.pick(*issue) else { return };
                let created = self.issues[&id].created;
                let then = created + (day - created) / 2.0;
                h.status(id, then, i64::from(to % 4) + 1, self.issues[&id].status);
            }
            Event::Close => {
                let open = self
                    .sprints
                    .iter()
                    .find(|(_, (start, end))| start.is_some() && end.is_none());
                let Some(id) = open.map(|(id, _)| *id) else {
                    return;
                };
                self.sprints.insert(id, (self.sprints[&id].0, Some(day)));
                self.write_sprint(id, h);
            }
            Event::Start => {
                let id = 10 + self.sprints.len() as i64;
                self.sprints.insert(id, (Some(day), None));
                self.write_sprint(id, h);
            }
            Event::Recategorise { status } => {
                let (id, category) = (
                    2 + i64::from(status % 2),
                    ["new", "done"][usize::from(status / 2 % 2)],
                );
                h.add(
                    "statuses",
                    json!({"status_id": id, "name": format!("S{id}"), "category": category}),
                );
            }
            Event::Remap => {
                h.add(
                    "board_columns",
                    json!({"board_id": 1, "ordinal": 1, "status_id": 4, "status_key": "4",
                    "name": "C", "is_last": false}),
                );
            }
        }
    }

    fn change<T>(&mut self, id: i64, change: impl FnOnce(&mut Issue) -> T) -> T {
        change(self.issues.get_mut(&id).unwrap())
    }

    fn write(&self, id: i64, h: &mut History) {
        let issue = &self.issues[&id];
        let more = json!({"issue_key": issue.key, "is_subtask": issue.is_subtask, "parent_id": issue.parent,
            "created_at": at(issue.created), "updated_at": at(self.day),
            "deleted_at": issue.deleted.then(|| at(self.day))});
        h.issue_with(id, issue.status, issue.points, &issue.sprints, more);
    }

    fn write_sprint(&self, id: i64, h: &mut History) {
        let (start, end) = self.sprints[&id];
        h.sprint(id, 1, start.unwrap(), end);
    }
}

/// All rows of the tables that models make, in a fixed order.
async fn tables(h: &History, project: &Project) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for model in project.models() {
        if model.materialization == Materialization::View {
            continue;
        }
        let rows = h.sql(&format!("select * from {}", model.name)).await;
        let mut rows: Vec<String> = rows
            .into_iter()
            .map(|row| serde_json::Value::Object(row).to_string())
            .collect();
        rows.sort();
        all.insert(model.name.to_string(), rows);
    }
    all
}

/// The models that are refreshed by key, and what they read.
fn project() -> Project {
    let project = Project::embedded().unwrap();
    let is_incremental =
        |model: &&transform::Model| model.materialization == Materialization::Incremental;
    let names: Vec<String> = project
        .models()
        .iter()
        .filter(is_incremental)
        .map(|model| model.name.to_string())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    project.part(&names).unwrap()
}

async fn refreshed(h: &mut History, full: bool) -> transform::RefreshReport {
    h.write().await;
    let project = project();
    let options = RefreshOptions {
        full,
        ..RefreshOptions::default()
    };
    transform::refresh(&h.lake, &project, &options, &Silent)
        .await
        .unwrap()
}

async fn equal_to_full(steps: &[Vec<Event>]) -> Result<(), TestCaseError> {
    let project = project();
    let (mut h, mut world) = (History::new().await, World::new());
    for number in 0..12 {
        let create = Event::Create {
            points: number,
            sprint: number % 2 == 0,
            parent: (number > 9).then_some(number),
        };
        world.happen(&create, &mut h);
    }
    refreshed(&mut h, false).await;
    for events in steps {
        for event in events {
            world.happen(event, &mut h);
        }
        refreshed(&mut h, false).await;
    }
    let incremental = tables(&h, &project).await;
    refreshed(&mut h, true).await;
    let full = tables(&h, &project).await;
    for (table, rows) in &full {
        let found = &incremental[table];
        let more: Vec<&String> = found.iter().filter(|row| !rows.contains(row)).collect();
        let less: Vec<&String> = rows.iter().filter(|row| !found.contains(row)).collect();
        prop_assert!(
            more.is_empty() && less.is_empty() && found.len() == rows.len(),
            "{table}: too many {more:#?}, missing {less:#?}"
        );
    }
    Ok(())
}

#[test]
fn an_incremental_refresh_gives_the_rows_of_a_full_one() {
    let mut runner = crate::histories_to_try(2, 12);
    let steps = proptest::collection::vec(proptest::collection::vec(event(), 1..9), 2..5);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runner
        .run(&steps, |steps| runtime.block_on(equal_to_full(&steps)))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_is_computed_again() {
    let mut h = History::new().await;
    for id in 1..=40 {
        h.issue(id, 1, Some(2.0), &[10 + id % 2]);
    }
    refreshed(&mut h, false).await;
    h.status(7, 17.0, 1, 3);
    h.issue(7, 3, Some(2.0), &[11]);
    let report = refreshed(&mut h, false).await;
    let run = |name: &str| {
        report
            .models
            .iter()
            .find(|model| model.model == name)
            .unwrap()
    };
    assert_eq!(run("marts.issue_status_periods").keys, Some(1));
    assert_eq!(run("marts.sprint_scope").keys, Some(1));
    assert_eq!(run("marts.sprint_metrics").keys, Some(1));
    // Its points did not change, so that what reads them is left alone.
    assert!(
        run("marts.issue_points_periods").keys == Some(1)
            || run("marts.issue_points_periods").skipped
    );
    assert!(
        run("marts.issue_assignee_periods").keys == Some(1)
            || run("marts.issue_assignee_periods").skipped
    );
    assert!(run("intermediate.int_delivery__sprint_membership").skipped);
    let scope = h
        .sql("select outcome from marts.sprint_scope where issue_id = 7")
        .await;
    assert_eq!(scope[0]["outcome"], "completed");
    assert_eq!(h.sql("select * from marts.sprint_scope").await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refresh_that_failed_the_next_one_is_whole() {
    let mut h = History::new().await;
    for id in 1..=6 {
        h.issue(id, 1, Some(2.0), &[11]);
    }
    refreshed(&mut h, false).await;
    // A version that no release names.
    let table = "marts.issue_points_periods".parse().unwrap();
    let base = h.lake.tables().version(&table).await.unwrap().unwrap();
    let mut keys = warehouse::Keys::default();
    keys.insert("acme", 3);
    let context = h
        .lake
        .sessions()
        .open(&warehouse::Snapshot::default())
        .await
        .unwrap();
    let none = context.sql("select 'acme' as connection, 3 as issue_id, 9.0 as story_points, \
        cast(null as timestamp with time zone) as from_at, cast(null as timestamp with time zone) as to_at \
        where false").await.unwrap();
    h.lake
        .tables()
        .patch(&table, base, "issue_id", &keys, none, "lost")
        .await
        .unwrap();
    h.issue(5, 1, Some(8.0), &[11]);
    h.points(5, 17.0, "2", "8");
    refreshed(&mut h, false).await;
    let rows = h.sql("select issue_id, story_points from marts.issue_points_periods where to_at is null order by issue_id").await;
    let points: Vec<f64> = rows
        .iter()
        .map(|row| row["story_points"].as_f64().unwrap())
        .collect();
    assert_eq!(points, [2.0, 2.0, 2.0, 2.0, 8.0, 2.0]);
}
