//! What held from when: status and assignee.

use crate::{differ_in, instant, mapped, ours, recorded, theirs};

/// `jira:JiraIssue:2:10063` → `10063`.
fn id(text: &str) -> String {
    text.rsplit(':').next().unwrap_or_default().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_began_at_the_same_instants() {
    let Some(product) = recorded().await else {
        return;
    };
    let ours = ours(
        product,
        "select issue_id, from_at, status from marts.issue_status_periods",
        &["issue_id", "from_at", "status"],
    );
    let theirs = theirs(
        "issue_trace/e2e/snapshot_tables/issue_status_history.csv",
        &["issue_id", "start_date", "original_status"],
    );
    assert_eq!((ours.len(), theirs.len()), (195, 200));
    let ours = mapped(ours, &[1], instant);
    let mut theirs = mapped(mapped(theirs, &[0], id), &[1], instant);
    // Two issues that are not in the recorded pages.
    theirs.retain(|row| row[0] != "10100" && row[0] != "1149308060001017333");
    // A status that was renamed: the other tool shows its name of then.
    let theirs = mapped(theirs, &[2], |status| {
        status.replace("In Development", "In Progress")
    });
    differ_in(&ours, &theirs, &[], &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assignees_began_at_the_same_instants() {
    let Some(product) = recorded().await else {
        return;
    };
    let ours = ours(
        product,
        "select issue_id, from_at, assignee_id from marts.issue_assignee_periods
         where assignee_id is not null",
        &["issue_id", "from_at", "assignee_id"],
    );
    let theirs = theirs(
        "issue_trace/e2e/snapshot_tables/issue_assignee_history.csv",
        &["issue_id", "start_date", "assignee"],
    );
    let ours = mapped(ours, &[1], instant);
    let mut theirs = mapped(mapped(theirs, &[0, 2], id), &[1], instant);
    theirs.retain(|row| row[0] != "10100" && row[0] != "1149308060001017333");
    // The other tool's input names two assignees of issue 10088 before its first change, against the
    // recorded page, by which nobody was assigned.
    let edited = |row: &Vec<String>| row[0] == "10088";
    let apart = theirs.symmetric_difference(&ours);
    assert!(apart.clone().all(edited), "{:?}", apart.collect::<Vec<_>>());
    let first = product.value(
        "select min(from_at) as at from marts.issue_assignee_periods
         where issue_id = 10088 and assignee_id is not null",
    );
    let change = product.value(
        "select min(changed_at) as at from jira.changelog_items
         where issue_id = 10088 and field = 'assignee'",
    );
    assert_eq!(first, change);
}
