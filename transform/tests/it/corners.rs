//! Histories that are not as orderly as one would like.

use serde_json::{Value, json};

use crate::history::{History, at};

#[tokio::test(flavor = "multi_thread")]
async fn renamed_and_deleted_statuses_keep_their_part_in_the_history() {
    let mut h = History::new().await;
    // Known by its id: renamed to "Done" since. Deleted: the listing last said it was done.
    h.add(
        "statuses",
        json!({"status_id": 8, "name": "Gone", "category": "done", "deleted_at": at(20.0)}),
    );
    h.issue(1, 3, Some(1.0), &[10]);
    h.status(1, 6.0, 1, 8);
    h.status(1, 7.0, 8, 3);
    // Never listed: its category is not known.
    h.issue(2, 1, Some(1.0), &[10]);
    h.status(2, 6.0, 99, 1);
    h.refresh().await.unwrap();
    let periods = |issue: i64| {
        format!(
            "select status, status_category from marts.issue_status_periods where issue_id = {issue} order by from_at"
        )
    };
    let seen = h.sql(&periods(1)).await;
    let names: Vec<_> = seen
        .iter()
        .map(|row| row["status"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["To Do", "Gone", "Done"]);
    assert_eq!(seen[1]["status_category"], "done");
    assert_eq!(h.sql(&periods(2)).await[0]["status_category"], Value::Null);
    // The board maps status 3 only as done: category does not make issue 1 done on the 6th.
    assert_eq!(h.scope(1).await.unwrap()["done_at"], "2026-01-07T00:00:00Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_at_one_instant_the_last_counts_and_early_ones_belong_to_the_creation() {
    let mut h = History::new().await;
    h.issue(1, 3, Some(1.0), &[10]);
    h.status(1, 6.0, 1, 2);
    h.status(1, 6.0, 2, 3);
    // Dated before the issue's creation on the 1st.
    h.issue(2, 2, Some(5.0), &[10]);
    h.points(2, 0.5, "3", "5");
    h.status(2, 0.5, 1, 2);
    h.refresh().await.unwrap();
    let statuses = h
        .sql("select status_id, from_at from marts.issue_status_periods where issue_id = 1 order by from_at")
        .await;
    let ids: Vec<_> = statuses
        .iter()
        .map(|row| row["status_id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [1, 3], "no interval has zero length");
    let early = h
        .sql("select status_id, from_at, to_at from marts.issue_status_periods where issue_id = 2")
        .await;
    assert_eq!(early.len(), 1);
    assert_eq!(
        (&early[0]["status_id"], &early[0]["to_at"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(early[0]["from_at"], "2026-01-01T00:00:00Z");
    assert_eq!(h.scope(2).await.unwrap()["start_points"], 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_moved_between_running_sprints_of_two_boards_is_removed_here_and_added_there() {
    let mut h = History::new().await;
    h.add(
        "boards",
        json!({"board_id": 2, "name": "Other", "type": "scrum", "has_configuration": true,
        "estimation_type": "field", "estimation_field_id": "cf_p"}),
    );
    h.add(
        "board_columns",
        json!({"board_id": 2, "ordinal": 0, "status_id": 3, "status_key": "3",
        "name": "Done", "is_last": true}),
    );
    h.sprint(20, 2, 5.0, Some(15.0));
    h.issue(1, 3, Some(2.0), &[20]);
    h.sprints(1, 3.0, "", "10");
    h.sprints(1, 8.0, "10", "20");
    h.status(1, 9.0, 1, 3);
    h.refresh().await.unwrap();
    let rows = h
        .sql("select sprint_id, committed, added_after_start, outcome from marts.sprint_scope order by sprint_id")
        .await;
    let row = |row: &schemas::Row| {
        (
            row["sprint_id"].clone(),
            row["committed"].clone(),
            row["added_after_start"].clone(),
            row["outcome"].clone(),
        )
    };
    assert_eq!(
        row(&rows[0]),
        (json!(10), json!(true), json!(false), json!("removed"))
    );
    assert_eq!(
        row(&rows[1]),
        (json!(20), json!(false), json!(true), json!("completed"))
    );
    assert_eq!(rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_old_entries_do_not_name_by_id_is_recognised_by_name() {
    let mut h = History::new().await;
    h.issue(1, 1, Some(1.0), &[]);
    h.add("changelog_items", json!({"history_id": 900, "ordinal": 0, "issue_id": 1, "changed_at": at(8.0),
        "field": "Sprint", "from_value": "10", "to_value": "", "from_string": "S10", "to_string": ""}));
    h.refresh().await.unwrap();
    assert_eq!(h.scope(1).await.unwrap()["outcome"], "removed");
}

/// A category that is changed later must not change what a sprint has shown.
#[tokio::test(flavor = "multi_thread")]
async fn categories_are_as_of_then() {
    // A board without columns: what is done is said by the category.
    let state = |status: i64, category: Value, from: f64, to: Option<f64>, initial: bool| {
        json!({"status_id": status, "name": "N", "category": category, "valid_from": at(from),
            "valid_to": to.map(at), "is_initial": initial})
    };
    let history = async |changes: bool| {
        let mut h = History::new().await;
        h.add(
            "boards",
            json!({"board_id": 2, "name": "B", "type": "scrum", "has_configuration": true,
            "estimation_type": "field", "estimation_field_id": "cf_p"}),
        );
        h.sprint(20, 2, 5.0, Some(15.0));
        h.issue(1, 2, Some(3.0), &[20]);
        h.status(1, 8.0, 1, 2);
        // Status 2 is of category done since the 20th, when the sprint was over.
        h.add(
            "statuses",
            json!({"status_id": 2, "name": "Doing", "category": "done"}),
        );
        if changes {
            h.add(
                "statuses_history",
                state(2, json!("indeterminate"), 4.0, Some(20.0), true),
            );
            h.add(
                "statuses_history",
                state(2, json!("done"), 20.0, None, false),
            );
            // A new name only, seen after the sprint: nothing begins.
            h.add(
                "statuses_history",
                state(1, json!("new"), 18.0, Some(19.0), true),
            );
            h.add(
                "statuses_history",
                state(1, json!("new"), 19.0, None, false),
            );
        }
        h.refresh().await.unwrap();
        h
    };
    let outcome = async |h: &History| {
        h.sql("select outcome from marts.sprint_scope where sprint_id = 20")
            .await[0]["outcome"]
            .clone()
    };
    let told = history(true).await;
    assert_eq!(outcome(&told).await, "not_completed");
    let periods = told
        .sql("select status_id, status_category, from_at, to_at from marts.issue_status_periods order by from_at")
        .await;
    let periods: Vec<_> = periods.into_iter().map(Value::Object).collect();
    assert_eq!(
        periods,
        [
            json!({"status_id": 1, "status_category": "new", "from_at": "2026-01-01T00:00:00Z", "to_at": "2026-01-08T00:00:00Z"}),
            json!({"status_id": 2, "status_category": "indeterminate", "from_at": "2026-01-08T00:00:00Z", "to_at": "2026-01-20T00:00:00Z"}),
            json!({"status_id": 2, "status_category": "done", "from_at": "2026-01-20T00:00:00Z", "to_at": null}),
        ]
    );
    // Without a history the present category is all that is known.
    assert_eq!(outcome(&history(false).await).await, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parent_of_an_issue_is_known_for_every_instant() {
    let mut h = History::new().await;
    h.add(
        "fields",
        json!({"field_id": "cf_e", "name": "Epic Link", "is_custom": true, "role": "epic_link"}),
    );
    let mut entry = 9_000;
    let mut change = |h: &mut History, issue: i64, day: f64, items: Value| {
        entry += 1;
        for (ordinal, item) in items.as_array().unwrap().iter().enumerate() {
            let mut row = json!({"history_id": entry, "ordinal": ordinal, "issue_id": issue,
                "changed_at": at(day)});
            row.as_object_mut()
                .unwrap()
                .extend(item.as_object().unwrap().clone());
            h.add("changelog_items", row);
        }
    };
    for epic in [100, 200] {
        h.issue(epic, 1, None, &[]);
    }
    // From one epic into another, written twice in one entry, as while Jira had both fields.
    h.issue_with(1, 1, None, &[], json!({"parent_id": 200}));
    change(
        &mut h,
        1,
        8.0,
        json!([
            {"field": "Epic Link", "field_id": "cf_e", "from_value": "100", "to_value": "200"},
            {"field": "IssueParentAssociation", "from_value": null, "to_value": "200"},
        ]),
    );
    // Out of an epic and made a sub-task of issue 1 at once.
    h.issue_with(2, 1, None, &[], json!({"parent_id": 1, "is_subtask": true}));
    change(
        &mut h,
        2,
        9.0,
        json!([
            {"field": "Parent", "from_value": null, "to_value": "1"},
            {"field": "Epic Link", "field_id": "cf_e", "from_value": "100", "to_value": ""},
        ]),
    );
    // Data Center: the present epic by its key, the change by a name without an id.
    h.issue_with(3, 1, None, &[], json!({"epic_key": "A-200"}));
    change(
        &mut h,
        3,
        7.0,
        json!([{"field": "Epic Link", "from_value": null, "to_value": "200"}]),
    );
    // Created in an epic and never moved; created without one and taken out of one again.
    h.issue_with(4, 1, None, &[], json!({"parent_id": 100}));
    h.issue(5, 1, None, &[]);
    change(
        &mut h,
        5,
        6.0,
        json!([{"field": "IssueParentAssociation", "from_value": null, "to_value": "100"}]),
    );
    change(
        &mut h,
        5,
        7.0,
        json!([{"field": "IssueParentAssociation", "from_value": "100", "to_value": null}]),
    );
    h.refresh().await.unwrap();
    let rows = h
        .sql("select issue_id, parent_id, from_at from marts.issue_parent_periods where issue_id < 100 order by issue_id, from_at")
        .await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            let day = row["from_at"].as_str().unwrap()[8..10].to_string();
            (
                row["issue_id"].as_i64().unwrap(),
                row["parent_id"].as_i64(),
                day,
            )
        })
        .collect();
    let expected = [
        (1, Some(100), "01"),
        (1, Some(200), "08"),
        (2, Some(100), "01"),
        (2, Some(1), "09"),
        (3, None, "01"),
        (3, Some(200), "07"),
        (4, Some(100), "01"),
        (5, None, "01"),
        (5, Some(100), "06"),
        (5, None, "07"),
    ]
    .map(|(issue, parent, day)| (issue, parent, day.to_string()));
    assert_eq!(seen, expected);
}
