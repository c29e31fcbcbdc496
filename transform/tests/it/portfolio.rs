//! Projects that share a board, issues that travel, and how well sprints kept to their plan.

use serde_json::{Value, json};

use crate::history::{History, at};

/// What these tests look at.
const MODELS: [&str; 7] = [
    "project_sprint_metrics",
    "portfolio",
    "carry_over_chains",
    "sprint_health",
    "worklog_variance",
    "sprint_predictability",
    "sprint_breakdown",
];

/// Board 1 with sprints 10 (5th to 15th, closed) and 11 (from the 16th, planned to the 30th, data to the
/// 20th), shown on board 2 as well. Projects A and B.
async fn shared() -> History {
    let mut h = History::of(&MODELS).await;
    h.add(
        "fields",
        json!({"field_id": "cf_f", "name": "Flagged", "is_custom": true, "role": "flagged"}),
    );
    for (id, key) in [(1, "A"), (2, "B")] {
        h.add(
            "projects",
            json!({"project_id": id, "project_key": key, "name": format!("Project {key}")}),
        );
    }
    for board in [1, 2] {
        for sprint in [10, 11] {
            h.add(
                "board_sprints",
                json!({"board_id": board, "sprint_id": sprint}),
            );
        }
    }
    let a = json!({"project_id": 1});
    let b = json!({"project_id": 2, "project_key": "B"});
    // 1 (A): committed 3, completed 5.
    h.issue_with(1, 3, Some(5.0), &[10], a.clone());
    h.points(1, 7.0, "3", "5");
    h.status(1, 9.0, 1, 3);
    // 2 (A): committed 2, carried over into 11 and flagged there.
    h.issue_with(2, 1, Some(2.0), &[10, 11], a.clone());
    h.sprints(2, 15.0, "10", "10, 11");
    h.change(2, 17.0, "cf_f", "", "1", Some(("", "Impediment")));
    // 3 (B): committed 4, carried over, completed in 11.
    h.issue_with(3, 3, Some(4.0), &[10, 11], b.clone());
    h.sprints(3, 15.0, "10", "10, 11");
    h.status(3, 18.0, 1, 3);
    // 4 (B): added with 1, completed. 5 (B): added without estimate, not completed, dropped.
    h.issue_with(4, 3, Some(1.0), &[10], b.clone());
    h.sprints(4, 6.0, "", "10");
    h.status(4, 8.0, 1, 3);
    h.issue_with(5, 1, None, &[10], b.clone());
    h.sprints(5, 6.0, "", "10");
    // 6 (A): committed 1, taken out, and back in 11.
    h.issue_with(6, 1, Some(1.0), &[11], a.clone());
    h.sprints(6, 8.0, "10", "");
    h.sprints(6, 15.5, "", "11");
    // 7 (B): a sub-task of 3 with work of its own.
    h.issue_with(
        7,
        3,
        Some(9.0),
        &[],
        json!({"is_subtask": true, "parent_id": 3, "project_id": 2, "project_key": "B"}),
    );
    h
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_share_a_board() {
    let mut h = shared().await;
    h.refresh().await.unwrap();
    let columns = [
        "sprint_id",
        "project_key",
        "is_shared",
        "committed_issues",
        "committed_points",
        "completed_issues",
        "completed_points",
        "not_completed_issues",
        "not_completed_points",
        "added_issues",
        "added_points",
        "removed_issues",
        "removed_points",
        "carried_over_issues",
        "estimate_change_points",
        "unestimated_issues",
        "flagged_issues",
        "say_do_ratio",
        "scope_change_ratio",
        "completion_ratio",
    ];
    let metrics = "select * from marts.project_sprint_metrics order by sprint_id, project_key";
    assert_eq!(
        h.shown(&columns, metrics).await,
        json!([
            // A in 10: 1, 2, 6 committed with 3 + 2 + 1; 1 completed. Kept 3 of 6; scope (0 − 1) / 6.
            [
                10,
                "A",
                true,
                3,
                6.0,
                1,
                5.0,
                1,
                2.0,
                0,
                0.0,
                1,
                1.0,
                1,
                2.0,
                0,
                0,
                0.5,
                -1.0 / 6.0,
                0.5
            ],
            // B: 3 committed; 4 and 5 added, 4 completed. Scope (1 − 0) / 4.
            [
                10,
                "B",
                true,
                1,
                4.0,
                1,
                1.0,
                2,
                4.0,
                2,
                1.0,
                0,
                0.0,
                1,
                0.0,
                1,
                0,
                0.0,
                0.25,
                1.0 / 3.0
            ],
            [
                11, "A", true, 2, 3.0, 0, 0.0, 2, 3.0, 0, 0.0, 0, 0.0, 0, 0.0, 0, 1, 0.0, 0.0, 0.0
            ],
            [
                11, "B", true, 1, 4.0, 1, 4.0, 0, 0.0, 0, 0.0, 0, 0.0, 0, 0.0, 0, 0, 1.0, 0.0, 1.0
            ],
        ])
    );
    let columns = [
        "board_id",
        "project_key",
        "project_name",
        "is_shared_board",
        "sprints",
        "active_sprints",
        "committed_points",
        "completed_points",
        "not_completed_points",
        "added_issues",
        "removed_issues",
        "carried_over_issues",
        "say_do_ratio",
        "velocity_mean_3",
        "active_done_issues",
        "active_remaining_issues",
        "active_completed_points",
        "active_remaining_points",
        "active_flagged_issues",
        "is_primary",
    ];
    let portfolio = "select * from marts.portfolio order by board_id, project_key";
    // On the origin board only, though board 2 shows the sprints too.
    assert_eq!(
        h.shown(&columns, portfolio).await,
        json!([
            [
                1,
                "A",
                "Project A",
                true,
                1,
                1,
                6.0,
                5.0,
                2.0,
                0,
                1,
                1,
                0.5,
                5.0,
                0,
                2,
                0.0,
                3.0,
                1,
                true
            ],
            [
                1,
                "B",
                "Project B",
                true,
                1,
                1,
                4.0,
                1.0,
                4.0,
                2,
                0,
                1,
                0.0,
                1.0,
                1,
                0,
                4.0,
                0.0,
                0,
                false
            ],
        ])
    );
    // At the ends of 10 and 11, A: 1, 2 and 2, 6 with 7 + 3 points; B: 3, 4, 5 and 3 with 5 + 4.
    // Of 8 issues and 19 points: A 4 and 10, B 4 and 9: A weighs more.
    let weights = h
        .sql("select project_key, issue_share, point_share, weight from marts.portfolio order by 1")
        .await;
    let near = |row: usize, column: &str, value: f64| {
        let found = weights[row][column].as_f64().unwrap();
        assert!((found - value).abs() < 1e-9, "{column}: {weights:?}");
    };
    near(0, "issue_share", 0.5);
    near(0, "point_share", 10.0 / 19.0);
    near(0, "weight", 0.7 * 10.0 / 19.0 + 0.15);
    near(1, "weight", 0.7 * 9.0 / 19.0 + 0.15);

    // Issues that travelled. 1 and 5 were in one sprint and not carried over; 4 was completed.
    let columns = [
        "issue_id",
        "is_subtask",
        "sprint_ids",
        "sprint_count",
        "carried_over_count",
        "carried_points",
        "first_sprint_id",
        "first_points",
        "last_sprint_id",
        "last_outcome",
        "last_points",
        "provisional",
        "completed",
        "completed_at",
    ];
    let chains = "select * from marts.carry_over_chains order by issue_id";
    assert_eq!(
        h.shown(&columns, chains).await,
        json!([
            [
                2,
                false,
                [10, 11],
                2,
                1,
                2.0,
                10,
                2.0,
                11,
                "not_completed",
                2.0,
                true,
                false,
                null
            ],
            [
                3,
                false,
                [10, 11],
                2,
                1,
                4.0,
                10,
                4.0,
                11,
                "completed",
                4.0,
                true,
                true,
                "2026-01-18T00:00:00Z"
            ],
            [
                6,
                false,
                [10, 11],
                2,
                0,
                0.0,
                10,
                1.0,
                11,
                "not_completed",
                1.0,
                true,
                false,
                null
            ],
            [
                7,
                true,
                [10, 11],
                2,
                0,
                0.0,
                10,
                9.0,
                11,
                "completed_outside",
                9.0,
                true,
                true,
                "2026-01-01T00:00:00Z"
            ],
        ])
    );
    let breakdown = h.shown(
        &[
            "dimension",
            "value",
            "issues",
            "points",
            "completed_issues",
            "removed_issues",
            "unestimated_issues",
        ],
        "select * from marts.sprint_breakdown
         where sprint_id = 10 and dimension in ('status', 'project', 'assignee')
         order by dimension, ordinal",
    );
    assert_eq!(
        breakdown.await,
        json!([
            ["assignee", null, 5, 12.0, 2, 1, 1],
            ["project", "B", 3, 5.0, 1, 0, 1],
            ["project", "A", 2, 7.0, 1, 1, 0],
            // As of the end of sprint 10: issue 3 was not done yet.
            ["status", "To Do", 3, 6.0, 0, 1, 1],
            ["status", "Done", 2, 6.0, 2, 0, 0],
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_predictability_and_logged_work() {
    let mut h = shared().await;
    h.issue_with(
        8,
        1,
        None,
        &[],
        json!({"original_estimate_seconds": 7200, "project_id": 1}),
    );
    h.sprints(8, 4.0, "", "10");
    h.sprints(8, 4.5, "10", "");
    h.issue_with(
        9,
        1,
        None,
        &[11],
        json!({"original_estimate_seconds": 36_000, "project_id": 1}),
    );
    for (id, issue, day, hours) in [
        // Before sprint 11, exactly at its start, in it.
        (1, 9, 15.5, 1),
        (2, 9, 16.0, 2),
        (3, 9, 17.0, 4),
        (4, 7, 6.0, 3),
        (5, 8, 6.0, 5),
    ] {
        h.add("worklogs", json!({"worklog_id": id, "issue_id": issue, "author_id": "u1",
            "started_at": at(day), "time_spent_seconds": hours * 3600, "created_at": at(19.0), "updated_at": at(19.0)}));
    }
    // Deleted work is none.
    h.add("worklogs", json!({"worklog_id": 6, "issue_id": 9, "author_id": "u1", "started_at": at(17.0),
        "time_spent_seconds": 3600, "created_at": at(19.0), "updated_at": at(19.0), "deleted_at": at(19.5)}));
    // An empty sprint, closed.
    h.sprint(12, 1, 2.0, Some(3.0));
    h.refresh().await.unwrap();

    let columns = [
        "sprint_id",
        "issue_id",
        "is_subtask",
        "original_estimate_hours",
        "logged_in_sprint_hours",
        "logged_total_hours",
        "worklogs",
        "variance_hours",
        "logged_to_estimate_ratio",
    ];
    let logged = "select * from marts.worklog_variance where issue_id in (1, 7, 8, 9) order by sprint_id, issue_id";
    assert_eq!(
        h.shown(&columns, logged).await,
        json!([
            [10, 1, false, null, 0.0, 0.0, 0, null, null],
            [10, 7, true, null, 3.0, 3.0, 1, null, null],
            [11, 7, true, null, 0.0, 3.0, 1, null, null],
            [11, 9, false, 10.0, 6.0, 7.0, 3, -3.0, 0.7],
        ]),
        "issue 8 left before the start"
    );

    let one = async |table: &str, sprint: i64| {
        let sql = format!("select * from marts.{table} where sprint_id = {sprint}");
        h.sql(&sql).await.remove(0)
    };
    let near = |row: &schemas::Row, column: &str, value: f64| {
        let found = row[column].as_f64().unwrap_or(f64::NAN);
        assert!((found - value).abs() < 1e-6, "{column}: {row:?}");
    };
    // Sprint 10: committed 1, 2, 3, 6 with 3 + 2 + 4 + 1; completed 1 and 4 with 5 + 1, kept 1 with 3.
    let kept = one("sprint_predictability", 10).await;
    near(&kept, "predictability", 1.0 - 4.0 / 10.0);
    near(&kept, "predictability_issues", 1.0 - 2.0 / 4.0);
    near(&kept, "planning_accuracy", 3.0 / 10.0);
    near(&kept, "planning_accuracy_issues", 1.0 / 4.0);
    near(&kept, "capacity_accuracy", 6.0 / 10.0);
    near(&kept, "capacity_accuracy_issues", 2.0 / 4.0);
    // Added 1, removed 1. Carried over 2 and 3 of 1 to 5.
    near(&kept, "churn_ratio", 2.0 / 10.0);
    near(&kept, "carry_over_ratio", 2.0 / 5.0);
    // Monday the 5th to Thursday the 15th, midnight to midnight: five and three days.
    near(&kept, "planned_working_days", 8.0);
    near(&kept, "velocity_per_working_day", 6.0 / 8.0);
    // Sprint 11: Friday the 16th to Friday the 30th: ten days; to Tuesday the 20th, two.
    let active = one("sprint_predictability", 11).await;
    near(&active, "planned_working_days", 10.0);
    near(&active, "elapsed_working_days", 2.0);
    assert_eq!(active["provisional"], true);

    // Closed: completed 6 of 6 + 2 + 4 points; scope (1 − 1) / 10; nothing carried in; of six
    // committed or added one is unestimated; nothing flagged then.
    let closed = one("sprint_health", 10).await;
    near(&closed, "progress_part", 0.5);
    near(&closed, "scope_part", 1.0);
    near(&closed, "carry_over_part", 1.0);
    near(&closed, "estimates_part", 5.0 / 6.0);
    near(&closed, "unblocked_part", 1.0);
    near(
        &closed,
        "score",
        0.4 * 0.5 + 0.2 + 0.15 + 0.1 * 5.0 / 6.0 + 0.15,
    );
    // Active: 4 of 4 + 3 points done, 0.2 of the time gone: ahead. Of 2, 3, 6, 9 three were in sprint 10,
    // one is flagged, one unestimated.
    let active = one("sprint_health", 11).await;
    near(&active, "elapsed_ratio", 0.2);
    near(&active, "completed_ratio", 4.0 / 7.0);
    near(&active, "progress_part", 1.0);
    near(&active, "carry_over_part", 0.25);
    near(&active, "estimates_part", 0.75);
    near(&active, "unblocked_part", 0.75);
    near(
        &active,
        "score",
        0.4 + 0.2 + 0.15 * 0.25 + 0.1 * 0.75 + 0.15 * 0.75,
    );
    // Nothing is known of an empty sprint: no part, no score.
    let empty = one("sprint_health", 12).await;
    for column in [
        "progress_part",
        "scope_part",
        "carry_over_part",
        "estimates_part",
        "unblocked_part",
        "score",
    ] {
        assert_eq!(empty[column], Value::Null, "{column}");
    }
    let empty = one("sprint_predictability", 12).await;
    for column in [
        "predictability",
        "predictability_issues",
        "planning_accuracy",
        "capacity_accuracy",
        "churn_ratio",
        "carry_over_ratio",
    ] {
        assert_eq!(empty[column], Value::Null, "{column}");
    }
}
