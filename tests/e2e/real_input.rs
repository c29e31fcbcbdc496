//! Recorded pages of a real Jira site go through the whole job; nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use simulator::{Settings, Simulator};
use tests::test_data;

use crate::connected;

/// Pairs of two whole-number columns of a CSV file without quoted commas before them.
fn pairs(path: &Path, first: usize, second: usize) -> BTreeSet<(i64, i64)> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<_> = line.split(',').collect();
            (
                cells[first].parse().unwrap(),
                cells[second].parse().unwrap(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_changelog_items_and_sprint_memberships_arrive() {
    let Some(data) = test_data() else {
        println!("skipped: SPRINT_REPORTS_TEST_DATA names no folder with recorded payloads");
        return;
    };
    let raw = data.join("devlake/raw");
    let site = Simulator::replay(&raw, Settings::default()).await.unwrap();
    let product = connected(&site);
    product.run(&["sync"]).ok();
    product.run(&["refresh"]).ok();

    let items = product.value("select count(*) as n from jira.changelog_items");
    assert_eq!(items, 709, "a peer keeps 689 of these");
    assert_eq!(product.value("select count(*) as n from jira.issues"), 30);
    assert_eq!(product.value("select count(*) as n from jira.sprints"), 30);

    // Every membership that there ever was, also of issues that were taken out again.
    let rows = product.sql(
        "select distinct issue_id, unnest(sprint_ids) as sprint_id from marts.issue_sprint_periods
         order by issue_id, sprint_id",
    );
    let ours: BTreeSet<(i64, i64)> = rows
        .iter()
        .map(|row| {
            (
                row["sprint_id"].as_i64().unwrap(),
                row["issue_id"].as_i64().unwrap(),
            )
        })
        .collect();
    let theirs = pairs(
        &data.join("devlake/expected/_tool_jira_sprint_issues.csv"),
        1,
        2,
    );
    assert_eq!(theirs.len(), 28);
    assert!(
        ours.is_superset(&theirs),
        "missing: {:?}",
        theirs.difference(&ours)
    );
    let more: Vec<_> = ours.difference(&theirs).copied().collect();
    assert_eq!(
        more,
        [(7, 10079), (7, 10081), (9, 10079), (9, 10082)],
        "the four a peer loses"
    );
    assert_eq!(ours.len(), 32);

    // An issue that was taken out in the middle of a sprint is reported as removed.
    let removed = product.sql(
        "select issue_id, outcome from marts.sprint_scope where sprint_id = 7 and issue_id = 10081",
    );
    assert_eq!(removed[0]["outcome"], "removed");
}
