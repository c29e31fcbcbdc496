//! Ingest against the simulated Jira: a faithful site, edited and misbehaving.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use ingest::{Event, Progress};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;
use simulator::model::IssueKind;
use simulator::{
    Deployment, Edit, Fault, FaultKind, NewIssue, RateLimit, Settings, Simulator, World,
    WorldSettings,
};

use crate::{Lake, SyncOptions, connection, options};

pub(crate) fn settings(seed: u64) -> Settings {
    let now = chrono::DateTime::from_timestamp_millis(1_772_366_400_000).unwrap();
    let world = WorldSettings {
        projects: 2,
        kanban_board: true,
        shared_board: true,
        issues_per_sprint: 4,
        ..WorldSettings::small(seed, now)
    };
    Settings {
        world,
        ..Settings::default()
    }
}

pub(crate) async fn start(settings: Settings) -> Simulator {
    let simulator = Simulator::start(settings).await.unwrap();
    simulator.edit(|world| world.freeze_clock(true));
    simulator
}

pub(crate) fn large_batches() -> SyncOptions {
    SyncOptions {
        batch_issues: 60,
        ..options()
    }
}

fn bulk_fetches(simulator: &Simulator) -> usize {
    simulator
        .requests()
        .iter()
        .filter(|one| one.path.contains("bulkfetch"))
        .count()
}

#[tokio::test]
async fn a_simulated_site_is_read_whole_once() {
    let simulator = start(settings(3)).await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    let begun = Instant::now();
    let report = lake.sync_with(&acme, large_batches()).await.unwrap();
    println!(
        "first load: {:?}, {} requests",
        begun.elapsed(),
        report.requests
    );
    let (issues, items, sprints, boards) = simulator.edit(|world| {
        let items = world
            .issues()
            .flat_map(|issue| &issue.histories)
            .map(|entry| entry.items.len());
        (
            world.issues().count(),
            items.sum::<usize>(),
            world.sprints().count(),
            world.boards().len(),
        )
    });
    assert_eq!(lake.table("issues").await.len(), issues);
    assert_eq!(lake.table("changelog_items").await.len(), items);
    assert_eq!(lake.table("sprints").await.len(), sprints);
    assert_eq!(lake.table("boards").await.len(), boards);
    let (comments, worklogs, seconds) = simulator.edit(|world| {
        let comments: usize = world.issues().map(|issue| issue.comments.len()).sum();
        let worklogs: usize = world.issues().map(|issue| issue.worklogs.len()).sum();
        let seconds: i64 = world
            .issues()
            .flat_map(|issue| &issue.worklogs)
            .map(|entry| entry.seconds)
            .sum();
        (comments, worklogs, seconds)
    });
    assert!(comments > 0 && worklogs > 0);
    assert_eq!(lake.table("comments").await.len(), comments);
    let logged = lake.table("worklogs").await;
    assert_eq!(logged.len(), worklogs);
    let spent = logged
        .iter()
        .map(|row| row["time_spent_seconds"].as_i64().unwrap());
    assert_eq!(spent.sum::<i64>(), seconds);
    for table in [
        "issue_types",
        "priorities",
        "resolutions",
        "link_types",
        "versions",
        "components",
    ] {
        assert!(!lake.table(table).await.is_empty(), "{table}");
    }
    assert!(report.is_complete(), "{report:?}");
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.text.contains("has no sprints")),
        "{:?}",
        report.notes
    );

    let (rows, versions, files) = (
        lake.rows().await,
        lake.versions().await,
        lake.raw_files().await,
    );
    simulator.clear_requests();
    let begun = Instant::now();
    let again = lake.sync_with(&acme, large_batches()).await.unwrap();
    println!("second: {:?}, {} requests", begun.elapsed(), again.requests);
    assert_eq!(bulk_fetches(&simulator), 0);
    assert_eq!(
        (lake.versions().await, lake.raw_files().await),
        (versions, files)
    );
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    lake.sync_with(&acme, replay).await.unwrap();
    assert_eq!(lake.rows().await, rows);
}

