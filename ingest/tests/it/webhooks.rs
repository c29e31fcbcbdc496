//! From events in the inbox to rows.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use ingest::{Silent, WorkOptions, Worked};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use simulator::model::SprintState;
use simulator::{Edit, Simulator, Webhook, World};
use warehouse::fault;
use warehouse::meta::{Accepted, InboxLimits, InboxRow, NewEvent};

use crate::engine::site;
use crate::simulated::{edit_of, happening, large_batches, only, settings, start};
use crate::{FAULTS, Lake, SyncOptions, connection, options};

/// Short waits: the sites of the tests answer at once.
fn work() -> WorkOptions {
    WorkOptions {
        patience: vec![Duration::from_millis(30); 4],
        sync: SyncOptions {
            wait: Duration::ZERO,
            ..options()
        },
        ..WorkOptions::default()
    }
}

impl Lake {
    async fn accept(&self, identifier: &str, body: impl Into<Vec<u8>>) -> Accepted {
        let event = NewEvent {
            connection: "acme".into(),
            identifier: identifier.into(),
            retry: None,
            flow: None,
            body: body.into(),
        };
        let meta = self.warehouse.meta();
        meta.accept_event(&event, InboxLimits::default())
            .await
            .unwrap()
    }

    async fn deliver(&self, webhooks: &[Webhook]) {
        for webhook in webhooks {
            self.accept(&webhook.identifier, webhook.body.clone()).await;
        }
    }

    async fn work_off(&self, connection: &ingest::Connection) -> ingest::Result<Worked> {
        ingest::work_off(&self.warehouse, connection, &work(), &Silent).await
    }

    /// Works off until nothing is pending any more.
    async fn settle(&self, connection: &ingest::Connection) -> Worked {
        self.settle_with(connection, &work()).await
    }

