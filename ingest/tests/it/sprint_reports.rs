//! Jira's own sprint reports: read once after a completion, whatever the site makes of them.

use chrono::TimeDelta;
use schemas::Row;
use serde_json::json;
use simulator::model::SprintState;
use simulator::{Deployment, Edit, Fault, FaultKind, Misreport, Settings, Simulator};

use crate::simulated::{large_batches, settings, start};
use crate::{Lake, SyncOptions, connection};

fn asked(simulator: &Simulator) -> usize {
    let requests = simulator.requests();
    let reports = requests
        .iter()
        .filter(|one| one.path.ends_with("/sprintreport"));
    reports.count()
}

fn of_state(simulator: &Simulator, state: SprintState) -> Vec<u64> {
    simulator.edit(|world| {
        let sprints = world.sprints().filter(|sprint| sprint.state == state);
        sprints.map(|sprint| sprint.id).collect()
    })
}

/// Live lines of a sprint: issue, list, estimates at the start and at the end, added.
fn lines(rows: &[Row], sprint: u64) -> Vec<String> {
    let own = rows
        .iter()
        .filter(|row| row["sprint_id"] == sprint && row["deleted_at"].is_null());
    let mut lines: Vec<_> = own
        .map(|row| {
            json!([
                row["issue_id"],
                row["list"],
                row["start_estimate"],
                row["end_estimate"],
                row["added_during_sprint"]
            ])
            .to_string()
        })
        .collect();
    lines.sort();
    lines
}