#[tokio::test]
async fn every_issue_has_the_values_of_the_site() {
    let simulator = start(settings(4)).await;
    let lake = Lake::open().await;
    lake.sync_with(&connection(simulator.url()), large_batches())
        .await
        .unwrap();
    let rows = lake.table("issues").await;
    simulator.edit(|world| {
        for row in &rows {
            let issue = world.issue(row["issue_id"].as_u64().unwrap()).unwrap();
            assert_eq!(row["issue_key"], json!(issue.key));
            assert_eq!(row["story_points"], json!(issue.points), "{}", issue.key);
            assert_eq!(row["is_subtask"], json!(issue.is_subtask()));
            let mut sprints = world.sprints_of(issue).to_vec();
            sprints.sort_unstable();
            assert_eq!(row["sprint_ids"], json!(sprints), "{}", issue.key);
            assert_eq!(row["parent_id"], json!(issue.parent), "{}", issue.key);
            assert_eq!(row["status_id"], json!(issue.status));
        }
    });
    assert!(rows.iter().any(|row| !row["discipline_team"].is_null()));
    assert!(
        rows.iter()
            .all(|row| !row["rank"].is_null() && !row["status_category"].is_null())
    );
}

#[tokio::test]
async fn a_site_that_misbehaves_gives_the_same_tables() {
    let (calm, rough) = (start(settings(3)).await, settings(3));
    let limit = RateLimit::EveryNth {
        n: 7,
        retry_after: Duration::ZERO,
    };
    let rough = start(Settings {
        rate_limit: Some(limit),
        ..rough
    })
    .await;
    for (path, kind) in [
        ("/search/jql", FaultKind::Html),
        ("/search/jql", FaultKind::DroppedConnection),
        ("/issue/bulkfetch", FaultKind::TruncatedBody),
        ("/issue/bulkfetch", FaultKind::Status(503)),
        ("/changelog/bulkfetch", FaultKind::TruncatedBody),
        (
            "/changelog/bulkfetch",
            FaultKind::TooManyRequests { retry_after: None },
        ),
        ("/board", FaultKind::EmptyBody),
        ("/field", FaultKind::Status(500)),
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
    assert!(report.retries >= 10, "{}", report.retries);
    let strip = |rows: Vec<(String, Vec<String>)>, url: &str| -> Vec<(String, Vec<String>)> {
        let plain = |row: String| row.replace(url, "");
        rows.into_iter()
            .map(|(table, rows)| (table, rows.into_iter().map(plain).collect()))
            .collect()
    };
    let sorted = |mut rows: Vec<(String, Vec<String>)>| {
        rows.iter_mut().for_each(|(_, rows)| rows.sort());
        rows
    };
    assert_eq!(
        sorted(strip(lake.rows().await, rough.url())),
        sorted(strip(expected.rows().await, calm.url()))
    );
}

#[tokio::test]
async fn wrong_credentials_are_told_in_one_sentence() {
    for deployment in [Deployment::Cloud, Deployment::DataCenter] {
        let simulator = start(Settings {
            deployment,
            ..settings(1)
        })
        .await;
        let lake = Lake::open().await;
        let mut wrong = connection(simulator.url());
        wrong.token = ingest::Secret::new("nope");
        let error = lake.sync(&wrong).await.unwrap_err().to_string();
        assert!(error.contains("refuses the credentials"), "{error}");
    }
}

/// What happens to a site, by numbers that a property test may choose and shrink.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) what: u8,
    pub(crate) which: usize,
    pub(crate) value: usize,
    pub(crate) seconds: i64,
}

impl Happening {
    pub(crate) fn of(what: u8, which: usize, value: usize, seconds: i64) -> Self {
        Self {
            what,
            which,
            value,
            seconds,
        }
    }
}

pub(crate) fn happening() -> impl Strategy<Value = Happening> {
    (
        0..22u8,
        0..1000usize,
        0..1000usize,
        prop_oneof![0..90i64, 0..4000i64],
    )
        .prop_map(|(what, which, value, seconds)| Happening {
            what,
            which,
            value,
            seconds,
        })
}

/// Makes a happening; what the site refuses does not happen.
pub(crate) fn make(world: &mut World, happening: &Happening) {
    if let Some(edit) = edit_of(world, happening) {
        let _ = world.apply_now(edit);
    }
}

