//! What in the data makes figures doubtful. Sprint 10 ran from the 5th to the 15th, 11 since the 16th;
//! issues are created on the 1st and updated on the 20th unless a case says otherwise.

use serde_json::{Value, json};

use crate::history::{History, at};

/// Check, severity, subject, board.
async fn found(h: &History) -> Vec<(String, String, String, Option<i64>)> {
    let rows = h
        .sql("select check_id, severity, subject, board_id from marts.data_quality order by check_id, subject")
        .await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| {
            (
                text(&row["check_id"]),
                text(&row["severity"]),
                text(&row["subject"]),
                row["board_id"].as_i64(),
            )
        })
        .collect()
}

async fn evidence(h: &History, check: &str) -> String {
    let sql = format!("select evidence from marts.data_quality where check_id = '{check}'");
    let rows = h.sql(&sql).await;
    assert_eq!(rows.len(), 1, "{check}: {rows:?}");
    rows[0]["evidence"].as_str().unwrap().to_owned()
}

fn row(
    check: &str,
    severity: &str,
    subject: &str,
    board: Option<i64>,
) -> (String, String, String, Option<i64>) {
    (
        check.to_owned(),
        severity.to_owned(),
        subject.to_owned(),
        board,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_without_fault_has_no_finding() {
    let mut h = History::new().await;
    h.issue(1, 3, Some(3.0), &[10]);
    h.status(1, 6.0, 1, 2);
    h.status(1, 9.0, 2, 3);
    // In progress, and changed when the data was read.
    h.issue(2, 2, Some(3.0), &[11]);
    h.status(2, 17.0, 1, 2);
    h.issue(3, 1, None, &[]);
    // A sub-task, not estimated, done with its parent.
    h.issue_with(4, 3, None, &[], json!({"is_subtask": true, "parent_id": 1}));
    h.status(4, 6.0, 1, 2);
    h.status(4, 8.0, 2, 3);
    h.refresh().await.unwrap();
    assert_eq!(found(&h).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_check_finds_its_case() {
    let mut h = History::new().await;
    // A fourth column between Doing and Done, of the same category.
    h.add(
        "statuses",
        json!({"status_id": 5, "name": "Review", "category": "indeterminate"}),
    );
    h.add(
        "board_columns",
        json!({"board_id": 1, "ordinal": 2, "status_id": 5, "status_key": "5", "name": "Review",
            "is_last": false}),
    );
    h.add(
        "board_columns",
        json!({"board_id": 1, "ordinal": 3, "status_id": 3, "status_key": "3", "name": "Done",
            "is_last": true}),
    );
    h.add(
        "board_columns",
        json!({"board_id": 1, "ordinal": 2, "status_id": 3, "status_key": "3",
        "name": "C", "is_last": true, "deleted_at": at(2.0)}),
    );
    // 1: straight to done.
    h.issue(1, 3, Some(1.0), &[10]);
    h.status(1, 6.0, 1, 3);
    // 2: done, re-opened into progress and done again: stopped first, backwards, changed after done.
    h.issue(2, 3, Some(1.0), &[10]);
    h.status(2, 6.0, 1, 3);
    h.status(2, 7.0, 3, 2);
    h.status(2, 8.0, 2, 3);
    // 3: from review back to doing, within the category.
    h.issue(3, 3, Some(1.0), &[10]);
    h.status(3, 6.0, 1, 2);
    h.status(3, 7.0, 2, 5);
    h.status(3, 8.0, 5, 2);
    h.status(3, 9.0, 2, 3);
    // 4: parked, which the board doesn't show; it had been in progress: backwards, discarded.
    h.issue(4, 4, Some(1.0), &[11]);
    h.status(4, 6.0, 1, 2);
    h.status(4, 7.0, 2, 4);
    // 5: created in progress, and nothing since the 10th while the data reaches the 20th.
    h.issue_with(5, 2, Some(1.0), &[11], json!({"updated_at": at(10.0)}));
    // 6: not started, but its sub-task 7 is; 8: done while its sub-task 9 was in progress.
    h.issue(6, 1, Some(1.0), &[]);
    h.issue_with(7, 2, None, &[], json!({"is_subtask": true, "parent_id": 6}));
    h.status(7, 6.0, 1, 2);
    h.issue(8, 3, Some(1.0), &[10]);
    h.status(8, 6.0, 1, 2);
    h.status(8, 8.0, 2, 3);
    h.issue_with(9, 3, None, &[], json!({"is_subtask": true, "parent_id": 8}));
    h.status(9, 7.0, 1, 2);
    h.status(9, 9.0, 2, 3);
    // 10: in sprints of two boards; 10 is blocked by 8, which is done; so is 3, but that is done too.
    h.add(
        "boards",
        json!({"board_id": 2, "name": "Other", "type": "scrum"}),
    );
    h.sprint(20, 2, 16.0, None);
    h.issue(10, 1, Some(1.0), &[11, 20]);
    let link = |id: i64, target: i64| {
        json!({"link_id": id, "link_type_id": 1, "link_type": "Depends",
        "source_issue_id": 8, "target_issue_id": target})
    };
    h.add(
        "link_types",
        json!({"link_type_id": 1, "name": "Depends", "outward": "blocks", "inward": "is blocked by"}),
    );
    h.add("issue_links", link(1, 10));
    h.add("issue_links", link(2, 3));
    // 11: in the running sprint without an estimate. 12: re-estimated when it was done.
    h.issue(11, 1, None, &[11]);
    h.issue(12, 3, Some(5.0), &[10]);
    h.status(12, 6.0, 1, 2);
    h.status(12, 8.0, 2, 3);
    h.points(12, 7.0, "1", "2");
    h.points(12, 9.0, "2", "5");
    h.refresh().await.unwrap();
    let expected = [
        row(
            "backwards_through_status",
            "info",
            "issue:3/board:1",
            Some(1),
        ),
        row(
            "backwards_through_status_categories",
            "warning",
            "issue:2",
            None,
        ),
        row(
            "backwards_through_status_categories",
            "warning",
            "issue:4",
            None,
        ),
        row("blocked_on_closed_tickets", "info", "issue:10", None),
        row("completed_but_not_started", "warning", "issue:1", None),
        row("created_in_wrong_status", "info", "issue:5", None),
        row("discarded_changes", "info", "issue:4", None),
        row("estimate_changed_after_done", "warning", "issue:12", None),
        row("incomplete_subtasks_when_done", "warning", "issue:8", None),
        row("issue_on_multiple_boards", "info", "issue:10", None),
        row("not_started_but_subtasks_have", "warning", "issue:6", None),
        row("not_visible_on_board", "error", "issue:4/board:1", Some(1)),
        row("stale_in_progress", "warning", "issue:5", None),
        row("status_changes_after_done", "info", "issue:2", None),
        row("stopped_before_started", "warning", "issue:2", None),
        row("unestimated", "warning", "issue:11", Some(1)),
    ];
    assert_eq!(found(&h).await, expected);
    let said = evidence(&h, "estimate_changed_after_done").await;
    assert!(
        said.starts_with(
            "changes of the estimate while it was done: 1, the last on 2026-01-09 from 2"
        ),
        "{said}"
    );
    let said = evidence(&h, "stale_in_progress").await;
    assert_eq!(
        said,
        "in \"Doing\" since 2026-01-01, days without any change: 10"
    );
    let said = evidence(&h, "incomplete_subtasks_when_done").await;
    assert_eq!(said, "when it became done, these sub-tasks were not: A-9");
    let said = evidence(&h, "issue_on_multiple_boards").await;
    assert_eq!(said, "in sprints of 2 boards: B, Other");
}

#[tokio::test(flavor = "multi_thread")]
async fn sprints_and_clocks() {
    let mut h = History::new().await;
    // 12 began while 10 ran, and is active 8 days after its planned end.
    h.add(
        "sprints",
        json!({"sprint_id": 12, "board_id": 1, "name": "S12", "state": "active",
        "start_at": at(8.0), "activated_at": at(8.0), "end_at": at(22.0)}),
    );
    // 13 is closed without an instant; 14 on another board overlaps nothing; 15 ends before it starts.
    h.add(
        "sprints",
        json!({"sprint_id": 13, "board_id": 3, "name": "S13", "state": "closed",
        "start_at": at(2.0), "activated_at": at(2.0), "end_at": at(4.0)}),
    );
    h.sprint(14, 4, 5.0, Some(15.0));
    h.sprint(15, 5, 15.0, Some(5.0));
    // Changed two days before it was created; changed two hours after its last update.
    h.issue_with(
        1,
        1,
        Some(1.0),
        &[],
        json!({"created_at": at(5.0), "updated_at": at(30.0)}),
    );
    h.points(1, 3.0, "", "1");
    h.issue_with(2, 1, Some(1.0), &[], json!({"updated_at": at(6.0)}));
    h.points(2, 6.0 + 2.0 / 24.0, "", "1");
    // Read a moment after the issue: no fault.
    h.issue_with(3, 1, Some(1.0), &[], json!({"updated_at": at(6.0)}));
    h.points(3, 6.01, "", "1");
    // A commit after its own deployment.
    h.add(
        "git.commits",
        json!({"repository_id": 1, "sha": "c0", "is_on_default_branch": true,
        "committed_at": at(7.0), "parent_shas": []}),
    );
    h.add(
        "git.deployments",
        json!({"deployment_id": 1, "repository_id": 1, "sha": "c0",
        "environment": "production", "is_production": true, "status": "success",
        "status_at": at(6.0), "created_at": at(6.0)}),
    );
    h.refresh().await.unwrap();
    let expected = [
        row("clock_skew", "error", "commit:1/c0", None),
        row("clock_skew", "error", "issue:1", None),
        row("clock_skew", "error", "issue:2", None),
        row("clock_skew", "error", "sprint:15", Some(5)),
        // 11 began on the 16th, while 12 was running.
        row("overlapping_sprints", "info", "sprint:11", Some(1)),
        row("overlapping_sprints", "info", "sprint:12", Some(1)),
        row("sprint_never_closed", "error", "sprint:12", Some(1)),
        row("sprint_never_closed", "error", "sprint:13", Some(3)),
    ];
    assert_eq!(found(&h).await, expected);
    let said = h
        .sql("select evidence from marts.data_quality where subject in ('issue:1', 'issue:2') order by subject")
        .await;
    let said: Vec<_> = said
        .iter()
        .map(|row| row["evidence"].as_str().unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "changes dated before its creation: 1, the first by 172800 seconds",
            "changes dated after its last update: 1, the last by 7200 seconds"
        ]
    );
}
