//! The awkward corners that every generated history must have.

use chrono::TimeDelta;
use serde_json::{Value, json};
use simulator::model::{History, HistoryItem, Issue, IssueKind};
use simulator::{Edit, Outcome, Settings, World, WorldSettings};

use crate::client::{Client, settings, small};
use crate::world::world;

fn items<'a>(issue: &'a Issue, field: &'a str) -> impl Iterator<Item = &'a HistoryItem> {
    issue
        .histories
        .iter()
        .flat_map(|history| &history.items)
        .filter(move |item| item.field == field)
}

fn count(world: &World, test: impl Fn(&Issue) -> bool) -> usize {
    world.issues().filter(|issue| test(issue)).count()
}

fn history_with<'a>(world: &'a World, test: impl Fn(&History) -> bool + 'a) -> usize {
    world
        .issues()
        .flat_map(|issue| &issue.histories)
        .filter(|history| test(history))
        .count()
}

#[test]
fn issues_change_in_all_the_ways_they_do() {
    for seed in 1..4 {
        let world = world(seed);
        let moved = |issue: &Issue| items(issue, "Key").count() > 0;
        let subtask_with_event =
            |issue: &Issue| issue.is_subtask() && items(issue, "Sprint").count() > 0;
        let made_in_sprint =
            |issue: &Issue| issue.sprints.len() == 1 && items(issue, "Sprint").count() == 0;
        let split_versions = |history: &History| {
            history
                .items
                .iter()
                .filter(|item| item.field == "Fix Version")
                .count()
                > 1
        };
        let resolved_with_status = |history: &History| {
            history.items.iter().any(|item| item.field == "resolution")
                && history.items.iter().any(|item| item.field == "status")
        };
        let found = [
            ("moved", count(&world, moved)),
            (
                "created in a sprint without an event",
                count(&world, made_in_sprint),
            ),
            (
                "epics with children",
                count(&world, |issue| {
                    issue.parent.is_some() && !issue.is_subtask()
                }),
            ),
            (
                "in three sprints or more",
                count(&world, |issue| issue.sprints.len() > 2),
            ),
            (
                "unestimated",
                count(&world, |issue| {
                    issue.points.is_none() && issue.kind == IssueKind::Story
                }),
            ),
            (
                "flagged",
                count(&world, |issue| items(issue, "Flagged").count() > 0),
            ),
            (
                "re-estimated",
                count(&world, |issue| {
                    items(issue, "Story Points").any(|item| item.from_text.is_some())
                }),
            ),
            (
                "estimated late",
                count(&world, |issue| {
                    items(issue, "Story Points").any(|item| item.from_text.is_none())
                }),
            ),
            (
                "re-parented",
                count(&world, |issue| {
                    items(issue, "IssueParentAssociation").count() > 0
                }),
            ),
            (
                "ranked",
                count(&world, |issue| items(issue, "Rank").count() > 0),
            ),
            (
                "several fix versions in a history",
                history_with(&world, split_versions),
            ),
            (
                "resolution with status",
                history_with(&world, resolved_with_status),
            ),
            (
                "without author",
                history_with(&world, |history| history.author.is_none()),
            ),
            ("deleted", world.deleted_issues().len()),
        ];
        for (name, count) in found {
            assert!(count > 0, "seed {seed}: no issue {name}");
        }
        assert_eq!(count(&world, subtask_with_event), 0);
        assert!(count(&world, Issue::is_subtask) > 20);
    }
}

#[test]
fn a_renamed_status_keeps_its_id() {
    let world = world(1);
    let names: std::collections::BTreeSet<_> = world
        .issues()
        .flat_map(|issue| items(issue, "status"))
        .filter(|item| item.to.as_deref() == Some("10102"))
        .filter_map(|item| item.to_text.clone())
        .collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["Code Review", "In Review"]
    );
}

#[test]
fn sprints_end_early_late_and_carry_over() {
    let world = world(1);
    let closed: Vec<_> = world
        .sprints()
        .filter(|sprint| sprint.completed.is_some())
        .collect();
    let shift = |days: i64| {
        closed.iter().any(|sprint| {
            let late = sprint.completed.unwrap() - sprint.end.unwrap();
            if days > 0 {
                late > TimeDelta::hours(12)
            } else {
                late < TimeDelta::hours(-12)
            }
        })
    };
    assert!(shift(1) && shift(-1));
    let mut outcomes = std::collections::HashMap::new();
    let mut re_entered = 0;
    for sprint in &closed {
        let truth = world.sprint_truth(sprint.id).unwrap();
        assert!(
            truth.issues.values().any(|issue| issue.committed),
            "{} has no commitment",
            sprint.name
        );
        for issue in truth.issues.values() {
            *outcomes.entry(issue.outcome).or_insert(0) += 1;
            re_entered += usize::from(issue.re_entered);
        }
    }
    let all = [
        Outcome::Completed,
        Outcome::CompletedOutside,
        Outcome::NotCompleted,
        Outcome::Removed,
    ];
    assert!(
        all.iter()
            .all(|outcome| outcomes.get(outcome).is_some_and(|count| *count > 3)),
        "{outcomes:?}"
    );
    assert!(re_entered > 3);
    // Unfinished issues gain the next sprint at the completion or a few milliseconds later.
    let moved = world
        .issues()
        .flat_map(|issue| &issue.histories)
        .filter(|history| {
            history.items.iter().any(|item| item.field == "Sprint")
                && closed.iter().any(|sprint| {
                    let after = history.created - sprint.completed.unwrap();
                    after > TimeDelta::zero() && after < TimeDelta::milliseconds(5)
                })
        });
    let moved: Vec<_> = moved.flat_map(|history| &history.items).collect();
    assert!(moved.len() > 50);
    for item in moved {
        let (from, to) = (item.from.as_deref().unwrap(), item.to.as_deref().unwrap());
        assert!(to.starts_with(&format!("{from}, ")), "'{from}' → '{to}'");
    }
}