/// The edit that a happening is at this site; time passes before it.
pub(crate) fn edit_of(world: &mut World, happening: &Happening) -> Option<Edit> {
    let Happening {
        what,
        which,
        value,
        seconds,
    } = *happening;
    world.advance_clock(TimeDelta::seconds(seconds));
    let issues: Vec<u64> = world.issues().map(|issue| issue.id).collect();
    let issue = issues[which % issues.len()];
    let sprints: Vec<u64> = world.sprints().map(|sprint| sprint.id).collect();
    let sprint = sprints[value % sprints.len()];
    let projects: Vec<u64> = world.projects().iter().map(|project| project.id).collect();
    let project = projects[value % projects.len()];
    let of = world.issue(issue).map_or(project, |issue| issue.project);
    let workflow = world
        .project(of)
        .map(|project| project.workflow.clone())
        .unwrap_or_default();
    let status = workflow[value % workflow.len()];
    Some(match what {
        0..=2 => Edit::SetStatus { issue, status },
        3 => Edit::SetPoints {
            issue,
            points: (value % 5 > 0).then_some(value as f64 / 2.0),
        },
        4 | 5 => Edit::SetSprint {
            issue,
            sprint: (value % 4 > 0).then_some(sprint),
        },
        6 => Edit::Assign {
            issue,
            assignee: (value % 3 > 0).then_some(value % 3),
        },
        7 => Edit::SetSummary {
            issue,
            summary: format!("summary {value}"),
        },
        8 => Edit::SetLabels {
            issue,
            labels: vec![format!("l{value}"), "x".into()],
        },
        9 => Edit::CreateIssue(NewIssue::new(project, IssueKind::Story, "new")),
        10 => Edit::Move { issue, project },
        11 => Edit::Comment {
            issue,
            text: format!("comment {value}"),
        },
        12 => Edit::StartSprint { sprint },
        13 => Edit::CompleteSprint { sprint, next: None },
        14 => Edit::RenameSprint {
            sprint,
            name: format!("sprint {value}"),
        },
        15 => Edit::RenameStatus {
            status,
            name: format!("status {value}"),
        },
        16 => Edit::Block {
            outward: issue,
            inward: issues[value % issues.len()],
        },
        17 => match world.issue(issue).and_then(|one| one.worklogs.first()) {
            Some(entry) => Edit::DeleteWorklog {
                issue,
                worklog: entry.id,
            },
            None => return None,
        },
        18 => Edit::Delete { issue },
        19 => Edit::LinkRemote {
            issue,
            title: format!("page {value}"),
        },
        20 => match world.issue(issue).and_then(|one| one.remote_links.first()) {
            Some(link) => Edit::UnlinkRemote {
                issue,
                link: link.id,
            },
            None => return None,
        },
        _ => Edit::LogWork { issue, seconds: 60 },
    })
}

/// Edits the site while it is read: one happening after each batch of issues.
struct Meddler<'s> {
    simulator: &'s Simulator,
    coming: Mutex<Vec<Happening>>,
}

impl Progress for Meddler<'_> {
    fn event(&self, event: &Event) {
        if let Event::Committed {
            stream: "issues", ..
        } = event
            && let Some(happening) = self.coming.lock().unwrap().pop()
        {
            self.simulator.edit(|world| make(world, &happening));
        }
    }
}

/// One history of a site, and how it is read.
#[derive(Clone, Debug)]
struct Case {
    deployment: Deployment,
    seed: u64,
    /// How far the search index lags, in seconds.
    delay: u64,
    /// Edits before each sync.
    rounds: Vec<Vec<Happening>>,
    /// Edits during the syncs.
    meanwhile: Vec<Happening>,
}

/// Incremental reading, with edits between and during syncs and with an index that lags, ends in the rows that
/// a full load of the final site gives, deletions included. `fields_json` is left out: it keeps what a record
/// said when it was fetched, and names inside it change without the issue being updated.
async fn incremental_equals_full(case: &Case) -> Result<(), TestCaseError> {
    let mut settings = Settings {
        index_delay: Duration::from_secs(case.delay),
        deployment: case.deployment,
        ..settings(case.seed)
    };
    settings.limits.data_center_search = 9;
    let simulator = start(settings).await;
    let (lake, fresh) = (Lake::unguarded().await, Lake::unguarded().await);
    let acme = connection(simulator.url());
    let small = SyncOptions {
        batch_issues: 20,
        ..options()
    };
    let meddler = Meddler {
        simulator: &simulator,
        coming: Mutex::new(case.meanwhile.clone()),
    };
    let read = async || {
        let sync = ingest::sync(&lake.warehouse, &acme, &small, &meddler);
        sync.await.unwrap();
    };
    read().await;
    for round in &case.rounds {
        simulator.edit(|world| round.iter().for_each(|one| make(world, one)));
        read().await;
    }
    meddler.coming.lock().unwrap().clear();
    simulator.advance(TimeDelta::seconds(case.delay as i64 + 1));
    read().await;
    // What was deleted is found by looking twice.
    let swept = SyncOptions {
        sweep: true,
        ..large_batches()
    };
    for _ in 0..2 {
        lake.sync_with(&acme, swept.clone()).await.unwrap();
    }
    // A replay tells all of it again: states of reference data and what was deleted, with instants.
    let told = lake.everything().await;
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    lake.sync_with(&acme, replay).await.unwrap();
    for ((table, told), (_, again)) in told.iter().zip(&lake.everything().await) {
        prop_assert_eq!(told, again, "{} after a replay", table);
    }
    fresh.sync_with(&acme, large_batches()).await.unwrap();
    let (found, expected) = (lake.live_rows().await, fresh.live_rows().await);
    for ((table, found), (_, expected)) in found.iter().zip(&expected) {
        let (ours, theirs) = (only(found, expected), only(expected, found));
        prop_assert!(
            ours.is_empty() && theirs.is_empty(),
            "{table}: only incremental {ours:#?}, only full {theirs:#?}"
        );
    }
    Ok(())
}

