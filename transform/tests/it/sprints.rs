//! What became of issues in sprint 10 (5th to 15th).

use serde_json::{Value, json};

use crate::history::History;

/// Fails unless the row of an issue has these values.
async fn expect(history: &History, issue: i64, expected: Value) {
    let row = history
        .scope(issue)
        .await
        .unwrap_or_else(|| panic!("issue {issue} is not in scope"));
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&row[column], value, "issue {issue}, {column}: {row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_awkward_case_has_its_outcome() {
    let mut h = History::new().await;
    // 1: committed, re-estimated in the sprint, completed.
    h.issue(1, 3, Some(5.0), &[10]);
    h.sprints(1, 3.0, "", "10");
    h.points(1, 7.0, "3", "5");
    h.status(1, 6.0, 1, 2);
    h.status(1, 9.0, 2, 3);
    // 2: in the sprint from its creation on, without any Sprint change; re-opened and not done at the end.
    h.issue(2, 2, Some(2.0), &[10, 11]);
    h.status(2, 6.0, 1, 3);
    h.status(2, 8.0, 3, 2);
    h.sprints(2, 15.0, "10", "10, 11");
    // 3: added at noon of the 6th, estimated only later.
    h.issue(3, 3, Some(8.0), &[10]);
    h.sprints(3, 6.5, "", "10");
    h.points(3, 8.0, "", "8");
    h.status(3, 12.0, 1, 3);
    // 4: taken out, and done before that.
    h.issue(4, 3, Some(1.0), &[]);
    h.sprints(4, 3.0, "", "10");
    h.status(4, 7.0, 1, 3);
    h.sprints(4, 9.0, "10", "");
    // 5: left and came back.
    h.issue(5, 1, Some(3.0), &[10, 11]);
    h.sprints(5, 3.0, "", "10");
    h.sprints(5, 7.0, "10", "");
    h.sprints(5, 8.0, "", "10");
    h.sprints(5, 15.0, "10", "10, 11");
    // 6: done before the start.
    h.issue(6, 3, Some(3.0), &[10]);
    h.sprints(6, 3.0, "", "10");
    h.status(6, 4.0, 1, 3);
    // 7: in a status that the board does not map at the start.
    h.issue(7, 3, Some(3.0), &[10]);
    h.sprints(7, 3.0, "", "10");
    h.status(7, 6.0, 4, 3);
    // 8: moved to the next sprint by the completion itself, whose change takes it out.
    h.issue(8, 1, Some(3.0), &[11]);
    h.sprints(8, 3.0, "", "10");
    h.sprints(8, 15.0, "10", "11");
    // 9: entered exactly at the start, done exactly at the end.
    h.issue(9, 3, Some(1.0), &[10]);
    h.sprints(9, 5.0, "", "10");
    h.status(9, 15.0, 2, 3);
    // 10: a sub-task of 1, with its parent's sprint.
    h.issue_with(
        10,
        1,
        Some(9.0),
        &[],
        json!({"is_subtask": true, "parent_id": 1}),
    );
    // 11: deleted. 12: left exactly at the start. 13: never in it.
    h.issue_with(
        11,
        1,
        Some(3.0),
        &[10],
        json!({"deleted_at": "2026-01-20T00:00:00Z"}),
    );
    h.issue(12, 1, Some(3.0), &[]);
    h.sprints(12, 3.0, "", "10");
    h.sprints(12, 5.0, "10", "");
    h.issue(13, 1, Some(3.0), &[]);
    h.refresh().await.unwrap();

    expect(
        &h,
        1,
        json!({"committed": true, "outcome": "completed", "start_points": 3.0, "end_points": 5.0}),
    )
    .await;
    expect(&h, 2, json!({"committed": true, "outcome": "not_completed", "carried_over": true, "done_at": null})).await;
    expect(&h, 3, json!({"committed": false, "added_after_start": true, "outcome": "completed", "start_points": null, "end_points": 8.0})).await;
    expect(
        &h,
        4,
        json!({"committed": true, "outcome": "removed", "end_points": 1.0}),
    )
    .await;
    expect(&h, 5, json!({"committed": true, "added_after_start": false, "re_entered": true, "outcome": "not_completed"})).await;
    expect(
        &h,
        6,
        json!({"committed": false, "added_after_start": false, "outcome": "completed_outside"}),
    )
    .await;
    expect(&h, 7, json!({"committed": false, "outcome": "completed"})).await;
    expect(&h, 8, json!({"committed": true, "outcome": "not_completed", "carried_over": true, "left_at": null})).await;
    expect(&h, 9, json!({"committed": true, "outcome": "completed"})).await;
    expect(
        &h,
        10,
        json!({"is_subtask": true, "committed": true, "outcome": "not_completed"}),
    )
    .await;
    for outside in [11, 12, 13] {
        assert!(
            h.scope(outside).await.is_none(),
            "issue {outside} is not in scope"
        );
    }

    let metrics = h
        .sql("select * from marts.sprint_metrics where sprint_id = 10")
        .await
        .remove(0);
    let expected = json!({
        // 1, 2, 4, 5, 8, 9; their estimates at the start: 3 + 2 + 1 + 3 + 3 + 1.
        "committed_issues": 6, "committed_points": 13.0,
        "added_issues": 1, "added_points": 0.0, "removed_issues": 1, "removed_points": 1.0,
        // 1, 3, 7, 9: 5 + 8 + 3 + 1.
        "completed_issues": 4, "completed_points": 17.0, "velocity_points": 17.0,
        "completed_outside_issues": 1, "not_completed_issues": 3, "not_completed_points": 8.0,
        "carried_over_issues": 3, "reopened_issues": 1, "unestimated_issues": 0, "provisional": false,
        // 1: 3 → 5, 3: unestimated → 8.
        "estimate_change_points": 10.0,
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&metrics[column], value, "{column}: {metrics:?}");
    }
    let near = |column: &str, value: f64| {
        assert!(
            (metrics[column].as_f64().unwrap() - value).abs() < 1e-9,
            "{column}: {metrics:?}"
        );
    };
    near("say_do_ratio", 4.0 / 13.0);
    near("completion_ratio", 4.0 / 7.0);
    near("scope_change_ratio", -1.0 / 13.0);
    // Issue 1 was in progress from the 6th to the 9th; issue 9 from its creation on the 1st to the 15th.
    near("cycle_time_p50_hours", (72.0 + 336.0) / 2.0);
    near("cycle_time_p85_hours", 72.0 + 0.85 * 264.0);
    let active = h
        .sql("select * from marts.sprint_metrics where sprint_id = 11")
        .await
        .remove(0);
    assert_eq!(active["provisional"], true);
    assert_eq!(active["ended_at"], Value::Null);
    assert_eq!(active["committed_issues"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_without_columns_goes_by_category_and_shared_sprints_count_once() {
    let mut h = History::new().await;
    h.add(
        "boards",
        json!({"board_id": 2, "name": "No columns", "type": "scrum", "has_configuration": false}),
    );
    h.sprint(20, 2, 5.0, Some(15.0));
    h.add("board_sprints", json!({"board_id": 1, "sprint_id": 20}));
    h.add("board_sprints", json!({"board_id": 2, "sprint_id": 20}));
    h.issue(1, 3, None, &[20]);
    h.status(1, 9.0, 4, 3);
    h.refresh().await.unwrap();
    let metrics = h
        .sql("select * from marts.sprint_metrics where sprint_id = 20")
        .await;
    assert_eq!(metrics.len(), 1);
    assert_eq!(metrics[0]["board_id"], 2);
    assert_eq!(
        metrics[0]["committed_issues"], 1,
        "every status counts as mapped"
    );
    assert_eq!(metrics[0]["completed_issues"], 1, "done by its category");
    assert_eq!(metrics[0]["unestimated_issues"], 1);
    assert_eq!(metrics[0]["say_do_ratio"], Value::Null);
}
