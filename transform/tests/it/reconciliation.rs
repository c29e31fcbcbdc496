//! Our reading of a closed sprint beside Jira's own. Sprint 10 ran from the 5th to the 15th.

use serde_json::{Value, json};

use crate::history::{History, at};

/// What these tests look at.
const MODELS: [&str; 1] = ["sprint_reconciliation"];

fn answered(h: &mut History, sprint: i64, completed: f64, is_offered: bool) {
    h.add(
        "sprint_report_answers",
        json!({"sprint_id": sprint, "board_id": 1, "completed_at": at(completed),
            "is_offered": is_offered}),
    );
}

/// A line of the report: issue, list, estimates at the start and at the end.
fn line(
    h: &mut History,
    sprint: i64,
    issue: i64,
    list: &str,
    start: Option<f64>,
    end: Option<f64>,
) {
    h.add(
        "sprint_reports",
        json!({"sprint_id": sprint, "issue_id": issue, "board_id": 1, "list": list,
            "added_during_sprint": false, "start_estimate": start, "end_estimate": end,
            "estimate_field_id": "cf_p"}),
    );
}

async fn reasons(h: &History) -> Vec<(i64, i64, Option<String>)> {
    let rows = h
        .sql("select sprint_id, issue_id, agrees, reason from marts.sprint_reconciliation order by sprint_id, issue_id")
        .await;
    rows.iter()
        .map(|row| {
            let reason = row["reason"].as_str().map(str::to_owned);
            assert_eq!(row["agrees"], json!(reason.is_none()));
            (
                row["sprint_id"].as_i64().unwrap(),
                row["issue_id"].as_i64().unwrap(),
                reason,
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_has_its_reason() {
    let mut h = History::of(&MODELS).await;
    let three = Some(3.0);
    // All were in the sprint from the 3rd on and are not done, unless a case says otherwise.
    for issue in 1..=11 {
        if issue != 6 {
            h.issue(issue, 1, three, &[10]);
            h.sprints(issue, 3.0, "", "10");
        }
    }
    // 1: the same. 2: no estimate with us, 0 there. 3: no line.
    line(&mut h, 10, 1, "not_completed", three, three);
    h.issue(12, 1, None, &[10]);
    h.sprints(12, 3.0, "", "10");
    line(&mut h, 10, 12, "not_completed", Some(0.0), None);
    line(&mut h, 10, 2, "not_completed", Some(2.0), three);
    // 4: in another list. 5: another estimate at the end. 6: not in the sprint with us.
    line(&mut h, 10, 4, "completed", three, three);
    line(&mut h, 10, 5, "not_completed", three, Some(8.0));
    h.issue(6, 1, three, &[]);
    line(&mut h, 10, 6, "removed", three, three);
    // 7: estimated anew on the 18th, which the report shows already; so is 8, at its start as well.
    h.add(
        "changelog_items",
        json!({"history_id": 901, "ordinal": 0, "issue_id": 7, "changed_at": at(18.0),
        "field": "cf_p", "field_id": "cf_p", "from_string": "5", "to_string": "3"}),
    );
    line(&mut h, 10, 7, "not_completed", Some(5.0), three);
    h.add(
        "changelog_items",
        json!({"history_id": 902, "ordinal": 0, "issue_id": 8, "changed_at": at(18.0),
        "field": "cf_p", "field_id": "cf_p", "from_string": "5", "to_string": "3"}),
    );
    line(&mut h, 10, 8, "not_completed", three, three);
    // 9: marked as added. 10: the board estimates in another field. 11: a line of a deleted issue.
    h.add("sprint_reports", json!({"sprint_id": 10, "issue_id": 9, "board_id": 1,
        "list": "not_completed", "added_during_sprint": true, "start_estimate": 3.0, "end_estimate": 3.0}));
    h.add(
        "sprint_reports",
        json!({"sprint_id": 10, "issue_id": 10, "board_id": 1,
        "list": "not_completed", "added_during_sprint": false, "start_estimate": 7200.0,
        "end_estimate": 7200.0, "estimate_field_id": "timeoriginalestimate"}),
    );
    h.issue_with(11, 1, three, &[10], json!({"deleted_at": at(19.0)}));
    line(&mut h, 10, 11, "not_completed", three, three);
    // 13: a sub-task of 1.
    h.issue_with(
        13,
        1,
        None,
        &[],
        json!({"is_subtask": true, "parent_id": 1}),
    );
    line(&mut h, 10, 13, "not_completed", None, None);
    answered(&mut h, 10, 15.0, true);
    h.refresh().await.unwrap();
    let expected: Vec<(i64, i64, Option<String>)> = [
        (1, None),
        (2, Some("estimate differs")),
        (3, Some("only in ours")),
        (4, Some("list differs")),
        (5, Some("estimate differs")),
        (6, Some("only in Jira")),
        (7, Some("report shows a later change")),
        (8, Some("estimate differs")),
        (9, Some("added differs")),
        (10, None),
        (11, Some("issue not read")),
        (12, None),
        (13, Some("sub-task")),
    ]
    .into_iter()
    .map(|(issue, reason): (i64, Option<&str>)| (10, issue, reason.map(str::to_owned)))
    .collect();
    assert_eq!(reasons(&h).await, expected);
    let row = h
        .sql("select * from marts.sprint_reconciliation where issue_id = 5")
        .await
        .remove(0);
    let row = Value::Object(row);
    let expected = json!({"connection": "acme", "board_id": 1, "sprint_id": 10, "issue_id": 5,
        "issue_key": "A-5", "agrees": false, "reason": "estimate differs",
        "our_outcome": "not_completed", "jira_list": "not_completed", "our_added": false,
        "jira_added": false, "our_start_points": 3.0, "jira_start_points": 3.0,
        "our_end_points": 3.0, "jira_end_points": 8.0});
    assert_eq!(row, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reports_of_the_completion_that_is_known_are_compared() {
    let mut h = History::of(&MODELS).await;
    // 12 was answered without a report, 13 for an earlier completion; 14 and the active 11 not at all.
    for (sprint, from, to) in [(12, 2.0, 4.0), (13, 2.5, 4.5), (14, 2.6, 4.6)] {
        h.sprint(sprint, 1, from, Some(to));
        let id = sprint * 10;
        h.issue(id, 1, Some(1.0), &[sprint]);
        h.sprints(id, 1.5, "", &sprint.to_string());
        line(&mut h, sprint, id, "completed", None, None);
    }
    answered(&mut h, 12, 4.0, false);
    answered(&mut h, 13, 4.0, true);
    h.issue(1, 1, Some(1.0), &[10]);
    h.sprints(1, 3.0, "", "10");
    answered(&mut h, 10, 15.0, true);
    // The columns of the board are changed after the sprint: what is done is judged by the new ones.
    for (status, last, initial, from, to) in [
        (2, true, true, 1.0, Some(20.0)),
        (3, true, false, 20.0, None),
    ] {
        h.add("board_columns_history", json!({"board_id": 1, "ordinal": 2, "status_id": status,
            "status_key": status.to_string(), "name": "Done", "is_last": last, "valid_from": at(from),
            "valid_to": to.map(at), "is_initial": initial}));
    }
    h.issue(2, 2, Some(1.0), &[10]);
    h.sprints(2, 3.0, "", "10");
    h.status(2, 6.0, 1, 2);
    line(&mut h, 10, 2, "completed", Some(1.0), Some(1.0));
    h.refresh().await.unwrap();
    let expected = [
        (10, 1, Some("only in ours".to_owned())),
        (
            10,
            2,
            Some("report frozen before a later change".to_owned()),
        ),
    ];
    assert_eq!(reasons(&h).await, expected);
}
