//! The typed tables.

use std::collections::BTreeMap;

use crate::{differ_in, instant, mapped, ours, recorded, theirs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_there_with_the_same_values() {
    let Some(product) = recorded().await else {
        return;
    };
    let columns = [
        "field",
        "from_value",
        "from_string",
        "to_value",
        "to_string",
    ];
    let ours = ours(
        product,
        "select cast(history_id as varchar) as changelog_id, field, from_value, from_string,
            to_value, to_string from jira.changelog_items",
        &[&["changelog_id"], &columns[..]].concat(),
    );
    let theirs = theirs(
        "expected/_tool_jira_issue_changelog_items.csv",
        &[&["changelog_id"], &columns[..]].concat(),
    );
    assert_eq!((ours.len(), theirs.len()), (709, 689));
    assert!(
        theirs.is_subset(&ours),
        "missing: {:?}",
        theirs.difference(&ours).collect::<Vec<_>>()
    );
    // The other tool keeps one item of a field in a history; several versions may go at once.
    let mut more = BTreeMap::new();
    for row in ours.difference(&theirs) {
        *more.entry(row[1].as_str()).or_insert(0) += 1;
    }
    assert_eq!(more, BTreeMap::from([("Fix Version", 20)]));
    assert_eq!(
        product.value("select count(*) as n from jira.changelog_items"),
        709
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issues_have_the_same_values() {
    let Some(product) = recorded().await else {
        return;
    };
    let ours = ours(
        product,
        "select issue_id, issue_key, project_id, rtrim(summary, chr(0)) as summary, issue_type, status,
            priority, assignee_id, is_subtask, created_at, updated_at, resolved_at from jira.issues",
        &[
            "issue_id", "issue_key", "project_id", "summary", "issue_type", "status", "priority",
            "assignee_id", "is_subtask", "created_at", "updated_at", "resolved_at",
        ],
    );
    let theirs = theirs(
        "expected/_tool_jira_issues.csv",
        &[
            "issue_id",
            "issue_key",
            "project_id",
            "summary",
            "type",
            "status_name",
            "priority_name",
            "assignee_account_id",
            "subtask",
            "created",
            "updated",
            "resolution_date",
        ],
    );
    assert_eq!(ours.len(), 30);
    let instants = [9, 10, 11];
    differ_in(
        &mapped(ours, &instants, instant),
        &mapped(theirs, &instants, instant),
        &[],
        &[],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sprints_have_the_same_dates() {
    let Some(product) = recorded().await else {
        return;
    };
    let ours = ours(
        product,
        "select sprint_id, name, state, board_id, start_at, end_at, completed_at from jira.sprints",
        &[
            "sprint_id",
            "name",
            "state",
            "board_id",
            "start_at",
            "end_at",
            "completed_at",
        ],
    );
    let theirs = theirs(
        "expected/_tool_jira_sprints.csv",
        &[
            "sprint_id",
            "name",
            "state",
            "origin_board_id",
            "start_date",
            "end_date",
            "complete_date",
        ],
    );
    let instants = [4, 5, 6];
    let (ours, theirs) = (
        mapped(ours, &instants, instant),
        mapped(theirs, &instants, instant),
    );
    assert_eq!(ours.len(), 30);
    assert!(
        theirs.is_subset(&ours),
        "{:?}",
        theirs.difference(&ours).collect::<Vec<_>>()
    );
}

/// Every membership that there ever was, also of issues that were taken out again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sprint_membership_is_lost() {
    let Some(product) = recorded().await else {
        return;
    };
    let ours = ours(
        product,
        "select distinct issue_id, unnest(sprint_ids) as sprint_id from marts.issue_sprint_periods",
        &["sprint_id", "issue_id"],
    );
    let theirs = theirs(
        "expected/_tool_jira_sprint_issues.csv",
        &["sprint_id", "issue_id"],
    );
    assert_eq!((ours.len(), theirs.len()), (32, 28));
    // The other tool knows only the sprints that an issue is in today.
    differ_in(
        &ours,
        &theirs,
        &[
            &["7", "10079"],
            &["7", "10081"],
            &["9", "10079"],
            &["9", "10082"],
        ],
        &[],
    );
    // An issue that was taken out in the middle of a sprint is reported as removed.
    let removed = product
        .sql("select outcome from marts.sprint_scope where sprint_id = 7 and issue_id = 10081");
    assert_eq!(removed[0]["outcome"], "removed");
}