    async fn settle_with(&self, connection: &ingest::Connection, options: &WorkOptions) -> Worked {
        let mut all = Worked::default();
        for _ in 0..200 {
            let working = ingest::work_off(&self.warehouse, connection, options, &Silent);
            let worked = working.await.unwrap();
            assert_eq!(worked.waits_for, None);
            all.done += worked.done;
            all.refused += worked.refused;
            all.late += worked.late;
            all.changed += worked.changed;
            if self.events("pending").await.is_empty() {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        let pending = self.events("pending").await;
        panic!("{} stay pending: {:?}", pending.len(), pending.first());
    }

    async fn events(&self, state: &str) -> Vec<InboxRow> {
        let mut events = self.warehouse.meta().inbox(10_000).await.unwrap();
        events.retain(|event| event.state == state);
        events
    }

    async fn issue(&self, id: i64) -> Value {
        let rows = self.table("issues").await;
        let row = rows.into_iter().find(|row| row["issue_id"] == id);
        row.map_or(Value::Null, Value::Object)
    }
}

fn is_parent(world: &World, id: u64) -> bool {
    world.issues().any(|issue| issue.parent == Some(id))
}

fn issue_event(kind: &str, id: i64, updated: &str) -> String {
    json!({"webhookEvent": kind, "issue": {"id": id.to_string(), "fields": {"updated": updated}}})
        .to_string()
}

fn at(milliseconds: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(milliseconds).unwrap();
    at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

#[tokio::test]
async fn what_events_tell_of_is_in_the_tables_without_a_sync() {
    let simulator = start(settings(3)).await;
    let (lake, fresh) = (Lake::open().await, Lake::open().await);
    let acme = connection(simulator.url());
    lake.sync(&acme).await.unwrap();
    simulator.advance(TimeDelta::hours(1));
    let (issues, sprint, board) = simulator.edit(|world| {
        let issues = world.issues().map(|issue| issue.id);
        let issues: Vec<u64> = issues.filter(|id| !is_parent(world, *id)).take(6).collect();
        let future = world
            .sprints()
            .find(|sprint| sprint.state == SprintState::Future);
        (issues, future.unwrap().id, world.boards()[0].id)
    });
    let mut told = Vec::new();
    let mut apply = |edit: Edit| {
        let (applied, webhooks) = simulator.apply(edit).unwrap();
        told.extend(webhooks);
        applied.id
    };
    apply(Edit::SetSummary {
        issue: issues[0],
        summary: "told".into(),
    });
    let comment = apply(Edit::Comment {
        issue: issues[1],
        text: "told".into(),
    });
    let worklog = apply(Edit::LogWork {
        issue: issues[2],
        seconds: 600,
    });
    let link = apply(Edit::Block {
        outward: issues[3],
        inward: issues[4],
    });
    apply(Edit::RenameSprint {
        sprint,
        name: "told".into(),
    });
    let made = apply(Edit::CreateSprint {
        board,
        name: "made".into(),
        goal: String::new(),
        start: None,
        end: None,
    });
    let gone = apply(Edit::Delete { issue: issues[5] });
    let kinds: Vec<&str> = told.iter().map(|webhook| webhook.event.as_str()).collect();
    for kind in [
        "jira:issue_updated",
        "comment_created",
        "worklog_created",
        "issuelink_created",
        "sprint_updated",
        "sprint_created",
        "jira:issue_deleted",
    ] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    simulator.clear_requests();
    lake.deliver(&told).await;
    let worked = lake.settle(&acme).await;
    assert_eq!(
        (worked.done, worked.refused, worked.late),
        (told.len() as u64, 0, 0)
    );
    assert!(
        simulator
            .requests()
            .iter()
            .all(|one| !one.path.contains("search/jql"))
    );

    assert_eq!(lake.issue(issues[0] as i64).await["summary"], "told");
    let has = async |table: &str, column: &str, id: u64| {
        let rows = lake.table(table).await;
        rows.iter()
            .any(|row| row[column] == id && row["deleted_at"].is_null())
    };
    assert!(has("comments", "comment_id", comment).await);
    assert!(has("worklogs", "worklog_id", worklog).await);
    assert!(has("issue_links", "link_id", link).await);
    assert!(has("sprints", "sprint_id", made).await);
    let deleted = lake.issue(gone as i64).await;
    assert_eq!(deleted["deleted_reason"], "deleted");
    assert!(!deleted["deleted_at"].is_null());
    // The same as a first load of the site gives, and as a replay.
    simulator.advance(TimeDelta::minutes(5));
    fresh.sync_with(&acme, large_batches()).await.unwrap();
    for ((table, found), (_, expected)) in
        lake.live_rows().await.iter().zip(fresh.live_rows().await)
    {
        let (ours, theirs) = (only(found, &expected), only(&expected, found));
        assert!(
            ours.is_empty() && theirs.is_empty(),
            "{table}: {ours:#?} {theirs:#?}"
        );
    }
    let rows = lake.rows().await;
    let replay = SyncOptions {
        replay: true,
        ..options()
    };
    lake.sync_with(&acme, replay).await.unwrap();
    assert_eq!(lake.rows().await, rows);
    // Events are in the raw zone, once each, and the run says what was done.
    let files = lake
        .warehouse
        .raw()
        .files("acme", "webhooks")
        .await
        .unwrap();
    let mut landed = 0;
    for file in files {
        landed += lake.warehouse.raw().read(&file).await.unwrap().len();
    }
    assert_eq!(landed, told.len());
    let runs = lake.warehouse.meta().runs(10).await.unwrap();
    let run = runs.iter().find(|run| run.pipeline == "webhooks").unwrap();
    assert_eq!(
        (run.status.as_str(), run.trigger.as_str()),
        ("succeeded", "event")
    );
    let steps = lake.warehouse.meta().steps(100).await.unwrap();
    let step = steps
        .iter()
        .find(|step| step.step.step == "acme.webhooks")
        .unwrap();
    assert_eq!(step.step.rows_in, told.len() as u64);
    // An undisturbed sync afterwards has nothing left to change of the issues.
    let report = lake.sync(&acme).await.unwrap();
    assert_eq!(report.stream("issues").unwrap().changed(), 0, "{report:?}");
}

/// Whatever happens at a site, told twice, late and in another order: the tables are those of a first load.
async fn told_equals_loaded(
    seed: u64,
    happenings: &[crate::simulated::Happening],
    shuffle: &[usize],
) -> Result<(), TestCaseError> {
    let simulator = start(settings(seed)).await;
    let (lake, fresh) = (Lake::unguarded().await, Lake::unguarded().await);
    let acme = connection(simulator.url());
    lake.sync_with(&acme, large_batches()).await.unwrap();
    let mut told: Vec<Webhook> = Vec::new();
    for happening in happenings {
        let edit = simulator.edit(|world| edit_of(world, happening));
        // A renamed status is told by no event.
        let is_told = |edit: &Edit| match edit {
            Edit::RenameStatus { .. } => false,
            // What had it for a parent changes without being updated.
            Edit::Delete { issue } => simulator.edit(|world| !is_parent(world, *issue)),
            _ => true,
        };
        let Some(edit) = edit.filter(is_told) else {
            continue;
        };
        if let Ok((_, webhooks)) = simulator.apply(edit) {
            told.extend(webhooks);
        }
    }
    for (position, with) in shuffle.iter().enumerate() {
        if !told.is_empty() {
            let (a, b) = (position % told.len(), with % told.len());
            told.swap(a, b);
            let again = told[b].again();
            told.push(again);
        }
    }
    for part in told.chunks(7) {
        lake.deliver(part).await;
        lake.settle(&acme).await;
    }
    simulator.advance(TimeDelta::minutes(5));
    fresh.sync_with(&acme, large_batches()).await.unwrap();
    let (found, expected) = (lake.live_rows().await, fresh.live_rows().await);
    for ((table, found), (_, expected)) in found.iter().zip(&expected) {
        let (ours, theirs) = (only(found, expected), only(expected, found));
        prop_assert!(
            ours.is_empty() && theirs.is_empty(),
            "{table}: only told {ours:#?}, only loaded {theirs:#?}"
        );
    }
    Ok(())
}

#[test]
fn events_in_any_order_and_number_give_the_rows_of_a_first_load() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _no_faults = runtime.block_on(FAULTS.read());
    let case = (
        0..50u64,
        prop::collection::vec(happening(), 1..15),
        prop::collection::vec(0..1000usize, 0..10),
    );
    let outcome = crate::histories_to_try(2, 20).run(&case, |(seed, happenings, shuffle)| {
        runtime.block_on(told_equals_loaded(seed, &happenings, &shuffle))
    });
    outcome.unwrap();
}

/// Stopped anywhere, the same events are worked off again, to the same tables.
#[tokio::test]
async fn stopped_at_any_border_the_events_are_worked_off_again() {
    let _alone = FAULTS.write().await;
    let prepared = async || {
        let site = site(6).await;
        let lake = Lake::unguarded().await;
        let acme = connection(&site.url());
        lake.sync(&acme).await.unwrap();
        site.edit(|state| {
            state.now += 3_600_000;
            state.issues.remove(&10_006);
        });
        for id in 10_001..=10_004 {
            site.change(id, "summary", json!("told"));
            let updated = at(site.edit(|state| state.issues[&id].updated));
            lake.accept(
                &id.to_string(),
                issue_event("jira:issue_updated", id, &updated),
            )
            .await;
        }
        site.edit(|state| state.sprints.get_mut(&8).unwrap()[0]["name"] = json!("told"));
        lake.accept(
            "sprint",
            json!({"webhookEvent": "sprint_updated"}).to_string(),
        )
        .await;
        lake.accept("gone", issue_event("jira:issue_deleted", 10_006, ""))
            .await;
        lake.accept("odd", "{}").await;
        (site, lake, acme)
    };
    // The instant at which something was received is not the same in two runs.
    let rows = async |lake: &Lake| {
        let mut rows = Vec::new();
        for (table, of_table) in lake.rows().await {
            for row in of_table {
                let mut row: Value = serde_json::from_str(&row).unwrap();
                for column in ["deleted_at", "missing_since"] {
                    if let Some(value) = row.get_mut(column) {
                        *value = json!(!value.is_null());
                    }
                }
                rows.push(format!("{table} {row}"));
            }
        }
        rows
    };
    let (_site, undisturbed, acme) = prepared().await;
    let worked = undisturbed.settle(&acme).await;
    assert_eq!((worked.done, worked.refused), (6, 1));
    let expected = rows(&undisturbed).await;
    for point in [
        "inbox.read",
        "inbox.landed",
        "ingest.listing.landed",
        "ingest.batch.landed",
        "ingest.changelogs.appended",
        "jira.issues.before_commit",
        "jira.issues.committed",
        "ingest.issues.merged",
        "ingest.absences.landed",
        "inbox.reacted",
        "inbox.settled",
    ] {
        let (_site, lake, acme) = prepared().await;
        fault::arm(&format!("fail@{point}")).unwrap();
        let error = lake.work_off(&acme).await.unwrap_err();
        assert!(
            error.to_string().contains("fault injected"),
            "{point}: {error}"
        );
        if point != "inbox.settled" {
            assert_eq!(lake.events("pending").await.len(), 7, "{point}");
        }
        lake.settle(&acme).await;
        assert_eq!(rows(&lake).await, expected, "{point}");
        assert_eq!(lake.events("done").await.len(), 6, "{point}");
    }
}

#[tokio::test]
async fn what_is_not_understood_is_set_aside_and_stops_nothing() {
    let site = site(2).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    site.edit(|state| state.now += 60_000);
    site.change(10_001, "summary", json!("told"));
    lake.accept("a", "Hello World!").await;
    lake.accept("b", r#"{"webhookEvent":"issue_teleported"}"#)
        .await;
    lake.accept("c", issue_event("jira:issue_updated", 10_001, ""))
        .await;
    lake.accept("d", vec![0xff, 0xfe]).await;
    lake.accept("e", r#"{"webhookEvent":"option_voting_changed"}"#)
        .await;
    let worked = lake.settle(&acme).await;
    assert_eq!((worked.done, worked.refused), (2, 3));
    assert_eq!(lake.issue(10_001).await["summary"], "told");
    let quarantined = lake.warehouse.meta().quarantined(10).await.unwrap();
    let of = |key: &str| {
        let found = quarantined.iter().find(|one| one.key == key);
        found
            .unwrap_or_else(|| panic!("{key} is not in quarantine"))
            .clone()
    };
    assert_eq!(of("a").stream, "webhooks");
    assert_eq!(of("a").payload, "Hello World!");
    assert!(of("a").error.starts_with("the body is not JSON"));
    assert!(of("b").error.contains("does not know this kind"));
    assert!(of("d").error.starts_with("the body is not JSON"));
    let refused = lake.events("refused").await;
    let teleported = refused
        .iter()
        .find(|event| event.identifier == "b")
        .unwrap();
    assert_eq!(teleported.kind.as_deref(), Some("issue_teleported"));
    // Nothing was asked for an event of no consequence alone.
    site.asked();
    lake.accept("f", r#"{"webhookEvent":"filter_updated"}"#)
        .await;
    lake.settle(&acme).await;
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn an_event_that_comes_before_its_change_is_waited_for() {
    let site = site(3).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let later = site.edit(|state| state.now) + 5_000;
    lake.accept(
        "early",
        issue_event("jira:issue_updated", 10_001, &at(later)),
    )
    .await;
    lake.accept("new", issue_event("jira:issue_created", 10_009, &at(later)))
        .await;
    lake.accept("gone", issue_event("jira:issue_deleted", 10_002, ""))
        .await;
    // Long enough for one look at first, however busy this machine is.
    let mut options = work();
    options.patience[0] = Duration::from_secs(4);
    let working = ingest::work_off(&lake.warehouse, &acme, &options, &Silent);
    let worked = working.await.unwrap();
    assert_eq!((worked.done, worked.late), (0, 3));
    let reasons: Vec<_> = lake
        .events("pending")
        .await
        .into_iter()
        .map(|row| row.reason.unwrap())
        .collect();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("older state of issue 10001")),
        "{reasons:?}"
    );
    assert!(lake.issue(10_002).await["deleted_at"].is_null());
    site.edit(|state| {
        state.now = later;
        state.issues.remove(&10_002);
    });
    site.change(10_001, "summary", json!("told"));
    site.create(10_009);
    let worked = lake.settle_with(&acme, &options).await;
    assert_eq!((worked.done, worked.late), (3, 0));
    assert_eq!(lake.issue(10_001).await["summary"], "told");
    assert_eq!(lake.issue(10_009).await["issue_id"], 10_009);
    assert_eq!(lake.issue(10_002).await["deleted_reason"], "deleted");
    // What never comes is given up; the next sync finds it.
    lake.accept(
        "never",
        issue_event("jira:issue_updated", 10_001, &at(later + 60_000)),
    )
    .await;
    lake.accept("lives", issue_event("jira:issue_deleted", 10_003, ""))
        .await;
    lake.settle_with(&acme, &options).await;
    let done = lake.events("done").await;
    for identifier in ["never", "lives"] {
        let event = done
            .iter()
            .find(|event| event.identifier == identifier)
            .unwrap();
        assert!(
            event.reason.as_ref().unwrap().contains("given up"),
            "{event:?}"
        );
        assert_eq!(event.attempts, 4);
    }
    assert!(lake.issue(10_003).await["deleted_at"].is_null());
}

#[tokio::test]
async fn events_of_projects_that_were_not_chosen_change_nothing() {
    let site = site(3).await;
    site.edit(|state| {
        state
            .projects
            .push(json!({"id": "10008", "key": "XX", "name": "X"}));
        let fields = &mut state.issues.get_mut(&10_003).unwrap().fields;
        fields["project"] = json!({"id": "10008", "key": "XX"});
    });
    let lake = Lake::open().await;
    let mut acme = connection(&site.url());
    acme.projects = vec!["EE".into()];
    lake.sync(&acme).await.unwrap();
    // The scripted site's search ignores the projects; what it gave of another one is left out here.
    let stored = lake.table("issues").await.len();
    site.create(10_020);
    site.edit(|state| {
        for id in [10_002, 10_020] {
            let fields = &mut state.issues.get_mut(&id).unwrap().fields;
            fields["project"] = json!({"id": "10008", "key": "XX"});
        }
    });
    let marks = async || {
        let table = schemas::TableName::new("jira", "issues");
        let tables = lake.warehouse.tables();
        let mut marks = BTreeMap::new();
        for name in ["high_water_ms", "scope", "mapping", "swept_ms"] {
            let full = format!("acme/issues/{name}");
            marks.insert(name, tables.mark(&table, &full).await.unwrap());
        }
        marks
    };
    let before = marks().await;
    lake.accept("new", issue_event("jira:issue_created", 10_020, ""))
        .await;
    lake.accept("moved", issue_event("jira:issue_updated", 10_002, ""))
        .await;
    lake.accept("here", issue_event("jira:issue_updated", 10_001, ""))
        .await;
    // Its settings name another project now, which only a sync may notice.
    acme.projects = vec!["EE".into(), "YY".into()];
    lake.settle(&acme).await;
    assert_eq!(lake.table("issues").await.len(), stored);
    assert_eq!(lake.issue(10_002).await["deleted_reason"], "out_of_scope");
    assert!(lake.issue(10_001).await["deleted_at"].is_null());
    assert_eq!(marks().await, before);
}

#[tokio::test]
async fn events_wait_for_the_first_load_and_for_whoever_writes() {
    let site = site(2).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.accept("a", issue_event("jira:issue_updated", 10_001, ""))
        .await;
    let worked = lake.work_off(&acme).await.unwrap();
    assert!(worked.waits_for.unwrap().contains("first load"));
    assert_eq!(lake.events("pending").await.len(), 1);
    lake.sync(&acme).await.unwrap();
    let lease = lake
        .warehouse
        .meta()
        .lease("connection 'acme'", "sync", Duration::ZERO)
        .await
        .unwrap();
    let worked = lake.work_off(&acme).await.unwrap();
    assert!(worked.waits_for.unwrap().contains("in use by 'sync'"));
    let short = SyncOptions {
        wait: Duration::from_millis(100),
        ..options()
    };
    let error = lake.sync_with(&acme, short).await.unwrap_err().to_string();
    assert!(
        error.contains("connection 'acme' is in use by 'sync'"),
        "{error}"
    );
    lease.release().await.unwrap();
    assert_eq!(lake.settle(&acme).await.done, 1);
    // Two at once: the second waits.
    let (one, two) = tokio::join!(lake.sync(&acme), lake.sync(&acme));
    one.unwrap();
    two.unwrap();
}

/// One issue whose answer can't be read doesn't hold up the others.
#[tokio::test]
async fn an_event_that_fails_by_itself_is_found_and_set_aside() {
    let site = site(4).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    for id in 10_001..=10_004 {
        site.change(id, "summary", json!("told"));
        lake.accept(&id.to_string(), issue_event("jira:issue_updated", id, ""))
            .await;
    }
    // All four together, two, one; then the first alone twice more.
    for _ in 0..5 {
        site.script("issue/bulkfetch", 400, r#"{"errorMessages":["no"]}"#);
    }
    let mut options = work();
    options.poll = Duration::from_millis(20);
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let until = async { drop(told.await) };
    let connections = [acme.clone()];
    let working = ingest::work(&lake.warehouse, &connections, &options, &Silent, until);
    let watching = async {
        while !lake.events("pending").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tell.send(()).unwrap();
    };
    let patient = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::join!(working, watching).0
    });
    patient.await.unwrap().unwrap();
    let refused = lake.events("refused").await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].identifier, "10001");
    assert_eq!(lake.events("done").await.len(), 3);
    assert_eq!(lake.issue(10_004).await["summary"], "told");
    let runs = lake.warehouse.meta().runs(10).await.unwrap();
    let run = runs.iter().find(|run| run.pipeline == "webhooks").unwrap();
    assert_eq!(run.status, "succeeded");
}

/// Real bodies of Cloud and Server sites.
#[tokio::test]
async fn every_recorded_body_is_understood() {
    let Some(folder) = crate::recorded::folder() else {
        return;
    };
    let site = site(1).await;
    let lake = Lake::open().await;
    let acme = connection(&site.url());
    lake.sync(&acme).await.unwrap();
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder.join("webhooks")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        bodies.push((name, std::fs::read(path).unwrap()));
    }
    assert_eq!(bodies.len(), 55);
    for (name, body) in &bodies {
        lake.accept(name, body.clone()).await;
    }
    site.asked();
    lake.settle(&acme).await;
    // Every issue that a body names was asked for, none other.
    let named: std::collections::BTreeSet<String> = bodies
        .iter()
        .map(|(_, body)| {
            let event: Value = serde_json::from_slice(body).unwrap();
            let path = || {
                let path = event["comment"]["self"].as_str().unwrap();
                path.split('/').rev().nth(2).unwrap().to_string()
            };
            event["issue"]["id"]
                .as_str()
                .map_or_else(path, str::to_string)
        })
        .collect();
    let asked: std::collections::BTreeSet<String> = site
        .asked()
        .iter()
        .filter(|one| one.path.ends_with("issue/bulkfetch"))
        .flat_map(|one| one.body["issueIdsOrKeys"].as_array().unwrap().clone())
        .map(|id| id.as_str().unwrap().to_string())
        .collect();
    assert_eq!(asked, named);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for event in lake.events("done").await {
        *kinds.entry(event.kind.unwrap()).or_default() += 1;
    }
    let expected = [
        ("comment_created", 3),
        ("comment_deleted", 2),
        ("comment_updated", 2),
        ("jira:issue_created", 6),
        ("jira:issue_deleted", 1),
        ("jira:issue_updated", 41),
    ];
    let expected = expected.map(|(kind, count)| (kind.to_string(), count));
    assert_eq!(kinds, BTreeMap::from(expected));
    assert!(lake.events("refused").await.is_empty());
}