/// Rows that the other side lacks.
pub(crate) fn only(left: &[String], right: &[String]) -> Vec<String> {
    left.iter()
        .filter(|row| !right.contains(row))
        .cloned()
        .collect()
}

/// Issues of an archived project can't be searched; the project itself stays, as what it is.
#[tokio::test]
async fn issues_of_an_archived_project_are_deleted_for_that_reason() {
    let simulator = start(settings(6)).await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    lake.sync_with(&acme, large_batches()).await.unwrap();
    let project = simulator.edit(|world| {
        world.advance_clock(TimeDelta::minutes(10));
        let project = world.projects()[1].id;
        world.apply_now(Edit::ArchiveProject { project }).unwrap();
        project
    });
    let swept = SyncOptions {
        sweep: true,
        ..large_batches()
    };
    let first = lake.sync_with(&acme, swept.clone()).await.unwrap();
    let alarm = first
        .notes
        .iter()
        .find(|note| note.text.contains("out of sight"));
    assert!(alarm.is_some(), "{:?}", first.notes);
    lake.sync_with(&acme, swept).await.unwrap();
    let rows = lake.table("issues").await;
    let mut of_project = rows
        .iter()
        .filter(|row| row["project_id"] == project)
        .peekable();
    assert!(of_project.peek().is_some());
    assert!(of_project.all(|row| row["deleted_reason"] == "project_archived"));
    let projects = lake.table("projects").await;
    let archived = projects
        .iter()
        .find(|row| row["project_id"] == project)
        .unwrap();
    assert_eq!(
        (&archived["is_archived"], &archived["deleted_at"]),
        (&json!(true), &json!(null))
    );
}

#[test]
fn incremental_reading_equals_a_full_load_after_any_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _no_faults = runtime.block_on(crate::FAULTS.read());
    let case = (
        prop_oneof![Just(Deployment::Cloud), Just(Deployment::DataCenter)],
        0..50u64,
        prop_oneof![Just(0u64), 1..120u64, 300..1500u64],
        prop::collection::vec(prop::collection::vec(happening(), 1..12), 1..3),
        prop::collection::vec(happening(), 0..8),
    )
        .prop_map(|(deployment, seed, delay, rounds, meanwhile)| Case {
            deployment,
            seed,
            delay,
            rounds,
            meanwhile,
        });
    let outcome = crate::histories_to_try(2, 20).run(&case, |case| {
        runtime.block_on(incremental_equals_full(&case))
    });
    outcome.unwrap();
}

/// Prints what a large first load takes; run it by name with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "minutes long; `make soak` runs it"]
async fn a_large_site_is_read_in_bounded_memory() {
    let world = WorldSettings {
        projects: 8,
        issues_per_sprint: 40,
        people_per_project: 20,
        ..settings(1).world
    };
    let world = WorldSettings {
        years: 2.0,
        sprints_per_board: 50,
        ..world
    };
    let simulator = start(Settings {
        world,
        ..Settings::default()
    })
    .await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    for what in ["first load", "second sync"] {
        let (begun, before) = (Instant::now(), peak_mib());
        let report = lake.sync_with(&acme, SyncOptions::default()).await.unwrap();
        println!(
            "{what}: {} issues, {} entries, {:?}, {} requests, {} MiB received, peak {before} -> {} MiB",
            report.stream("issues").unwrap().read,
            report.stream("changelogs").unwrap().read,
            begun.elapsed(),
            report.requests,
            report.bytes >> 20,
            peak_mib()
        );
    }
}

/// Most memory this process has held.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() >> 10
}