/// The same as the site knows it.
fn truth(simulator: &Simulator, sprint: u64) -> Vec<String> {
    let report = simulator.edit(|world| world.sprint_report(sprint)).unwrap();
    let lists = [
        ("completed", &report.completed),
        ("not_completed", &report.not_completed),
        ("removed", &report.punted),
        ("completed_outside", &report.completed_elsewhere),
    ];
    let mut lines: Vec<_> = lists
        .iter()
        .flat_map(|(list, lines)| lines.iter().map(move |line| (list, line)))
        .map(|(list, line)| {
            let added = report.added.contains(&line.id);
            json!([line.id, list, line.start_points, line.end_points, added]).to_string()
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_report_is_read_once_after_the_sprint_is_completed() {
    for deployment in [Deployment::Cloud, Deployment::DataCenter] {
        let simulator = start(Settings {
            deployment,
            ..settings(3)
        })
        .await;
        let lake = Lake::open().await;
        let acme = connection(simulator.url());
        let closed = of_state(&simulator, SprintState::Closed);
        lake.sync_with(&acme, large_batches()).await.unwrap();
        assert_eq!(asked(&simulator), closed.len());
        let rows = lake.table("sprint_reports").await;
        let mut issues = 0;
        for sprint in &closed {
            let expected = truth(&simulator, *sprint);
            assert_eq!(lines(&rows, *sprint), expected, "sprint {sprint}");
            issues += expected.len();
        }
        assert!(issues > 10, "{issues} issues");
        let answers = lake.table("sprint_report_answers").await;
        assert_eq!(answers.len(), closed.len());
        assert!(answers.iter().all(|row| row["is_offered"] == true));
        // However many sprints there are: nothing is asked when none was completed.
        simulator.clear_requests();
        let report = lake.sync_with(&acme, large_batches()).await.unwrap();
        assert_eq!((asked(&simulator), report.changed()), (0, 0));
        let active = of_state(&simulator, SprintState::Active);
        simulator.edit(|world| {
            world.advance_clock(TimeDelta::hours(1));
            let edit = Edit::CompleteSprint {
                sprint: active[0],
                next: None,
            };
            world.apply_now(edit).unwrap();
        });
        lake.sync_with(&acme, large_batches()).await.unwrap();
        assert_eq!(asked(&simulator), 1);
        let rows = lake.table("sprint_reports").await;
        assert_eq!(lines(&rows, active[0]), truth(&simulator, active[0]));
        // What was read tells the tables.
        let before = lake.everything().await;
        let replay = SyncOptions {
            replay: true,
            ..large_batches()
        };
        lake.sync_with(&acme, replay).await.unwrap();
        assert_eq!(lake.everything().await, before);
        // Everything again, when it is asked for: a report that lost an issue since loses its line.
        let lost = simulator
            .edit(|world| world.sprint_report(active[0]))
            .unwrap();
        let lists = [&lost.completed, &lost.not_completed, &lost.punted];
        let issue = lists.iter().find_map(|list| list.first()).unwrap().id;
        simulator.edit(|world| world.misreport(active[0], Misreport::Missing { issue }));
        let full = SyncOptions {
            full: true,
            ..large_batches()
        };
        let report = lake.sync_with(&acme, full).await.unwrap();
        assert_eq!(report.stream("sprint_reports").unwrap().deleted, 1);
    }
}

#[tokio::test]
async fn a_site_without_reports_is_asked_three_times_and_no_run_fails() {
    for kind in [
        FaultKind::Status(404),
        FaultKind::Status(403),
        FaultKind::Status(500),
        FaultKind::Html,
    ] {
        let simulator = start(settings(3)).await;
        let closed = of_state(&simulator, SprintState::Closed).len();
        assert!(closed > 3, "{closed} sprints");
        let lake = Lake::open().await;
        let acme = connection(simulator.url());
        let failing = !matches!(kind, FaultKind::Status(403 | 404));
        simulator.inject(Fault::new("/sprintreport", kind).times(10_000));
        let report = lake.sync_with(&acme, large_batches()).await.unwrap();
        let notes: Vec<_> = report
            .notes
            .iter()
            .filter(|note| note.stream == "sprint_reports")
            .collect();
        assert_eq!(notes.len(), 1, "{notes:?}");
        let told = match failing {
            true => "the site fails at sprint reports",
            false => "the site offers no sprint reports",
        };
        assert!(notes[0].text.starts_with(told), "{notes:?}");
        if !failing {
            assert_eq!(asked(&simulator), 3);
            assert!(!report.stream("sprint_reports").unwrap().offered);
        }
        simulator.clear_requests();
        lake.sync_with(&acme, large_batches()).await.unwrap();
        assert_eq!(asked(&simulator), 0, "not within a day");
        assert!(lake.table("sprint_reports").await.is_empty());
        // Named, it is asked for at once.
        simulator.clear_faults();
        let named = SyncOptions {
            streams: vec!["sprint_reports".into()],
            ..large_batches()
        };
        lake.sync_with(&acme, named).await.unwrap();
        assert_eq!(asked(&simulator), closed);
        assert!(!lake.table("sprint_reports").await.is_empty());
    }
}

#[tokio::test]
async fn one_refused_report_stays_refused_and_an_unreadable_one_is_set_aside() {
    let simulator = start(settings(3)).await;
    let closed = of_state(&simulator, SprintState::Closed).len();
    let lake = Lake::open().await;
    let acme = connection(simulator.url());
    simulator.inject(Fault::status("/sprintreport", 404));
    let rewrite = FaultKind::Rewrite {
        find: "\"contents\"".into(),
        put: "\"content\"".into(),
    };
    simulator.inject(Fault::new("/sprintreport", rewrite).nth(4));
    let report = lake.sync_with(&acme, large_batches()).await.unwrap();
    assert_eq!(report.stream("sprint_reports").unwrap().quarantined, 1);
    assert_eq!(asked(&simulator), closed);
    let answers = lake.table("sprint_report_answers").await;
    let without: Vec<_> = answers
        .iter()
        .filter(|row| row["is_offered"] == false)
        .map(|row| row["reason"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(without.len(), 2, "{without:?}");
    assert!(
        without.iter().any(|one| one.contains("(404)")),
        "{without:?}"
    );
    simulator.clear_requests();
    lake.sync_with(&acme, large_batches()).await.unwrap();
    assert_eq!(asked(&simulator), 0);
    let named = SyncOptions {
        streams: vec!["sprint_reports".into()],
        ..large_batches()
    };
    let report = lake.sync_with(&acme, named).await.unwrap();
    assert_eq!(asked(&simulator), 2);
    assert_eq!(report.quarantined(), 0);
    let kept = lake.warehouse.meta().quarantined(10).await.unwrap();
    assert!(kept.is_empty(), "{kept:?}");
}