#[tokio::test]
async fn the_chart_resource_sums_its_lists() {
    let client = Client::start(settings()).await;
    let sprints = client
        .get("/rest/agile/1.0/board/1/sprint?state=closed")
        .await;
    for sprint in sprints["values"].as_array().unwrap().iter().take(5) {
        let path = format!(
            "/rest/greenhopper/1.0/rapid/charts/sprintreport?rapidViewId=1&sprintId={}",
            sprint["id"]
        );
        let report = client.get(&path).await;
        let contents = &report["contents"];
        let list = contents["completedIssues"].as_array().unwrap();
        let sum: f64 = list
            .iter()
            .filter_map(|issue| {
                issue["currentEstimateStatistic"]["statFieldValue"]["value"].as_f64()
            })
            .sum();
        assert!(!list.is_empty());
        assert_eq!(contents["completedIssuesEstimateSum"]["value"], sum);
        assert!(
            contents["issueKeysAddedDuringSprint"]
                .as_object()
                .unwrap()
                .values()
                .all(|value| *value == true)
        );
    }
}

#[tokio::test]
async fn worklogs_and_the_new_issue_lists_are_complete() {
    let client = Client::start(settings()).await;
    let (issue, worklog) = client.simulator.edit(|world| {
        let issue = world
            .issues()
            .find(|issue| !issue.worklogs.is_empty())
            .unwrap();
        (issue.id, issue.worklogs[0].id)
    });
    let log = client
        .get(&format!("/rest/api/3/issue/{issue}/worklog"))
        .await;
    assert_eq!(log["worklogs"][0]["id"], worklog.to_string());
    let listed = client
        .post("/rest/api/3/worklog/list", json!({"ids": [worklog]}))
        .await;
    assert_eq!(listed[0]["issueId"], issue.to_string());
    let updated = client.get("/rest/api/3/worklog/updated?since=0").await;
    assert_eq!(updated["lastPage"], true);
    client.simulator.edit(|world| {
        world
            .apply_now(Edit::DeleteWorklog { issue, worklog })
            .unwrap();
        world.advance_clock(TimeDelta::minutes(2));
    });
    assert_eq!(
        client.get("/rest/api/3/worklog/deleted?since=0").await["values"][0]["worklogId"],
        worklog
    );
    let sprint = client.get("/rest/agile/1.0/board/1/sprint").await["values"][3]["id"].clone();
    let by_start = client
        .get(&format!(
            "/rest/agile/1.0/sprint/{sprint}/issue?maxResults=100"
        ))
        .await;
    let mut seen = 0;
    let mut token = String::new();
    loop {
        let path =
            format!("/rest/software/1.0/sprint/{sprint}/issue?maxResults=4&fields=summary{token}");
        let page = client.get(&path).await;
        seen += page["issues"].as_array().unwrap().len();
        match page["nextPageToken"].as_str() {
            Some(next) => token = format!("&nextPageToken={next}"),
            None => break,
        }
    }
    assert_eq!(by_start["total"], seen);
    let features = client.get("/rest/agile/1.0/board/1/features").await;
    assert_eq!(features["features"][0]["state"], "ENABLED");
}

#[tokio::test]
async fn remote_links_are_listed_and_told_in_the_history() {
    let client = Client::start(small()).await;
    let (issue, link) = client.simulator.edit(|world| {
        let issue = world.issues().next().unwrap().id;
        let title = "A page".to_owned();
        let made = world.apply_now(Edit::LinkRemote { issue, title }).unwrap();
        (issue, made.id)
    });
    let path = format!("/rest/api/3/issue/{issue}/remotelink");
    let listed = client.get(&path).await;
    assert_eq!(listed[0]["id"], link);
    assert_eq!(listed[0]["object"]["title"], "A page");
    client.simulator.edit(|world| {
        world.apply_now(Edit::UnlinkRemote { issue, link }).unwrap();
    });
    assert_eq!(client.get(&path).await, json!([]));
    let changelog = client
        .get(&format!(
            "/rest/api/3/issue/{issue}/changelog?maxResults=100"
        ))
        .await;
    let items: Vec<_> = changelog["values"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|entry| entry["items"].as_array().unwrap())
        .filter(|item| item["field"] == "RemoteIssueLink")
        .map(|item| (item["from"].clone(), item["to"].clone()))
        .collect();
    let id = json!(link.to_string());
    assert_eq!(items, [(Value::Null, id.clone()), (id, Value::Null)]);
}

#[tokio::test]
async fn a_board_says_what_it_can_do() {
    let client = Client::start(Settings {
        world: WorldSettings {
            simple_board: true,
            ..small().world
        },
        ..small()
    })
    .await;
    let board = client.simulator.edit(|world| {
        let board = world.boards().iter().find(|board| board.simple).unwrap();
        board.id
    });
    let path = format!("/rest/agile/1.0/board/{board}");
    assert_eq!(client.get(&path).await["type"], "simple");
    let features = client.get(&format!("{path}/features")).await;
    assert_eq!(features["features"][0]["feature"], "jsw.agility.sprints");
    assert_eq!(features["features"][0]["state"], "DISABLED");
    let (status, _) = client.refused(&format!("{path}/sprint")).await;
    assert_eq!(status, 400);
}