#[tokio::test]
async fn a_burst_of_events_is_worked_off_in_few_requests() {
    let simulator: Simulator = start(settings(5)).await;
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    lake.sync_with(&acme, large_batches()).await.unwrap();
    let issues: Vec<u64> = simulator.edit(|world| world.issues().map(|issue| issue.id).collect());
    let mut told = Vec::new();
    for number in 0..300 {
        let issue = issues[number % issues.len()];
        let edit = Edit::SetSummary {
            issue,
            summary: format!("told {number}"),
        };
        told.extend(simulator.apply(edit).unwrap().1);
    }
    assert_eq!(told.len(), 300);
    lake.deliver(&told).await;
    simulator.clear_requests();
    let begun = std::time::Instant::now();
    let options = WorkOptions {
        sync: large_batches(),
        ..work()
    };
    let working = ingest::work_off(&lake.warehouse, &acme, &options, &Silent);
    let worked = working.await.unwrap();
    println!(
        "300 events in {:?}, {} requests",
        begun.elapsed(),
        simulator.requests().len()
    );
    assert_eq!((worked.done, worked.late), (300, 0));
    // Each issue once, a hundred in a request, and as many for their histories.
    assert!(
        simulator.requests().len() < 12,
        "{}",
        simulator.requests().len()
    );
}
